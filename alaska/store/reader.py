"""The connection that reads the store's file.

Damaged rows are skipped: a row that cannot be decoded, or all rows in a damaged page of the file. The size of a page of
results is limited; large rows are read in another thread.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from operator import lt
from typing import Any, TypeVar

from alaska.errors import DamagedRow
from alaska.message import MOST_POSITION, DeadLetter, Message, Page, PartName, Record, RecordSize
from alaska.names import printable
from alaska.store import rows
from alaska.store.chunks import LARGE_OCTETS
from alaska.store.damage import Damage, first_readable, is_damage
from alaska.store.database import File, converting_errors
from alaska.store.large_rows import LargeRows
from alaska.store.scan import LETTERS, MESSAGES, RECORD_SIZES, RECORDS, Scan

SMALL_OCTETS = 4096
"""Subjects are read of rows of at most this size."""
PAGE_OCTETS = 2 * 2**20
"""A page of results ends when it has this size."""
_SUBJECTS = f"""
    SELECT position, CASE WHEN length(data) > {SMALL_OCTETS} THEN NULL ELSE data END FROM message
    WHERE {MESSAGES.condition} AND position > ? ORDER BY position LIMIT ?
"""
_OVERDUE = f"""
    SELECT {MESSAGES.small_columns} FROM message
    WHERE expires <= ? AND (expires, position) > (?, ?) ORDER BY expires, position LIMIT ?
