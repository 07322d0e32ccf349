"""The options for the terms of a request: when it is delivered, how often it is tried, and its id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import click

from alaska.client.delivery import to_octets
from alaska.client.terms import SendTerms
from alaska.commands.values import ATTEMPTS, BACKOFF, DURATION, PRIORITY, TIME, Parsed, one_of
from alaska.mlm.commands import MAX_STRING_OCTETS

F = TypeVar("F", bound=Callable[..., Any])
_NAMES = ("delay", "at", "priority", "attempts", "backoff", "id", "unique_for")


def _id(text: str) -> str:
    if not 0 < len(to_octets(text)) <= MAX_STRING_OCTETS:
        raise ValueError(f"it does not have 1 to {MAX_STRING_OCTETS} octets")
    return text


class _Words(NamedTuple):
    """What the help calls a message, and where it goes to."""

    one: str
    many: str
    place: str
    end: str
    fresh: str
    attempts: str


_REQUEST = _Words(
    "a request", "requests", "the service", "the request ends", "has not begun",
    "Try it at most so many times in all, whatever its script says.",
)  # fmt: skip
_MAIL = _Words(
    "mail", "messages", "the mailbox", "the mail is read", "was not read",
    "Deliver it at most so many times, as long as its reader does not confirm it.",
)  # fmt: skip


def term_options(function: F) -> F:
    """Add the options to a command that sends requests; :func:`terms_of` takes them out of its arguments."""
    return _with_options(function, _REQUEST)


def mail_term_options(function: F) -> F:
    """Add the same options to a command that sends mail."""
    return _with_options(function, _MAIL)


def _with_options(function: F, words: _Words) -> F:
    of_id = f"With --id: how long the id is known: 10m; 0: until {words.end}."
    replaced = f"With --id: replace {words.one} with this id that {words.fresh}."
    known = f"Do not send it if {words.place} has had {words.one} with this id lately."
    for option in (
        click.option("--backoff", type=BACKOFF, metavar="FIRST..MOST", help="The waits between attempts: 2s..10m."),
        click.option("--attempts", type=ATTEMPTS, metavar="N", help=words.attempts),
        click.option(
            "--priority", type=PRIORITY, metavar="N", help=f"0 to 9; {words.many} with a higher one go first (4)."
        ),
        click.option("--replace", is_flag=True, help=replaced),
        click.option("--unique-for", type=DURATION, metavar="TIME", help=of_id),
        click.option("--id", type=Parsed("id", _id), help=known),
        click.option("--at", type=TIME, metavar="TIME", help="Do not deliver it before a time: 2026-12-01T08:00Z."),
        click.option(
            "--delay", type=DURATION, metavar="TIME", help="Deliver it after this time at the earliest: 90s, 10m, 1.5h."
        ),
    ):
        function = option(function)
    return function


def terms_of(options: dict[str, Any]) -> SendTerms:
    """Take the terms out of the arguments of a command, and return them.

    :raises click.UsageError: they contradict each other.
    """
    one_of(delay=options["delay"], at=options["at"])
    found = {name: options.pop(name) for name in _NAMES}
    terms = {name: value for name, value in found.items() if value is not None}
    is_replacing = options.pop("replace")
    if "id" not in terms and ("unique_for" in terms or is_replacing):
        raise click.UsageError("--unique-for and --replace need --id")
    if is_replacing:
        terms["unique_mode"] = "replace"
    return cast("SendTerms", terms)
