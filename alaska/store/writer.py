"""The connection that writes the store's file."""

from __future__ import annotations

import json
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from alaska.message import QueueName
from alaska.store import rows
from alaska.store.changes import Changes
from alaska.store.database import File

ROWS_AT_ONCE = tuple(2**power for power in range(9, -1, -1))
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
        for queue, entries in groupby(changes.gone.items(), itemgetter(1)):
            gone.setdefault(queue, []).extend(map(itemgetter(0), entries))
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
        for queue, messages in changes.kept.items():
            same = (rows.NUMBERS[queue.kind], queue.address)
            self._insert("message", rows.MESSAGE_COLUMNS, same, rows.of_messages(messages.values()))

    def _write_letters(self, changes: Changes) -> None:
        gone = [position for position, letter in changes.letters.items() if letter is None]
        if gone:
            self._connection.execute(
                "DELETE FROM letter WHERE position IN (SELECT value FROM json_each(?))", (json.dumps(gone),)
            )
        letters = [letter for letter in changes.letters.values() if letter is not None]
        self._insert("letter", rows.LETTER_COLUMNS, (), [value for each in letters for value in rows.of_letter(each)])

    def _write_records(self, changes: Changes) -> None:
        for stream, upto in changes.trimmed.items():
            self._connection.execute("DELETE FROM record WHERE stream = ? AND position <= ?", (stream, upto))
        for stream, records in changes.records.items():
            values = [value for record in records.values() for value in rows.of_record(record)]
            self._insert("record", rows.RECORD_COLUMNS, (stream,), values)
        for stream, last in changes.lasts.items():
            self._connection.execute(
                "INSERT INTO stream (name, last) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)",
                (stream, last),
            )

    def _insert(self, table: str, columns: str, same: tuple[Any, ...], values: list[Any]) -> None:
        """Insert rows that begin with the same values, given the others of one row after the other.

        Each statement writes many: at every statement the other threads may take their turn.
        """
        width = columns.count(",") + 1 - len(same)
        start, end = 0, len(values)
        for count in ROWS_AT_ONCE:
            while end - start >= count * width:
                some = values[start : start + count * width]
                self._connection.execute(_insertion(table, columns, len(same), count), (*same, *some))
                start += count * width


@cache
def _insertion(table: str, columns: str, same: int, count: int) -> str:
    """Return the statement that inserts so many rows, of which the first values, so many, are the same."""
    width = columns.count(",") + 1
    places = ", ".join([f"?{number}" for number in range(1, same + 1)] + ["?"] * (width - same))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES {', '.join([f'({places})'] * count)}"  # our own
