"""Which requests of a batch have begun, known to the thread that runs it and to the reactor at any time.

In a pipe there is an octet for each request that has not begun. Lua takes one before it begins a request, and who wants
requests back takes theirs: the system gives each octet to one of them, so nothing is run twice. That costs Lua a system
call, and no waiting for Python's lock.
"""

from __future__ import annotations

import fcntl
import os
import termios
from array import array
from contextlib import suppress
from time import perf_counter

MOST = 64
"""So many requests a batch may have."""
_MAY_BEGIN = b"1"
_ENOUGH = b"0"


class Claims:
    """The claims of one batch after the other. ``path`` is what Lua opens to read them."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self.path = b"/dev/fd/%d" % self._read

    def issue(self, count: int) -> None:
        """Let so many requests begin, when their turn comes."""
        os.write(self._write, _MAY_BEGIN * count)

    @property
    def left(self) -> int:
        """How many requests have not begun, and may."""
        waiting = array("i", [0])
        fcntl.ioctl(self._read, termios.FIONREAD, waiting)
        return waiting[0]

    def draw(self) -> int:
        """Let no more requests begin; return how many had not."""
        drawn = 0
        with suppress(BlockingIOError):
            drawn = os.read(self._read, MOST).count(_MAY_BEGIN)
        return drawn

    def withdraw(self) -> int:
        """Let no more requests of a batch that still runs begin; return how many had not."""
        drawn = self.draw()
        if drawn:
            # Who runs it is going to look for the next.
            os.write(self._write, _ENOUGH)
        return drawn

    def keep_from_children(self) -> None:
        """Do not hand what Lua has opened to programs that scripts start."""
        status = os.fstat(self._read)
        with suppress(OSError):
            for descriptor in map(int, os.listdir("/dev/fd")):
                with suppress(OSError):
                    if os.path.samestat(os.fstat(descriptor), status):
                        os.set_inheritable(descriptor, False)

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._read)
        os.close(self._write)


class Batch:
    """Requests that a thread runs in one go. What is asked of it is asked under the lock of its slot.

    ``ended`` is how many are known to have ended.
    """

    def __init__(self, claims: Claims, size: int) -> None:
        self._claims = claims
        self._size = size
        self._since = perf_counter()
        self._is_cut = False
        self.ended = 0
        claims.issue(size - 1)

    @property
    def begun(self) -> int:
        """How many have begun, at least; all but the last of them have ended."""
        return self._size if self._is_cut else self._size - self._claims.left

    def withdraw(self) -> int:
        """Let no more of them begin; return how many had not."""
        if self._is_cut:
            return 0
        withdrawn = self._claims.withdraw()
        self._size -= withdrawn
        self._is_cut = withdrawn > 0
        return withdrawn

    def close(self) -> int:
        """Return how many have begun, once none runs any more; the next batch may have the claims."""
        self._size -= self._claims.draw()
        return self._size

    def seconds_each(self, count: int) -> float:
        """Return how long one has taken, if so many have ended by now."""
        return (perf_counter() - self._since) / max(1, count)
