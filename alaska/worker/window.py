"""How much a worker asks for: as much as keeps its pool busy, and no more (docs/protocol.md, section 5).

What is with a worker and not begun cannot be taken by another. So a worker whose scripts take long asks for one
request a thread; one whose scripts are over in no time would spend its time waiting for requests then, and asks for
what lasts a moment. The window grows only as it is used up, so a worker that has little to do keeps little in hand.
"""

from __future__ import annotations

IN_HAND_SECONDS = 0.02
MOST_IN_HAND = 4096
WEIGHT_OF_NEW = 0.2


class Window:
    """The credit of one worker with so many threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._size = threads
        self._mean_seconds: float | None = None

    def grant(self, in_hand: int, unspent: int) -> int:
        """Return how much more credit to give.

        ``in_hand`` is how many requests wait or run, ``unspent`` the credit that the broker has not used yet.
        """
        if unspent == 0 and in_hand <= self._size // 2:
            self._size *= 2
        self._size = max(self._threads, min(self._size, self._largest()))
        return max(0, self._size - in_hand - unspent)

    def finished(self, seconds: float) -> None:
        """Take note of how long a script ran."""
        if self._mean_seconds is None:
            self._mean_seconds = seconds
        self._mean_seconds += WEIGHT_OF_NEW * (seconds - self._mean_seconds)

    def shrink(self) -> None:
        """Take note that the threads are held up, whatever their scripts took before: ask for one request a thread."""
        self._size = self._threads

    def _largest(self) -> int:
        """Return how many requests last the moment that may be in hand."""
        if self._mean_seconds is None:
            return self._threads
        in_a_moment = self._threads * IN_HAND_SECONDS / max(self._mean_seconds, 1e-6)
        return min(MOST_IN_HAND, int(in_a_moment))
