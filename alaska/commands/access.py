"""``alas access test``: says what a user may do by the access rules of a settings file, and which rule decides."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import NamedTuple

import click

from alaska.access import AccessRules, Level, User, Verb
from alaska.admin.text import to_text
from alaska.broker.access import Decision, UserRights
from alaska.commands import shown, streams
from alaska.commands.command import Command, Entry, Group, failed
from alaska.commands.values import FILE, Parsed
from alaska.config import BrokerSettings, zpl
from alaska.config.access import read_access
from alaska.errors import ConfigurationError
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.names import printable

_EPILOG = f"""\
verbs: {", ".join(verb.value for verb in Verb)}; the name of admin is view, operate or all

exit status:
  0   it is allowed
  1   it is refused
  2   the command line is wrong
  78  the file cannot be used

example: alas access test ann ask render pi"""


def _verb(text: str) -> Verb:
    verbs = [verb.value for verb in Verb]
    if text in verbs:
        return Verb(text)
    similar = difflib.get_close_matches(text.lower(), verbs, 1)
    hint = f"; did you mean {similar[0]}?" if similar else ""
    raise ValueError(f"it is none of {', '.join(verbs)}{hint}")


def _name(text: str) -> bytes:
    octets = os.fsencode(text)
    if len(octets) > MAX_STRING_OCTETS:
        raise ValueError(f"a name has at most {MAX_STRING_OCTETS} octets, found {len(octets)}")
    return octets


@click.group(
    "access",
    cls=Group,
    sections={"Commands": {"test": Entry("alaska.commands.access:test", "Say what a user may do, and by which rule.")}},
)
def access() -> None:
    """Look at the access rules of a broker (docs/access.md)."""


class Asked(NamedTuple):
    """Whether a user may do something."""

    user: str
    verb: Verb
    name: bytes
    subject: bytes | None
    config: Path
    as_json: bool


@click.command("test", cls=Command, epilog=_EPILOG)
@click.argument("user")
@click.argument("verb", type=Parsed("verb", _verb))
@click.argument("name", type=Parsed("name", _name))
@click.argument("subject", type=Parsed("subject", _name), required=False)
@click.option("-c", "--config", type=FILE, default=Path(BrokerSettings.file), metavar="FILE",
    help=f"The broker's settings file ({BrokerSettings.file}).")  # fmt: skip
@shown.json_option
def test(user: str, verb: Verb, name: bytes, subject: bytes | None, config: Path, as_json: bool) -> None:
    """Say whether the access rules of a broker's settings file allow something to a user, and which rule decides.

    USER is a name, or anonymous for clients without authentication; SUBJECT is that of a request. Nothing is sent to a
    broker.
    """
    if subject is not None and verb is not Verb.ASK:
        raise click.UsageError("only ask has a subject")
    levels = [level.name.lower() for level in Level]
    if verb is Verb.ADMIN and name.decode("utf-8", "replace") not in levels:
        raise click.UsageError(f"the name of admin is {', '.join(levels[:-1])} or {levels[-1]}")
    rules = _load(config)
    asked = Asked(user, verb, name, subject, config, as_json)
    if rules is None:
        _print(asked, f"{config} has no access section, so everything is allowed")
        return
    raise SystemExit(_decide(rules, asked))


def _load(path: Path) -> AccessRules | None:
    try:
        return read_access(zpl.load(path))
    except FileNotFoundError:
        raise failed(f"there is no file {path}; --config names the settings file of a broker", os.EX_CONFIG) from None
    except ConfigurationError as error:
        raise failed(str(error), os.EX_CONFIG) from None


def _decide(rules: AccessRules, asked: Asked) -> int:
    """Print the decision, and return the exit status."""
    user = next((user for user in rules.users if user.name == asked.user), None)
    rights = UserRights(user)
    decision = rights.decide(asked.verb, asked.name, asked.subject or b"")
    _print(asked, _reason(user, decision, asked), is_allowed=decision.is_allowed)
    if asked.verb is Verb.ASK and asked.subject is None and rights.depends_on_subject:
        streams.write_line("alas: this is for the empty subject; other subjects may have other rules", sys.stderr)
    return 0 if decision.is_allowed else 1


def _print(asked: Asked, reason: str, *, is_allowed: bool = True) -> None:
    subject = None if asked.subject is None else to_text(asked.subject)
    what = {"user": asked.user, "verb": asked.verb.value, "name": to_text(asked.name), "subject": subject}
    text = f"{'allowed' if is_allowed else 'refused'}: {reason}"
    streams.write_line(shown.either({"allowed": is_allowed, "reason": reason, **what}, text, asked.as_json))


def _reason(user: User | None, decision: Decision, asked: Asked) -> str:
    rule, role = decision.rule, decision.role
    if user is None:
        return f"{asked.config} has no user {printable(asked.user)}"
    if rule is None:
        return f"no rule of the user {printable(user.name)} allows it"
    return f"{rule.where}: {rule}" + ("" if role is None else f" (role {printable(role.name)})")
