"""The standard streams of a command. Any of them may be closed, full or without a reader."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from contextlib import suppress
from typing import TextIO

from alaska.names import printable

_KEPT = re.compile("(\x1b\\[[0-9;]*m|[\n\t])")
"""Control characters that change nothing but the look: colours, as in tables, and white space."""


def replace_closed() -> None:
    """Open the null device for each standard stream that is closed.

    To be called first: otherwise a socket could get its descriptor, and then what is written to the stream.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    # Python sets a stream to None if its descriptor was closed at startup.
    sys.stdin = sys.stdin or _null("r")
    sys.stdout = sys.stdout or _null("w")
    sys.stderr = sys.stderr or _null("w")


def _null(mode: str) -> TextIO:
    # Never closed, since it replaces a standard stream.
    return open(os.devnull, mode, encoding="utf-8")  # type: ignore[return-value]


def read(most: int = -1) -> bytes:
    """Read the standard input, or at most ``most`` octets of it; a closed one is empty.

    :raises OSError: it cannot be read to its end, or is a directory.
    """
    try:
        return sys.stdin.buffer.read(most)
    except io.UnsupportedOperation:
        return b""
    except OSError as error:
        if error.errno == errno.EBADF:
            return b""
        raise


def safe(text: str) -> str:
    """Return a text whose control characters are escaped: some of them would let a terminal do what others want.

    Line ends, tabs and colours stay.
    """
    if text.isprintable():
        return text
    parts = _KEPT.split(text)
    return "".join(part if at % 2 else printable(part) for at, part in enumerate(parts))


def write_line(text: str, stream: TextIO | None = None) -> None:
    """Write a line to the standard output or another stream; errors are ignored.

    On the standard error, where names and reasons of others are part of sentences, it is made :func:`safe`.
    """
    stream = stream or sys.stdout
    if stream is sys.stderr:
        text = safe(text)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    write(f"{text}\n".encode(stream.encoding or "utf-8", "backslashreplace"), stream)


def write(octets: bytes, stream: TextIO | None = None) -> None:
    """Write octets to the standard output or another stream; errors are ignored."""
    stream = stream or sys.stdout
    try:
        stream.flush()
        stream.buffer.write(octets)
        stream.flush()
    except (OSError, ValueError):
        _give_up(stream)


def flush() -> None:
    """Flush the standard streams, so that Python reports no error at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _give_up(stream)


def _give_up(stream: TextIO) -> None:
    """Redirect a stream that cannot be written to the null device, together with its buffer."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
