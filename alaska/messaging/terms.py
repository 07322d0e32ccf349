"""The terms of a send as arguments of the client's methods (docs/protocol.md, section 7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypedDict

from alaska.message import PRIORITIES
from alaska.messaging.delivery import Text, to_number, to_octets
from alaska.mlm import terms as names
from alaska.mlm.commands import MAX_STRING_OCTETS, Properties
from alaska.system.retry_plan import MOST_ATTEMPTS, backoff_of

MOST_SECONDS = 2**53 / 1000


class SendTerms(TypedDict, total=False):
    """What can be said about a message besides its content.

    - ``delay``: seconds for which it is not delivered, from its arrival at the broker on.
    - ``at``: the time before which it is not delivered, as a datetime with a time zone, or in seconds since 1970.
    - ``priority``: 0 to 9, 4 without; messages with a higher one are delivered first.
    - ``ttl``: seconds for which it may wait for its delivery.
    - ``id``: 1 to 255 octets; a second message with it is not kept.
    - ``unique_for``: seconds for which the id is remembered; 0: until the message ends.
    - ``unique_mode``: whether the first message with an id is kept, or the second one replaces it.
    - ``attempts``: how many times it may be tried in all, 1 to 1001.
    - ``backoff``: the wait before the second attempt of a request, and the longest wait, in seconds; each wait is twice
      the one before it.
    """

    delay: float
    at: float | datetime
    priority: int
    ttl: float
    id: Text
    unique_for: float
    unique_mode: Literal["keep", "replace"]
    attempts: int
    backoff: tuple[float, float]


def to_terms(terms: SendTerms) -> Properties:
    """Return terms as properties of a command.

    :raises TypeError: there is no such term, or its value is of another type.
    :raises ValueError: a value is out of range, a datetime has no time zone, or both ``delay`` and ``at`` are given.
    """
    properties: Properties = {}
    for name, value in terms.items():
        if name not in _WRITERS:
            raise TypeError(f"a message has no term {name!r}")
        key, write = _WRITERS[name]
        properties[key] = write(value, name)
    if names.DELAY in properties and names.AT in properties:
        raise ValueError("a message has either a delay or a time")
    if names.ID not in properties and (names.UNIQUE_FOR in properties or names.UNIQUE_MODE in properties):
        raise ValueError("unique_for and unique_mode need an id")
    return properties


def _time(value: object, name: str) -> int:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("at must have a time zone")
        value = value.timestamp()
    return _milliseconds(value, name)


def _milliseconds(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not 0 <= value <= MOST_SECONDS:
        raise ValueError(f"{name} must be a number of seconds from 0 to {MOST_SECONDS:.0f}, not {value}")
    return round(value * 1000)


def _priority(value: object, name: str) -> int:
    return to_number(value, PRIORITIES[-1], name)  # type: ignore[arg-type]  # it checks


def _attempts(value: object, name: str) -> int:
    attempts = to_number(value, MOST_ATTEMPTS, name)  # type: ignore[arg-type]  # it checks
    if not attempts:
        raise ValueError(f"{name} must be a number from 1 to {MOST_ATTEMPTS}, not 0")
    return attempts


def _backoff(value: object, name: str) -> str:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be two numbers of seconds")
    first, most = backoff_of(_milliseconds(value[0], name), _milliseconds(value[1], name))
    return f"{first} {most}"


def _id(value: object, name: str) -> bytes:
    octets = to_octets(value, name)  # type: ignore[arg-type]  # it checks
    if not 0 < len(octets) <= MAX_STRING_OCTETS:
        raise ValueError(f"{name} must have 1 to {MAX_STRING_OCTETS} octets, not {len(octets)}")
    return octets


def _mode(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    if value not in ("keep", "replace"):
        raise ValueError(f"{name} must be keep or replace")
    return value


_WRITERS: dict[str, tuple[str, Callable[[object, str], int | str | bytes]]] = {
    "delay": (names.DELAY, _milliseconds),
    "at": (names.AT, _time),
    "priority": (names.PRIORITY, _priority),
    "ttl": (names.TTL, _milliseconds),
    "id": (names.ID, _id),
    "unique_for": (names.UNIQUE_FOR, _milliseconds),
    "unique_mode": (names.UNIQUE_MODE, _mode),
    "attempts": (names.ATTEMPTS, _attempts),
    "backoff": (names.BACKOFF, _backoff),
}
