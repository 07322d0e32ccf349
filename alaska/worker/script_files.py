"""Which version of a script is in its file: a few digits of its hash, and when the file was changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from alaska.lua.files import SUFFIX

MOST_OCTETS = 2**20
"""A larger file has no version: reading it takes time."""
DIGITS = 8
UNKNOWN = ("", None)


class _Known(NamedTuple):
    stat: tuple[int, int]
    version: str


class ScriptFiles:
    """The files of a directory of scripts; each is read again when it has changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[bytes, _Known] = {}

    def version_of(self, name: bytes) -> tuple[str, float | None]:
        """Return the version of a script, and when it was changed in seconds since 1970; empty and None if unknown."""
        if not name or b"/" in name or b"\0" in name:
            return UNKNOWN
        path = self._directory / (os.fsdecode(name + SUFFIX))
        try:
            found = path.stat()
            if not S_ISREG(found.st_mode) or found.st_size > MOST_OCTETS:
                return UNKNOWN
            stat = found.st_mtime_ns, found.st_size
            known = self._known.get(name)
            if known is None or known.stat != stat:
                known = self._known[name] = _Known(stat, hashlib.sha256(path.read_bytes()).hexdigest()[:DIGITS])
        except (OSError, ValueError):
            return UNKNOWN
        return known.version, found.st_mtime
