"""What becomes of memory that is let go of."""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from contextlib import suppress

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
LARGE_OCTETS = 256 * 1024


def give_back_large() -> None:
    """Let the system have the memory of large blocks again as soon as they are freed, where the C library is glibc.

    Left to itself, glibc takes the largest block that was ever freed, up to 32 MB, as the size up to which it keeps
    memory, for each thread: one request with large messages would make the process larger for good.
    """
    with suppress(OSError, AttributeError):
        c = ctypes.CDLL(None)
        c.mallopt(_M_MMAP_THRESHOLD, LARGE_OCTETS)
        c.mallopt(_M_TRIM_THRESHOLD, LARGE_OCTETS)


@functools.cache
def _malloc_trim() -> Callable[[int], object]:
    return getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)


def give_back_free() -> None:
    """Let the system have all memory that is free, where the C library is glibc, which keeps it for what comes next."""
    _malloc_trim()(0)


class Waste:
    """Memory that was used for a moment and is let go of bit by bit, by this thread and others.

    It is given back now and then while there may be any: :meth:`give_back` is to be called often, and does so twice
    after each :meth:`note`, ``pause`` seconds apart at least. Any thread may call.
    """

    def __init__(
        self,
        pause: float = 0.25,
        now: Callable[[], float] = time.monotonic,
        give_back: Callable[[], None] = give_back_free,
    ) -> None:
        self._pause = pause
        self._now = now
        self._give_back = give_back
        self._given_back = float("-inf")
        self.rounds = 0
        """How often memory is still to be given back; 0 spares the call."""

    def note(self) -> None:
        """Take note that there may be some."""
        self.rounds = 2

    def give_back(self) -> None:
        """Give back what is free, if it is time to."""
        now = self._now()
        if self.rounds and now - self._given_back >= self._pause:
            self._given_back = now
            self.rounds -= 1
            self._give_back()
