"""The terms of a send as arguments of the client's methods (docs/protocol.md, section 7)."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from alaska.client.delivery import to_number
from alaska.message import PRIORITIES
from alaska.mlm import terms as names
from alaska.mlm.commands import Properties

MOST_SECONDS = 2**53 / 1000


class SendTerms(TypedDict, total=False):
    """What can be said about a message besides its content.

    - ``delay``: seconds for which it is not delivered, from its arrival at the broker on.
    - ``at``: the time before which it is not delivered, as a datetime with a time zone, or in seconds since 1970.
    - ``priority``: 0 to 9, 4 without; messages with a higher one are delivered first.
    """

    delay: float
    at: float | datetime
    priority: int


def to_terms(terms: SendTerms) -> Properties:
    """Return terms as properties of a command.

    :raises TypeError: there is no such term, or its value is of another type.
    :raises ValueError: a value is out of range, a datetime has no time zone, or both ``delay`` and ``at`` are given.
    """
    properties: Properties = {}
    for name, value in terms.items():
        if name == "delay":
            properties[names.DELAY] = _milliseconds(value, name)
        elif name == "at":
            properties[names.AT] = _milliseconds(_timestamp(value), name)
        elif name == "priority":
            properties[names.PRIORITY] = to_number(value, PRIORITIES[-1], name)  # type: ignore[arg-type]  # it checks
        else:
            raise TypeError(f"a message has no term {name!r}")
    if names.DELAY in properties and names.AT in properties:
        raise ValueError("a message has either a delay or a time")
    return properties


def _timestamp(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("at must have a time zone")
    return value.timestamp()


def _milliseconds(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 <= value <= MOST_SECONDS:
        raise ValueError(f"{name} must be a number of seconds from 0 to {MOST_SECONDS:.0f}, not {value}")
    return round(value * 1000)
