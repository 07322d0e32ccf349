"""A descriptor that is written as far as it takes it, and never waited for.

The standard output may be a pipe that nobody reads, or a terminal that was stopped. A program that waits for it serves
nobody meanwhile. Here what is not taken is kept, up to a limit; beyond that, whole lines are dropped and counted.
"""

from __future__ import annotations

import io
import os
import select
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import TextIO

MOST_OCTETS = 2**20
"""So much is kept for who does not read."""
PIECE_OCTETS = select.PIPE_BUF
"""What a pipe or a socket that can be written takes at once."""
LAST_SECONDS = 1.0


class Output:
    """Writes text to a descriptor at each :meth:`flush`. Any thread may call.

    ``told`` is called with the number of texts that were dropped, once everything kept has been written again.
    """

    def __init__(
        self,
        descriptor: int,
        encoding: str = "utf-8",
        most_octets: int = MOST_OCTETS,
        told: Callable[[int], None] = lambda _dropped: None,
    ) -> None:
        self._descriptor = _own(descriptor)
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._encoding = encoding
        self._most_octets = most_octets
        self.told = told
        self._kept = bytearray()
        self._dropped = 0
        self._lock = Lock()

    @property
    def is_blocked(self) -> bool:
        """Whether something is kept that the descriptor did not take at the last flush."""
        return bool(self._kept)

    def write(self, text: str) -> None:
        """Keep a text to be written; what the encoding cannot take is written as an escape."""
        self.write_octets(text.encode(self._encoding, "backslashreplace"))

    def write_octets(self, octets: bytes) -> None:
        """Keep octets to be written, all or nothing."""
        with self._lock:
            if self._kept and len(self._kept) + len(octets) > self._most_octets:
                self._dropped += 1
            else:
                self._kept += octets

    def flush(self) -> None:
        """Write as much as the descriptor takes now; where it is closed, nobody is there to miss it."""
        dropped = 0
        with self._lock:
            self._write(0)
            if not self._kept:
                dropped, self._dropped = self._dropped, 0
        if dropped:
            self.told(dropped)

    def finish(self) -> None:
        """Write all, if the descriptor takes it within a second."""
        deadline = time.monotonic() + LAST_SECONDS
        with self._lock:
            while self._kept and (left := deadline - time.monotonic()) > 0:
                self._write(left)

    def _write(self, seconds: float) -> None:
        while self._kept:
            if not self._is_file and not self._poll.poll(seconds * 1000):
                return
            most = len(self._kept) if self._is_file else PIECE_OCTETS
            try:
                with memoryview(self._kept) as kept, kept[:most] as piece:
                    written = os.write(self._descriptor, piece)
            except BlockingIOError:
                return
            except OSError:
                written = len(self._kept)
            del self._kept[:written]


def _own(descriptor: int) -> int:
    """Return a descriptor for the same terminal that does not wait; for what is no terminal, the same descriptor.

    Whether a descriptor waits is shared by all who have it from the same place, such as the shell.
    """
    with suppress(OSError):
        if os.isatty(descriptor):
            return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return descriptor


@cache
def output_of(stream: TextIO) -> Output | TextIO:
    """Return the one output in the place of a stream; a stream that has no descriptor is returned as it is."""
    try:
        with suppress(OSError, ValueError):
            stream.flush()
        return Output(stream.fileno(), stream.encoding)
    except (OSError, ValueError, AttributeError, io.UnsupportedOperation):
        return stream
