"""Access rules: which user may do what, with which names (docs/access.md).

:mod:`alaska.config.access` reads them from the settings of the broker, and :mod:`alaska.broker.access` decides by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import lru_cache
from typing import Final

import re2

from alaska.errors import PatternError
from alaska.mlm.commands import MAX_STRING_OCTETS

ANONYMOUS: Final = "anonymous"
"""The user whose rules apply to connections without authentication."""
USER: Final = "%u"
"""In a pattern: the name of the user."""
MAX_OCTETS_OF_MEMORY: Final = 512 * 1024
"""The maximum memory of one compiled expression, including what it builds while it matches."""
MAX_OCTETS_OF_ONE: Final = 128 * 1024
"""The maximum memory of one pattern, so that several fit into one expression."""


class Verb(Enum):
    """What a rule allows or denies."""

    # Enum's own hash is written in Python.
    __hash__ = object.__hash__

    OPEN = "open"
    ASK = "ask"
    SEND = "send"
    OFFER = "offer"
    WRITE = "write"
    READ = "read"
    ADMIN = "admin"


class Level(IntEnum):
    """What ``admin`` allows; each level includes the lower ones."""

    VIEW = 1
    OPERATE = 2
    ALL = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: ``name`` is a pattern, or for :attr:`Verb.ADMIN` the name of a :class:`Level`.

    ``subject`` is the pattern of the subjects of ``ask``, or None for all. ``where`` is the file and line.
    """

    verb: Verb
    name: str
    subject: str | None = None
    is_denial: bool = False
    where: str = field(default="", compare=False)

    def __str__(self) -> str:
        value = self.name if self.subject is None else f"{self.name} {self.subject}"
        return f'deny = "{self.verb.value} {value}"' if self.is_denial else f'{self.verb.value} = "{value}"'

    @property
    def level(self) -> Level:
        """The level of a rule for :attr:`Verb.ADMIN`."""
        return Level[self.name.upper()]


@dataclass(frozen=True, slots=True)
class Role:
    """Rules that several users share."""

    name: str
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A user's own rules, and its roles."""

    name: str
    rules: tuple[Rule, ...] = ()
    roles: tuple[Role, ...] = ()

    def all_rules(self) -> Iterator[tuple[Rule, Role | None]]:
        """Yield all rules that apply to the user, each with the role that it comes from."""
        yield from ((rule, None) for rule in self.rules)
        yield from ((rule, role) for role in self.roles for rule in role.rules)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """All users that may do anything."""

    users: tuple[User, ...] = ()


Expression = re2._Regexp


def octets_of(pattern: str, user: str) -> bytes:
    """Return a pattern as octets, with the name of a user, quoted, in place of :data:`USER`."""
    quoted = b"".join(rb"\x%02x" % octet for octet in user.encode("utf-8", "surrogateescape"))
    return pattern.encode().replace(USER.encode(), b"(?:%b)" % quoted)


@lru_cache(maxsize=20_000)  # Most patterns are the same at the next reload, which is done in the reactor's thread.
def check_pattern(pattern: str) -> None:
    """Check a pattern with the longest possible name of a user.

    :raises PatternError: it is not a valid RE2 expression, or is too large.
    """
    octets = octets_of(pattern, "x" * MAX_STRING_OCTETS)
    for expression in (octets, b"(?:%b)" % octets):
        try:
            re2.compile(expression, _options(MAX_OCTETS_OF_ONE))
        except re2.error as error:
            reason = error.args[0] if error.args else b""
            words = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            raise PatternError(words.partition(": ")[0]) from None


def compile_any(patterns: Sequence[bytes]) -> list[Expression]:
    """Return expressions, usually one, of which one matches whatever one of the patterns matches.

    The patterns have been checked by :func:`check_pattern`.
    """
    if not patterns:
        return []
    try:
        return [re2.compile(b"|".join(b"(?:%b)" % each for each in patterns), _options(MAX_OCTETS_OF_MEMORY))]
    except re2.error:
        half = len(patterns) // 2
        if not half:
            raise
        return compile_any(patterns[:half]) + compile_any(patterns[half:])


def matches(expressions: Iterable[Expression], name: bytes) -> bool:
    """Return whether one of the expressions matches a whole name, in time linear in its length."""
    return any(each.fullmatch(name) is not None for each in expressions)


def _options(octets: int) -> re2.Options:
    options = re2.Options()
    # Names are any octets: an octet that no pattern matched, such as a line end, would escape from the denials.
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True
    options.never_capture = True
    options.log_errors = False
    options.max_mem = octets
    return options
