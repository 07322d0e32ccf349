"""A backup that is being written to a file; the file has its name only when the backup is complete."""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alaska.errors import StoreError
from alaska.store.checksum import TRAILER_OCTETS, Checksum, is_trailer
from alaska.system.disk_space import free_octets


class NewBackup:
    """A file that only its owner can read, beside the one that it will replace.

    :raises StoreError: it cannot be written, or would replace something that is not a backup.
    """

    def __init__(self, path: Path) -> None:
        # If the path is a link, what it leads to is replaced.
        self._path = Path(os.path.realpath(path))
        self._shown = path
        self._new = self._path.with_name(f"{self._path.name[:200]}.{secrets.token_hex(4)}.part")
        self._checksum = Checksum()
        self.octets = 0
        """The number of octets that were written so far."""
        with self._converting_errors():
            self._check_existing()
            self._remove_abandoned()
            descriptor = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._file = os.fdopen(descriptor, "wb", buffering=0)

    @contextmanager
    def _converting_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self._shown} cannot be written: {error.strerror}") from error

    def _remove_abandoned(self) -> None:
        """Delete what commands have left that were killed: nobody has it locked."""
        for each in self._path.parent.glob(f"{glob.escape(self._path.name[:200])}.{'[0-9a-f]' * 8}.part"):
            with suppress(OSError), each.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                each.unlink()

    def _check_existing(self) -> None:
        if self._path.is_dir():
            raise StoreError(f"{self._shown} is a directory; give the name of a file")
        if not self._path.exists():
            return
        octets = self._path.stat().st_size if self._path.is_file() else -1
        if octets >= TRAILER_OCTETS:
            with self._path.open("rb") as file:
                file.seek(octets - TRAILER_OCTETS)
                octets = 0 if is_trailer(file.read()) else octets
        if octets:
            raise StoreError(f"{self._shown} exists, and is not a backup: it is not replaced")

    def reserve(self, octets: int) -> None:
        """Check that there is disk space for so many octets.

        :raises StoreError: there is not.
        """
        with self._converting_errors():
            free = free_octets(self._path.parent)
        if free < octets:
            folder = self._path.parent
            raise StoreError(f"{folder} has too little disk space: {octets} octets are needed, {free} are free")

    def write(self, piece: bytes) -> None:
        """Write the next octets.

        :raises StoreError: the disk is full, or cannot be written.
        """
        self._checksum.add(piece)
        self.octets += len(piece)
        rest = memoryview(piece)
        with self._converting_errors():
            while rest:
                rest = rest[self._file.write(rest) or 0 :]

    def finish(self) -> None:
        """Check the checksum, and give the file its name; then all of it is on the disk.

        :raises StoreError: the checksum is wrong, or the disk cannot be written.
        """
        if not self._checksum.is_right:
            raise StoreError("the backup that was received is not complete or damaged: its checksum is wrong")
        with self._converting_errors():
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._new, self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        """Delete what was written, unless it is finished."""
        self._file.close()
        self._new.unlink(missing_ok=True)
