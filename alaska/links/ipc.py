"""Locks for ``ipc://`` paths: ZeroMQ's bind would replace another broker's socket, and delete any file at the path."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from contextlib import suppress
from typing import Final

from alaska.errors import CannotBind

SCHEME: Final = "ipc://"
LONGEST_PATH_OCTETS: Final = 107
UNBIND_SECONDS = 1.0
_POLL_SECONDS = 0.001
_LISTENING: Final = frozenset({0, errno.EAGAIN, errno.EINPROGRESS})
# The socket file of a process that has ended.
_STALE: Final = frozenset({errno.ECONNREFUSED, errno.ENOENT})


class PathLock:
    """An exclusive lock on the path of an ``ipc://`` endpoint, until it is released.

    The locked file is ``PATH-lock``. It is never removed, because another broker may just have opened it. Of several
    brokers that start at the same time, one gets the lock.
    """

    def __init__(self, endpoint: str) -> None:
        """Lock the path, and check that there is no file at it other than the socket of a broker that has ended.

        :raises CannotBind: another program serves the path, another kind of file is there, or the path is not valid.
        """
        self._endpoint = endpoint
        self._path = endpoint.removeprefix(SCHEME)
        self._lock = self._acquire()
        try:
            self._check_path()
        except CannotBind:
            os.close(self._lock)
            raise

    def _fault(self, why: str | None, is_taken: bool = False) -> CannotBind:
        return CannotBind(f"cannot serve {self._endpoint}: {why}", is_taken)

    def _acquire(self) -> int:
        octets = len(os.fsencode(self._path))
        if octets > LONGEST_PATH_OCTETS:
            raise self._fault(f"the path has {octets} octets, and {LONGEST_PATH_OCTETS} is the limit of the system")
        name = f"{self._path}-lock"
        try:
            lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._fault(f"{name}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise self._fault("another broker serves it", is_taken=True) from None
            raise self._fault(f"{name}: {error.strerror}") from error
        return lock

    def _check_path(self) -> None:
        """Raise :exc:`CannotBind` if the file at the path must not be replaced."""
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._fault(error.strerror) from error
        if not stat.S_ISSOCK(mode):
            raise self._fault("the file at the path is not a socket")
        answer = self._probe()
        if answer in _LISTENING:
            raise self._fault("another program serves it", is_taken=True)
        if answer not in _STALE:
            raise self._fault(f"it cannot be determined whether another program serves it: {os.strerror(answer)}")

    def _probe(self) -> int:
        """Connect to the path; return the error number, or 0 for success."""
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            return client.connect_ex(self._path)

    def release(self) -> None:
        """Remove the socket file and release the lock, once ZeroMQ's thread has closed the socket."""
        end = time.monotonic() + UNBIND_SECONDS
        while self._probe() in _LISTENING and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        with suppress(OSError):
            # Other kinds of files refuse connections too.
            if self._probe() == errno.ECONNREFUSED and stat.S_ISSOCK(os.lstat(self._path).st_mode):
                os.unlink(self._path)
        os.close(self._lock)


def lock(endpoint: str) -> PathLock | None:
    """Lock an endpoint; return None if it needs no lock, because it has no path or ZeroMQ chooses one.

    :raises CannotBind: as :class:`PathLock`, or ZeroMQ would delete a file.
    """
    if not endpoint.startswith(SCHEME) or endpoint == f"{SCHEME}*":
        return None
    path = endpoint.removeprefix(SCHEME)
    if not path.startswith("@"):
        return PathLock(endpoint)
    # An abstract socket has no file and only one process can bind it, but ZeroMQ deletes a file with its name.
    if os.path.lexists(path):
        raise CannotBind(f"cannot serve {endpoint}: there is a file {path!r} in the working directory")
    return None
