"""The options of ``alas letters`` that select dead letters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from alaska.commands.values import DURATION, NAME, Parsed, whole_number
from alaska.message import Cause

_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(?:/(s|m|h))?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}
_CAUSES = [cause.value for cause in Cause]
_OPTIONS = (
    click.option("--service", type=NAME, metavar="S", help="Those of a service."),
    click.option("--mailbox", type=NAME, metavar="M", help="Those of a mailbox."),
    click.option("--subject", type=NAME, metavar="S", help="Those with a subject."),
    click.option("--sender", type=NAME, metavar="A", help="Those from a sender."),
    click.option("--worker", type=NAME, metavar="A", help="Those that the worker with this address had last."),
    click.option(
        "--status", type=whole_number(0, 999, "a status, such as 404"), metavar="N", help="Those with a status."
    ),
    click.option(
        "--cause", type=click.Choice(_CAUSES), metavar="CAUSE", help=f"Those that died: {', '.join(_CAUSES)}."
    ),
    click.option("--reason", metavar="TEXT", help="Those whose reason contains a text."),
    click.option("--reason-pattern", metavar="P", help="Those whose reason matches a pattern (docs/patterns.md)."),
    click.option("--older", type=DURATION, metavar="TIME", help="Those that died so long ago, or longer: 90s, 2h, 7d."),
    click.option("--younger", type=DURATION, metavar="TIME", help="Those that died at most so long ago."),
)
NAMES = (
    *("service", "mailbox", "subject", "sender", "worker", "status", "cause", "reason", "reason_pattern"),
    *("older", "younger"),
)

F = TypeVar("F", bound=Callable[..., Any])


def selection_options(function: F) -> F:
    """Add the options to a command; :func:`selection_of` reads them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def selection_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a request that select dead letters."""
    given = {name: options[name] for name in NAMES if options[name] is not None}
    mailbox = given.pop("mailbox", None)
    if mailbox is not None:
        given.update(queue="mailbox", address=mailbox)
    return given


def rate(text: str) -> float:
    """Parse a rate such as ``50/s``, ``10/m`` or ``5``; return how many these are a second.

    :raises ValueError: it is invalid.
    """
    found = _RATE.fullmatch(text)
    per_second = float(found[1]) / _SECONDS[found[2]] if found is not None else 0.0
    if per_second <= 0:
        raise ValueError("it is not a rate, such as 50/s, 10/m or 100/h")
    return per_second


RATE = Parsed("rate", rate)
