"""``alas token``: makes a token for HTTP, and the line of the file of tokens that lets its user in."""

from __future__ import annotations

import secrets
import sys

from alaska.admin.http.users import Role, digest
from alaska.commands import streams
from alaska.commands.parsing import Parser

_DESCRIPTION = """\
Make a token for HTTP (docs/http.md). The token is printed to the standard
error, and is not stored; the line for the file of tokens, with its hash, is
printed to the standard output."""
_EPILOG = "example: alas token shop send >> tokens"


def main(arguments: list[str]) -> None:
    """Print a token, and its line."""
    parser = Parser(prog="alas token", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("user", help="the name of the user")
    parser.add_argument("role", choices=[role.word for role in Role if role], help="what the user may do")
    options = parser.parse_args(arguments)
    if options.user.startswith("#") or options.user.split() != [options.user]:
        parser.error("the name of the user must be one word, and must not begin with #")
    token = secrets.token_urlsafe(32)
    streams.write_line(f"the token of {options.user}, which is not stored anywhere: {token}", sys.stderr)
    streams.write_line(f"{options.user} {options.role} {digest(token)}")
