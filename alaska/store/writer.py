"""The connection that writes the store's file."""

from __future__ import annotations

import json
import sqlite3
from functools import cache
from itertools import groupby
from operator import itemgetter
from time import perf_counter
from typing import Any

from alaska.message import PartName, QueueName
from alaska.mlm.commands import Content
from alaska.store import rows
from alaska.store.changes import Changes, Refusal
from alaska.store.chunks import LARGE_OCTETS, to_chunks
from alaska.store.database import File
from alaska.store.known_ids import COLUMNS as ID_COLUMNS
from alaska.store.known_ids import of_known_ids
from alaska.store.measures import Times

ROWS_AT_ONCE = tuple(2**power for power in range(9, -1, -1))
"""The numbers of rows that one statement inserts; SQLite has to prepare a statement for each number."""


class Writer:
    """Writes batches of changes; it is used in one thread only."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._connection = file.connect()
        # Most files have no large content, so deletions need not look for it.
        self._has_large = bool(self._connection.execute("SELECT 1 FROM large LIMIT 1").fetchall())
        self.times = Times()
        """How the last batch was written."""

    def write(self, changes: Changes) -> list[Refusal]:
        """Write a batch of changes; return the parts that can never be written, such as rows that are too large.

        :raises sqlite3.Error: the file cannot be written now. Retry the whole batch; writing parts of it twice is
            harmless.
        """
        self.times, started = Times(changes.rows), perf_counter()
        refusals = [] if self._try([changes]) is None else self._write_parts(list(changes.parts()))
        self.times = self.times._replace(seconds=perf_counter() - started)
        return refusals

    def _write_parts(self, parts: list[Changes]) -> list[Refusal]:
        """Write changes in order; if that fails, split them in halves recursively to find those that are refused."""
        error = self._try(parts)
        if error is None:
            return []
        if len(parts) == 1:
            return [Refusal(parts[0], f"{type(error).__name__}: {error}")]
        middle = len(parts) // 2
        return [*self._write_parts(parts[:middle]), *self._write_parts(parts[middle:])]

    def _try(self, parts: list[Changes]) -> Exception | None:
        """Write changes as one transaction; if one of the rows makes it fail, return the error.

        :raises sqlite3.Error: the cause is not a row, but the disk or another user of the file.
        """
        self._file.writing()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for part in parts:
                self._write_messages(part)
                self._write_letters(part)
                self._write_records(part)
                self._write_entries(part)
                self._write_ids(part)
        except sqlite3.OperationalError:
            self._roll_back()
            raise
        except Exception as error:  # A row is too large, of a wrong type, against a constraint, or in a damaged page.
            self._roll_back()
            return error
        started = perf_counter()
        try:
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        seconds = self.times.commit_seconds + perf_counter() - started
        self.times = self.times._replace(commit_seconds=seconds)
        self._file.written(self._connection)
        return None

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _write_messages(self, changes: Changes) -> None:
        deleted: dict[PartName, list[int]] = {}
        for part, entries in groupby(changes.deleted.items(), itemgetter(1)):
            deleted.setdefault(part, []).extend(map(itemgetter(0), entries))
        for part, positions in deleted.items():
            self._connection.execute(
                "DELETE FROM message WHERE kind = ? AND address = ? AND position IN (SELECT value FROM json_each(?))",
                (*rows.key_of(part), json.dumps(positions)),
            )
            self._delete_large(*rows.key_of(part), positions)
        self._move(changes)
        attempts: dict[tuple[PartName, int], list[int]] = {}
        for position, (message, part) in changes.attempts.items():
            attempts.setdefault((part, rows.counts_of(message)), []).append(position)
        for (part, counts), positions in attempts.items():
            self._connection.execute(
                "UPDATE message SET attempts = ? WHERE kind = ? AND address = ? "
                "AND position IN (SELECT value FROM json_each(?))",
                (counts, *rows.key_of(part), json.dumps(positions)),
            )
        for part, messages in changes.kept.items():
            same = rows.key_of(part)
            self._insert("message", rows.MESSAGE_COLUMNS, same, rows.of_messages(messages.values()))
            for message in messages.values():
                if message.size > LARGE_OCTETS:
                    self._insert_large(*same, message.position, message.content)

    def _move(self, changes: Changes) -> None:
        moves: dict[tuple[Any, ...], list[int]] = {}
        for position, (message, part) in changes.moved.items():
            change = rows.key_of(message.part)[0], rows.counts_of(message), message.expires
            moves.setdefault((*change, *rows.key_of(part)), []).append(position)
        # Few statements, because the thread may lose Python's lock (GIL) at each one.
        for (kind, counts, expires, *key), positions in moves.items():
            some = json.dumps(positions)
            self._connection.execute(
                "UPDATE OR REPLACE message SET kind = ?, attempts = ?, expires = ? "
                "WHERE kind = ? AND address = ? AND position IN (SELECT value FROM json_each(?))",
                (kind, counts, expires, *key, some),
            )
            if self._has_large:
                self._connection.execute(
                    "UPDATE OR REPLACE large SET kind = ? "
                    "WHERE kind = ? AND address = ? AND position IN (SELECT value FROM json_each(?))",
                    (kind, *key, some),
                )

    def _write_letters(self, changes: Changes) -> None:
        deleted = [position for position, letter in changes.letters.items() if letter is None]
        if deleted:
            self._connection.execute(
                "DELETE FROM letter WHERE position IN (SELECT value FROM json_each(?))", (json.dumps(deleted),)
            )
        letters = [letter for letter in changes.letters.values() if letter is not None]
        self._insert("letter", rows.LETTER_COLUMNS, (), [value for each in letters for value in rows.of_letter(each)])

    def _write_records(self, changes: Changes) -> None:
        for stream, upto in changes.trimmed.items():
            self._connection.execute("DELETE FROM record WHERE stream = ? AND position <= ?", (stream, upto))
            if self._has_large:
                query = "DELETE FROM large WHERE kind = ? AND address = ? AND position <= ?"
                self._connection.execute(query, (rows.RECORD_KIND, stream, upto))
        for stream, records in changes.records.items():
            values = [value for record in records.values() for value in rows.of_record(record)]
            self._insert("record", rows.RECORD_COLUMNS, (stream,), values)
            for record in records.values():
                if record.size > LARGE_OCTETS:
                    self._insert_large(rows.RECORD_KIND, stream, record.position, record.content)
        for stream, last in changes.lasts.items():
            self._connection.execute(
                "INSERT INTO stream (name, last) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)",
                (stream, last),
            )

    def _write_entries(self, changes: Changes) -> None:
        for (kind, name), value in changes.entries.items():
            if value is None:
                self._connection.execute("DELETE FROM entry WHERE kind = ? AND name = ?", (kind, name))
            else:
                self._connection.execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", (kind, name, value))

    def _write_ids(self, changes: Changes) -> None:
        deleted: dict[QueueName, list[bytes]] = {}
        for (queue, name), known in changes.ids.items():
            if known is None:
                deleted.setdefault(queue, []).append(name)
        for queue, names in deleted.items():
            same, start = (rows.NUMBERS[queue.kind], queue.address), 0
            for count in ROWS_AT_ONCE:
                while len(names) - start >= count:
                    self._connection.execute(_deletion_of_ids(count), (*same, *names[start : start + count]))
                    start += count
        self._insert("once", ID_COLUMNS, (), of_known_ids(each for each in changes.ids.values() if each is not None))

    def _insert_large(self, kind: int, address: bytes, position: int, content: Content) -> None:
        """Insert or replace the content of a message or record."""
        self._has_large = True
        self._delete_large(kind, address, [position])
        for number, chunk in enumerate(to_chunks(content)):
            row = (kind, address, position, number, chunk)
            self._connection.execute("INSERT INTO large VALUES (?, ?, ?, ?, ?)", row)

    def _delete_large(self, kind: int, address: bytes, positions: list[int]) -> None:
        if self._has_large:
            self._connection.execute(
                "DELETE FROM large WHERE kind = ? AND address = ? AND position IN (SELECT value FROM json_each(?))",
                (kind, address, json.dumps(positions)),
            )

    def _insert(self, table: str, columns: str, same: tuple[Any, ...], values: list[Any]) -> None:
        """Insert rows that begin with the values ``same``; ``values`` has the others, row after row.

        Each statement inserts many rows, because the thread may lose Python's lock (GIL) at each statement.
        """
        width = columns.count(",") + 1 - len(same)
        start, end = 0, len(values)
        for count in ROWS_AT_ONCE:
            while end - start >= count * width:
                some = values[start : start + count * width]
                self._connection.execute(_insertion(table, columns, len(same), count), (*same, *some))
                start += count * width


@cache
def _deletion_of_ids(count: int) -> str:
    return f"DELETE FROM once WHERE kind = ? AND address = ? AND id IN ({', '.join('?' * count)})"  # no values


@cache
def _insertion(table: str, columns: str, same: int, count: int) -> str:
    """Return the statement that inserts ``count`` rows whose first ``same`` columns are equal."""
    width = columns.count(",") + 1
    places = ", ".join([f"?{number}" for number in range(1, same + 1)] + ["?"] * (width - same))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES {', '.join([f'({places})'] * count)}"  # no values
