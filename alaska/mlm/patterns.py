"""Patterns of streams and services: CZMQ's zrex expressions, matched in linear time (docs/patterns.md).

Patterns are untrusted input, so none may take long to match. This module parses the zrex syntax octet by octet and
translates it to RE2, whose matching time is linear in the subject and whose memory is limited. RE2's own syntax is
never passed through: every octet of the result is generated from a parsed token.

The semantics are those of a full backtracking matcher, which CZMQ's own is not. Where CZMQ leaves the meaning open,
these rules apply:

- unclosed groups and classes, an unmatched ``)``, a backslash at the end and a reversed range are errors;
- so are a quantifier with nothing before it (``*``, ``(+a)``, ``a|?``, ``^*``) and a second quantifier (``a**``,
  ``a*+``): their meaning differs between dialects, and CZMQ hangs on most of them;
- ``?`` after a quantifier makes it non-greedy, which does not affect whether a subject matches: ``a??`` is the same as
  ``a?``;
- ``^`` and ``$`` are anchors at any place, within their branch.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import re2

from alaska.errors import PatternError
from alaska.mlm.commands import MAX_STRING_OCTETS

# The memory limit of a compiled pattern, including the automaton that RE2 builds while matching; when it is used up,
# RE2 falls back to a slower algorithm, linear too. The largest program of 255 octets needs less than 5 % of it.
MAX_OCTETS_OF_MEMORY: Final = 256 * 1024
MAX_CACHED_PATTERNS: Final = 256
_MOST_SHOWN = 40

Octets = frozenset[int]

_ANY: Final[Octets] = frozenset(range(256))
_DIGITS: Final[Octets] = frozenset(b"0123456789")
_LETTERS: Final[Octets] = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_WHITE_SPACE: Final[Octets] = frozenset(b" \t\n\v\f\r")
_HEX_DIGITS: Final[Octets] = _DIGITS | frozenset(b"ABCDEFabcdef")

# The meaning of an octet after a backslash; all others stand for themselves.
_ESCAPES: Final[dict[int, Octets]] = {
    ord("s"): _WHITE_SPACE,
    ord("S"): _ANY - _WHITE_SPACE,
    ord("d"): _DIGITS,
    ord("D"): _ANY - _DIGITS,
    ord("a"): _LETTERS,
    ord("A"): _ANY - _LETTERS,
    ord("w"): _LETTERS | _DIGITS,
    ord("W"): _ANY - _LETTERS - _DIGITS,
    ord("r"): frozenset(b"\r"),
    ord("n"): frozenset(b"\n"),
    ord("t"): frozenset(b"\t"),
    ord("0"): frozenset(b"\0"),
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern, made by :func:`compile_pattern`; two are equal if their sources are."""

    source: bytes
    _expression: re2._Regexp = field(compare=False, repr=False)

    def matches(self, subject: bytes) -> bool:
        """Return whether the pattern matches anywhere in the subject, in time linear in the subject's length."""
        return self._expression.search(subject) is not None


@lru_cache(maxsize=MAX_CACHED_PATTERNS)
def compile_pattern(pattern: bytes) -> Pattern:
    """Compile a pattern as docs/patterns.md describes; compiled patterns are cached.

    :param pattern: at most 255 octets, as on the wire.
    :raises PatternError: the pattern is too long or not valid; the text states the fault and its octet, counted from 1.
    """
    if len(pattern) > MAX_STRING_OCTETS:
        raise PatternError(f"a pattern has at most {MAX_STRING_OCTETS} octets, found {len(pattern)}")
    try:
        return Pattern(pattern, re2.compile(_Translation(pattern).result(), _options()))
    except re2.error:
        raise PatternError(f"the pattern {_shown(pattern)} is too large") from None


def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = MAX_OCTETS_OF_MEMORY
    options.log_errors = False
    options.never_capture = True
    return options


def _shown(pattern: bytes) -> str:
    text = pattern.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")


class _Before(enum.Enum):
    """The token before a quantifier."""

    NOTHING = "nothing before it to repeat"
    ATOM = "an atom"
    QUANTIFIER = "another quantifier before it"


