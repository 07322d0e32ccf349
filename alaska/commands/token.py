"""``alas token``: makes a token for HTTP, and the line of the file of tokens that lets its user in."""

from __future__ import annotations

import secrets
import sys

import click

from alaska.admin.http.users import Role, digest
from alaska.commands import shown, streams
from alaska.commands.command import Command

ROLES = [role.word for role in Role if role]


_EPILOG = """\
exit status: 0 if it is made, 2 for a wrong command line

example: alas token shop send >> tokens"""


@click.command("token", cls=Command, epilog=_EPILOG)
@click.argument("user")
@click.argument("role", type=click.Choice(ROLES))
@shown.json_option
def token(user: str, role: str, as_json: bool) -> None:
    """Make a token for HTTP (docs/http.md), for a USER with a ROLE.

    The token is printed to the standard error, and is not stored; the line for the file of tokens, with its hash, is
    printed to the standard output. In JSON, both are members of an object.
    """
    if user.startswith("#") or user.split() != [user]:
        raise click.UsageError("the name of the user must be one word, and must not begin with #")
    made = secrets.token_urlsafe(32)
    line = f"{user} {role} {digest(made)}"
    if as_json:
        streams.write_line(shown.lines([{"user": user, "role": role, "token": made, "line": line}]))
        return
    streams.write_line(f"the token of {user}, which is not stored anywhere: {made}", sys.stderr)
    streams.write_line(line)
