"""The password file of a running broker, which is read again when it has changed."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from twisted.logger import Logger

from alaska.config.passwords import Users, read_users
from alaska.errors import ConfigurationError
from alaska.system.file_version import Version


class PasswordFile:
    """The users of a password file, which is read again when it has changed."""

    _log = Logger()

    def __init__(self, path: Path) -> None:
        """Read the file.

        :raises ConfigurationError: it cannot be read, or has an invalid line.
        """
        # A daemon may change its directory.
        self._path = path.absolute()
        self._version: Version | None = None
        self._is_unreadable = False
        self.users: Users = {}
        """The users of the last version without faults; nobody while the file cannot be read."""
        self.users = self._read()

    def _read(self) -> Users:
        try:
            self._version = Version.of(self._path)
        except OSError as error:
            raise ConfigurationError(f"{self._path}: cannot be read: {error.strerror}") from None
        return read_users(self._path)

    def refresh(self) -> bool:
        """Read the file if it has changed; return whether there are other users than before.

        A version with an invalid line is not used, which is logged once. While the file cannot be read, there are no
        users.
        """
        try:
            version = Version.of(self._path)
        except OSError as error:
            self.users, self._version = {}, None
            if not self._is_unreadable:
                self._is_unreadable = True
                self._log.error("cannot read the password file {path}: {error}", path=self._path, error=error.strerror)
            return False
        if version == self._version:
            return False
        self._is_unreadable = False
        try:
            self.users = self._read()
        except ConfigurationError as error:
            self._log.error("the passwords are left as they are: {error}", error=error)
            return False
        return True


def is_same(given: bytes, known: bytes) -> bool:
    """Return whether two secrets are equal, in a time that does not depend on where they differ."""
    key = secrets.token_bytes(16)
    return hmac.compare_digest(hmac.digest(key, given, "sha256"), hmac.digest(key, known, "sha256"))
