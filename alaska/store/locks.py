"""Locks that give one broker exclusive access to a store's file, even by different paths."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from alaska.errors import StoreError

# SQLite uses POSIX locks, which a process loses when it closes any descriptor of the file. So a file that this process
# has open already must not be opened again.
_in_use: set[tuple[int, int]] = set()


class Locks:
    """The locks of a store's file, which is created if it is missing; held until :meth:`release`.

    ``real_path`` is the path with symbolic links resolved. The file itself is locked, and so is the lock file beside
    it, which version 1.0 uses.

    :raises StoreError: another broker has the file open, in this process or another, or it is not a regular file.
    :raises OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, real_path: Path) -> None:
        self._taken = f"the store {path} is in use by another broker"
        self.key: tuple[int, int] | None = None
        """The device and inode of the file."""
        self._descriptors: list[int] = []
        for each in (path, f"{path}-lock", f"{real_path}-wal", f"{real_path}-shm", f"{real_path}-journal"):
            _check_kind(each)
        try:
            self.lock_file = self._lock(f"{path}-lock")
            self.store_file = self._lock(path)
            found = os.fstat(self.store_file)
            self.key = found.st_dev, found.st_ino
            _in_use.add(self.key)
        except BaseException:
            self.release()
            raise

    def _lock(self, path: str | Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        self._descriptors.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(self._taken) from None
        return descriptor

    def release(self) -> None:
        """Release the locks."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        if self.key is not None:
            _in_use.discard(self.key)
            self.key = None


def _check_kind(path: str | Path) -> None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    if (found.st_dev, found.st_ino) in _in_use:
        raise StoreError(f"the store {path} is in use by another broker of this process")
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path} is not a regular file, but {_kind(found.st_mode)}")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket or device"
