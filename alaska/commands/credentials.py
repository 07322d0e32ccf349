"""User name and password for PLAIN authentication, from options, a file or the environment. They are never printed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

USERNAME_VARIABLE = "ALASKA_USERNAME"
PASSWORD_VARIABLE = "ALASKA_PASSWORD"  # noqa: S105  # it is the name of one
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


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password, or neither."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, options: argparse.Namespace, environ: Mapping[str, str]) -> Credentials:
        """Return the credentials from the options, or else from the environment; empty variables are ignored.

        :raises ValueError: one is missing, or they are invalid; the text contains neither.
        """
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