"""
MAX_GAPS = 16
"""The maximum number of damaged places that are skipped for one page of results; the next page continues."""
_T = TypeVar("_T")
_Row = tuple[Any, ...]


class Reader:
    """Reads committed data. All methods raise :exc:`StoreError`."""

    def __init__(self, file: File) -> None:
        self._what = f"the store {file.path} cannot be read"
        self.path = file.path
        self.damage = Damage(file.path)
        with converting_errors(self._what):
            self.connection = file.connect()
            # A damaged value may have the type TEXT and not be UTF-8.
            self.connection.text_factory = bytes
            self.large = LargeRows(file)

    def close(self) -> None:
        """Close the connections."""
        self.large.close()
        self.connection.close()

    def waiting(self, part: PartName, after: int, limit: int) -> Page[Message, int]:
        """Return messages of a part of a queue after a position, in order."""
        return self._page(MESSAGES, rows.key_of(part), after, limit)

    def subjects(self, part: PartName, after: int, limit: int) -> Page[tuple[int, bytes], int]:
        """Return positions and subjects of messages of a part of a queue after a position, up to one that is large.

        If there is any difficulty, none are returned; :meth:`waiting` deals with it, and with the end.
        """
        found: Page[tuple[int, bytes], int] = Page(upto=after)
        try:
            for position, data in self.connection.execute(_SUBJECTS, (*rows.key_of(part), after, limit)).fetchall():
                if data is None or not isinstance(position, int):
                    break
                found.append((position, rows.to_subject(data)))
        except (sqlite3.Error, DamagedRow):
            found.clear()
        if found:
            found.upto = found[-1][0]
        return found

    def dead_letters(self, after: int, limit: int) -> Page[DeadLetter, int]:
        """Return dead letters after a position, in order; wait until large ones are read."""
        found = self._page(LETTERS, (), after, limit)
        while limit > 0 and not found and found.upto == after:
            self.large.wait()
            found = self._page(LETTERS, (), after, limit)
        return found

    def records(self, stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """Return records of a stream after a position, in order."""
        return self._page(RECORDS, (stream,), after, limit)

    def times(self, stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """Return times and sizes of a stream's records after a position, in order."""
        return self._page(RECORD_SIZES, (stream,), after, limit)

    def overdue(self, now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """Return messages that have expired by ``now``, ordered by (expiry, position), after such a pair."""
        quickly = self._small_overdue(now, after, limit)
        if quickly is not None:
            return quickly
        found: Page[Message, tuple[float, int]] = Page(upto=after)
        keys = self._overdue(now, after, limit)
        octets = 0
        for expires, position, kind, address in keys:
            try:
                message = self._one(MESSAGES, (kind, address, position), MESSAGES.small)
            except _NotReadYet:
                return found
            found.upto = expires, position
            if message is not None:
                found.append(message)
                octets += message.size if message.content else 0
            if octets > PAGE_OCTETS:
                return found
        if len(keys) < limit:
            found.upto = None
        return found

    def _small_overdue(
        self, now: float, after: tuple[float, int], limit: int
    ) -> Page[Message, tuple[float, int]] | None:
        """Do as :meth:`overdue` with one query; return None if a row is damaged, or large."""
        found: Page[Message, tuple[float, int]] = Page()
        octets = 0
        try:
            with closing(self.connection.execute(_OVERDUE, (now, *after, limit))) as cursor:
                for row in cursor:
                    message = rows.to_message(row)
                    found.append(message)
                    octets += message.size if message.content else 0
                    if octets > PAGE_OCTETS:
                        break
        except (sqlite3.Error, DamagedRow):
            return None
        if found and (len(found) == limit or octets > PAGE_OCTETS):
            found.upto = found[-1].expires or 0.0, found[-1].position
        return found

    def message_at(self, part: PartName, position: int) -> Message | None:
        """Return the message at a position, or None; a large one has no content."""
        try:
            return self._one(MESSAGES, (*rows.key_of(part), position), MESSAGES.small)
        except _NotReadYet:
            return None

    def _overdue(self, now: float, after: tuple[float, int], limit: int) -> list[_Row]:
        """Return the keys of messages that have expired by ``now``; none if their index is damaged."""
        with converting_errors(self._what):
            try:
                return self.connection.execute(
                    "SELECT expires, position, kind, address FROM message "
                    "WHERE expires <= ? AND (expires, position) > (?, ?) ORDER BY expires, position LIMIT ?",
                    (now, *after, limit),
                ).fetchall()
            except sqlite3.DatabaseError as error:
                self._note(error, "the index of what expires", "index")
                return []

    def first_expiry(self, after: float) -> float | None:
        """Return the time of the first expiry after a time, or None."""
        with converting_errors(self._what):
            try:
                ((first,),) = self.connection.execute("SELECT min(expires) FROM message WHERE expires > ?", (after,))
            except sqlite3.DatabaseError as error:
                self._note(error, "the index of what expires", "index")
                return None
        return first if isinstance(first, float) else None

    def dead_letter(self, position: int) -> DeadLetter | None:
        """Return the dead letter at a position, or None."""
        return self._one(LETTERS, (position,), LETTERS.one)

    def has_dead_letter(self, position: int) -> bool:
        """Return whether there is a dead letter at a position."""
        with converting_errors(self._what):
            return bool(self.connection.execute("SELECT 1 FROM letter WHERE position = ?", (position,)).fetchall())

    def octets_of_records(self, stream: bytes, after: int, upto: int) -> tuple[int, int]:
        """Return the total size of a stream's records after a position and up to another, and the last one's position.

        If there are none, the latter is ``after``.
        """
        with converting_errors(self._what):
            try:
                ((octets, last),) = self.connection.execute(
                    "SELECT ifnull(sum(octets), 0), max(position) FROM record WHERE stream = ? "
                    "AND position BETWEEN ? AND ?",
                    (stream, after + 1, upto),
                )
            except sqlite3.DatabaseError as error:
                self._note(error, f"stream {printable(stream)}", stream)
                sizes = self.sizes(RECORDS, (stream,), after, upto)
                return sum(octets for _, octets in sizes), max([after, *(position for position, _ in sizes)])
        return octets, after if last is None else last

    # One row, and rows in order

    def _one(self, scan: Scan[_T], values: _Row, query: str) -> _T | None:
        """Return the decoded row with these key values; None if it does not exist or is damaged."""
        try:
            with converting_errors(self._what):
                found = self.connection.execute(query, values).fetchall()
        except DamagedRow as error:
            self._note_row(scan, values, error)
            return None
        return self._decoded(scan, values, found[0]) if found else None

    def _decoded(self, scan: Scan[_T], values: _Row, row: _Row) -> _T | None:
        """Return a decoded row; None if it is damaged.

        :raises _NotReadYet: the row is large and still being read.
        """
        large = row[scan.large_at]
        try:
            if not isinstance(large, int) or large <= LARGE_OCTETS:
                return scan.decode(row)
            read = self.large.take(scan, values)
        except DamagedRow as error:
            self._note_row(scan, values, error)
            return None
        if read is None:
            raise _NotReadYet
        return read

    def _page(self, scan: Scan[_T], values: _Row, after: int, limit: int) -> Page[_T, int]:
        """Return a page of decoded rows after a position, given the values of the scan's condition."""
        some, upto = self._rows(scan, values, after, limit)
        try:
            return Page(map(scan.decode, some), upto)
        except DamagedRow:  # Also raised for large rows, which have a length instead of content: decode one by one.
            pass
        found: Page[_T, int] = Page(upto=after)
        for row in some:
            position = row[scan.position_at]
            try:
                made = self._decoded(scan, (*values, position), row)
            except _NotReadYet:
                return found
            if made is not None:
                found.append(made)
            found.upto = position
        found.upto = upto
        return found

    def _rows(self, scan: Scan[_T], values: _Row, after: int, limit: int) -> tuple[list[_Row], int | None]:
        """Return rows after a position, and the position up to which rows were examined; None at the end."""
        found: list[_Row] = []
        step, octets, gaps = limit, 0, 0
        while limit > 0:
            some, octets, error = self._fetched(scan, values, after, min(step, limit), octets)
            limit -= len(some)
            some = self._without_misplaced(scan, after, some)
            found += some
            if some:
                after = some[-1][scan.position_at]
            if octets > PAGE_OCTETS:
                break
            if error is _END:
                if (self._last(scan, values) or 0) <= after:
                    return found, None
                # SQLite ends early at a row whose key columns are damaged.
                error = "it ends early"
            if some:
                # SQLite may not have returned the rows right before the damage, so read row by row.
                step = 1 if isinstance(error, sqlite3.Error) else limit
            elif step > 1 and isinstance(error, sqlite3.Error):
                step = 1
            else:
                next_readable = self._next_readable(scan, values, after, error or "it is out of place")
                if next_readable is None:
                    return found, None
                gaps += 1
                after, step = max(next_readable, after + 2**gaps // 2), limit
                if gaps == MAX_GAPS:
                    break
        return found, after

    def _fetched(
        self, scan: Scan[_T], values: _Row, after: int, limit: int, octets: int
    ) -> tuple[list[_Row], int, sqlite3.Error | str | None]:
        """Return at most ``limit`` rows after a position, until the page is full, given the octets it has already.

        Also return the octets of the page then, and what ended the rows otherwise: an error, or ``_END``.
        """
        found: list[_Row] = []
        large_at, size_at = scan.large_at, scan.size_at
        with converting_errors(self._what):
            try:
                with closing(self.connection.execute(scan.page, (*values, after, limit))) as cursor:
                    for row in cursor:
                        found.append(row)
                        if row[large_at].__class__ is bytes:
                            octets += len(row[large_at])
                            if octets > PAGE_OCTETS:
                                return found, octets, None
                        elif size_at is not None:
                            octets += whole_number(row[size_at])
                            if octets > PAGE_OCTETS:
                                return found, octets, None
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                return found, octets, error
        return found, octets, None if len(found) == limit else _END

    def _without_misplaced(self, scan: Scan[_T], after: int, some: list[_Row]) -> list[_Row]:
        """Return the rows whose positions are ascending; rows that are out of order are damaged."""
        at = scan.position_at
        positions = [row[at] for row in some]
        if set(map(type, positions)) == {int} and all(map(lt, [after, *positions], [*positions, MOST_POSITION + 1])):
            return some
        found: list[_Row] = []
        for row, position in zip(some, positions, strict=True):
            last = found[-1][at] if found else after
            if isinstance(position, int) and last < position <= MOST_POSITION:
                found.append(row)
                continue
            before = found[-2][at] if len(found) > 1 else after
            if found and isinstance(position, int) and before < position <= last:
                found[-1] = row
            self.damage.note(f"a row of table {scan.table}", "it is out of place", (scan.table, position, last))
        return found

    def sizes(self, scan: Scan[_T], values: _Row, after: int, upto: int) -> list[tuple[int, int]]:
        """Return positions and sizes of the readable rows after a position and up to another."""
        found: list[tuple[int, int]] = []
        at: int | None = after
        while at is not None:
            with converting_errors(self._what):
                try:
                    with closing(self.connection.execute(scan.sizes, (*values, at))) as cursor:
                        for position, octets in cursor:
                            if not isinstance(position, int) or position > upto:
                                break
                            if position > at:
                                found.append((position, whole_number(octets)))
                                at = position
                    return found
                except sqlite3.DatabaseError as error:
                    if not is_damage(error):
                        raise
                    at = self._next_readable(scan, values, at, error)
        return found

    def _next_readable(self, scan: Scan[_T], values: _Row, after: int, error: sqlite3.Error | str) -> int | None:
        """Return the position after which reading can continue, given one after which it fails; None: there is none."""
        last = self._last(scan, values) or 0

        def can_read(position: int) -> bool:
            try:
                found = self.connection.execute(scan.next, (*values, position)).fetchall()
            except sqlite3.DatabaseError as failure:
                if not is_damage(failure):
                    raise
                return False
            return whole_number(found[0][0]) > position if found else position >= last

        with converting_errors(self._what):
            if can_read(after):
                ((position,),) = self.connection.execute(scan.next, (*values, after)).fetchall() or [(after,)]
                self.damage.note(f"row {position} of table {scan.table}", error, (scan.table, *values, position))
                return int(position)
            self.damage.note(f"a page of table {scan.table}", error, (scan.table, *values, after))
            return first_readable(can_read, after, MOST_POSITION)

    def _last(self, scan: Scan[_T], values: _Row) -> int | None:
        """Return the last position, or 0; None if it cannot be read."""
        with converting_errors(self._what):
            try:
                found = self.connection.execute(scan.last, values).fetchall()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                return None
        return whole_number(found[0][0]) if found else 0

    def _note_row(self, scan: Scan[Any], values: _Row, error: DamagedRow) -> None:
        self.damage.note(f"row {values[-1]} of table {scan.table}", error, (scan.table, *values))

    def _note(self, error: sqlite3.Error, what: str, place: object) -> None:
        if not is_damage(error):
            raise error
        self.damage.note(what, error, place)


def whole_number(value: object) -> int:
    """Return a number from a row, or 0 if it is damaged."""
    return value if isinstance(value, int) and 0 <= value <= MOST_POSITION else 0


class _NotReadYet(Exception):
    """A large row is being read by another thread."""


_END = "there are no more"
