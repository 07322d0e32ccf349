"""The setting ``mlm_server/mailbox/unread``: limits of mailboxes that nobody reads, by a pattern of their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from alaska.config.kinds import MAX_LIFETIME, MAX_OCTETS, Fault, Kind
from alaska.config.zpl import shown
from alaska.mlm.patterns import compile_pattern
from alaska.system import durations

PATH: Final = "mlm_server/mailbox/unread"
MOST_LIMITS: Final = 100
"""The maximum number of patterns: the name of each mailbox is matched against all of them."""
EXPECTED: Final = "a pattern and any of messages=N octets=N age=TIME, each of which may be max"
_MOST_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class MailboxLimit:
    """Limits of the mailboxes whose names match a pattern; ``age`` is in milliseconds. None: as for all others.

    The highest numbers that can be written mean that there is no limit.
    """

    pattern: bytes
    messages: int | None = None
    octets: int | None = None
    age: int | None = None

    def __str__(self) -> str:
        parts = [
            ("messages", _number_to_text(self.messages)),
            ("octets", _number_to_text(self.octets)),
            ("age", "max" if self.age == MAX_LIFETIME else None if self.age is None else durations.to_text(self.age)),
        ]
        return " ".join([self.pattern.decode(), *(f"{key}={value}" for key, value in parts if value is not None)])


def conflicts(limits: Iterable[MailboxLimit]) -> list[str]:
    """Return a sentence for each reason for which limits cannot be combined."""
    patterns = [limit.pattern for limit in limits]
    if len(patterns) > MOST_LIMITS:
        return [f"{PATH}: there are {len(patterns)} patterns, expected at most {MOST_LIMITS}"]
    return [
        f"{PATH}: the pattern {shown(pattern.decode())} is given more than once"
        for pattern in dict.fromkeys(patterns)
        if patterns.count(pattern) > 1
    ]


def _number_to_text(number: int | None) -> str | None:
    return "max" if number == MAX_OCTETS else None if number is None else str(number)


def _number(text: str) -> int:
    if text == "max":
        return MAX_OCTETS
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) <= MAX_OCTETS):
        raise Fault(f"expected a number, or max, found {shown(text)}")
    return int(text)


def _age(text: str) -> int:
    if text == "max":
        return MAX_LIFETIME
    try:
        age = durations.to_milliseconds(text)
    except ValueError:
        age = 0
    if not 0 < age <= MAX_LIFETIME:
        raise Fault(f"age= must be a time such as 90s, 12h or 7d, or max, found {shown(text)}")
    return age


_READERS: Final[dict[str, Callable[[str], int]]] = {"messages": _number, "octets": _number, "age": _age}


def _limit(text: str) -> MailboxLimit:
    pattern, *parts = text.split() or [""]
    if not pattern or not parts:
        raise ValueError(text)
    compile_pattern(pattern.encode())
    given: dict[str, int] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if key not in _READERS or not equals:
            raise Fault(f"expected {', '.join(f'{each}=' for each in _READERS)}, found {shown(part)}")
        if key in given:
            raise Fault(f"{key}= is given more than once")
        given[key] = _READERS[key](value)
    return MailboxLimit(pattern.encode(), **given)


LIMIT: Final = Kind(EXPECTED, _limit)
