"""Whether a file has changed since it was read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Version(NamedTuple):
    """What changes when a file changes: programs can set mtime to any value, but not ctime."""

    modified: int
    changed: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Version:
        """Return the current version of a file.

        :raises OSError: there is no such file.
        """
        found = path.stat()
        return cls(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
