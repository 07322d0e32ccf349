"""The password file of PLAIN: a line ``user=password`` each, as the C broker reads it."""

from __future__ import annotations

import hmac
from pathlib import Path

from twisted.logger import Logger


class Passwords:
    """The users of a password file, read again when the file has changed.

    Without a file, or while it cannot be read, nobody is accepted.
    """

    _log = Logger()

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._users: dict[bytes, bytes] = {}

    def accept(self, username: bytes, password: bytes) -> bool:
        """Return whether this is a user of the file, with this password."""
        self._refresh()
        known = self._users.get(username)
        # Compared in constant time, also for a user that does not exist.
        return hmac.compare_digest(password, known if known is not None else b"") and known is not None

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            found = self._path.stat()
            version = found.st_mtime_ns, found.st_size
            if version != self._version:
                self._users = parse(self._path.read_bytes())
                self._version = version
        except OSError as error:
            self._users, self._version = {}, None
            self._log.error("cannot read the password file {path}: {error}", path=self._path, error=error.strerror)


def parse(text: bytes) -> dict[bytes, bytes]:
    """Return users and passwords; a line that is empty, begins with ``#`` or has no ``=`` says nothing."""
    users = {}
    for line in text.splitlines():
        name, equals, password = line.partition(b"=")
        if equals and not line.startswith(b"#"):
            users[name.strip()] = password.strip()
    return users
