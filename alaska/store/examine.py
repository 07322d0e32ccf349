"""Examine a store's file without changing it: whether a broker could open it, and which rows are damaged.

A broker may start at any moment. So nothing is created or written beside the file, and no connection is opened that
could touch its write-ahead log (WAL): a file with a WAL is examined as a copy, if it is not too large.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from alaska.errors import DamagedRow, StoreError
from alaska.store import rows
from alaska.store.database import converting_errors
from alaska.store.wal_mark import NEWEST_SCHEMA, check, check_missing

MOST_COPIED: Final = 256 * 2**20
LEAST_SQLITE: Final = (3, 32)
"""The oldest SQLite that has all that stores use."""
_ROWS_BETWEEN_LOOKS: Final = 1000
_TABLES: Final = (
    ("message", rows.MESSAGE_COLUMNS, rows.to_message),
    ("letter", rows.LETTER_COLUMNS, rows.to_letter),
    ("record", rows.RECORD_COLUMNS, rows.to_record),
)


class Examined(NamedTuple):
    """What was found: how many rows were read, and how many of these are damaged.

    ``why_not_all`` says why further rows were not read. A damaged page of the file counts as one row.
    """

    rows: int = 0
    damaged: int = 0
    why_not_all: str = ""


def sqlite_version() -> tuple[int, ...]:
    """Return the version of SQLite."""
    return sqlite3.sqlite_version_info


def is_locked(path: Path) -> bool:
    """Return whether a broker has the store at a path open. There need not be a file.

    :raises StoreError: the file cannot be read.
    """
    with converting_errors(f"the store {path} cannot be read"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        try:
            # Shared, and only for this moment; the lock is the broker's own way to find out.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


def examine(path: Path, seconds: float, clock: Callable[[], float] = time.monotonic) -> Examined:
    """Examine the store at a path, which no broker has open; reading rows ends after about so many seconds.

    :raises StoreError: a broker could not open it; the text says why.
    """
    with converting_errors(f"the store {path} cannot be used"):
        real_path = Path(os.path.realpath(path))
        check_missing(real_path)
        if not real_path.exists():
            return Examined()
        if not real_path.is_file():
            raise StoreError(f"{path} is not a regular file")
        with _opened(real_path) as store, _opened(Path(f"{path}-lock")) as lock:
            check(real_path, store, lock)
        log = _octets(Path(f"{real_path}-wal"))
        if not log:
            return _examined(real_path, "?immutable=1", seconds, clock)
        if _octets(real_path) + log > MOST_COPIED:
            return Examined(why_not_all=f"it was not closed, and {log} octets are in its write-ahead log")
        with tempfile.TemporaryDirectory(prefix="alaska-") as folder:
            copy = Path(folder) / "store"
            shutil.copyfile(real_path, copy)
            shutil.copyfile(f"{real_path}-wal", f"{copy}-wal")
            return _examined(copy, "", seconds, clock)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a file for reading; a missing one is empty."""
    found = path if path.exists() else os.devnull
    descriptor = os.open(found, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _octets(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _examined(path: Path, how: str, seconds: float, clock: Callable[[], float]) -> Examined:
    until = clock() + seconds
    found = Examined()
    with closing(sqlite3.connect(f"file:{quote(str(path))}{how}", uri=True, isolation_level=None)) as connection:
        connection.text_factory = bytes
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version < NEWEST_SCHEMA:
            return Examined(why_not_all=f"its version {version} is older, and is upgraded when a broker opens it")
        for table, columns, decode in _TABLES:
            found = _count(connection, f"SELECT {columns} FROM {table}", table, decode, found, until, clock)
            if found.why_not_all:
                break
    return found


def _count(
    connection: sqlite3.Connection,
    statement: str,
    table: str,
    decode: Callable[[tuple[object, ...]], object],
    found: Examined,
    until: float,
    clock: Callable[[], float],
) -> Examined:
    """Add the rows of a table to what was found."""
    count, damaged = found.rows, found.damaged
    try:
        for row in connection.execute(statement):
            count += 1
            try:
                decode(row if table != "record" or row[5] else (*row[:5], b"", *row[6:]))
            except DamagedRow:
                damaged += 1
            if count % _ROWS_BETWEEN_LOOKS == 0 and clock() > until:
                return Examined(count, damaged, "this would take longer")
    except sqlite3.Error as error:
        return Examined(count, damaged + 1, f"the table {table} has a damaged page: {error}")
    return Examined(count, damaged)
