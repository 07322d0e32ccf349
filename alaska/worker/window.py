"""The size of a worker's credit window: enough to keep its pool busy, and no more (docs/protocol.md, section 5).

Requests that wait in a worker cannot be run by another. So the window is one request a thread while scripts are slow.
While they are short, it is as many requests as last for a moment, so that threads do not idle between deliveries. The
window grows only when it is used up, so a worker with a low load prefetches little.
"""

from __future__ import annotations

WINDOW_SECONDS = 0.02
MOST_UNCONFIRMED = 4096
WEIGHT_OF_NEW = 0.2


class Window:
    """The credit window of one worker with this number of threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._size = threads
        self._mean_seconds: float | None = None

    def grant(self, busy: int, unspent: int) -> int:
        """Return how much more credit to give.

        ``busy`` is the number of requests that wait or run, ``unspent`` the credit that the broker has not used yet.
        """
        if unspent == 0 and busy <= self._size // 2:
            self._size *= 2
        self._size = max(self._threads, min(self._size, self._largest()))
        return max(0, self._size - busy - unspent)

    def record_seconds(self, seconds: float) -> None:
        """Record the run time of a script."""
        if self._mean_seconds is None:
            self._mean_seconds = seconds
        self._mean_seconds += WEIGHT_OF_NEW * (seconds - self._mean_seconds)

    def shrink(self) -> None:
        """Reduce the window to one request a thread, because scripts have become slow."""
        self._size = self._threads

    def _largest(self) -> int:
        """Return the number of requests that keep all threads busy for ``WINDOW_SECONDS``."""
        if self._mean_seconds is None:
            return self._threads
        return min(MOST_UNCONFIRMED, int(self._threads * WINDOW_SECONDS / max(self._mean_seconds, 1e-6)))
