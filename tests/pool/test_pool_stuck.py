"""Threads of the pool that exceed the time limit."""

from __future__ import annotations

from threading import Event

from alaska.errors import LimitExceeded
from alaska.lua.request import Outcome, Request
from alaska.pool.pool import MOST_STUCK, PATIENCE_SECONDS
from tests.pool.pool_case import PoolCase


class StuckTests(PoolCase):
    """Threads that exceed the time limit."""

    limit: float | None = 1.0

    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0
        self.pool.watch(self.now)
        self.outcomes: dict[bytes, Outcome | None] = {}

    def note(self, request: Request, outcome: Outcome | None) -> None:
        """Record a finished request with its outcome."""
        super().note(request, outcome)
        self.outcomes[request.subject] = outcome

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with watchdog checks at short intervals."""
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.pool.watch(self.now)

    def lose(self, subject: bytes) -> Event:
        """Let a thread be stuck until it is given up; return the event that frees it."""
        release = self.hold(subject)
        self.pass_time(0.1)
        self.pass_time(self.limit or 0.0)
        self.pass_time(PATIENCE_SECONDS)
        return release

    def test_reported(self) -> None:
        """A stuck request is reported some time after its limit, not before, and the error names the limit."""
        self.hold(b"stuck")
        self.pass_time(1.4)
        self.assertEqual((self.finished, self.pool.replaced), ([], 0))
        self.pass_time(0.2)
        outcome = self.outcomes[b"stuck"]
        assert outcome is not None
        self.assertIsInstance(outcome.error, LimitExceeded)
        self.assertEqual(
            str(outcome.error), "it did not end within 1 s, and it could not be stopped (worker/scripts/timeout)"
        )
        self.assertGreater(outcome.seconds, 1.4)
        self.assertEqual((self.pool.pending, self.pool.replaced, self.pool.stuck), (0, 1, 1))

    def test_replaced(self) -> None:
        """A new thread with a new runner runs the next request."""
        self.lose(b"stuck")
        self.submit(b"next")
        self.finish(2)
        self.assertEqual(self.finished[1:], [(b"next", b"NEXT")])
        self.assertEqual(len(self.runners.made), 2)

    def test_returns_late(self) -> None:
        """The late outcome of a stuck thread is dropped; the thread closes its runner, ends and is not counted."""
        release = self.lose(b"stuck")
        release.set()
        self.work_until_ended(1)
        self.assertEqual(self.finished, [(b"stuck", b"")])
        self.assertEqual((self.pool.replaced, self.pool.stuck), (1, 0))
        self.submit(b"next")
        self.finish(2)
        self.assertNotEqual(self.runners.ran[1][1], self.runners.ran[0][1])

    def test_slow_requests(self) -> None:
        """The limit is for one request: a thread that finishes slow requests is not stuck."""
        for number in range(5):
            release = self.hold(b"%d" % number)
            self.pass_time(1.3)
            release.set()
            self.finish(number + 1)
        self.assertEqual((self.pool.replaced, len(self.finished)), (0, 5))

    def test_idle(self) -> None:
        """An idle thread is never stuck."""
        self.pass_time(10)
        self.submit(b"next")
        self.finish(1)
        self.assertEqual(self.pool.replaced, 0)

    def test_clock_is_set(self) -> None:
        """No thread is given up because the clock was set or the machine was suspended."""
        self.hold(b"work")
        self.pool.watch(self.now)
        self.pool.watch(self.now + 3600)
        self.pool.watch(self.now - 3600)
        self.assertEqual(self.pool.replaced, 0)

    def test_no_limit(self) -> None:
        """Without a limit, no thread is given up."""
        self.limit = None
        self.pool = self.make_pool(self.runners.make_runner, self.note)
        self.pool.start()
        self.hold(b"long")
        self.pass_time(100)
        self.assertEqual(self.pool.replaced, 0)

    def test_stop(self) -> None:
        """A stopping pool does not wait for threads that were given up."""
        self.lose(b"stuck")
        self.submit(b"last")
        self.stop()
        self.assertEqual([subject for subject, _ in self.finished], [b"stuck", b"last"])

    def test_stuck_while_it_stops(self) -> None:
        """A thread that is stuck while the pool stops is given up, and the waiting requests are finished."""
        self.hold(b"stuck")
        self.submit(b"last")
        stopped: list[None] = []
        self.pool.stop().addCallback(stopped.append)
        self.pass_time(2)
        while not stopped:
            self.reactor.step()
        self.assertEqual([subject for subject, _ in self.finished], [b"stuck", b"last"])

    def test_exhausted(self) -> None:
        """The pool is exhausted while the maximum number of stuck threads still run."""
        releases = [self.lose(b"%d" % number) for number in range(MOST_STUCK)]
        self.assertTrue(self.pool.is_exhausted)
        releases[0].set()
        self.work_until_ended(1)
        self.assertFalse(self.pool.is_exhausted)
        self.assertEqual(self.pool.stuck, MOST_STUCK - 1)
