"""Totals of a store's file: the last position, and the sizes of queues and streams.

They are computed by SQLite. If the file is damaged, all rows are read one by one instead, in the order of their keys,
and unreadable pages are skipped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from alaska.message import MOST_POSITION, PartName, QueueSize, StreamSize
from alaska.store import rows
from alaska.store.damage import first_readable, is_damage
from alaska.store.database import converting_errors
from alaska.store.reader import Reader, whole_number

NAME_OCTETS = 255
POSITION_MARGIN = 10**6
"""The positions to skip after the highest one of a damaged file: unreadable rows may have used them."""
_POSITION_BITS = 64
_Key = tuple[bytes, int]
_NONE: _Key = (b"", -1)


class Totals:
    """Computes totals over the connection of a reader. All methods raise :exc:`StoreError`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._what = f"the store {reader.path} cannot be read"

    def last_position(self) -> int:
        """Return the highest position of a message, dead letter or id, or 0; if the file is damaged, a higher one."""
        with converting_errors(self._what):
            try:
                return max(map(self._highest, ("message", "letter", "once")))
            except sqlite3.DatabaseError as error:
                self._note(error, "the table of messages or letters")
        positions = [position for (_, position), _ in self._scan_rows(_MESSAGES)]
        return max([*positions, *self._letters(), 0]) + POSITION_MARGIN

    def queues(self) -> list[QueueSize]:
        """Return the sizes of all parts of queues."""
        with converting_errors(self._what):
            try:
                query = "SELECT kind, address, count(*), sum(octets) FROM message GROUP BY kind, address"
                found = self._reader.connection.execute(query).fetchall()
            except sqlite3.DatabaseError as error:
                self._note(error, "the table of messages")
                found = [(name[0], name[1:], *size[1:3]) for name, size in self._sizes(_MESSAGES).items()]
        sizes: dict[PartName, QueueSize] = {}
        for kind, address, count, octets in found:
            if kind in rows.PARTS and isinstance(address, bytes):
                part = rows.part_with(kind, address)
                # If keys are damaged, a queue may occur in several rows.
                _, messages, total = sizes.get(part, (part, 0, 0))
                sizes[part] = QueueSize(part, messages + count, total + whole_number(octets))
        return list(sizes.values())

    def streams(self) -> list[StreamSize]:
        """Return the sizes of all streams."""
        with converting_errors(self._what):
            try:
                query = (
                    "SELECT name, min(position), last, ifnull(sum(octets), 0) FROM stream "
                    "LEFT JOIN record ON stream = name GROUP BY name"
                )
                found = self._reader.connection.execute(query).fetchall()
            except sqlite3.DatabaseError as error:
                self._note(error, "the table of streams")
                found = self._streams_one_by_one()
        return [
            StreamSize(name, whole_number(first) or whole_number(last) + 1, whole_number(last), whole_number(octets))
            for name, first, last, octets in found
            if isinstance(name, bytes)
        ]

    def entries(self, kind: str) -> dict[bytes, bytes]:
        """Return the entries of a kind, as far as they can be read."""
        found: dict[bytes, bytes] = {}
        with converting_errors(self._what):
            try:
                rows = self._reader.connection.execute("SELECT name, value FROM entry WHERE kind = ?", (kind,))
                found.update((name, value) for name, value in rows if type(name) is type(value) is bytes)
            except sqlite3.DatabaseError as error:
                self._note(error, "the table of entries")
        return found

    def _streams_one_by_one(self) -> list[tuple[bytes, int, int, int]]:
        lasts: dict[bytes, int] = {}
        try:
            for name, last in self._reader.connection.execute("SELECT name, last FROM stream"):
                if isinstance(name, bytes):
                    lasts[name] = whole_number(last)
        except sqlite3.DatabaseError as error:
            self._note(error, "the table of streams")
        sizes = self._sizes(_RECORDS)
        found = []
        for name in {**lasts, **sizes}:
            first, _, octets, last = sizes.get(name, (0, 0, 0, 0))
            found.append(
                (name, first, max(lasts.get(name, 0), last if name in lasts else last + POSITION_MARGIN), octets)
            )
        return found

    def _highest(self, table: str) -> int:
        query = f"SELECT max(position) FROM {table} WHERE position <= ?"
        ((last,),) = self._reader.connection.execute(query, (MOST_POSITION,)).fetchall()
        return whole_number(last)

    def _letters(self) -> list[int]:
        """Return positions of dead letters, including the highest one if it can be read."""
        found: list[int] = []
        for order in ("ASC", "DESC"):
            try:
                query = f"SELECT position FROM letter ORDER BY position {order}"
                found += (whole_number(position) for (position,) in self._reader.connection.execute(query))
            except sqlite3.DatabaseError as error:
                self._note(error, "the table of letters")
        return found

    # Damaged files

    def _sizes(self, table: _Table) -> dict[bytes, tuple[int, int, int, int]]:
        """Return the first position, number of rows, total size and last position of each queue or stream."""
        sizes: dict[bytes, tuple[int, int, int, int]] = {}
        for (name, position), octets in self._scan_rows(table):
            first, count, total, _ = sizes.get(name, (position, 0, 0, 0))
            sizes[name] = first, count + 1, total + octets, position
        return sizes

    def _scan_rows(self, table: _Table) -> Iterator[tuple[_Key, int]]:
        """Iterate over the keys and sizes of the readable rows, in order."""
        key: _Key | None = _NONE
        while key is not None:
            last = key
            try:
                with closing(self._reader.connection.execute(table.rows, table.values(key))) as cursor:
                    for row in cursor:
                        # If keys are damaged, rows are out of order: count each one, and continue after the last one.
                        last = table.key(row)
                        if last > _NONE:
                            yield last, whole_number(row[-1])
                return
            except sqlite3.DatabaseError as error:
                self._note(error, f"a page of table {table.name}", (table.name, *key))
            key = max(key, last)
            # SQLite may not have returned the row right before the damage.
            row = self._first_after(table, key)
            if row is not None and table.key(row) > key:
                key = table.key(row)
                yield key, whole_number(row[-1])
            else:
                key = self._next_readable(table, key)

    def _first_after(self, table: _Table, key: _Key) -> tuple[Any, ...] | None:
        """Return the first row after a key; an empty tuple if there is none, None if it cannot be read."""
        try:
            found = self._reader.connection.execute(f"{table.rows} LIMIT 1", table.values(key)).fetchall()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return None
        return found[0] if found else ()

    def _next_readable(self, table: _Table, key: _Key) -> _Key | None:
        """Return the key after which rows can be read again, given one after which they cannot; None for none."""

        def can_read(number: int) -> bool:
            start = _key_of(number)
            row = self._first_after(table, start) if start > key else None
            return row is not None and (not row or table.key(row) > start)

        number = first_readable(can_read, _number_of(key), _number_of((b"\xff" * NAME_OCTETS, MOST_POSITION)))
        return None if number is None else _key_of(number)

    def _note(self, error: sqlite3.Error, what: str, place: object = None) -> None:
        if not is_damage(error):
            raise error
        self._reader.damage.note(what, error, place or what)


