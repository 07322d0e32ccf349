"""The SQLite file of a store: open, lock and migrate it.

One connection writes, in a separate thread; another one reads, in the reactor's thread. With the write-ahead log (WAL)
neither blocks the other. ``schema/*.sql`` documents the tables. SQL is used only in this folder.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib import resources
from pathlib import Path

from twisted.logger import Logger

from alaska.errors import DamagedRow, StoreError
from alaska.store import rows
from alaska.store.damage import is_damage
from alaska.store.locks import Locks
from alaska.store.wal_mark import (
    APPLICATION_ID,
    BEING_WRITTEN,
    NEWEST_SCHEMA,
    OpenWal,
    check,
    check_missing,
    needs_wal,
    restart_wal,
    transaction,
)
from alaska.system.clock import Mark, continued

BUSY_SECONDS = 5.0


class File:
    """A store's file, locked against other brokers. ``sync`` is SQLite's ``synchronous``: FULL, NORMAL or OFF."""

    _log = Logger()

    def __init__(self, path: Path, sync: str) -> None:
        self.path = path
        self.sync = sync
        self.opened_at = 0.0
        """See :class:`IStore`; valid once the file is open."""
        self._locks: Locks | None = None
        self._wal: OpenWal | None = None
        self._connection: sqlite3.Connection | None = None
        self._real_path = path
        self._has_snapshot = False

    def open(self) -> None:
        """Lock the file, create it if it is missing, and migrate its schema.

        :raises StoreError: the file cannot be used; it is not modified, and neither is its WAL.
        """
        with converting_errors(f"the store {self.path} cannot be used"):
            # SQLite resolves symbolic links to find the WAL.
            self._real_path = Path(os.path.realpath(self.path)) if self.path.is_symlink() else self.path
            try:
                check_missing(self._real_path)
                self._locks = Locks(self.path, self._real_path)
                check(self._real_path, self._locks.store_file, self._locks.lock_file)
                # This connection stays open: when the last one closes, SQLite deletes the WAL.
                self._connection = self.connect()
                self._prepare(self._connection)
            except BaseException:
                self.close()
                raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        self._bring_up_to_date(connection)
        try:
            self.opened_at = advance_clock(connection)
            self._begin_wal(connection)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            # The rest of the file may be readable. Without a mark, SQLite's automatic checkpoints stay enabled.
            self._log.error("the clock or mark in the store {path} is damaged: {error}", path=self.path, error=error)
            self.opened_at = self.opened_at or time.time()

    def _begin_wal(self, connection: sqlite3.Connection) -> None:
        assert self._locks is not None
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        ((page_octets,),) = connection.execute("PRAGMA page_size").fetchall()
        os.pwrite(self._locks.lock_file, BEING_WRITTEN, 0)
        restart_wal(connection)
        self._wal = OpenWal(self._real_path, self._locks.lock_file, page_octets)
        self._wal.end()

    def connect(self, is_for_one_thread: bool = True) -> sqlite3.Connection:
        """Return a new connection, for the calling thread only, or for several threads in turn."""
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=is_for_one_thread
        )
        connection.execute(f"PRAGMA synchronous = {self.sync}")
        if self._wal is not None:
            connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        return connection

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        _migrate(connection, version, NEWEST_SCHEMA)

    def writing(self) -> None:
        """Record that a transaction is being written."""
        if self._wal is not None:
            self._wal.begin()

    def written(self, connection: sqlite3.Connection) -> None:
        """Record that a transaction has been written, and checkpoint the WAL over its connection if it has become long.

        While there is a snapshot, the WAL cannot be restarted. Trying it after each transaction would cost three times
        as many.

        :raises sqlite3.Error: the checkpoint failed.
        """
        if self._wal is not None and self._wal.end() and not self._has_snapshot:
            self._wal.begin()
            restart_wal(connection)
            self._wal.end()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that reads the present content for as long as the block takes, whatever is written.

        One at a time. The WAL grows meanwhile. Its content is then checkpointed from this thread, as far as possible,
        so that the thread that writes has to do the rest only. The content is never that of a moment at which the WAL
        is being restarted: it needs no WAL.

        :raises StoreError: restarting it takes too long.
        """
        with closing(self.connect()) as connection:
            # From now on, no restart begins.
            self._has_snapshot = True
            try:
                latest = time.monotonic() + BUSY_SECONDS
                while True:
                    with transaction(connection, "DEFERRED"):
                        if not needs_wal(connection):
                            yield connection
                            break
                    if time.monotonic() > latest:
                        raise StoreError(f"the write-ahead log of {self.path} is being restarted")
                    time.sleep(0.01)
                if self._wal is not None and self._wal.is_long:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                self._has_snapshot = False

    def check_place(self) -> None:
        """Check that the open file and WAL are still the ones at their paths, which the next start will open.

        :raises StoreError: one was moved, deleted or replaced.
        """
        assert self._locks is not None
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise StoreError(f"the store {self.path} is missing: {error.strerror}") from error
        if (found.st_dev, found.st_ino) != self._locks.key:
            raise StoreError(f"the store {self.path} was replaced by another file while it was open")
        if self._wal is not None and not self._wal.is_at(f"{self._real_path}-wal"):
            raise StoreError(f"the log {self._real_path}-wal was moved, deleted or replaced while the store was open")

    def close(self) -> None:
        """Close and unlock the file; all other connections to it must be closed before."""
        if self._connection is not None:
            self._connection.close()
        if self._wal is not None:
            self._wal.close()
        if self._locks is not None:
            self._locks.release()
        self._connection = self._wal = self._locks = None


