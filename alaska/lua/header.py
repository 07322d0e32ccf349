"""The header of a script: what its first comment lines say about how to run it.

::

    -- alaska: retries=5 backoff=2s..10m

A word that cannot be read has no effect, and is reported; the other words count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from alaska.names import printable
from alaska.system.durations import to_milliseconds
from alaska.system.retry_plan import MOST_RETRIES, NO_PLAN, Backoff, Plan, backoff_of

MOST_LINES = 20
"""The header is in the first lines, before anything that is no comment."""
MOST_OCTETS = 4096
MOST_FAULTS = 5
_SHOWN_CHARACTERS = 40
_LINE = re.compile(rb"\s*--\s*alaska:(.*)", re.DOTALL)
_BACKOFF = re.compile(r"([0-9a-z]+)\.\.([0-9a-z]+)")
_RETRIES = re.compile("[0-9]{1,4}")


class Fault(NamedTuple):
    """A word of a header that has no effect: its line, and a sentence."""

    line: int
    text: str


class Header(NamedTuple):
    """The retry plan of a script, and what of its header cannot be read."""

    plan: Plan = NO_PLAN
    faults: tuple[Fault, ...] = ()


NO_HEADER = Header()


def read_header(source: bytes) -> Header:
    """Return the header of a source."""
    start = source[:MOST_OCTETS]
    if b"alaska:" not in start:
        return NO_HEADER
    given: dict[str, int | Backoff] = {}
    faults: list[Fault] = []
    for number, line in enumerate(start.removeprefix(b"\xef\xbb\xbf").splitlines()[:MOST_LINES], 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(b"--") and not (number == 1 and stripped.startswith(b"#")):
            break
        if (found := _LINE.fullmatch(line)) is not None:
            for word in found[1].split():
                fault = _read_word(word, given)
                if fault and len(faults) < MOST_FAULTS:
                    faults.append(Fault(number, fault))
    retries, backoff = given.get("retries"), given.get("backoff")
    attempts = retries + 1 if isinstance(retries, int) else None
    return Header(Plan(attempts, backoff if isinstance(backoff, Backoff) else None), tuple(faults))


def _read_word(word: bytes, given: dict[str, int | Backoff]) -> str:
    """Add what a word says; return a sentence if that is impossible, else an empty text."""
    name, equals, value = word.decode("utf-8", "backslashreplace").partition("=")
    read = _READERS.get(name)
    if not equals:
        return f"{_shown(name)} is not NAME=VALUE"
    if read is None:
        return f"unknown name {_shown(name)}; the names are {', '.join(_READERS)}"
    if name in given:
        return f"{name} is given twice"
    try:
        given[name] = read(value)
    except ValueError as error:
        return f"{name}={_shown(value)}: {error}"
    return ""


def _read_retries(text: str) -> int:
    if _RETRIES.fullmatch(text) is None or int(text) > MOST_RETRIES:
        raise ValueError(f"it must be a number from 0 to {MOST_RETRIES}")
    return int(text)


def _read_backoff(text: str) -> Backoff:
    found = _BACKOFF.fullmatch(text)
    if found is None:
        raise ValueError("it must be two durations, such as 2s..10m")
    return backoff_of(to_milliseconds(found[1]), to_milliseconds(found[2]))


_READERS: dict[str, Callable[[str], int | Backoff]] = {"retries": _read_retries, "backoff": _read_backoff}


def _shown(text: str) -> str:
    short = printable(text[:_SHOWN_CHARACTERS])
    return short if len(text) <= _SHOWN_CHARACTERS else f"{short}…"
