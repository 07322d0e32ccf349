"""User name and password, or keys, from options, files, the environment or a context; never printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from alaska.authentication import CurveKeys
from alaska.client.keys import load
from alaska.errors import ConfigurationError

USERNAME_VARIABLE = "ALASKA_USERNAME"
PASSWORD_VARIABLE = "ALASKA_PASSWORD"  # noqa: S105  # it is the name of one
KEY_VARIABLE = "ALASKA_KEY"
SERVER_KEY_VARIABLE = "ALASKA_SERVER_KEY"
MOST_OCTETS = 255


class Given(NamedTuple):
    """What the user has given: by options, or in a context."""

    username: str | None = None
    password: str | None = None
    password_file: Path | None = None
    key: Path | None = None
    server_key: Path | None = None

    @property
    def has_login(self) -> bool:
        """Whether there is a part of a user name and password."""
        return any(each is not None for each in self[:3])

    @property
    def has_keys(self) -> bool:
        """Whether there is a part of a pair of keys."""
        return self.key is not None or self.server_key is not None


NOTHING = Given()


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password, or keys, or neither."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    curve: CurveKeys | None = None

    @classmethod
    def of(cls, given: Given, environ: Mapping[str, str], context: Given = NOTHING) -> Credentials:
        """Return the credentials from the options, or else from the environment, or else of a context.

        Empty variables are ignored. Options for keys replace a user name and password of the environment, and the
        reverse; so do both with those of a context.

        :raises ValueError: one is missing, or they are invalid; the text contains neither.
        """
        if given.has_login and given.has_keys:
            raise ValueError("either a user name and password, or keys can be given, not both")
        if given.password is not None and given.password_file is not None:
            raise ValueError("either a password or a file with it can be given, not both")
        named = _named(environ)
        if not cls.are_given(given, environ):
            return cls._of(context)
        if given.has_keys or (not given.has_login and named.has_keys):
            return cls._of(Given(key=given.key or named.key, server_key=given.server_key or named.server_key))
        username = named.username if given.username is None else given.username
        password, file = given.password, given.password_file
        if password is None and file is None:
            password = named.password
        return cls._of(Given(username, password, file))

    @staticmethod
    def are_given(given: Given, environ: Mapping[str, str]) -> bool:
        """Return whether options or the environment have credentials, so that those of a context do not count."""
        named = _named(environ)
        return given.has_login or given.has_keys or named.has_login or named.has_keys

    @classmethod
    def _of(cls, given: Given) -> Credentials:
        """Return the credentials of one source; see :meth:`of`."""
        if given.has_login and given.has_keys:
            raise ValueError("either a user name and password, or keys can be given, not both")
        if given.has_keys:
            return cls(curve=_keys(given))
        username, password = given.username, given.password
        if password is None and given.password_file is not None:
            password = _first_line(given.password_file)
        if (username is None) != (password is None):
            raise ValueError("user name and password must be given together")
        for value in (username, password):
            if value is not None and not _fits(value):
                raise ValueError(f"user name and password must be UTF-8 of 1 to {MOST_OCTETS} octets each")
        return cls(username, password)


def _named(environ: Mapping[str, str]) -> Given:
    """Return the credentials that the environment has."""
    return Given(
        environ.get(USERNAME_VARIABLE) or None,
        environ.get(PASSWORD_VARIABLE) or None,
        None,
        _path(environ.get(KEY_VARIABLE)),
        _path(environ.get(SERVER_KEY_VARIABLE)),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _keys(given: Given) -> CurveKeys:
    if given.key is None or given.server_key is None:
        raise ValueError("the key and the key of the broker (server key) must be given together")
    try:
        return load(given.key, given.server_key)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            line = file.readline(MOST_OCTETS + 2)
    except OSError as error:
        raise ValueError(f"the password file {path} cannot be read: {error.strerror}") from None
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def _fits(value: str) -> bool:
    try:
        return 1 <= len(value.encode()) <= MOST_OCTETS
    except UnicodeEncodeError:
        return False
