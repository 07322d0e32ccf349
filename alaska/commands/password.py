"""``alas password``: prints a line for the password file, with the hash of a password."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Final

import click

from alaska.commands import shown, streams
from alaska.commands.command import Command, failed
from alaska.config.password_hashes import PasswordHash

MOST_OCTETS: Final = 255
_EPILOG = """\
exit status:
  0   the line has been printed
  1   there is no password, or the two passwords differ
  2   the command line is wrong

example: alas password ann >> passwords.cfg"""


@click.command("password", cls=Command, epilog=_EPILOG)
@click.argument("user", metavar="USER")
@shown.json_option
def password(user: str, as_json: bool) -> None:
    """Print a line for the password file of a broker (server/auth/plain): a user with the hash of a password.

    The password is asked for; if the standard input is not a terminal, its first line is the password.
    """
    name = os.fsencode(user)
    if not 1 <= len(name) <= MOST_OCTETS or name.startswith(b"#") or {*b"=\r\n\0"} & {*name}:
        raise click.UsageError(
            f"a user name has 1 to {MOST_OCTETS} octets, no = and no line end, and does not begin with #"
        )
    secret = _password()
    if not 1 <= len(secret) <= MOST_OCTETS:
        raise failed(f"a password has 1 to {MOST_OCTETS} octets")
    line = name + b"=" + bytes(PasswordHash.of(secret))
    if as_json:
        streams.write_line(shown.lines([{"user": user, "line": os.fsdecode(line)}]))
    else:
        streams.write(line + b"\n")


def _password() -> bytes:
    """Return the password, which is asked for twice at a terminal."""
    try:
        if not sys.stdin.isatty():
            return streams.read(MOST_OCTETS + 3).partition(b"\n")[0].removesuffix(b"\r")
        password, again = getpass.getpass("Password: "), getpass.getpass("Again: ")
    except (EOFError, OSError) as error:
        raise failed(f"the password cannot be read: {error}") from None
    if password != again:
        raise failed("the two passwords differ")
    return password.encode("utf-8", "surrogateescape")
