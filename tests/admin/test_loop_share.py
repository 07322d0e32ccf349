"""A share of the event loop for calls that take long."""

from __future__ import annotations

from functools import partial
from typing import cast

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.http.loop_share import BUSY_SECONDS, PAUSE_SECONDS, LoopShare


class LoopShareTests(SynchronousTestCase):
    """Calls that take time by the clock of the test."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.share = LoopShare(cast("IReactorTime", self.clock))
        self.made: list[int] = []

    def call(self, number: int, seconds: float) -> Deferred[int]:
        """Make a call that takes so long, and return its number."""

        def take() -> Deferred[int]:
            self.clock.rightNow += seconds
            self.made.append(number)
            return succeed(number)

        return self.share.do(take)

    def test_short_calls(self) -> None:
        """Calls that take little time are made at once."""
        for number in range(4):
            self.assertEqual(self.successResultOf(self.call(number, BUSY_SECONDS / 5)), number)

    def test_long_calls(self) -> None:
        """After a call that takes long, the next ones are made one after the other, with pauses for others."""
        asked = [self.call(number, BUSY_SECONDS) for number in range(3)]
        self.assertEqual(self.made, [0])
        for count in (2, 3):
            self.clock.advance(PAUSE_SECONDS / 2)
            self.assertEqual(len(self.made), count - 1)
            self.clock.advance(PAUSE_SECONDS / 2)
            self.assertEqual(len(self.made), count)
        self.assertEqual([self.successResultOf(each) for each in asked], [0, 1, 2])
        self.clock.advance(PAUSE_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_time_between(self) -> None:
        """Calls with enough time between them do not wait, however many there are."""
        for number in range(10):
            self.call(number, BUSY_SECONDS / 2)
            self.clock.advance(PAUSE_SECONDS)
        self.assertEqual(self.made, list(range(10)))

    def test_cancelled(self) -> None:
        """A call of a client that has left is not made."""
        self.call(0, BUSY_SECONDS)
        left, other = self.call(1, 0), self.call(2, 0)
        left.cancel()
        self.failureResultOf(left, CancelledError)
        self.clock.advance(PAUSE_SECONDS)
        self.assertEqual((self.made, self.successResultOf(other)), ([0, 2], 2))

    def test_failures(self) -> None:
        """A call that fails, at once or later, fails alone."""
        self.failureResultOf(self.share.do(partial(fail, ValueError())), ValueError)
        self.call(0, BUSY_SECONDS)
        later = self.share.do(partial(fail, KeyError()))
        self.clock.advance(PAUSE_SECONDS)
        self.failureResultOf(later, KeyError)
        self.assertEqual(self.successResultOf(self.call(1, 0)), 1)

    def test_close(self) -> None:
        """After the end, nothing is left in the event loop."""
        self.call(0, BUSY_SECONDS)
        waiting = self.call(1, 0)
        self.share.close()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual((self.clock.getDelayedCalls(), len(self.share)), ([], 0))
