"""Claims: how the reactor takes back requests of a running batch that have not begun.

A pipe holds one octet (a claim) for each request of the batch that has not begun. Lua reads one before it begins a
request; to take requests back, the reactor reads their octets. The kernel gives each octet to one reader, so no request
is run twice. This costs Lua one system call per request and no wait for the GIL.
"""

from __future__ import annotations

import fcntl
import os
import termios
from array import array
from contextlib import suppress
from time import perf_counter

MOST = 64
"""Maximum number of requests in a batch."""
_MAY_BEGIN = b"1"
_END_OF_BATCH = b"0"


class Claims:
    """The pipe of claims of one thread, used for one batch at a time. ``path`` is the file that Lua opens to read."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self.path = b"/dev/fd/%d" % self._read

    def issue(self, count: int) -> None:
        """Write claims for this number of requests, so that they may begin."""
        os.write(self._write, _MAY_BEGIN * count)

    @property
    def left(self) -> int:
        """The number of requests that have not begun and still may."""
        waiting = array("i", [0])
        fcntl.ioctl(self._read, termios.FIONREAD, waiting)
        return waiting[0]

    def draw(self) -> int:
        """Read all claims that are left, so that no more requests begin; return their number."""
        drawn = 0
        with suppress(BlockingIOError):
            drawn = os.read(self._read, MOST).count(_MAY_BEGIN)
        return drawn

    def withdraw(self) -> int:
        """Do the same as :meth:`draw` for a batch that is still running."""
        drawn = self.draw()
        if drawn:
            # Lua still tries to read the next claim.
            os.write(self._write, _END_OF_BATCH)
        return drawn

    def keep_from_children(self) -> None:
        """Make the descriptor that Lua has opened non-inheritable: programs started by scripts must not get it."""
        status = os.fstat(self._read)
        with suppress(OSError):
            for descriptor in map(int, os.listdir("/dev/fd")):
                with suppress(OSError):
                    if os.path.samestat(os.fstat(descriptor), status):
                        os.set_inheritable(descriptor, False)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read)
        os.close(self._write)


class Batch:
    """The progress of one batch; its users hold the lock of its slot.

    ``ended`` is the number of requests that are already reported as ended.
    """

    def __init__(self, claims: Claims, size: int) -> None:
        self._claims = claims
        self._size = size
        self._started = perf_counter()
        self._is_cut = False
        self.ended = 0
        claims.issue(size - 1)

    @property
    def begun(self) -> int:
        """The number of requests that have begun, at least; all but the last of them have ended."""
        return self._size if self._is_cut else self._size - self._claims.left

    def withdraw(self) -> int:
        """Let no more requests begin; return how many had not."""
        if self._is_cut:
            return 0
        withdrawn = self._claims.withdraw()
        self._size -= withdrawn
        self._is_cut = withdrawn > 0
        return withdrawn

    def close(self) -> int:
        """Return how many requests have begun, after Lua has returned; the claims are then free for the next batch."""
        self._size -= self._claims.draw()
        return self._size

    def seconds_each(self, count: int) -> float:
        """Return the mean run time of one request, given the number that have ended by now."""
        return (perf_counter() - self._started) / max(1, count)
