"""Back up a store's file while a broker uses it, in another thread.

SQLite's online backup copies the pages of one snapshot of the file, which does not change while it is read. The copy is
a file without a name: it needs as much disk space as the store, and it is gone when it is closed, or when the process
ends in any way. It never takes the last space of the disk, since the store needs that.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from threading import Event, Thread

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from zope.interface import implementer

from alaska.errors import StoreError
from alaska.interfaces import IBackup, Reactor
from alaska.store.checksum import trailer_of
from alaska.store.database import File, TemporaryFile, converting_errors
from alaska.system.disk_space import free_octets

STEP_PAGES = 256
"""The number of pages that are copied without a pause; the pages of a store have 4096 octets."""
SYNC_STEPS = 16
"""The number of steps after which the copied pages are written to the disk, so that no later ``fsync`` takes long."""
RESERVE_OCTETS = 64 * 2**20
"""The free space that a backup leaves on the disk; half of the free space, if that is less."""
_JOURNAL_VERSIONS_AT = 18
_ROLLBACK_JOURNAL = b"\1\1"


@implementer(IBackup)
class BackupFile:
    """A backup in a file without a name."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.octets = os.fstat(descriptor).st_size

    def read(self, at: int, most: int) -> bytes:
        """See :class:`IBackup`."""
        return os.pread(self._descriptor, most, at)

    def close(self) -> None:
        """See :class:`IBackup`."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # The system frees the disk space of the file then: 100 ms for 400 MB.
            Thread(target=os.close, args=(descriptor,), name="alaska-backup-close", daemon=True).start()


class Backups:
    """Makes backups of an open file, one at a time."""

    def __init__(self, reactor: Reactor, file: File) -> None:
        self._reactor = reactor
        self._file = file
        self._is_cancelled = Event()
        self._thread: Thread | None = None
        self._is_stopped = False

    def make(self) -> Deferred[IBackup]:
        """Make a backup; see :meth:`IStore.backup`."""
        if isinstance(self._file, TemporaryFile):
            return fail(
                StoreError(
                    "the broker has no store that could be backed up: its messages are in memory "
                    "(mlm_server/store/path; of an embedded broker: worker/broker/store)"
                )
            )
        if self._thread is not None:
            return fail(StoreError("another backup is being made"))
        self._is_cancelled.clear()
        made: Deferred[IBackup] = Deferred(lambda _: self._is_cancelled.set())
        self._thread = Thread(target=self._work, args=(made,), name="alaska-backup", daemon=True)
        self._thread.start()
        return made

    def _work(self, made: Deferred[IBackup]) -> None:
        result: BackupFile | Failure
        try:
            result = copy(self._file, self._is_cancelled.is_set)
        except Exception:  # Whatever it is, the caller gets it.
            result = Failure()
        self._reactor.callFromThread(self._made, made, result)

    def _made(self, made: Deferred[IBackup], result: BackupFile | Failure) -> None:
        self._thread = None
        if not self._is_stopped and not made.called:
            made.callback(result)
        elif isinstance(result, BackupFile):
            result.close()

    def stop(self) -> None:
        """Cancel the backup that is being made; its Deferred does not fire. The file may be closed afterwards."""
        self._is_stopped = True
        self._is_cancelled.set()
        if self._thread is not None:
            self._thread.join()


class _Cancelled(Exception):
    """The backup is not wanted any more."""


def copy(file: File, is_cancelled: Callable[[], bool], pause: Callable[[float], None] = time.sleep) -> BackupFile:
    """Copy an open file, and add a checksum; ``is_cancelled`` is asked several times a second.

    :raises StoreError: the copy cannot be written, or the file cannot be read; nothing is left of the copy.
    """
    with converting_errors(f"the store {file.path} cannot be backed up"):
        path = os.path.realpath(file.path)
        space = Space(os.path.dirname(path))
        descriptor, target = _unnamed_database(f"{path}-backup-{secrets.token_hex(4)}")
        try:
            with closing(target), file.snapshot() as source:
                _copy_pages(source, target, descriptor, space, is_cancelled, pause)
            # The header of the store says that it needs a write-ahead log. A backup is complete in itself.
            os.pwrite(descriptor, _ROLLBACK_JOURNAL, _JOURNAL_VERSIONS_AT)
            _add_checksum(descriptor, is_cancelled)
            return BackupFile(descriptor)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, _Cancelled):
                raise StoreError("the backup was cancelled") from None
            raise


class Space:
    """The free space in the folder of the store, a part of which is left to the store."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._reserve = min(RESERVE_OCTETS, free_octets(folder) // 2)

    def check(self, needed: int) -> None:
        """Check that there is enough for so many octets.

        :raises StoreError: there is not.
        """
        free = free_octets(self._folder)
        if free - self._reserve < needed:
            raise StoreError(
                f"{self._folder} has too little disk space for a backup: {needed} octets are needed, {free} are free, "
                f"and {self._reserve} of these are left to the store"
            )


def _unnamed_database(path: str) -> tuple[int, sqlite3.Connection]:
    """Return a descriptor of a new file, and a connection to it as an empty database; its name is removed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        # If the copy cannot be completed, it is dropped: it needs neither a journal nor an fsync for each transaction.
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        os.unlink(path)
    return descriptor, connection


def _copy_pages(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    descriptor: int,
    space: Space,
    is_cancelled: Callable[[], bool],
    pause: Callable[[float], None],
) -> None:
    """Copy the pages in steps, with a pause after each that is as long, so that at most half of the disk is used."""
    steps, began = 0, time.perf_counter()
    ((page_octets,),) = source.execute("PRAGMA page_size").fetchall()
    ((pages,),) = source.execute("PRAGMA page_count").fetchall()
    space.check(pages * page_octets)

    def progress(_status: int, left: int, _total: int) -> None:
        nonlocal steps, began
        if is_cancelled():
            raise _Cancelled
        steps += 1
        if steps % SYNC_STEPS == 0:
            os.fdatasync(descriptor)
            space.check(left * page_octets)
        pause(time.perf_counter() - began)
        began = time.perf_counter()

    source.backup(target, pages=STEP_PAGES, progress=progress)


def _add_checksum(descriptor: int, is_cancelled: Callable[[], bool]) -> None:
    at = 0

    def read(most: int) -> bytes:
        nonlocal at
        if is_cancelled():
            raise _Cancelled
        piece = os.pread(descriptor, most, at)
        at += len(piece)
        return piece

    trailer = trailer_of(read)
    if os.pwrite(descriptor, trailer, at) < len(trailer):
        raise StoreError("the disk is full")
