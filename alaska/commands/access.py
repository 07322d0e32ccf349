"""``alas access test``: says what a user may do by the access rules of a settings file, and which rule decides."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from pathlib import Path
from typing import NoReturn

from alaska.access import AccessRules, Level, User, Verb
from alaska.broker.access import Decision, UserRights
from alaska.commands import streams
from alaska.commands.parsing import Parser
from alaska.config import BrokerSettings, zpl
from alaska.config.access import read_access
from alaska.errors import ConfigurationError
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.names import printable

_DESCRIPTION = """\
Say whether the access rules of a broker's settings file allow something to a
user, and which rule decides (docs/access.md). Nothing is sent to a broker."""
_EPILOG = f"""\
verbs: {", ".join(verb.value for verb in Verb)}; the name of admin is view, operate or all

exit status:
  0   it is allowed
  1   it is refused
  2   the command line is wrong
  78  the file cannot be used

example: alas access test ann ask render pi"""


def parser() -> Parser:
    """Return the parser of the command line."""
    result = Parser(prog="alas access test", description=_DESCRIPTION, epilog=_EPILOG)
    add = result.add_argument
    add("user", metavar="USER", help="the name of the user; anonymous for clients without authentication")
    add("verb", metavar="VERB", type=_verb, help="what the user wants to do")
    add("name", metavar="NAME", type=_name, help="the address, service, mailbox or stream")
    add("subject", metavar="SUBJECT", type=_name, nargs="?", help="for ask: the subject of the request")
    add("-c", "--config", type=Path, default=Path(BrokerSettings.file), metavar="FILE",
        help="the broker's settings file (default: %(default)s)")  # fmt: skip
    return result


def _verb(text: str) -> Verb:
    verbs = [verb.value for verb in Verb]
    if text in verbs:
        return Verb(text)
    similar = difflib.get_close_matches(text.lower(), verbs, 1)
    hint = f"; did you mean {similar[0]}?" if similar else ""
    raise argparse.ArgumentTypeError(f"{printable(text)} is none of {', '.join(verbs)}{hint}")


def _name(text: str) -> bytes:
    octets = os.fsencode(text)
    if len(octets) > MAX_STRING_OCTETS:
        raise argparse.ArgumentTypeError(f"a name has at most {MAX_STRING_OCTETS} octets, found {len(octets)}")
    return octets


def main(arguments: list[str]) -> None:
    """Run the command; the exit status says whether it is allowed."""
    reader = parser()
    if arguments[:1] != ["test"] and not {"-h", "--help"}.intersection(arguments[:1]):
        reader.error("expected alas access test USER VERB NAME [SUBJECT]")
    options = reader.parse_args(arguments[1:] if arguments[:1] == ["test"] else arguments)
    if options.subject is not None and options.verb is not Verb.ASK:
        reader.error("only ask has a subject")
    levels = [level.name.lower() for level in Level]
    if options.verb is Verb.ADMIN and options.name.decode("utf-8", "replace") not in levels:
        reader.error(f"the name of admin is {', '.join(levels[:-1])} or {levels[-1]}")
    rules = _load(options.config)
    if rules is None:
        streams.write_line(f"allowed: {options.config} has no access section, so everything is allowed")
        raise SystemExit(0)
    raise SystemExit(_decide(rules, options))


def _load(path: Path) -> AccessRules | None:
    try:
        return read_access(zpl.load(path))
    except FileNotFoundError:
        _fail(f"there is no file {path}")
    except ConfigurationError as error:
        _fail(str(error))


def _fail(text: str) -> NoReturn:
    streams.write_line(f"alas: {text}", sys.stderr)
    raise SystemExit(os.EX_CONFIG)


def _decide(rules: AccessRules, options: argparse.Namespace) -> int:
    """Print the decision, and return the exit status."""
    user = next((user for user in rules.users if user.name == options.user), None)
    rights = UserRights(user)
    decision = rights.decide(options.verb, options.name, options.subject or b"")
    words = "allowed" if decision.is_allowed else "refused"
    streams.write_line(f"{words}: {_reason(user, decision, options)}")
    if options.verb is Verb.ASK and options.subject is None and rights.depends_on_subject:
        streams.write_line("alas: this is for the empty subject; other subjects may have other rules", sys.stderr)
    return 0 if decision.is_allowed else 1


def _reason(user: User | None, decision: Decision, options: argparse.Namespace) -> str:
    rule, role = decision.rule, decision.role
    if user is None:
        return f"{options.config} has no user {printable(options.user)}"
    if rule is None:
        return f"no rule of the user {printable(user.name)} allows it"
    return f"{rule.where}: {rule}" + ("" if role is None else f" (role {printable(role.name)})")
