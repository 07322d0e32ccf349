"""What becomes of memory that is let go of."""

from __future__ import annotations

import ctypes
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
