"""The password file of PLAIN: a line ``user=password`` each, as the C broker reads it."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from twisted.logger import Logger

from alaska.names import printable


class Passwords:
    """The users of a password file, read again when the file has changed.

    Without a file, or while it cannot be read, nobody is accepted. With ``is_verbose`` the log says of everybody who
    asked whether he was let in.
    """

    _log = Logger()

    def __init__(self, path: Path | None, is_verbose: bool = False) -> None:
        self._path = path
        self._is_verbose = is_verbose
        self._version: tuple[int, ...] | None = None
        self._users: dict[bytes, bytes] = {}
        self._is_unreadable = False

    def accept(self, username: bytes, password: bytes) -> bool:
        """Return whether this is a user of the file, with this password."""
        self._refresh()
        known = self._users.get(username)
        is_accepted = is_same(password, known or b"") & (known is not None)
        if self._is_verbose:
            words = "{user} is let in" if is_accepted else "{user} is not let in"
            self._log.info(words, user=printable(username))
        return is_accepted

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            found = self._path.stat()
            # The time of the content can be set to any; that of the status, or another file, tells all the same.
            version = found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
            if version != self._version:
                self._users = parse(self._path.read_bytes())
                self._version = version
            self._is_unreadable = False
        except OSError as error:
            self._users, self._version = {}, None
            if self._is_unreadable:
                return
            self._is_unreadable = True
            self._log.error("cannot read the password file {path}: {error}", path=self._path, error=error.strerror)


def is_same(given: bytes, known: bytes) -> bool:
    """Return whether two secrets are the same, in a time that does not tell how much of them is."""
    key = secrets.token_bytes(16)
    return hmac.compare_digest(hmac.digest(key, given, "sha256"), hmac.digest(key, known, "sha256"))


def parse(text: bytes) -> dict[bytes, bytes]:
    """Return users and passwords, blanks being part of them; of several lines for one user the last counts.

    A line that is empty, begins with ``#`` or has no ``=``, or nothing before it, says nothing.
    """
    users = {}
    for line in text.split(b"\n"):
        name, equals, password = line.removesuffix(b"\r").partition(b"=")
        if name and equals and not line.startswith(b"#"):
            users[name] = password
    return users
