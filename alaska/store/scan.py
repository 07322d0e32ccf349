"""How messages, letters and records are read by their positions: the SQL, and what becomes of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from alaska.message import DeadLetter, Message, Record, RecordSize
from alaska.store import rows
from alaska.store.pieces import LARGE_OCTETS

_T = TypeVar("_T")


@dataclass(frozen=True)
class Scan(Generic[_T]):
    """A table that is read in the order of positions: of the rows for which a condition holds, whose values are given.

    ``large`` is the column that may be large; ``decode`` makes what a row is out of all its columns, or raises
    :exc:`DamagedRow`.
    """

    table: str
    columns: str
    condition: str
    large: str
    decode: Callable[[Sequence[Any]], _T]

    @cached_property
    def position_at(self) -> int:
        """Which column is the position."""
        return self.columns.split(", ").index("position")

    @cached_property
    def large_at(self) -> int:
        """Which column may be large; where it is, or its content is in pieces, :attr:`page` has a number instead."""
        return self.columns.split(", ").index(self.large)

    @cached_property
    def page(self) -> str:
        """The statement that reads rows behind a position, at most so many."""
        octets = "max(octets, length({0}))" if "octets" in self.columns else "length({0})"
        return f"SELECT {self._columns_with(octets)} FROM {self.table} {self._behind} LIMIT ?"

    @cached_property
    def small(self) -> str:
        """The statement that reads the row at a position, without content that is in pieces."""
        return f"SELECT {self._columns_with('length({0})')} FROM {self.table} WHERE {self.condition} AND position = ?"

    @cached_property
    def next(self) -> str:
        """The statement that reads the first position behind another, and nothing that may be large."""
        return f"SELECT position FROM {self.table} {self._behind} LIMIT 1"

    @cached_property
    def last(self) -> str:
        """The statement that reads the last position."""
        return f"SELECT position FROM {self.table} WHERE {self.condition} ORDER BY position DESC LIMIT 1"

    @cached_property
    def sizes(self) -> str:
        """The statement that reads positions and octets behind a position."""
        return f"SELECT position, octets FROM {self.table} {self._behind}"

    @cached_property
    def one(self) -> str:
        """The statement that reads the row at a position, whatever its size."""
        return f"SELECT {self.columns} FROM {self.table} WHERE {self.condition} AND position = ?"

    def _columns_with(self, octets: str) -> str:
        """Return the columns, in place of the large one how many octets there are, where these are many."""
        octets = octets.format(self.large)
        small = f"CASE WHEN {octets} > {LARGE_OCTETS} THEN {octets} ELSE {self.large} END"
        return ", ".join(small if each == self.large else each for each in self.columns.split(", "))

    @property
    def _behind(self) -> str:
        return f"WHERE {self.condition} AND position > ? ORDER BY position"


MESSAGES: Scan[Message] = Scan("message", rows.MESSAGE_COLUMNS, "kind = ? AND address = ?", "data", rows.to_message)
LETTERS: Scan[DeadLetter] = Scan("letter", rows.LETTER_COLUMNS, "1", "content", rows.to_letter)
RECORDS: Scan[Record] = Scan("record", rows.RECORD_COLUMNS, "stream = ?", "content", rows.to_record)
RECORD_SIZES: Scan[RecordSize] = Scan(
    "record", "position, time, octets, NULL", "stream = ?", "NULL", rows.to_record_size
)
