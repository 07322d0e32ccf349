"""What the broker reads from the terms of a send (docs/protocol.md, section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from alaska.errors import BadTerm
from alaska.message import NORMAL, PRIORITIES
from alaska.mlm.commands import MAX_STRING_OCTETS, Properties
from alaska.mlm.properties import to_number, to_octets
from alaska.mlm.terms import AT, ATTEMPTS, BACKOFF, DELAY, ID, PRIORITY, TTL, UNIQUE_FOR, UNIQUE_MODE, has_terms
from alaska.system.retry_plan import MOST_ATTEMPTS, backoff_from

_MODES = {b"keep": False, b"replace": True}
MOST_MILLISECONDS = 2**53
"""The highest time, in ms since 1970, and the longest delay: a number that a double has exactly."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one message.

    ``at``: when it is due, in seconds since 1970; ``delay``: or in how many seconds. None: at once. ``priority``: 0 to
    9, higher ones first. ``id``: its queue accepts no other message with it for ``unique_for`` seconds (0: until it
    ends; None: for as long as the broker says). A message that ``replaces`` is accepted, and takes the place of one
    with its id that still waits. ``ttl``: for how many seconds it may wait for its delivery, 0: without end; None: as
    long as the broker says.
    """

    at: float | None = None
    delay: float | None = None
    priority: int = NORMAL
    id: bytes | None = None
    unique_for: float | None = None
    replaces: bool = False
    ttl: float | None = None

    def due(self, now: float, wall_offset: float) -> float | None:
        """Return when the message is due by the broker's clock; None if it is already.

        ``wall_offset`` is the wall clock's time minus the broker's.
        """
        due = now + self.delay if self.delay is not None else None
        if self.at is not None:
            due = self.at - wall_offset
        return due if due is not None and due > now else None


NO_TERMS = Terms()


def terms_of(properties: Properties) -> Terms:
    """Return the terms among the properties of a send.

    :raises BadTerm: one of them is not valid.
    """
    if not has_terms(properties):
        return NO_TERMS
    at = _number(properties, AT, MOST_MILLISECONDS)
    delay = _number(properties, DELAY, MOST_MILLISECONDS)
    if at is not None and delay is not None:
        raise BadTerm(f"a message has either the property {AT} or {DELAY}")
    priority = _number(properties, PRIORITY, PRIORITIES[-1])
    ttl = _number(properties, TTL, MOST_MILLISECONDS)
    _check_plan(properties)
    return Terms(
        None if at is None else at / 1000,
        None if delay is None else delay / 1000,
        NORMAL if priority is None else priority,
        *_once(properties),
        ttl=None if ttl is None else ttl / 1000,
    )


def _once(properties: Properties) -> tuple[bytes | None, float | None, bool]:
    name = id_of(properties)
    unique_for = _number(properties, UNIQUE_FOR, MOST_MILLISECONDS)
    mode = to_octets(properties.get(UNIQUE_MODE, b"keep"))
    if name is not None and not 0 < len(name) <= MAX_STRING_OCTETS:
        raise BadTerm(f"property {ID} has {len(name)} octets, and not 1 to {MAX_STRING_OCTETS}")
    if mode not in _MODES:
        raise BadTerm(f"property {UNIQUE_MODE} is neither keep nor replace")
    if name is None and (UNIQUE_FOR in properties or UNIQUE_MODE in properties):
        raise BadTerm(f"properties {UNIQUE_FOR} and {UNIQUE_MODE} have no effect without {ID}")
    return name, None if unique_for is None else unique_for / 1000, _MODES[mode]


def id_of(properties: Properties) -> bytes | None:
    """Return the id among the properties of a message; None if it has none."""
    return to_octets(properties[ID]) if ID in properties else None


def priority_of(properties: Properties) -> int:
    """Return the priority among the properties of a message that was accepted, or read from a store."""
    priority = to_number(properties.get(PRIORITY, NORMAL))
    return NORMAL if priority is None or priority not in PRIORITIES else priority


def attempts_of(properties: Properties) -> int | None:
    """Return how often a message may be tried in all, of the properties of one that was accepted; None: no limit."""
    return to_number(properties[ATTEMPTS]) if ATTEMPTS in properties else None


def _check_plan(properties: Properties) -> None:
    """Check the retry plan of a message, which is for the worker."""
    if _number(properties, ATTEMPTS, MOST_ATTEMPTS) == 0:
        raise BadTerm(f"property {ATTEMPTS} is not a number from 1 to {MOST_ATTEMPTS}")
    if BACKOFF in properties:
        try:
            backoff_from(to_octets(properties[BACKOFF]))
        except ValueError as error:
            raise BadTerm(f"property {BACKOFF} is not valid: {error}") from None


def _number(properties: Properties, name: str, most: int) -> int | None:
    if name not in properties:
        return None
    number = to_number(properties[name])
    if number is None or number > most:
        raise BadTerm(f"property {name} is not a number from 0 to {most}")
    return number
