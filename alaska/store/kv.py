"""The key-value store of a worker's scripts, with expiry.

It is an SQLite file, or a database in memory if no file is configured. Several workers may share a file.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from alaska.errors import KeyValueError, StoreError
from alaska.store.database import advance_clock, create_private
from alaska.store.wal_mark import transaction
from alaska.system.clock import uptime

Value: TypeAlias = "bytes | int | float"

LAYOUT = 2
LAYOUT_WITHOUT_CLOCK = 1
BUSY_SECONDS = 5.0
MAX_KEY_OCTETS = 255
MAX_VALUE_OCTETS = 1024 * 1024
LEAST_OCTETS = 64 * 1024
LEAST_SUM = -(2**63)
MOST_SUM = 2**63 - 1
_MOST_PAGES = 2**32 - 2


class KeyValues:
    """Keys and their values. All methods are thread-safe; their argument ``now`` is the time from :meth:`now`.

    If there is a file, a change is on the disk when the call returns. The file, or the database in memory, has at most
    ``size_limit`` octets; None: no limit.

    :raises StoreError: the file cannot be opened, or is not a key-value store.
    """

    def __init__(self, path: Path | None, size_limit: int | None = None) -> None:
        self._name = "the key-value store" if path is None else str(path)
        self._lock = Lock()
        try:
            if path is not None:
                create_private(path)
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreError(f"{self._name} cannot be opened: {reason}") from error
        try:
            self._prepare(size_limit)
        except StoreError:
            self._connection.close()
            raise
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{self._name} cannot be used: {error}") from error

    def _prepare(self, size_limit: int | None) -> None:
        execute = self._connection.execute
        (layout,) = execute("PRAGMA user_version").fetchone()
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        is_new = layout == 0 and tables == 0
        if not is_new and layout not in (LAYOUT, LAYOUT_WITHOUT_CLOCK):
            raise StoreError(f"{self._name} has the layout {layout}, which this version cannot read")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        if is_new or layout == LAYOUT_WITHOUT_CLOCK:
            schema = resources.files(__package__).joinpath("schema/kv.sql").read_text(encoding="utf-8")
            self._connection.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")
        if size_limit is not None:
            (page_size,) = execute("PRAGMA page_size").fetchone()
            pages = min(_MOST_PAGES, max(size_limit, LEAST_OCTETS) // page_size)
            execute(f"PRAGMA max_page_count = {pages}")
        self._offset = advance_clock(self._connection) - uptime()

    def now(self) -> float:
        """Return the time for the other methods, in seconds since 1970; it is the same for all users of the file."""
        return uptime() + self._offset

    def close(self) -> None:
        """Close the store; all other methods raise :exc:`KeyValueError` afterwards."""
        with self._lock:
            self._connection.close()

    def get(self, key: bytes, now: float) -> Value | None:
        """Return the value of a key, or None if it has none or the value has expired."""
        with self._reading() as execute:
            row = execute(
                "SELECT value FROM entries WHERE key = ? AND ifnull(expires, ?) > ?", (key, math.inf, now)
            ).fetchone()
        return None if row is None else row[0]

    def set(self, key: bytes, value: Value, now: float, ttl: float | None = None) -> None:
        """Set the value of a key, which expires after ``ttl`` seconds; None: never.

        :raises KeyValueError: the key or value is too long, or the store is full; nothing was changed.
        """
        _check(key, value)
        expires = None if ttl is None else now + ttl
        with self._changing() as execute:
            execute("DELETE FROM entries WHERE expires <= ?", (now,))
            execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", (key, value, expires))

    def increase(self, key: bytes, by: int | float, now: float) -> int | float:
        """Add to the number of a key, 0 if it has no value; return the sum. The expiry does not change.

        :raises KeyValueError: the value is not a number, the sum is outside of -2^63 to 2^63 - 1, or as :meth:`set`;
            nothing was changed.
        """
        _check(key, by)
        with self._changing() as execute:
            execute("DELETE FROM entries WHERE expires <= ?", (now,))
            row = execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
            before = 0 if row is None else row[0]
            if isinstance(before, bytes):
                raise KeyValueError("the value of the key is not a number")
            total: int | float = before + by
            if not LEAST_SUM <= total <= MOST_SUM:
                raise KeyValueError(_out_of_range(total))
            execute(
                "INSERT INTO entries VALUES (?, ?, NULL) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, total),
            )
        return total

    def ttl(self, key: bytes, now: float) -> float | None:
        """Return the seconds until a key expires, infinity for never, or None if it has no value."""
        with self._reading() as execute:
            row = execute(
                "SELECT expires FROM entries WHERE key = ? AND ifnull(expires, ?) > ?", (key, math.inf, now)
            ).fetchone()
        if row is None:
            return None
        return math.inf if row[0] is None else float(row[0]) - now

    def delete(self, key: bytes, now: float) -> bool:
        """Delete a key; return whether it had a value."""
        with self._changing() as execute:
            execute("DELETE FROM entries WHERE expires <= ?", (now,))
            return execute("DELETE FROM entries WHERE key = ?", (key,)).rowcount > 0

    @contextmanager
    def _reading(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Run the block in one thread at a time, and convert errors of SQLite."""
        with self._lock:
            try:
                yield self._connection.execute
            except sqlite3.Error as error:
                # Python 3.10 does not provide SQLite's error codes.
                is_full = "full" in str(error)
                raise KeyValueError("the store is full" if is_full else f"the store failed: {error}") from error

    @contextmanager
    def _changing(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Run the block as one transaction, which is rolled back if the block raises an error."""
        with self._reading() as execute, transaction(self._connection):
            yield execute


def _out_of_range(total: int | float) -> str:
    if math.isnan(total):
        return "the sum would be no number"
    return "the sum would be more than 2^63 - 1" if total > 0 else "the sum would be less than -2^63"


def _check(key: bytes, value: Value) -> None:
    if len(key) > MAX_KEY_OCTETS:
        raise KeyValueError(f"the key has {len(key)} octets, and {MAX_KEY_OCTETS} is the limit")
    if isinstance(value, bytes) and len(value) > MAX_VALUE_OCTETS:
        raise KeyValueError(f"the value has {len(value)} octets, and {MAX_VALUE_OCTETS} is the limit")
