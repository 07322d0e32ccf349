"""The free space of a disk."""

from __future__ import annotations

import os


def free_octets(path: str | os.PathLike[str]) -> int:
    """Return the octets that programs of this user may still write to the disk of a file or folder.

    :raises OSError: there is no such file.
    """
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
