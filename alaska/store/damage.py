"""Damage in a store's file: count and log it, and find the next readable row.

The rows in a damaged page of the file are lost. SQLite stops reading at such a page, so the reader has to search for a
key after which rows can be read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable
from pathlib import Path

from twisted.logger import Logger

from alaska.system.events import should_log

MAX_KNOWN = 10_000
"""The maximum number of damaged places that are remembered; further ones are not counted."""


class Damage:
    """The damage that was found in a file since it was opened."""

    _log = Logger()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: set[Hashable] = set()

    @property
    def count(self) -> int:
        """The number of rows, or pages of rows, that cannot be read."""
        return len(self._places)

    def note(self, what: str, why: object, place: Hashable) -> None:
        """Count a damaged place once, however often it is found, and log the 1st, 10th, 100th and so on."""
        if place in self._places or len(self._places) >= MAX_KNOWN:
            return
        self._places.add(place)
        if should_log(len(self._places)):
            self._log.error(
                "{what} in the store {path} is damaged ({why}); it is skipped and not modified "
                "({count} damaged places so far)",
                what=what, path=self._path, why=str(why), count=len(self._places),
            )  # fmt: skip


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error of SQLite means that the file is damaged, as opposed to errors of the system or locks."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def first_readable(can_read: Callable[[int], bool], start: int, end: int) -> int | None:
    """Return the lowest number above ``start``, up to ``end``, for which ``can_read`` is true; None if there is none.

    ``can_read`` says whether rows after a number can be read; it is true for all numbers after the damage.
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
