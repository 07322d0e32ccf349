"""The SQLite file of a store: how it is opened, locked and brought up to date.

One connection writes, in a thread of its own; another reads, in the reactor's. With a write-ahead log neither waits for
the other. What is in the tables is told in ``schema/*.sql``; nothing outside this folder knows of SQL.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

from alaska.clock import Mark, continued
from alaska.errors import DamagedRow, StoreError
from alaska.store import rows
from alaska.store.damage import is_damage

APPLICATION_ID = 0x416C6173
"""Says of a SQLite file that it is a store of ours ("Alas")."""
NEWEST_SCHEMA = 3
BUSY_SECONDS = 5.0


class File:
    """A store's file, with the lock that keeps a second broker away. ``sync`` is SQLite's word: FULL, NORMAL or OFF."""

    def __init__(self, path: Path, sync: str) -> None:
        self.path = path
        self.sync = sync
        self.opened_at = 0.0
        """See :class:`IStore`; known once the file is open."""
        self._lock: int | None = None
        self._own: int | None = None

    def open(self) -> None:
        """Lock the file, create it if it is missing, and bring its schema up to date.

        :raises StoreError: it cannot be used; it is left as it is.
        """
        with explained(f"the store {self.path} cannot be used"):
            # The file itself is locked, whatever names lead to it; the other lock is what version 1.0 looks at.
            try:
                self._lock = _locked(f"{self.path}-lock")
                self._own = _locked(self.path)
            except BlockingIOError:
                self.close()
                raise StoreError(f"the store {self.path} is in use by another broker") from None
            with closing(self.connect()) as connection:
                self._check(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                self._bring_up_to_date(connection)
                self.opened_at = go_on(connection)

    def connect(self, is_for_one_thread: bool = True) -> sqlite3.Connection:
        """Return a new connection, for the calling thread, or for one thread after the other."""
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=is_for_one_thread
        )
        connection.execute(f"PRAGMA synchronous = {self.sync}")
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuse what is not ours to write into, before anything is written."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION_ID and tables:
            raise StoreError(f"{self.path} is a database of another program")
        if version > NEWEST_SCHEMA:
            raise StoreError(
                f"the store {self.path} was written by a newer Alaska: its version is {version}, this one knows "
                f"up to {NEWEST_SCHEMA}"
            )

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.create_function("as_data", 6, rows.as_data, deterministic=True)
        for number in range(version + 1, NEWEST_SCHEMA + 1):
            script = resources.files(__package__).joinpath(f"schema/{number}.sql").read_text("utf-8")
            connection.executescript(
                f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {number}; COMMIT;"
            )

    def check_place(self) -> None:
        """Make sure that the file which is open is the one that the next start will find.

        :raises StoreError: it was moved, deleted or replaced.
        """
        assert self._own is not None
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise StoreError(f"the store {self.path} is not there any more: {error.strerror}") from error
        if not os.path.samestat(found, os.fstat(self._own)):
            raise StoreError(f"the store {self.path} was replaced by another file while it was open")

    def close(self) -> None:
        """Let others have the file; to be called when all connections to it are closed."""
        for descriptor in (self._own, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._own = self._lock = None


def _locked(path: str | Path) -> int:
    """Return a descriptor of a file that no other process holds a lock of; it is created if it is missing.

    :raises BlockingIOError: another process holds one.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def create_private(path: Path) -> None:
    """Create a file that only its owner can read, unless it is there; what SQLite adds to it is as private."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def go_on(connection: sqlite3.Connection) -> float:
    """Let the clock that a file keeps go on; return what it shows, in seconds since 1970."""
    connection.execute("BEGIN IMMEDIATE")
    row = connection.execute("SELECT boot, uptime, since_1970 FROM clock").fetchone()
    mark = continued(None if row is None else Mark(*row))
    connection.execute("DELETE FROM clock")
    connection.execute("INSERT INTO clock VALUES (?, ?, ?)", mark)
    connection.execute("COMMIT")
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
