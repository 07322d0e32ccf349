"""What goes through the pipes between the worker and a child process that runs scripts.

There are four. *Down* the worker sends frames: settings, requests, answers. Through *tickets* it says which of the
requests may be begun: the child draws the ticket of a request before it begins it. The worker can draw tickets as
well, so of each request it is certain whether the child has begun it, even when the child is dead, and what has not
begun can be taken back while a script runs. *Up* the child sends frames: what came of each request as soon as it has
ended, so that it is not lost with what ends the child next. Nobody is woken by that: the child rings the *bell* where
the ticket says so, and the worker takes all that has come up in one go.
"""

from __future__ import annotations

import os
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from alaska.errors import AlaskaError

HEADER = Struct("<IBQ")
TICKET = Struct("<Q?7x")
"""Pages of a pipe hold whole tickets of this size, so one is read whole or not at all."""
READ_OCTETS = 64 * 1024
PIPE_OCTETS = 256 * 1024
QUIET_OCTETS = 32 * 1024
"""So much may wait in a pipe of the smallest size without a reader who was told of it."""
MOST_OCTETS = 256 * 1024 * 1024
RING = b"!"


class Kind(IntEnum):
    """What a frame holds; the number that comes with it is the request's where nothing else is said."""

    SETTINGS = 1
    REQUEST = 2
    ANSWER = 3
    READY = 4
    ENDED = 5
    CALL = 6
    FAILED = 7
    """The child cannot go on; the payload is a text that says why."""


class Frame(NamedTuple):
    """One frame."""

    kind: int
    number: int
    payload: bytes


class BadFrame(AlaskaError):
    """Octets that begin no frame."""


def encoded(kind: Kind, number: int, payload: bytes) -> bytes:
    """Return a frame as octets."""
    return HEADER.pack(len(payload), kind, number) + payload


class Frames:
    """Cuts what comes out of a pipe into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def add(self, octets: bytes) -> None:
        """Take what has come."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += octets

    @property
    def is_partial(self) -> bool:
        """Whether more must come, for a frame that has begun to."""
        return len(self._buffer) > self._at

    def next(self) -> Frame | None:
        """Return the next frame, or None before all of it has come.

        :raises BadFrame: it is larger than any may be.
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
            # Let go of it, in place of keeping the room of the largest that ever came.
            self._buffer, self._at = bytearray(), 0
        return Frame(kind, number, payload)


def write_all(descriptor: int, octets: memoryview) -> None:
    """Write to a pipe, as long as that takes."""
    while octets:
        octets = octets[os.write(descriptor, octets) :]
