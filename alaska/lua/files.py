"""Reading Lua files: scripts, and the modules in their directory.

Only regular files are read that lie inside the directory after links are resolved and do not exceed the maximum size.
Other files are not read, and a FIFO or device does not block the caller.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from typing import NamedTuple

from alaska.errors import AlaskaError, ScriptUnreadable

SUFFIX = b".lua"
MAX_OCTETS = 4 * 1024 * 1024
_TEMPORARY = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)
"""Errors that may be temporary, or affect this process only."""
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a FIFO must not block the thread


class InvalidFile(AlaskaError):
    """The path does not lead to a valid file of the directory; the text gives the reason."""


class Version(NamedTuple):
    """A file's status. Equal versions are taken to mean equal content."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int

    @property
    def changed(self) -> float:
        """Time of the last change, in seconds since 1970."""
        return max(self.mtime_ns, self.ctime_ns) / 1e9


class File(NamedTuple):
    """The content of a file, its version, and whether another process has it open for writing."""

    source: bytes
    version: Version
    is_open_for_writing: bool


def read_file(directory: bytes, path: bytes) -> File:
    """Read a file inside a directory, which may itself be a symbolic link.

    :raises InvalidFile: the file must not be read.
    :raises ScriptUnreadable: the file cannot be read at present.
    :raises OSError: the file cannot be read.
    """
    try:
        return _read(directory, path)
    except OSError as error:
        if error.errno in _TEMPORARY:
            raise ScriptUnreadable(f"{os.fsdecode(path)!r} cannot be read at present: {error.strerror}") from error
        raise


def _read(directory: bytes, path: bytes) -> File:
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        _check(directory, path, os.fstat(descriptor))
        is_open_for_writing = _is_open_for_writing(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            source = file.read(MAX_OCTETS + 1)
        version = version_of(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    if len(source) > MAX_OCTETS:
        raise InvalidFile(f"its file is larger than {MAX_OCTETS} octets")
    return File(source, version, is_open_for_writing)


def version_at(path: str | bytes) -> Version | None:
    """Return the current version of a file, or None if it does not exist.

    The file is not validated again: as long as its version is unchanged, the content that was read and validated before
    is served.
    """
    try:
        return version_of(os.stat(path))
    except OSError:
        return None


def version_of(status: os.stat_result) -> Version:
    """Return the version for a file's status."""
    return Version(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def without_first_line(source: bytes) -> bytes:
    """Return a source without a byte order mark and a first line with ``#``, as Lua loads files; line numbers stay."""
    source = source.removeprefix(b"\xef\xbb\xbf")
    return source[source.find(b"\n") if b"\n" in source else len(source) :] if source.startswith(b"#") else source


def _check(directory: bytes, path: bytes, opened: os.stat_result) -> None:
    """Check that an open file is regular and inside the directory.

    :raises InvalidFile: it is not.
    :raises OSError: it no longer exists.
    """
    if not stat.S_ISREG(opened.st_mode):
        raise InvalidFile("it is not a regular file")
    inside = os.path.realpath(directory)
    real = os.path.realpath(path)
    if os.path.commonpath([inside, real]) != inside:
        raise InvalidFile("its file lies outside the scripts directory")
    # The path may have changed since the file was opened: compare with the open file.
    now = os.stat(real, follow_symlinks=False)
    if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino):
        raise InvalidFile("its file was replaced while it was being opened")


def _is_open_for_writing(descriptor: int) -> bool:
    """Return whether another process has an open file open for writing, as far as the system can tell.

    Linux grants the owner of a file a lease on it unless the file is open for writing. The lease is released at once. A
    process that opens the file meanwhile waits for the release; the signal that reports it is ignored by default.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # Another user's file, or a file system without leases.
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
