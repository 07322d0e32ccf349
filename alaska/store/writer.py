"""The connection that writes the store's file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from alaska.message import QueueName
from alaska.store import rows
from alaska.store.changes import Changes
from alaska.store.database import File

ROWS_AT_ONCE = (512, 64, 8, 1)
"""How many rows one statement writes; each number of them is a statement that SQLite has to know."""


class Writer:
    """The connection that writes, used in one thread alone."""

    def __init__(self, file: File) -> None:
        self._connection = file.connect()

    def write(self, changes: Changes) -> None:
        """Write a group of changes; all of it, or nothing when an error is raised.

        :raises sqlite3.Error: it cannot be written now.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._write_messages(changes)
            self._write_letters(changes)
            self._write_records(changes)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the connection; what is in the write-ahead log goes into the file."""
        self._connection.close()

    def _write_messages(self, changes: Changes) -> None:
        gone: dict[QueueName, list[int]] = {}
        for position, queue in changes.gone.items():
            gone.setdefault(queue, []).append(position)
        for queue, positions in gone.items():
            self._connection.execute(
                "DELETE FROM message WHERE kind = ? AND address = ? AND position IN (SELECT value FROM json_each(?))",
                (rows.NUMBERS[queue.kind], queue.address, json.dumps(positions)),
            )
        attempts: dict[tuple[QueueName, int], list[int]] = {}
        for position, message in changes.attempts.items():
            attempts.setdefault((message.queue, message.attempts), []).append(position)
        for (queue, count), positions in attempts.items():
            self._connection.execute(
                "UPDATE message SET attempts = ? WHERE kind = ? AND address = ? "
                "AND position IN (SELECT value FROM json_each(?))",
                (count, rows.NUMBERS[queue.kind], queue.address, json.dumps(positions)),
            )
        for queue_messages in changes.kept.values():
            self._insert("message", rows.MESSAGE_COLUMNS, [rows.of_message(each) for each in queue_messages.values()])

    def _write_letters(self, changes: Changes) -> None:
        gone = [position for position, letter in changes.letters.items() if letter is None]
        if gone:
            self._connection.execute(
                "DELETE FROM letter WHERE position IN (SELECT value FROM json_each(?))", (json.dumps(gone),)
            )
        letters = [rows.of_letter(letter) for letter in changes.letters.values() if letter is not None]
        self._insert("letter", rows.LETTER_COLUMNS, letters)

    def _write_records(self, changes: Changes) -> None:
        for stream, upto in changes.trimmed.items():
            self._connection.execute("DELETE FROM record WHERE stream = ? AND position <= ?", (stream, upto))
        for records in changes.records.values():
            self._insert("record", rows.RECORD_COLUMNS, [rows.of_record(record) for record in records.values()])
        for stream, last in changes.lasts.items():
            self._connection.execute(
                "INSERT INTO stream (name, last) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)",
                (stream, last),
            )

    def _insert(self, table: str, columns: str, values: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, many with each statement: at every statement the other threads may take their turn."""
        done = 0
        for count in ROWS_AT_ONCE:
            while len(values) - done >= count:
                some = [value for row in values[done : done + count] for value in row]
                self._connection.execute(_insertion(table, columns, count), some)
                done += count


@cache
def _insertion(table: str, columns: str, count: int) -> str:
    places = f"({', '.join('?' * (columns.count(',') + 1))})"
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES {', '.join([places] * count)}"  # our own
