"""The pipe protocol between the worker and a child process that runs scripts.

There are four pipes:

- *down*: the worker sends frames with settings, requests and answers.
- *tickets*: one ticket per request. The child reads the ticket of a request before it begins the request. The worker
  can read tickets back. So it always knows whether the child has begun a request, even if the child is dead, and can
  take back requests that have not begun while a script runs.
- *up*: the child sends frames. It sends each outcome as soon as the request has ended, so that a later crash does not
  lose it.
- *bell*: wakes the worker, which does not poll *up*. The child rings where the ticket says so, and the worker then
  reads everything that has arrived on *up*.
"""

from __future__ import annotations

import os
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from alaska.errors import AlaskaError

HEADER = Struct("<IBQ")
TICKET = Struct("<Q?7x")
"""The size divides a pipe's page, so a ticket is read whole or not at all."""
READ_OCTETS = 64 * 1024
PIPE_OCTETS = 256 * 1024
UNANNOUNCED_OCTETS = 32 * 1024
"""This much fits into a pipe of the smallest size, so the writer cannot block before it has woken the reader."""
MOST_OCTETS = 256 * 1024 * 1024
RING = b"!"


class Kind(IntEnum):
    """The type of a frame. Its number is that of the request that it belongs to."""

    SETTINGS = 1
    REQUEST = 2
    ANSWER = 3
    READY = 4
    ENDED = 5
    CALL = 6
    FAILED = 7
    """The child cannot continue; the payload is the stack trace."""


class Frame(NamedTuple):
    """One frame."""

    kind: int
    number: int
    payload: bytes


class BadFrame(AlaskaError):
    """Octets that are not a frame."""


def encoded(kind: Kind, number: int, payload: bytes) -> bytes:
    """Return an encoded frame."""
    return HEADER.pack(len(payload), kind, number) + payload


class Frames:
    """Splits the octets read from a pipe into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def add(self, octets: bytes) -> None:
        """Append octets that were read."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += octets

    @property
    def is_partial(self) -> bool:
        """Whether the buffer ends in the middle of a frame."""
        return len(self._buffer) > self._at

    def next(self) -> Frame | None:
        """Return the next frame, or None if it is not complete yet.

        :raises BadFrame: it is larger than ``MOST_OCTETS``.
        """
        start = self._at + HEADER.size
        if len(self._buffer) < start:
            return None
        length, kind, number = HEADER.unpack_from(self._buffer, self._at)
        if length > MOST_OCTETS:
            raise BadFrame(f"a frame of {length} octets")
        if len(self._buffer) < start + length:
            return None
        end = start + length
        with memoryview(self._buffer) as view:
            payload = bytes(view[start:end])
        self._at = end
        if end == len(self._buffer):
            # A new buffer frees the memory of a large frame.
            self._buffer, self._at = bytearray(), 0
        return Frame(kind, number, payload)


def write_all(descriptor: int, octets: memoryview) -> None:
    """Write all octets to a pipe; this may block."""
    while octets:
        octets = octets[os.write(descriptor, octets) :]
