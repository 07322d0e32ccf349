"""The queries that read messages, dead letters and records in the order of their positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from alaska.message import DeadLetter, Message, Record, RecordSize
from alaska.store import rows
from alaska.store.chunks import LARGE_OCTETS

_T = TypeVar("_T")


@dataclass(frozen=True)
class Scan(Generic[_T]):
    """The queries for the rows of a table that match a condition, in the order of positions.

    ``large`` is the column that may be large. ``decode`` converts a row with all columns, or raises :exc:`DamagedRow`.
    """

    table: str
    columns: str
    condition: str
    large: str
    decode: Callable[[Sequence[Any]], _T]
    size_at: int | None = None
    """The index of the column with the size of a row, if SQLite reads all of the row but does not return it."""

    @cached_property
    def position_at(self) -> int:
        """The index of the column ``position``."""
        return self.columns.split(", ").index("position")

    @cached_property
    def large_at(self) -> int:
        """The index of the column that may be large; if it is, :attr:`page` returns its length instead."""
        return self.columns.split(", ").index(self.large)

    @cached_property
    def page(self) -> str:
        """The query for a limited number of rows after a position."""
        octets = "max(octets, length({0}))" if "octets" in self.columns else "length({0})"
        return f"SELECT {self._columns_with(octets)} FROM {self.table} {self._after} LIMIT ?"

    @cached_property
    def small(self) -> str:
        """The query for the row at a position, without content that is in chunks."""
        return f"SELECT {self.small_columns} FROM {self.table} WHERE {self.condition} AND position = ?"

    @cached_property
    def small_columns(self) -> str:
        """The columns of a row without content that is in chunks."""
        return self._columns_with("length({0})")

    @cached_property
    def next(self) -> str:
        """The query for the first position after another; it reads no large columns."""
        return f"SELECT position FROM {self.table} {self._after} LIMIT 1"

    @cached_property
    def last(self) -> str:
        """The query for the last position."""
        return f"SELECT position FROM {self.table} WHERE {self.condition} ORDER BY position DESC LIMIT 1"

    @cached_property
    def sizes(self) -> str:
        """The query for positions and sizes after a position."""
        return f"SELECT position, octets FROM {self.table} {self._after}"

    @cached_property
    def one(self) -> str:
        """The query for the whole row at a position, whatever its size."""
        return f"SELECT {self.columns} FROM {self.table} WHERE {self.condition} AND position = ?"

    def _columns_with(self, octets: str) -> str:
        """Return the columns; the large one is replaced by its length if that exceeds :data:`LARGE_OCTETS`."""
        octets = octets.format(self.large)
        small = f"CASE WHEN {octets} > {LARGE_OCTETS} THEN {octets} ELSE {self.large} END"
        return ", ".join(small if each == self.large else each for each in self.columns.split(", "))

    @property
    def _after(self) -> str:
        return f"WHERE {self.condition} AND position > ? ORDER BY position"


MESSAGES: Scan[Message] = Scan("message", rows.MESSAGE_COLUMNS, "kind = ? AND address = ?", "data", rows.to_message)
LETTERS: Scan[DeadLetter] = Scan("letter", rows.LETTER_COLUMNS, "1", "content", rows.to_letter)
RECORDS: Scan[Record] = Scan("record", rows.RECORD_COLUMNS, "stream = ?", "content", rows.to_record)
RECORD_SIZES: Scan[RecordSize] = Scan(
    "record", "position, time, octets, NULL", "stream = ?", "NULL", rows.to_record_size, size_at=2
)
