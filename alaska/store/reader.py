"""The connection that reads the store's file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alaska.message import DeadLetter, Message, QueueName, QueueSize, Record, StreamSize
from alaska.store import rows
from alaska.store.database import File, explained


class Reader:
    """The connection that reads; it sees what is committed. All methods raise :exc:`StoreError`."""

    def __init__(self, file: File) -> None:
        self._what = f"the store {file.path} cannot be read"
        with explained(self._what):
            self._connection = file.connect()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _rows(self, query: str, *values: float | bytes) -> list[tuple[Any, ...]]:
        with explained(self._what):
            return self._connection.execute(query, values).fetchall()

    def _messages(self, found: list[tuple[Any, ...]]) -> list[Message]:
        with explained(self._what):
            return list(map(rows.to_message, found))

    def last_position(self) -> int:
        """Return the highest position of a message or dead letter, or 0."""
        ((last,),) = self._rows(
            "SELECT max((SELECT ifnull(max(position), 0) FROM message), (SELECT ifnull(max(position), 0) FROM letter))"
        )
        return int(last)

    def waiting(self, queue: QueueName, after: int, limit: int) -> list[Message]:
        """Return messages of a queue behind a position, in order."""
        found = self._rows(
            f"SELECT {rows.MESSAGE_COLUMNS} FROM message WHERE kind = ? AND address = ? AND position > ? "
            "ORDER BY position LIMIT ?",
            rows.NUMBERS[queue.kind], queue.address, after, limit,
        )  # fmt: skip
        return self._messages(found)

    def overdue(self, now: float, after: tuple[float, int], limit: int) -> list[Message]:
        """Return messages that expire not after now, in order of that time and position, behind such a pair."""
        found = self._rows(
            f"SELECT {rows.MESSAGE_COLUMNS} FROM message WHERE expires <= ? AND (expires, position) > (?, ?) "
            "ORDER BY expires, position LIMIT ?",
            now, *after, limit,
        )  # fmt: skip
        return self._messages(found)

    def first_expiry(self) -> float | None:
        """Return when the first message expires, if one does."""
        first: float | None
        ((first,),) = self._rows("SELECT min(expires) FROM message WHERE expires IS NOT NULL")
        return first

    def queues(self) -> list[QueueSize]:
        """Return the sizes of all queues."""
        found = self._rows("SELECT kind, address, count(*), sum(octets) FROM message GROUP BY kind, address")
        return [QueueSize(QueueName(rows.KINDS[kind], address), *sizes) for kind, address, *sizes in found]

    def letters(self, after: int, limit: int) -> list[DeadLetter]:
        """Return dead letters behind a position, in order."""
        found = self._rows(
            f"SELECT {rows.LETTER_COLUMNS} FROM letter WHERE position > ? ORDER BY position LIMIT ?", after, limit
        )
        return list(map(rows.to_letter, found))

    def letter(self, position: int) -> DeadLetter | None:
        """Return the dead letter with this position, if there is one."""
        found = self._rows(f"SELECT {rows.LETTER_COLUMNS} FROM letter WHERE position = ?", position)
        return rows.to_letter(found[0]) if found else None

    def has_letter(self, position: int) -> bool:
        """Return whether there is a dead letter with this position."""
        return bool(self._rows("SELECT 1 FROM letter WHERE position = ?", position))

    def records(self, stream: bytes, after: int, limit: int) -> list[Record]:
        """Return records of a stream behind a position, in order."""
        found = self._rows(
            f"SELECT {rows.RECORD_COLUMNS} FROM record WHERE stream = ? AND position > ? ORDER BY position LIMIT ?",
            stream, after, limit,
        )  # fmt: skip
        return list(map(rows.to_record, found))

    def octets_of_records(self, stream: bytes, after: int, upto: int) -> tuple[int, int]:
        """Return the octets of the records of a stream behind a position, up to another; and the last one's position.

        Where there are none, the latter is the position behind which they would be.
        """
        ((octets, last),) = self._rows(
            "SELECT ifnull(sum(octets), 0), max(position) FROM record WHERE stream = ? AND position BETWEEN ? AND ?",
            stream, after + 1, upto,
        )  # fmt: skip
        return octets, after if last is None else last

    def streams(self) -> list[StreamSize]:
        """Return the sizes of all streams."""
        found: Iterable[tuple[bytes, int | None, int, int]] = self._rows(
            "SELECT name, min(position), last, ifnull(sum(octets), 0) FROM stream "
            "LEFT JOIN record ON stream = name GROUP BY name"
        )
        return [StreamSize(name, first or last + 1, last, octets) for name, first, last, octets in found]
