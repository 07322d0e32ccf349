"""Reading the Lua files of a directory: scripts, and the modules that stand beside them.

A file counts that is regular, lies inside the directory whatever links lead to it, and is no larger than a script may
be. Nothing is read of any other, and none of them holds up who looks.
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
MOST_OCTETS = 4 * 1024 * 1024
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)
"""Why a file cannot be read that may be readable a moment later, or elsewhere."""
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a FIFO must not block the thread


class Unfit(AlaskaError):
    """What stands at a path is no file of the directory's; the text says why."""


class Version(NamedTuple):
    """Two equal versions of a file have the same content, as far as its status tells."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int

    @property
    def changed(self) -> float:
        """When the file last changed, in seconds since 1970."""
        return max(self.mtime_ns, self.ctime_ns) / 1e9


class File(NamedTuple):
    """A file as it was read, and whether somebody else has it open for writing."""

    source: bytes
    version: Version
    is_held: bool


def read_file(directory: bytes, path: bytes) -> File:
    """Return what stands at a path inside a directory, which may itself be a symbolic link.

    :raises Unfit: it is nothing that may be read.
    :raises ScriptUnreadable: it cannot be read at present.
    :raises OSError: it cannot be read.
    """
    try:
        return _read(directory, path)
    except OSError as error:
        if error.errno in _PASSING:
            raise ScriptUnreadable(f"{os.fsdecode(path)!r} cannot be read at present: {error.strerror}") from error
        raise


def _read(directory: bytes, path: bytes) -> File:
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        _check(directory, path, os.fstat(descriptor))
        is_held = _is_held(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            source = file.read(MOST_OCTETS + 1)
        version = version_of(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    if len(source) > MOST_OCTETS:
        raise Unfit(f"its file is larger than {MOST_OCTETS} octets")
    return File(source, version, is_held)


def version_at(path: str | bytes) -> Version | None:
    """Return the version of the file that stands at a path now, or None if there is none.

    A file that was checked once needs no second check as long as it is the very same: what is served is what was read
    then.
    """
    try:
        return version_of(os.stat(path))
    except OSError:
        return None


def version_of(status: os.stat_result) -> Version:
    """Return the version that a file's status tells."""
    return Version(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def _check(directory: bytes, path: bytes, opened: os.stat_result) -> None:
    """Refuse an open file that is not regular, or not inside the directory, and raise OSError if it has gone."""
    if not stat.S_ISREG(opened.st_mode):
        raise Unfit("what stands there is not a regular file")
    inside = os.path.realpath(directory)
    real = os.path.realpath(path)
    if os.path.commonpath([inside, real]) != inside:
        raise Unfit("its file lies outside the scripts directory")
    # The path may have been pointed elsewhere since the file was opened: what counts is the file that is open.
    now = os.stat(real, follow_symlinks=False)
    if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino):
        raise Unfit("its file was exchanged while it was opened")


def _is_held(descriptor: int) -> bool:
    """Return whether an open file is open for writing elsewhere, as far as this system tells.

    Linux gives a lease on a file to its owner, as long as nobody writes to it. It is given back at once; whoever opens
    the file in between waits for that, and of the signal that says so nobody hears.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # The file is somebody else's, or on a file system without leases.
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
