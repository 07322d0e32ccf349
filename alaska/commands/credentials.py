"""User name and password for PLAIN, or keys for CURVE, from options, files or the environment; never printed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alaska.authentication import CurveKeys
from alaska.client.keys import load
from alaska.errors import ConfigurationError

USERNAME_VARIABLE = "ALASKA_USERNAME"
PASSWORD_VARIABLE = "ALASKA_PASSWORD"  # noqa: S105  # it is the name of one
KEY_VARIABLE = "ALASKA_KEY"
SERVER_KEY_VARIABLE = "ALASKA_SERVER_KEY"
MOST_OCTETS = 255


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for credentials to a command."""
    parser.add_argument("-u", "--username", help=f"the user name for PLAIN security (or {USERNAME_VARIABLE})")
    password = parser.add_mutually_exclusive_group()
    password.add_argument(
        "-p",
        "--password",
        help=f"the password (or {PASSWORD_VARIABLE}, which other users of the machine cannot see)",
    )
    password.add_argument("--password-file", type=Path, metavar="FILE", help="a file whose first line is the password")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help=f"the secret certificate for CURVE security (or {KEY_VARIABLE})"
    )
    parser.add_argument(
        "--server-key",
        type=Path,
        metavar="FILE",
        help=f"the public certificate of the broker for CURVE (or {SERVER_KEY_VARIABLE})",
    )


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password, or keys, or neither."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    curve: CurveKeys | None = None

    @classmethod
    def of(cls, options: argparse.Namespace, environ: Mapping[str, str]) -> Credentials:
        """Return the credentials from the options, or else from the environment; empty variables are ignored.

        Options for keys replace a user name and password of the environment, and the reverse.

        :raises ValueError: one is missing, or they are invalid; the text contains neither.
        """
        has_login = options.username is not None or options.password is not None or options.password_file is not None
        has_keys = options.key is not None or options.server_key is not None
        if has_login and has_keys:
            raise ValueError("either a user name and password, or keys can be given, not both")
        if has_keys or (not has_login and (environ.get(KEY_VARIABLE) or environ.get(SERVER_KEY_VARIABLE))):
            return cls(curve=_keys(options, environ))
        username = options.username if options.username is not None else environ.get(USERNAME_VARIABLE) or None
        password = options.password
        if password is None and options.password_file is not None:
            password = _first_line(options.password_file)
        if password is None:
            password = environ.get(PASSWORD_VARIABLE) or None
        if (username is None) != (password is None):
            raise ValueError("user name and password must be given together")
        for value in (username, password):
            if value is not None and not _fits(value):
                raise ValueError(f"user name and password must be UTF-8 of 1 to {MOST_OCTETS} octets each")
        return cls(username, password)


def _keys(options: argparse.Namespace, environ: Mapping[str, str]) -> CurveKeys:
    own = options.key or environ.get(KEY_VARIABLE) or None
    server = options.server_key or environ.get(SERVER_KEY_VARIABLE) or None
    if own is None or server is None:
        raise ValueError("the key and the key of the broker (server key) must be given together")
    try:
        return load(own, server)
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
