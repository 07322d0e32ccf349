"""The deliveries of a client over which a program iterates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed

from alaska import errors
from alaska.messaging.delivery import Delivery


class DeliveryQueue:
    """Holds deliveries until the program asks for them, or Deferreds until there are deliveries."""

    def __init__(self) -> None:
        self._deliveries: deque[Delivery] = deque()
        self._waiting: deque[Deferred[Delivery]] = deque()
        self._is_closed = False
        self._given: Delivery | None = None
        self.processed: Callable[[Delivery], None] | None = None
        """Called with each delivery when the program asks for the one after it."""
        self._error: errors.ClientError | None = None

    def add(self, delivery: Delivery) -> None:
        """Add a delivery."""
        if self._waiting:
            self._given = delivery
            self._waiting.popleft().callback(delivery)
        else:
            self._deliveries.append(delivery)

    def next(self) -> Deferred[Delivery]:
        """Return the next delivery; after :meth:`close`, and what was added before, the Deferred fails."""
        if self._given is not None and self.processed is not None:
            self.processed(self._given)
        self._given = None
        if self._deliveries:
            self._given = self._deliveries.popleft()
            return succeed(self._given)
        if self._is_closed:
            return fail(self._error or StopAsyncIteration())
        waiting: Deferred[Delivery] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def close(self, error: errors.ClientError | None) -> None:
        """End the iteration, with an error if there is one."""
        self._is_closed, self._error = True, error
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            each.errback(error or StopAsyncIteration())
