"""The queue between the reactor and the threads of the pool."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from alaska.lua.request import Request


class Queue:
    """A FIFO of requests; None is the sentinel that ends a thread.

    A thread that finds no request, or finds that enough threads are awake, sleeps until its bell is rung. The thread
    that fell asleep last is woken first.
    """

    def __init__(self, kept_asleep: int = 0) -> None:
        self._waiting: deque[Request | None] = deque()
        self._bells: deque[SimpleQueue[None]] = deque()
        self.kept_asleep = kept_asleep
        """The number of threads that sleep even while requests wait."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, request: Request | None) -> None:
        """Append a request; this wakes no thread."""
        self._waiting.append(request)

    def ring(self, most: int) -> int:
        """Wake up to ``most`` threads, but not those that are kept asleep; return how many."""
        woken = min(most, len(self._bells) - self.kept_asleep)
        with suppress(IndexError):
            for _ in range(woken):
                self._bells.pop().put(None)
        return max(0, woken)

    def get(self, bell: SimpleQueue[None]) -> Request | None:
        """Return the next request, or None to end; wait for one if necessary. The bell is the calling thread's."""
        while True:
            if len(self._bells) >= self.kept_asleep:
                with suppress(IndexError):
                    return self._waiting.popleft()
            self._bells.append(bell)
            # A request that came before the bell was registered has not rung it; also, two threads may have fallen
            # asleep at the same time where one should have.
            if self._waiting and len(self._bells) > self.kept_asleep:
                with suppress(ValueError):
                    self._bells.remove(bell)
                    continue
            bell.get()

    def take(self, most: int) -> list[Request]:
        """Return up to ``most`` requests without waiting, none of them from behind the first None."""
        taken: list[Request] = []
        with suppress(IndexError):
            while len(taken) < most:
                request = self._waiting.popleft()
                if request is None:
                    self._waiting.appendleft(None)
                    self.ring(1)  # the sentinel was missing for a moment, so a thread may have missed it and slept
                    break
                taken.append(request)
        return taken

    def requeue(self, requests: Sequence[Request]) -> None:
        """Return requests to the front of the queue, for a thread that is awake."""
        self._waiting.extendleft(reversed(requests))

    def requeue_and_wake(self, requests: list[Request]) -> None:
        """Return requests to the front of the queue; any thread may wake for them, until the pool's next check."""
        self.requeue(requests)
        self.kept_asleep = 0
        self.ring(len(requests))

    def clear(self) -> None:
        """Drop all requests and sentinels."""
        self._waiting.clear()
