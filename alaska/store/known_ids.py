"""The ids in a store's file: those of messages that are sent once (schema/9.sql)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from alaska.message import MOST_POSITION, KnownId, QueueName
from alaska.store import rows
from alaska.store.damage import is_damage
from alaska.store.database import converting_errors
from alaska.store.reader import Reader, whole_number

COLUMNS = "kind, address, id, position, ends, status, reason"
MOST_STATUS = 2**16 - 1
IdKey = tuple[QueueName, bytes]


class KnownIds:
    """Reads ids over the connection of a reader. All methods raise :exc:`StoreError`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._what = f"the store {reader.path} cannot be read"

    def find(self, queue: QueueName, name: bytes) -> KnownId | None:
        """Return what is known of an id of a queue; None if it is unknown, or its row is damaged."""
        key = rows.NUMBERS[queue.kind], queue.address, name
        found = self._rows(f"SELECT {COLUMNS} FROM once WHERE kind = ? AND address = ? AND id = ?", key)
        known = [each for each in map(to_known_id, found) if each is not None]
        if found and not known:
            self._reader.damage.note("a row of table once", "a column has another type", ("once", *key))
        return known[0] if known else None

    def ended(self, now: float, limit: int) -> list[IdKey]:
        """Return ids whose windows have ended by ``now``, those that ended first first."""
        query = "SELECT kind, address, id FROM once WHERE ends <= ? ORDER BY ends LIMIT ?"
        found = self._rows(query, (now, limit))
        return [(QueueName(rows.KINDS[kind], address), name) for kind, address, name in found if _is_key(kind, address)]

    def first_end(self) -> float | None:
        """Return when the first window ends; None if there is none."""
        ((first,),) = self._rows("SELECT min(ends) FROM once WHERE ends IS NOT NULL", ()) or [(None,)]
        return first if isinstance(first, float) else None

    def counts(self) -> dict[QueueName, int]:
        """Return the number of ids of each queue."""
        found = self._rows("SELECT kind, address, count(*) FROM once GROUP BY kind, address", ())
        return {
            QueueName(rows.KINDS[kind], address): whole_number(count)
            for kind, address, count in found
            if _is_key(kind, address)
        }

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none if the table is damaged there."""
        with converting_errors(self._what):
            try:
                return self._reader.connection.execute(query, values).fetchall()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._reader.damage.note("the table of ids", error, "once")
                return []


def _is_key(kind: object, address: object) -> bool:
    return kind in rows.NUMBERS.values() and isinstance(address, bytes)


def to_known_id(row: tuple[Any, ...]) -> KnownId | None:
    """Return what a row says; None if it is damaged."""
    kind, address, name, position, ends, status, reason = row
    is_valid = (
        _is_key(kind, address)
        and (type(name), type(position), type(status), type(reason)) == (bytes, int, int, bytes)
        and isinstance(ends, float | None)
        and 0 < position <= MOST_POSITION
        and 0 <= status <= MOST_STATUS
    )
    return KnownId(QueueName(rows.KINDS[kind], address), name, position, ends, status, reason) if is_valid else None


def of_known_ids(known: Iterable[KnownId]) -> list[Any]:
    """Return the values of rows in one list."""
    return [
        value
        for each in known
        for value in (
            rows.NUMBERS[each.queue.kind],
            each.queue.address,
            each.id,
            each.position,
            each.ends,
            each.status,
            each.reason,
        )
    ]
