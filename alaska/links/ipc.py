"""Who may serve a path: ZeroMQ would take it from whoever does, and delete any file that is there."""

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
_LISTENED: Final = frozenset({0, errno.EAGAIN, errno.EINPROGRESS})
# A program that has ended leaves its socket.
_DESERTED: Final = frozenset({errno.ECONNREFUSED, errno.ENOENT})


class PathLock:
    """Keeps every other broker away from the path of an ``ipc://`` endpoint, until it is released.

    What is locked is an empty file beside the path, ``PATH-lock``, which stays: whoever removed it could not know
    whether another broker has just opened it. Of brokers that start at once, one gets it.
    """

    def __init__(self, endpoint: str) -> None:
        """Lock the path, and see that nothing is there but perhaps the socket of a broker that is gone.

        :raises CannotBind: somebody serves it, or there is something else at the path, or it can be none.
        """
        self._endpoint = endpoint
        self._path = endpoint.removeprefix(SCHEME)
        self._lock = self._locked()
        try:
            self._look()
        except CannotBind:
            os.close(self._lock)
            raise

    def _fault(self, why: str | None, is_taken: bool = False) -> CannotBind:
        return CannotBind(f"cannot serve {self._endpoint}: {why}", is_taken)

    def _locked(self) -> int:
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

    def _look(self) -> None:
        """Refuse what must not be replaced."""
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._fault(error.strerror) from error
        if not stat.S_ISSOCK(mode):
            raise self._fault("there is a file at the path that is no socket")
        answer = self._knock()
        if answer in _LISTENED:
            raise self._fault("another program serves it", is_taken=True)
        if answer not in _DESERTED:
            raise self._fault(f"it cannot be told who serves it: {os.strerror(answer)}")

    def _knock(self) -> int:
        """Return the error of a connection to the path, 0 for none."""
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.setblocking(False)
            return visitor.connect_ex(self._path)

    def release(self) -> None:
        """Remove the socket, and let others have the path; a thread of ZeroMQ may have to close it first."""
        end = time.monotonic() + UNBIND_SECONDS
        while self._knock() in _LISTENED and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        with suppress(OSError):
            # A file that is no socket refuses connections too.
            if self._knock() == errno.ECONNREFUSED and stat.S_ISSOCK(os.lstat(self._path).st_mode):
                os.unlink(self._path)
        os.close(self._lock)


def lock(endpoint: str) -> PathLock | None:
    """Return what keeps others from an endpoint, or None where that is not needed: no path, or one that ZeroMQ makes.

    :raises CannotBind: as of :class:`PathLock`, or ZeroMQ would delete a file.
    """
    if not endpoint.startswith(SCHEME) or endpoint == f"{SCHEME}*":
        return None
    path = endpoint.removeprefix(SCHEME)
    if not path.startswith("@"):
        return PathLock(endpoint)
    # The system keeps such a name for one socket and knows no file; but ZeroMQ removes the file that is called so.
    if os.path.lexists(path):
        raise CannotBind(f"cannot serve {endpoint}: there is a file {path!r} in the working directory")
    return None
