"""Return freed memory to the operating system."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from contextlib import suppress

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
LARGE_OCTETS = 256 * 1024


def return_large_blocks() -> None:
    """Configure glibc to return large blocks to the system as soon as they are freed; do nothing without glibc.

    By default glibc raises its threshold to the largest block that was ever freed, up to 32 MB, and caches that much
    for each thread: one request with large messages would make the process larger permanently.
    """
    with suppress(OSError, AttributeError):
        c = ctypes.CDLL(None)
        c.mallopt(_M_MMAP_THRESHOLD, LARGE_OCTETS)
        c.mallopt(_M_TRIM_THRESHOLD, LARGE_OCTETS)


@functools.cache
def _malloc_trim() -> Callable[[int], object]:
    return getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)


def return_free_memory() -> None:
    """Return all free memory that glibc caches to the system; do nothing without glibc."""
    _malloc_trim()(0)


class MemoryReturner:
    """Returns temporarily used memory to the system while this thread and others free it step by step.

    :meth:`return_memory` is to be called often. After each :meth:`note` it returns memory twice, at least ``pause``
    seconds apart. All methods are thread-safe.
    """

    def __init__(
        self,
        pause: float = 0.25,
        now: Callable[[], float] = time.monotonic,
        return_memory: Callable[[], None] = return_free_memory,
    ) -> None:
        self._pause = pause
        self._now = now
        self._give_back = return_memory
        self._given_back = float("-inf")
        self.rounds = 0
        """How many times memory is still to be returned; while it is 0, :meth:`return_memory` need not be called."""

    def note(self) -> None:
        """Record that there may be memory to return."""
        self.rounds = 2

    def return_memory(self) -> None:
        """Return free memory to the system, if it is due."""
        now = self._now()
        if self.rounds and now - self._given_back >= self._pause:
            self._given_back = now
            self.rounds -= 1
            self._give_back()