class _Translation:
    """Translates one pattern from zrex's syntax to RE2's."""

    def __init__(self, pattern: bytes) -> None:
        self._pattern = pattern
        self._at = 0
        self._before = _Before.NOTHING
        self._groups: list[int] = []
        self._written: list[bytes] = []
        self._tokens: dict[int, Callable[[int], None]] = {
            ord("^"): lambda _: self._write(rb"\A", _Before.NOTHING),
            ord("$"): lambda _: self._write(rb"\z", _Before.NOTHING),
            ord("|"): lambda _: self._write(b"|", _Before.NOTHING),
            ord("."): lambda _: self._write_set(_ANY),
            ord("("): self._open_group,
            ord(")"): self._close_group,
            ord("["): self._class,
            ord("\\"): lambda start: self._write_set(self._escaped(start)),
            ord("*"): self._quantifier,
            ord("+"): self._quantifier,
            ord("?"): self._quantifier,
        }

    def result(self) -> bytes:
        """Return the expression in RE2's syntax, in printable ASCII."""
        while self._at < len(self._pattern):
            start = self._at
            octet = self._next()
            token = self._tokens.get(octet)
            if token is None:
                self._write_set(frozenset((octet,)))
            else:
                token(start)
        if self._groups:
            raise self._error(self._groups[-1], "is never closed")
        return b"".join(self._written)

    def _next(self) -> int:
        octet = self._pattern[self._at]
        self._at += 1
        return octet

    def _take(self, octets: bytes) -> bool:
        """Skip these octets if they come next; return whether they did."""
        comes = self._pattern.startswith(octets, self._at)
        if comes:
            self._at += len(octets)
        return comes

    def _error(self, at: int, what: str) -> PatternError:
        octet = self._pattern[at : at + 1].decode("ascii")
        return PatternError(f"in the pattern {_shown(self._pattern)} the {octet} at octet {at + 1} {what}")

    def _write(self, text: bytes, before: _Before) -> None:
        self._written.append(text)
        self._before = before

    def _write_set(self, octets: Octets) -> None:
        self._write(_as_class(octets), _Before.ATOM)

    def _open_group(self, start: int) -> None:
        self._groups.append(start)
        self._write(b"(?:", _Before.NOTHING)

    def _close_group(self, start: int) -> None:
        if not self._groups:
            raise self._error(start, "closes nothing")
        self._groups.pop()
        self._write(b")", _Before.ATOM)

    def _quantifier(self, start: int) -> None:
        if self._before is not _Before.ATOM:
            raise self._error(start, f"has {self._before.value}")
        self._take(b"?")
        self._write(self._pattern[start : start + 1], _Before.QUANTIFIER)

    def _escaped(self, start: int) -> Octets:
        """Return the set of octets that an escape sequence stands for."""
        if self._at == len(self._pattern):
            raise self._error(start, "has nothing after it")
        octet = self._next()
        digits = self._pattern[self._at : self._at + 2]
        if octet == ord("x") and len(digits) == 2 and _HEX_DIGITS.issuperset(digits):
            self._at += 2
            return frozenset((int(digits, 16),))
        return _ESCAPES.get(octet, frozenset((octet,)))

    def _class(self, start: int) -> None:
        negated = self._take(b"^")
        members: set[int] = set()
        while not self._take(b"]"):
            low = self._member(start)
            # A - is a member where it cannot form a range: at either end, and next to a set such as \d.
            if len(low) == 1 and self._joins():
                members |= self._range(start, low)
            else:
                members |= low
        self._write_set(_ANY - members if negated else frozenset(members))

    def _joins(self) -> bool:
        following = self._pattern[self._at : self._at + 2]
        return len(following) == 2 and following.startswith(b"-") and not following.endswith(b"]")

    def _range(self, start: int, low: Octets) -> Octets:
        dash = self._at
        self._at += 1
        high = self._member(start)
        if len(high) > 1:
            return low | high | {ord("-")}
        if min(high) < min(low):
            raise self._error(dash, "joins a reversed range")
        return frozenset(range(min(low), min(high) + 1))

    def _member(self, start: int) -> Octets:
        if self._at == len(self._pattern):
            raise self._error(start, "is never closed")
        at = self._at
        octet = self._next()
        return self._escaped(at) if octet == ord("\\") else frozenset((octet,))


@lru_cache(maxsize=512)
def _as_class(octets: Octets) -> bytes:
    """Return a set of octets as a character class in RE2's syntax."""
    if not octets:
        return rb"[^\x00-\xff]"
    starts = (octet for octet in sorted(octets) if octet - 1 not in octets)
    ends = (octet for octet in sorted(octets) if octet + 1 not in octets)
    ranges = (rb"\x%02x-\x%02x" % ends_of_range for ends_of_range in zip(starts, ends, strict=True))
    return b"[%b]" % b"".join(ranges)
