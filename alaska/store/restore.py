"""Restore a store from a backup: check the backup, and put it in the place of the store.

A broker that is started at any moment, also after a crash of this process, finds either the whole old store or the
whole new one. The file is replaced by one rename. Before, the write-ahead log (WAL) of the old store is written into
its file, so that no log is left that belongs to another file.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from alaska.errors import DamagedRow, StoreError
from alaska.store import rows
from alaska.store.checksum import TRAILER_OCTETS, Checksum, is_trailer
from alaska.store.database import BUSY_SECONDS, converting_errors, expected_tables, tables_of
from alaska.store.locks import Locks
from alaska.store.wal_mark import APPLICATION_ID, BEING_WRITTEN, NEWEST_SCHEMA, check, needs_wal
from alaska.system.disk_space import free_octets

_MAGIC = b"SQLite format 3\0"
_HEADER_OCTETS = 100
_COPY_OCTETS = 2**20
_ROWS: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
    ("message", rows.MESSAGE_COLUMNS, rows.to_message),
    ("letter", rows.LETTER_COLUMNS, rows.to_letter),
    ("record", rows.RECORD_COLUMNS, rows.to_record),
)


class Content(NamedTuple):
    """The numbers of what a backup has, and whether it has a checksum."""

    messages: int
    letters: int
    records: int
    has_checksum: bool = False


class Restored(NamedTuple):
    """The result of :func:`restore`: what the store has now, and the file of the previous store, if there was one."""

    content: Content
    previous: Path | None


def restore(backup: Path, path: Path, suffix: str) -> Restored:
    """Replace the store at a path by a backup; the previous store gets the name ``path`` and ``suffix``.

    :raises StoreError: the backup cannot be used, or the store is in use; the store at the path is not changed.
    """
    with converting_errors(f"the backup {backup} cannot be restored"):
        octets = _check_header(backup)
        real_path = Path(os.path.realpath(path))
        if not real_path.parent.is_dir():
            raise StoreError(f"there is no folder {real_path.parent} for the store")
        if real_path.exists() and real_path.samefile(backup):
            raise StoreError(f"{backup} is the store itself, not a backup of it")
        new = Path(f"{real_path}-restoring")
        is_missing, had_lock = not real_path.exists(), os.path.exists(f"{path}-lock")
        locks = Locks(path, real_path)
        try:
            with _removing(new):
                content = _copy_checked(backup, new, octets)
                _give_to_owner(new, real_path.parent if is_missing else real_path)
                aside = Path(f"{real_path}{suffix}")
                if is_missing:
                    _put_log_aside(real_path, aside)
                else:
                    _put_aside(real_path, locks, aside)
                os.replace(new, real_path)
            _sync_folder(real_path.parent)
            os.pwrite(locks.lock_file, BEING_WRITTEN, 0)
        except BaseException:
            if is_missing and real_path.stat().st_size == 0:
                real_path.unlink()
            raise
        finally:
            if not had_lock:
                _give_to_owner(Path(f"{path}-lock"), real_path)
            locks.release()
    return Restored(content, None if is_missing else aside)


def verify(backup: Path) -> Content:
    """Check a backup as :func:`restore` does; return what it has.

    :raises StoreError: it cannot be used.
    """
    with converting_errors(f"the backup {backup} cannot be checked"):
        octets = _check_header(backup)
        has_checksum = _check_end(backup, octets, backup)
        return check_content(backup, backup)._replace(has_checksum=has_checksum)


def _check_header(backup: Path) -> int:
    """Check the header of a backup, and return the size of its database, without a checksum after it.

    :raises StoreError: it is not a backup that this version can read.
    """
    if not backup.is_file():
        raise StoreError(f"{backup} is not a file")
    with backup.open("rb") as file:
        header = file.read(_HEADER_OCTETS)
        octets = file.seek(0, os.SEEK_END)
    if len(header) < _HEADER_OCTETS or not header.startswith(_MAGIC):
        raise StoreError(f"{backup} is not a backup: it is not a database")
    if _number(header, 68) != APPLICATION_ID:
        raise StoreError(f"{backup} is not a backup: it is a database of another program")
    if (version := _number(header, 60)) > NEWEST_SCHEMA:
        raise StoreError(
            f"{backup} was written by a newer Alaska: its version is {version}, this one knows up to {NEWEST_SCHEMA}"
        )
    page_octets = int.from_bytes(header[16:18], "big")
    page_octets = 2**16 if page_octets == 1 else page_octets
    expected = _number(header, 28) * page_octets
    if octets < expected:
        raise StoreError(f"{backup} is truncated: it has {octets} of {expected} octets")
    log = Path(f"{backup}-wal")
    if log.exists() and log.stat().st_size:
        raise StoreError(f"{backup} is not a backup, but an open store: a part of it is in {log}")
    return expected


def check_content(path: Path, name: Path) -> Content:
    """Check all content of a file, which errors call ``name``; return what it has.

    :raises StoreError: it is damaged, or has something that no store has.
    """
    uri = f"file:{quote(str(path.absolute()))}?immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok":
                raise StoreError(f"{name} is damaged: {result.splitlines()[-1]}")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            tables = expected_tables(version)
            if tables_of(connection) != tables:
                raise StoreError(f"{name} is not a backup of a broker's store: its tables are others")
            if any(table == "opening" for _, table, *_ in tables) and needs_wal(connection):
                raise StoreError(f"{name} is not complete: its store was not closed, and the log {name}-wal is missing")
            messages, letters, records = (_check_rows(connection, name, version, *each) for each in _ROWS)
            return Content(messages, letters, records)
    except sqlite3.Error as error:
        raise StoreError(f"{name} is damaged: {error}") from error


def _check_rows(
    connection: sqlite3.Connection, name: Path, version: int, table: str, columns: str, decode: Callable[[Any], object]
) -> int:
    """Check that each row of a table can be read, and return their number.

    Rows of older versions have other columns; they are converted when the store is opened.
    """
    if version < NEWEST_SCHEMA:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    count = 0
    for row in connection.execute(f"SELECT {columns} FROM {table}"):
        count += 1
        try:
            decode(row if table != "record" or row[5] else (*row[:5], b"", *row[6:]))
        except DamagedRow as error:
            raise StoreError(f"{name} is damaged: row {count} of the table {table} cannot be read: {error}") from error
    return count


@contextmanager
def _removing(path: Path) -> Iterator[None]:
    """Remove a file at the end of the block, also one that an earlier process has left, unless it was renamed."""
    path.unlink(missing_ok=True)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _check_end(path: Path, octets: int, name: Path) -> bool:
    """Check what follows so many octets of a file, which errors call ``name``; return whether it is a checksum.

    A file of a store that was copied while no broker ran has none.

    :raises StoreError: it is the checksum of something else, or something else.
    """
    with path.open("rb") as file:
        file.seek(octets)
        end = file.read(TRAILER_OCTETS + 1)
        if end and not is_trailer(end):
            raise StoreError(f"{name} is truncated or damaged: after its last page is something that is no checksum")
        if end:
            checksum = Checksum()
            file.seek(0)
            while piece := file.read(_COPY_OCTETS):
                checksum.add(piece)
            if not checksum.is_right:
                raise StoreError(f"{name} is damaged: its checksum is wrong")
    return bool(end)


def _copy_checked(backup: Path, new: Path, octets: int) -> Content:
    """Copy so many octets of a backup, and check the copy, which nobody else changes; return what it has.

    :raises StoreError: it cannot be used, or there is no space.
    """
    _check_space(new.parent, octets)
    _copy(backup, new)
    has_checksum = _check_end(new, octets, backup)
    os.truncate(new, octets)
    return check_content(new, backup)._replace(has_checksum=has_checksum)


def _check_space(folder: Path, octets: int) -> None:
    if (free := free_octets(folder)) < octets:
        raise StoreError(f"{folder} has too little disk space: {octets} octets are needed, {free} are free")


def _copy(backup: Path, new: Path) -> None:
    """Copy a file, so that the copy is on the disk."""
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with backup.open("rb") as source, os.fdopen(descriptor, "wb") as target:
        shutil.copyfileobj(source, target, _COPY_OCTETS)
        target.flush()
        os.fsync(target.fileno())


def _put_log_aside(path: Path, aside: Path) -> None:
    """Give the write-ahead log of a store, if there is one, the name of one that is aside, and delete the other files.

    The old store is missing, or could not be opened with its log, so nothing is lost if a crash leaves it without the
    log.
    """
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        log.rename(f"{aside}-wal")
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _put_aside(path: Path, locks: Locks, aside: Path) -> None:
    """Give the old store a second name, so that it still has this one until it is replaced."""
    try:
        check(path, locks.store_file, locks.lock_file)
        _write_log_into(path)
    except (StoreError, sqlite3.Error):
        _put_log_aside(path, aside)
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    try:
        os.link(path, aside)
    except FileExistsError:
        # It may be left from a process that was killed after this.
        if not aside.samefile(path):
            raise StoreError(f"there is a file {aside} already") from None
    except OSError:  # Not every file system has links.
        _copy(path, aside)
    _sync_folder(path.parent)


def _write_log_into(path: Path) -> None:
    """Write the WAL of a file into it."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode != "delete":
            raise StoreError(f"the store {path} is in use by another program")


def _give_to_owner(path: Path, like: Path) -> None:
    """Give a file to the owner of another one: the administrator may restore the store of the broker's user."""
    with suppress(OSError):
        found = like.stat()
        os.chown(path, found.st_uid, found.st_gid)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(octets: bytes, place: int) -> int:
    return int.from_bytes(octets[place : place + 4], "big")
