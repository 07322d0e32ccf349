"""What is found damaged in a store's file: counted, told, and gone around.

A page of the file that is damaged costs the rows in it. SQLite stops at such a page, so what lies behind it has to be
looked for: a key from which on rows can be read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable
from pathlib import Path

from twisted.logger import Logger

from alaska.system.events import is_worth_a_line

MOST_KNOWN = 10_000
"""Of so many places is remembered that they were told of; further ones are not counted."""


class Damage:
    """All that was found damaged in one file since it was opened."""

    _log = Logger()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: set[Hashable] = set()

    @property
    def count(self) -> int:
        """How many rows, or pages full of them, cannot be read."""
        return len(self._known)

    def note(self, what: str, why: object, place: Hashable) -> None:
        """Count a place once, however often it is found, and log the 1st, 10th, 100th."""
        if place in self._known or len(self._known) >= MOST_KNOWN:
            return
        self._known.add(place)
        if is_worth_a_line(len(self._known)):
            self._log.error(
                "{what} in the store {path} is damaged ({why}); it is left as it is, and the rest goes on "
                "({count} of the kind so far)",
                what=what, path=self._path, why=str(why), count=len(self._known),
            )  # fmt: skip


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether SQLite complains of what is in the file, not of the system or of what else uses it."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def next_whole(can_read: Callable[[int], bool], start: int, end: int) -> int | None:
    """Return the lowest number above a start, up to an end, behind which rows can be read again; None if there is none.

    ``can_read`` says so of a number: of all behind the damage it is true.
    """
    step = 1
    while not can_read(min(start + step, end)):
        if start + step >= end:
            return None
        step *= 2
    low, high = start + step // 2, min(start + step, end)
    while high - low > 1:
        middle = (low + high) // 2
        if can_read(middle):
            high = middle
        else:
            low = middle
    return high
