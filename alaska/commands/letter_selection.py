"""The options of ``alas letters`` that select dead letters."""

from __future__ import annotations

import argparse
import re
from typing import Any

from alaska.commands.operate import name_of
from alaska.commands.parsing import Parser
from alaska.commands.times import duration
from alaska.message import Cause

_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(?:/(s|m|h))?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}
_NAMES = ("service", "mailbox", "subject", "sender", "worker", "status", "cause", "reason", "reason_pattern")
_AGES = ("older", "younger")


def add_selection(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--service", type=name_of, metavar="S", help="those of a service")
    add("--mailbox", type=name_of, metavar="M", help="those of a mailbox")
    add("--subject", type=name_of, metavar="S", help="those with a subject")
    add("--sender", type=name_of, metavar="A", help="those from a sender")
    add("--worker", type=name_of, metavar="A", help="those that the worker with this address had last")
    add("--status", type=_status, metavar="N", help="those with a status, such as 404")
    add("--cause", choices=[cause.value for cause in Cause], metavar="CAUSE",
        help=f"those that died for a cause: {', '.join(cause.value for cause in Cause)}")  # fmt: skip
    add("--reason", metavar="TEXT", help="those whose reason contains a text")
    add("--reason-pattern", metavar="P", help="those whose reason matches a pattern (docs/patterns.md)")
    add("--older", type=duration, metavar="TIME", help="those that died at least so long ago, such as 90s, 2h or 7d")
    add("--younger", type=duration, metavar="TIME", help="those that died at most so long ago")


def selection_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the members of a request that select dead letters."""
    given = {name: getattr(options, name) for name in (*_NAMES, *_AGES) if getattr(options, name) is not None}
    mailbox = given.pop("mailbox", None)
    if mailbox is not None:
        given.update(queue="mailbox", address=mailbox)
    return given


def rate(text: str) -> float:
    """Parse a rate such as ``50/s``, ``10/m`` or ``5``; return how many these are a second.

    :raises argparse.ArgumentTypeError: it is invalid.
    """
    found = _RATE.fullmatch(text)
    per_second = float(found[1]) / _SECONDS[found[2]] if found is not None else 0.0
    if per_second <= 0:
        raise argparse.ArgumentTypeError("it is not a rate, such as 50/s, 10/m or 100/h")
    return per_second


def _status(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text, re.ASCII):
        raise argparse.ArgumentTypeError("it is not a status, such as 404")
    return int(text)
