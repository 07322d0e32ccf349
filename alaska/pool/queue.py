"""What waits for the threads of the pool, and the threads that wait for something to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from alaska.lua.request import Request


class Queue:
    """Requests that wait for a thread: first come, first served. None tells a thread to end.

    A thread that finds nothing, or finds others enough, lies down until its bell is rung. The one that lay down last is
    woken first.
    """

    def __init__(self, resting: int = 0) -> None:
        self._waiting: deque[Request | None] = deque()
        self._bells: deque[SimpleQueue[None]] = deque()
        self.resting = resting
        """How many threads lie down, whatever waits."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, request: Request | None) -> None:
        """Append a request, for a thread that is awake or will be rung for."""
        self._waiting.append(request)

    def ring(self, most: int) -> int:
        """Wake up to so many threads, but those that are to rest; return how many."""
        woken = min(most, len(self._bells) - self.resting)
        with suppress(IndexError):
            for _ in range(woken):
                self._bells.pop().put(None)
        return max(0, woken)

    def get(self, bell: SimpleQueue[None]) -> Request | None:
        """Return the next, as soon as there is one for the thread whose bell this is."""
        while True:
            if len(self._bells) >= self.resting:
                with suppress(IndexError):
                    return self._waiting.popleft()
            self._bells.append(bell)
            # What came before the bell was there has not rung it, and two may have lain down where one should have.
            if self._waiting and len(self._bells) > self.resting:
                with suppress(ValueError):
                    self._bells.remove(bell)
                    continue
            bell.get()

    def take(self, most: int) -> list[Request]:
        """Return up to so many that wait now, and stand in front of the first None."""
        taken: list[Request] = []
        with suppress(IndexError):
            while len(taken) < most:
                request = self._waiting.popleft()
                if request is None:
                    self._waiting.appendleft(None)
                    self.ring(1)  # for a thread that has just found nothing, and is to end
                    break
                taken.append(request)
        return taken

    def untake(self, requests: Sequence[Request]) -> None:
        """Put what was taken in front of the others, for a thread that is awake."""
        self._waiting.extendleft(reversed(requests))

    def put_back(self, requests: list[Request]) -> None:
        """Put what was taken in front of the others; all threads may be awake for it, until the pool looks again."""
        self.untake(requests)
        self.resting = 0
        self.ring(len(requests))

    def clear(self) -> None:
        """Forget all that waits, and each None."""
        self._waiting.clear()
