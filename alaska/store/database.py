"""The SQLite file of a store: how it is opened, locked and brought up to date.

One connection writes, in a thread of its own; another reads, in the reactor's. With a write-ahead log neither waits for
the other. What is in the tables is told in ``schema/*.sql``; nothing outside this folder knows of SQL.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path

from twisted.logger import Logger

from alaska.errors import DamagedRow, StoreError
from alaska.store import rows
from alaska.store.damage import is_damage
from alaska.store.locks import Locks
from alaska.store.mark import (
    APPLICATION_ID,
    BEING_WRITTEN,
    NEWEST_SCHEMA,
    OpenLog,
    begin_log,
    check,
    check_missing,
    transaction,
)
from alaska.system.clock import Mark, continued

BUSY_SECONDS = 5.0


class File:
    """A store's file, with the lock that keeps a second broker away. ``sync`` is SQLite's word: FULL, NORMAL or OFF."""

    _log_of = Logger()

    def __init__(self, path: Path, sync: str) -> None:
        self.path = path
        self.sync = sync
        self.opened_at = 0.0
        """See :class:`IStore`; known once the file is open."""
        self._locks: Locks | None = None
        self._log: OpenLog | None = None
        self._connection: sqlite3.Connection | None = None
        self._place = path

    def open(self) -> None:
        """Lock the file, create it if it is missing, and bring its schema up to date.

        :raises StoreError: it cannot be used; it is left as it is, and so is its log.
        """
        with explained(f"the store {self.path} cannot be used"):
            # SQLite looks for the log where links lead to.
            self._place = Path(os.path.realpath(self.path)) if self.path.is_symlink() else self.path
            try:
                check_missing(self._place)
                self._locks = Locks(self.path, self._place)
                check(self._place, self._locks.own, self._locks.beside)
                # It stays open, so that the log does not end when others close theirs.
                self._connection = self.connect()
                self._prepare(self._connection)
            except BaseException:
                self.close()
                raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        self._bring_up_to_date(connection)
        try:
            self.opened_at = go_on(connection)
            self._begin_log(connection)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            # The rest of the file may be whole. SQLite itself sees to it then that its log does not become long.
            self._log_of.error("{path} is damaged, its clock or mark: {error}", path=self.path, error=error)
            self.opened_at = self.opened_at or time.time()

    def _begin_log(self, connection: sqlite3.Connection) -> None:
        assert self._locks is not None
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        ((page_octets,),) = connection.execute("PRAGMA page_size").fetchall()
        os.pwrite(self._locks.beside, BEING_WRITTEN, 0)
        begin_log(connection)
        self._log = OpenLog(self._place, self._locks.beside, page_octets)
        self._log.end()

    def connect(self, is_for_one_thread: bool = True) -> sqlite3.Connection:
        """Return a new connection, for the calling thread, or for one thread after the other."""
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=is_for_one_thread
        )
        connection.execute(f"PRAGMA synchronous = {self.sync}")
        if self._log is not None:
            connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        return connection

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.create_function("as_data", 6, rows.as_data, deterministic=True)
        for number in range(version + 1, NEWEST_SCHEMA + 1):
            script = resources.files(__package__).joinpath(f"schema/{number}.sql").read_text("utf-8")
            connection.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {number}; COMMIT;"
            )

    def writing(self) -> None:
        """Take note that a transaction is being written."""
        if self._log is not None:
            self._log.begin()

    def written(self, connection: sqlite3.Connection) -> None:
        """Take note that it is written; a log that has become long is brought into the file, by its connection.

        :raises sqlite3.Error: that is not possible.
        """
        if self._log is not None and self._log.end():
            self._log.begin()
            begin_log(connection)
            self._log.end()

    def check_place(self) -> None:
        """Make sure that the file which is open is the one that the next start will find, and its log, too.

        :raises StoreError: it was moved, deleted or replaced.
        """
        assert self._locks is not None
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise StoreError(f"the store {self.path} is not there any more: {error.strerror}") from error
        if (found.st_dev, found.st_ino) != self._locks.key:
            raise StoreError(f"the store {self.path} was replaced by another file while it was open")
        if self._log is not None and not self._log.is_at(f"{self._place}-wal"):
            raise StoreError(f"the log {self._place}-wal was moved, deleted or replaced while the store was open")

    def close(self) -> None:
        """Let others have the file; to be called when all other connections to it are closed."""
        if self._connection is not None:
            self._connection.close()
        if self._log is not None:
            self._log.close()
        if self._locks is not None:
            self._locks.release()
        self._connection = self._log = self._locks = None


def create_private(path: Path) -> None:
    """Create a file that only its owner can read, unless it is there; what SQLite adds to it is as private."""
    with suppress(FileExistsError):
        # What is there is not opened: to close it would let go of all locks that SQLite has of it in this process.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def go_on(connection: sqlite3.Connection) -> float:
    """Let the clock that a file keeps go on; return what it shows, in seconds since 1970."""
    with transaction(connection):
        row = connection.execute("SELECT boot, uptime, since_1970 FROM clock").fetchone()
        is_whole = row is not None and tuple(map(type, row)) == (str, float, float)
        mark = continued(Mark(*row) if is_whole else None)
        connection.execute("DELETE FROM clock")
        connection.execute("INSERT INTO clock VALUES (?, ?, ?)", mark)
    return mark.since_1970


class TemporaryFile(File):
    """A file that nobody else sees and that is gone with the process, however that ends."""

    def __init__(self) -> None:
        super().__init__(Path(), "OFF")
        self._folder: str | None = None

    def open(self) -> None:
        """Create the file.

        :raises StoreError: there is no place for it.
        """
        with explained("there is no place for temporary files"):
            self._folder = tempfile.mkdtemp(prefix="alaska-")
            self.path = Path(self._folder, "waiting")
        super().open()

    def _begin_log(self, connection: sqlite3.Connection) -> None:
        """Do nothing: there is no next start."""

    def check_place(self) -> None:
        """Find nothing wrong: nobody else is to find this file."""

    def hide(self) -> None:
        """Remove the file's name, once all connections to it have been used: they go on without it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def close(self) -> None:
        """Remove the file."""
        super().close()
        self.hide()


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what SQLite and the system complain of into a :exc:`StoreError` that begins with this.

    It is a :exc:`DamagedRow` where something in the file is damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise (DamagedRow if is_damage(error) else StoreError)(f"{what}: {error}") from error
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror}") from error
