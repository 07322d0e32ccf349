"""The password file for PLAIN: lines ``user=password``, as the C broker reads them."""

from __future__ import annotations

import hmac
import secrets
from functools import partial
from pathlib import Path

from twisted.logger import Logger

from alaska.config import BrokerSettings
from alaska.daemon.reload import Change
from alaska.errors import ConfigurationError
from alaska.names import printable

MOST_LISTED = 10
"""The maximum number of users in a log line."""


class Passwords:
    """The users of a password file, which is read again when it has changed.

    Without a file, or while it cannot be read, every login is refused. With ``is_verbose`` each login is logged.
    """

    _log = Logger()

    def __init__(self, path: Path | None, is_verbose: bool = False) -> None:
        self._path = path
        self._is_verbose = is_verbose
        self._version: tuple[int, ...] | None = None
        self._users: dict[bytes, bytes] = {}
        self._is_unreadable = False

    def prepare(self, settings: BrokerSettings) -> Change:
        """Read the password file of new settings, for a reload (:mod:`alaska.daemon.reload`).

        :raises ConfigurationError: the file cannot be read.
        """
        path = settings.password_file
        try:
            users = {} if path is None else parse(path.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"cannot read the password file {path}: {error.strerror}") from None
        return Change(partial(self._apply, path, settings.auth_verbose), _differences(self._users, users))

    def _apply(self, path: Path | None, is_verbose: bool) -> None:
        self._path, self._is_verbose, self._version = path, is_verbose, None
        self._refresh()

    def accept(self, username: bytes, password: bytes) -> bool:
        """Return whether the file has this user with this password."""
        self._refresh()
        known = self._users.get(username)
        is_accepted = is_same(password, known or b"") & (known is not None)
        if self._is_verbose:
            words = "{user} is accepted" if is_accepted else "{user} is refused"
            self._log.info(words, user=printable(username))
        return is_accepted

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            found = self._path.stat()
            # Programs can set mtime to any value, but not ctime; a file that replaces this one has another inode.
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


def _differences(old: dict[bytes, bytes], new: dict[bytes, bytes]) -> tuple[str, ...]:
    """Return a sentence about the users that differ, without their passwords; none if nothing was read before."""
    if not old or old == new:
        return ()
    groups = {
        "added": new.keys() - old.keys(),
        "removed": old.keys() - new.keys(),
        "with a new password": {user for user in new.keys() & old.keys() if new[user] != old[user]},
    }
    shown = (f"{kind}: {_listed(users)}" for kind, users in groups.items() if users)
    return (f"the users have changed; {'; '.join(shown)}",)


def _listed(users: set[bytes]) -> str:
    names = sorted(map(printable, users))
    return ", ".join(names[:MOST_LISTED]) + (
        f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    )


def is_same(given: bytes, known: bytes) -> bool:
    """Return whether two secrets are equal, in a time that does not depend on where they differ."""
    key = secrets.token_bytes(16)
    return hmac.compare_digest(hmac.digest(key, given, "sha256"), hmac.digest(key, known, "sha256"))


def parse(text: bytes) -> dict[bytes, bytes]:
    """Return the passwords by user. Blanks are part of both; if a user has several lines, the last one counts.

    A line is ignored if it begins with ``#`` or has no ``=``, or no user before it.
    """
    users = {}
    for line in text.split(b"\n"):
        name, equals, password = line.removesuffix(b"\r").partition(b"=")
        if name and equals and not line.startswith(b"#"):
            users[name] = password
    return users