class _Table(NamedTuple):
    """A table whose key consists of the name of a queue or stream and a position."""

    name: str
    rows: str
    """The query for the keys and sizes of the rows after a key, in order."""
    values: Callable[[_Key], tuple[Any, ...]]
    """Returns the query's parameters for a key."""
    key: Callable[[tuple[Any, ...]], _Key]
    """Returns the key of a row; the lowest key for a damaged or empty row."""


def _message_key(row: tuple[Any, ...]) -> _Key:
    if not row or row[0] not in rows.PARTS or not isinstance(row[1], bytes):
        return _NONE
    return bytes([row[0]]) + row[1], whole_number(row[2])


def _record_key(row: tuple[Any, ...]) -> _Key:
    return (row[0], whole_number(row[1])) if row and isinstance(row[0], bytes) else _NONE


_MESSAGES = _Table(
    "message",
    "SELECT kind, address, position, octets FROM message WHERE (kind, address, position) > (?, ?, ?) "
    "ORDER BY kind, address, position",
    lambda key: (key[0][0] if key[0] else -1, key[0][1:], key[1]),
    _message_key,
)
_RECORDS = _Table(
    "record",
    "SELECT stream, position, octets FROM record WHERE (stream, position) > (?, ?) ORDER BY stream, position",
    lambda key: key,
    _record_key,
)


def _number_of(key: _Key) -> int:
    """Return a number for a key; numbers have the order of the keys."""
    name, position = key
    return int.from_bytes(name.ljust(1 + NAME_OCTETS, b"\0"), "big") << _POSITION_BITS | max(0, position)


def _key_of(number: int) -> _Key:
    """Return the lowest key with a number, or a lower key."""
    name = (number >> _POSITION_BITS).to_bytes(1 + NAME_OCTETS, "big").rstrip(b"\0")
    return name, min(number & (1 << _POSITION_BITS) - 1, MOST_POSITION)
