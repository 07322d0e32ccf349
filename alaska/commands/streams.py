"""The standard streams of a command, any of which may be closed, full or without a reader."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO


def replace_closed() -> None:
    """Put the null device in the place of each standard stream that is closed.

    To be called first: otherwise a socket gets the descriptor, and what is written to the stream.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    # A stream is None where Python has found it closed.
    sys.stdin = sys.stdin or _null("r")
    sys.stdout = sys.stdout or _null("w")
    sys.stderr = sys.stderr or _null("w")


def _null(mode: str) -> TextIO:
    # It stands for a standard stream, and is open as long.
    return open(os.devnull, mode, encoding="utf-8")  # type: ignore[return-value]


def read(most: int = -1) -> bytes:
    """Return the standard input, or so many octets of it; nothing if it is closed.

    :raises OSError: it breaks off, or is a folder.
    """
    try:
        return sys.stdin.buffer.read(most)
    except io.UnsupportedOperation:
        return b""
    except OSError as error:
        if error.errno == errno.EBADF:
            return b""
        raise


def say(text: str, stream: TextIO | None = None) -> None:
    """Write a line to the standard output, or another stream, as far as that is possible."""
    stream = stream or sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    write(f"{text}\n".encode(stream.encoding or "utf-8", "backslashreplace"), stream)


def write(octets: bytes, stream: TextIO | None = None) -> None:
    """Write octets to the standard output, or another stream, as far as that is possible."""
    stream = stream or sys.stdout
    try:
        stream.flush()
        stream.buffer.write(octets)
        stream.flush()
    except (OSError, ValueError):
        _give_up(stream)


def flush() -> None:
    """Write what is left in the buffers, so that Python has nothing to complain of at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _give_up(stream)


def _give_up(stream: TextIO) -> None:
    """Let a stream that cannot be written to go nowhere from now on; what is in its buffer goes there too."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
