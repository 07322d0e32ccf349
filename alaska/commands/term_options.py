"""The options for the terms of a request: when it is delivered, how often it is tried, and its id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

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


_OPTIONS = (
    click.option(
        "--delay",
        type=DURATION,
        metavar="TIME",
        help="Do not deliver it before so much time has passed: 90s, 10m, 1.5h.",
    ),
    click.option("--at", type=TIME, metavar="TIME", help="Do not deliver it before a time: 2026-12-01T08:00Z."),
    click.option(
        "--id", type=Parsed("id", _id), help="Do not send it if the service has had a request with this id lately."
    ),
    click.option(
        "--unique-for",
        type=DURATION,
        metavar="TIME",
        help="With --id: how long the id is known: 10m; 0: until the request ends.",
    ),
    click.option("--replace", is_flag=True, help="With --id: replace a request with this id that has not begun."),
    click.option(
        "--priority", type=PRIORITY, metavar="N", help="0 to 9; requests with a higher one are delivered first (4)."
    ),
    click.option(
        "--attempts", type=ATTEMPTS, metavar="N", help="Try it at most so many times in all, whatever its script says."
    ),
    click.option(
        "--backoff", type=BACKOFF, metavar="FIRST..MOST", help="The waits between the attempts, such as 2s..10m."
    ),
)


def term_options(function: F) -> F:
    """Add the options to a command; :func:`terms_of` takes them out of its arguments."""
    for option in reversed(_OPTIONS):
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
