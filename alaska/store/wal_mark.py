"""Check that a store's file and its write-ahead log (WAL) belong together before SQLite opens them.

SQLite replays any WAL that it finds beside a file, and treats a missing WAL as an empty one. So the file and its WAL
have a common random mark. A transaction that writes the mark and sets ``is_open`` to 1 is checkpointed into the file;
then the WAL is restarted with a transaction that sets ``is_open`` to 0. If ``is_open`` is 1 in the file itself, the
file needs its WAL; when the WAL has been checkpointed, by any program, it is 0.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from alaska.errors import StoreError
from alaska.store.wal import FRAME_HEADER_OCTETS, HEADER_OCTETS, Wal
from alaska.system.clock import boot_id

APPLICATION_ID = 0x416C6173
"""SQLite's application id of Alaska's stores ("Alas")."""
NEWEST_SCHEMA = 10
LONG_FRAMES = 1000
"""The number of frames from which on the WAL is checkpointed and restarted."""
_MAGIC = b"SQLite format 3\0"
BEING_WRITTEN, _WRITTEN = b"\1", b"\0"
_MARK_OCTETS = 16


def restart_wal(connection: sqlite3.Connection) -> None:
    """Checkpoint the WAL, and restart it with a new mark.

    While another connection still reads the old WAL, it is continued with the new mark instead.
    """
    mark = secrets.token_bytes(_MARK_OCTETS)
    _write(connection, mark, is_open=True)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    finally:
        _write(connection, mark, is_open=False)


def _write(connection: sqlite3.Connection, mark: bytes, is_open: bool) -> None:
    with transaction(connection):
        connection.execute("DELETE FROM opening")
        connection.execute("INSERT INTO opening VALUES (?, ?, ?)", (mark, is_open, boot_id()))


def needs_wal(connection: sqlite3.Connection) -> bool:
    """Return whether the content that a connection reads is incomplete without its WAL, if it is alone in a file."""
    return bool(connection.execute("SELECT count(*) FROM opening WHERE is_open = 1").fetchone() != (0,))


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Run the block as one transaction, which is rolled back if the block raises an error."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


class OpenWal:
    """The WAL of an open file, and a note about it in the lock file for the next start.

    The note says whether a transaction is being written, which may be incomplete then, or how long the WAL was after
    the last one. The note is not fsynced, so it is ignored after a crash of the machine.
    """

    def __init__(self, path: Path, lock: int, page_octets: int) -> None:
        self._lock = lock
        self._log = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self._log)
        self._key = found.st_dev, found.st_ino
        self._place = HEADER_OCTETS + (LONG_FRAMES - 1) * (FRAME_HEADER_OCTETS + page_octets) + 8

    def begin(self) -> None:
        """Record that a transaction is being written."""
        os.pwrite(self._lock, BEING_WRITTEN, 0)

    def end(self) -> bool:
        """Record that the transaction was written; return whether the WAL has become long."""
        os.pwrite(self._lock, _WRITTEN + os.fstat(self._log).st_size.to_bytes(8, "big"), 0)
        return self.is_long

    @property
    def is_long(self) -> bool:
        """Whether the WAL has reached :data:`LONG_FRAMES`.

        It has if that frame has the salts of the WAL's header: older frames after the current ones have others.
        """
        salts = os.pread(self._log, 8, self._place)
        return len(salts) == 8 and salts == os.pread(self._log, 8, 16)

    def is_at(self, path: str) -> bool:
        """Return whether the file at a path is this WAL."""
        try:
            found = os.stat(path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._key

    def close(self) -> None:
        """Close the WAL."""
        os.close(self._log)


# Before SQLite opens a file


class _Opening(NamedTuple):
    """The row of the table ``opening`` in the file without its WAL, and the number of its page."""

    mark: bytes
    is_open: bool
    boot: str
    page: int


def check_missing(path: Path) -> None:
    """Check that there is no WAL if there is no file.

    :raises StoreError: there is one.
    """
    if not path.exists() and _size(f"{path}-wal") >= HEADER_OCTETS:
        raise StoreError(f"the store {path} is missing, but its write-ahead log {path}-wal exists")


def check(path: Path, descriptor: int, lock: int) -> None:
    """Check that a file is a store or empty, and that its WAL belongs to it; nothing is modified.

    ``descriptor`` is that of the file, ``lock`` that of its lock file.

    :raises StoreError: the file cannot be used, or its WAL does not belong to it.
    :raises OSError: a file cannot be read.
    """
    wal = Wal.open(Path(f"{path}-wal"))
    try:
        header = os.pread(descriptor, 100, 0)
        if not header:
            if wal is not None:
                raise StoreError(f"the store {path} is empty, but its write-ahead log {path}-wal is not")
            return
        if wal is not None:
            _check_whole(path, wal)
        _check_header(path, header, wal)
        _check_length(path, header, os.fstat(descriptor).st_size, wal)
        _check_mark(path, header, wal, os.pread(lock, 9, 0))
    finally:
        if wal is not None:
            wal.close()


def _check_header(path: Path, header: bytes, wal: Wal | None) -> None:
    if len(header) < 100 or header[:16] != _MAGIC:
        raise StoreError(f"the store {path} cannot be used: the file is not a database")
    if wal is not None and wal.page_octets != _page_octets(header):
        raise _not_its_own(path)
    has_tables = any(header[40:44])
    if has_tables and _size(f"{path}-journal"):
        # A store has a rollback journal only while it is created. SQLite would roll back this one.
        raise StoreError(f"the journal {path}-journal beside the store {path} belongs to another file")
    if _number(header, 68) != APPLICATION_ID and (has_tables or any(header[68:72])):
        raise StoreError(f"{path} is a database of another program")
    # The first page in the WAL is newer. If the store was created and never closed, it is the only one.
    newest = header if wal is None else next(wal.versions(1), header)
    if newest is not header and _number(newest, 68) != APPLICATION_ID:
        raise _not_its_own(path)
    version = _number(newest, 60)
    if version > NEWEST_SCHEMA:
        raise StoreError(
            f"the store {path} was written by a newer Alaska: its version is {version}, this one knows "
            f"up to {NEWEST_SCHEMA}"
        )


def _check_length(path: Path, header: bytes, octets: int, wal: Wal | None) -> None:
    pages, has = _number(header, 28), octets // _page_octets(header)
    if pages <= has or header[24:28] != header[92:96]:
        return
    newest = None if wal is None else next(wal.versions(1), None)
    # The file is also too short if its broker was killed during a checkpoint, which writes the first page first.
    if newest is None or _number(newest, 28) != pages:
        raise StoreError(f"the store {path} is truncated: it has {has} of {pages} pages")


def _check_whole(path: Path, wal: Wal) -> None:
    if not wal.is_log or wal.continues_after_damage:
        raise _damaged(path)


def _check_mark(path: Path, header: bytes, wal: Wal | None, note: bytes) -> None:
    try:
        opening = _opening(path) if any(header[40:44]) else None
    except sqlite3.DatabaseError:
        if wal is None or next(wal.versions(1), None) is None:
            raise
        # The first page is in the WAL too: the broker was killed during a checkpoint, and the page may be half written.
        return
    if opening is None:
        return
    if wal is None:
        if opening.is_open:
            raise StoreError(
                f"the store {path} was not closed, and its write-ahead log {path}-wal is missing: the last changes are "
                'only in the log. Restore it, or discard these changes: sqlite3 FILE "UPDATE opening SET is_open = 0"'
            )
        return
    if opening.boot == boot_id() != "" and note[:1] == _WRITTEN:
        # The machine has not crashed since the note was written, and no transaction was being written.
        is_shorter = opening.is_open and wal.octets < int.from_bytes(note[1:], "big")
        if is_shorter or wal.is_cut_short:
            raise _damaged(path)
    versions = list(wal.versions(opening.page))
    if not any(opening.mark in version for version in versions) and (versions or (opening.is_open and wal.whole)):
        raise _not_its_own(path)


def _opening(path: Path) -> _Opening | None:
    """Return the row of the file without its WAL; None if the file has an older version, or the row is damaged.

    :raises sqlite3.DatabaseError: the file's schema is damaged.
    """
    uri = f"file:{quote(str(path.absolute()))}?immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        try:
            pages = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'opening'").fetchall()
        except UnicodeDecodeError as error:  # The error of SQLite has names of the damaged schema.
            raise sqlite3.DatabaseError("malformed database schema") from error
        try:
            ((page,),) = pages
            ((mark, is_open, boot),) = connection.execute("SELECT mark, is_open, boot FROM opening").fetchall()
        except (sqlite3.Error, ValueError):
            return None
    if not (isinstance(mark, bytes) and len(mark) == _MARK_OCTETS and isinstance(page, int)):
        return None
    return _Opening(mark, is_open == 1, str(boot), page)


def _size(path: str) -> int:
    return os.stat(path).st_size if os.path.isfile(path) else 0


def _page_octets(header: bytes) -> int:
    octets = int.from_bytes(header[16:18], "big")
    return octets if octets > 1 else 2**16


def _number(octets: bytes, place: int) -> int:
    return int.from_bytes(octets[place : place + 4], "big")


def _not_its_own(path: Path) -> StoreError:
    return StoreError(f"the log {path}-wal beside the store {path} belongs to another file")


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"the log {path}-wal of the store {path} is damaged: the last changes are in it. Restore an intact copy of the "
        "log, or remove it to continue without these changes"
    )
