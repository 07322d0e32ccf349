"""The deliveries over which a program iterates."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.client.delivery import Delivery
from alaska.client.delivery_queue import DeliveryQueue
from alaska.mlm import commands as mlm

FIRST = Delivery(mlm.MailboxDeliver(b"a", b"b", b"first", b"", ()), 1)
SECOND = Delivery(mlm.MailboxDeliver(b"a", b"b", b"second", b"", ()), 1)


class DeliveryQueueTests(SynchronousTestCase):
    """A queue of deliveries."""

    def setUp(self) -> None:
        self.queue = DeliveryQueue()

    def test_order(self) -> None:
        """Deliveries are returned in the order of their arrival, also to those who asked before."""
        early = self.queue.next()
        self.queue.add(FIRST)
        self.queue.add(SECOND)
        self.assertIs(self.successResultOf(early), FIRST)
        self.assertIs(self.successResultOf(self.queue.next()), SECOND)
        self.assertNoResult(self.queue.next())

    def test_cancelled(self) -> None:
        """A delivery is not lost if who asked for it has cancelled."""
        cancelled = self.queue.next()
        cancelled.cancel()
        self.failureResultOf(cancelled)
        self.queue.add(FIRST)
        self.assertIs(self.successResultOf(self.queue.next()), FIRST)

    def test_closed(self) -> None:
        """What arrived before the end is still returned; then the iteration ends."""
        self.queue.add(FIRST)
        self.queue.close(None)
        self.assertIs(self.successResultOf(self.queue.next()), FIRST)
        self.failureResultOf(self.queue.next(), StopAsyncIteration)

    def test_closed_with_error(self) -> None:
        """An error of the connection reaches those who wait, and those who ask later."""
        waiting = self.queue.next()
        self.queue.close(errors.NotConnected("lost"))
        self.failureResultOf(waiting, errors.NotConnected)
        self.failureResultOf(self.queue.next(), errors.NotConnected)
