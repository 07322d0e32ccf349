"""The checksum at the end of a backup: SHA-256 of all octets before it.

SQLite ignores what follows the last page of a database, so that a backup is one, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

_MARK = b"\nAlaska backup, SHA-256 follows:"
TRAILER_OCTETS = len(_MARK) + hashlib.sha256().digest_size
PIECE_OCTETS = 2**20


class Checksum:
    """Checks a backup that arrives in pieces."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._last = b""

    def add(self, piece: bytes) -> None:
        """Add the next piece."""
        octets = self._last + piece
        self._hash.update(octets[:-TRAILER_OCTETS])
        self._last = octets[-TRAILER_OCTETS:]

    @property
    def is_right(self) -> bool:
        """Whether all pieces end with the checksum of what is before it."""
        return self._last == _MARK + self._hash.digest()


def is_trailer(octets: bytes) -> bool:
    """Return whether these octets, after the last page of a file, look like a checksum."""
    return len(octets) == TRAILER_OCTETS and octets.startswith(_MARK)


def trailer_of(read: Callable[[int], bytes]) -> bytes:
    """Return the checksum of what ``read`` returns piece by piece, until it returns nothing."""
    found = hashlib.sha256()
    while piece := read(PIECE_OCTETS):
        found.update(piece)
    return _MARK + found.digest()