def _migrate(connection: sqlite3.Connection, version: int, newest: int) -> None:
    connection.create_function("as_data", 6, rows.as_data, deterministic=True)
    for number in range(version + 1, newest + 1):
        script = resources.files(__package__).joinpath(f"schema/{number}.sql").read_text("utf-8")
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {number}; COMMIT;"
        )


def expected_tables(version: int) -> set[tuple[str, ...]]:
    """Return the tables, as :func:`tables_of` does, of a store with a version of the schema."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _migrate(connection, 0, version)
        return tables_of(connection)


def tables_of(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    """Return the tables of a database with the names of their columns; other things in it have their kind and name."""
    found = set()
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master").fetchall():
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
        found.add((kind, name, *(column for (column,) in columns)))
    return found


def create_private(path: Path) -> None:
    """Create a file that only its owner can access, unless it exists; SQLite's files beside it get the same mode."""
    with suppress(FileExistsError):
        # An existing file must not be opened: closing it would release all POSIX locks that SQLite holds on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def advance_clock(connection: sqlite3.Connection) -> float:
    """Advance the steady clock that is stored in a file; return its reading in seconds since 1970."""
    with transaction(connection):
        row = connection.execute("SELECT boot, uptime, since_1970 FROM clock").fetchone()
        is_whole = row is not None and tuple(map(type, row)) == (str, float, float)
        mark = continued(Mark(*row) if is_whole else None)
        connection.execute("DELETE FROM clock")
        connection.execute("INSERT INTO clock VALUES (?, ?, ?)", mark)
    return mark.since_1970


class TemporaryFile(File):
    """An unnamed file that is deleted when the process ends, even if it is killed."""

    def __init__(self) -> None:
        super().__init__(Path(), "OFF")
        self._folder: str | None = None

    def open(self) -> None:
        """Create the file.

        :raises StoreError: it cannot be created.
        """
        with converting_errors("a temporary file cannot be created"):
            self._folder = tempfile.mkdtemp(prefix="alaska-")
            self.path = Path(self._folder, "waiting")
        super().open()

    def _begin_wal(self, connection: sqlite3.Connection) -> None:
        """Do nothing: the file is never opened again."""

    def check_place(self) -> None:
        """Do nothing: the file has no path."""

    def hide(self) -> None:
        """Unlink the file; the connections to it, all of which must have been used before, remain usable."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def close(self) -> None:
        """Close and delete the file."""
        super().close()
        self.hide()


@contextmanager
def converting_errors(what: str) -> Iterator[None]:
    """Convert errors of SQLite and the system to a :exc:`StoreError` whose text begins with ``what``.

    It is a :exc:`DamagedRow` if the file is damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise (DamagedRow if is_damage(error) else StoreError)(f"{what}: {error}") from error
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror}") from error
