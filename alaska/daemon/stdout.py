"""Non-blocking output to a descriptor, with a buffer.

The standard output may be a pipe that nobody reads, or a stopped terminal. A program that blocks on it serves nobody
meanwhile. So output that cannot be written is buffered up to a limit; beyond that, whole lines are dropped and counted.
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
"""Maximum size of the buffer."""
PIECE_OCTETS = select.PIPE_BUF
"""How much a writable pipe or socket takes without blocking."""
FINISH_SECONDS = 1.0


class Output:
    """Writes text to a descriptor at each :meth:`flush`. Thread-safe.

    ``on_dropped`` is called with the number of lines that were dropped, once the buffer has been written.
    """

    def __init__(
        self,
        descriptor: int,
        encoding: str = "utf-8",
        most_octets: int = MOST_OCTETS,
        on_dropped: Callable[[int], None] = lambda _dropped: None,
    ) -> None:
        self._descriptor = _nonblocking(descriptor)
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._encoding = encoding
        self._most_octets = most_octets
        self.on_dropped = on_dropped
        self._buffer = bytearray()
        self._dropped = 0
        self._lock = Lock()

    @property
    def is_blocked(self) -> bool:
        """Whether the last flush could not write the whole buffer."""
        return bool(self._buffer)

    def write(self, text: str) -> None:
        """Buffer a text; characters that the encoding does not have are escaped."""
        self.write_octets(text.encode(self._encoding, "backslashreplace"))

    def write_octets(self, octets: bytes) -> None:
        """Buffer octets, or drop all of them if the buffer is full."""
        with self._lock:
            if self._buffer and len(self._buffer) + len(octets) > self._most_octets:
                self._dropped += octets.count(b"\n") or 1
            else:
                self._buffer += octets

    def flush(self) -> None:
        """Write as much of the buffer as possible without blocking; on errors the buffer is dropped."""
        dropped = 0
        with self._lock:
            self._write(0)
            if not self._buffer:
                dropped, self._dropped = self._dropped, 0
        if dropped:
            self.on_dropped(dropped)

    def finish(self) -> None:
        """Write the whole buffer, or as much as can be written within ``FINISH_SECONDS``."""
        deadline = time.monotonic() + FINISH_SECONDS
        with self._lock:
            while self._buffer and (left := deadline - time.monotonic()) > 0:
                self._write(left)

    def _write(self, seconds: float) -> None:
        while self._buffer:
            if not self._is_file and not self._poll.poll(seconds * 1000):
                return
            most = len(self._buffer) if self._is_file else PIECE_OCTETS
            try:
                with memoryview(self._buffer) as view, view[:most] as piece:
                    written = os.write(self._descriptor, piece)
            except BlockingIOError:
                return
            except OSError:
                written = len(self._buffer)
            del self._buffer[:written]


def _nonblocking(descriptor: int) -> int:
    """Return a new non-blocking descriptor for a terminal; any other descriptor is returned as it is.

    It must be a new one, because the non-blocking flag is shared with other processes such as the shell.
    """
    with suppress(OSError):
        if os.isatty(descriptor):
            return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return descriptor


@cache
def output_of(stream: TextIO) -> Output | TextIO:
    """Return the output that replaces a stream, always the same; a stream without a descriptor is returned as it is."""
    try:
        with suppress(OSError, ValueError):
            stream.flush()
        return Output(stream.fileno(), stream.encoding)
    except (OSError, ValueError, AttributeError, io.UnsupportedOperation):
        return stream
