"""Backups of a store that is in use."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from alaska.errors import StoreError
from alaska.interfaces import IBackup, Reactor
from alaska.store import wal_mark
from alaska.store.backup import RESERVE_OCTETS, STEP_PAGES, SYNC_STEPS, copy
from alaska.store.checksum import Checksum
from alaska.store.database import File
from alaska.store.sqlite import SqliteStore, store_at
from tests.store.sqlite_case import JOBS, FileTestCase, message

reactor = cast("Reactor", global_reactor)


def save(backup: IBackup, path: Path) -> None:
    """Write a backup to a file, piece by piece, and close it."""
    with path.open("wb") as file:
        while octets := backup.read(file.tell(), 10_000):
            file.write(octets)
    assert path.stat().st_size == backup.octets
    backup.close()


def positions(store: SqliteStore) -> list[int]:
    """Return the positions of all messages in a store."""
    found: list[int] = []
    while page := store.waiting(JOBS, found[-1] if found else 0, 10**6):
        found += [each.position for each in page]
    return found


def integrity(path: Path) -> str:
    """Return what SQLite finds in a database."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


class CopyTests(FileTestCase):
    """A copy of an open file."""

    def setUp(self) -> None:
        super().setUp()
        self.store = self.open()
        self.saved = Path(self.mktemp())

    def fill(self, first: int, count: int, octets: int = 1000) -> None:
        """Store messages, and write them."""
        for position in range(first, first + count):
            self.store.keep(message(position, b"x" * octets), None)
        self.store.queues()

    def positions(self, path: Path) -> list[int]:
        """Return the positions of the messages in a store."""
        store = SqliteStore(cast("Reactor", self.clock), File(path, "FULL"))
        found = positions(store)
        store.close()
        return found

    def test_content(self) -> None:
        """A backup has all that was written before, also what is only in the write-ahead log, and needs no log."""
        self.fill(1, 10)
        save(copy(self.store.file, lambda: False), self.saved)
        self.assertEqual(integrity(self.saved), "ok")
        self.assertFalse(Path(f"{self.saved}-wal").exists())
        self.assertEqual(self.positions(self.saved), list(range(1, 11)))

    def test_written_meanwhile(self) -> None:
        """What is written while the pages are copied is not in the backup, and does not make it begin again."""
        self.fill(1, 3 * STEP_PAGES, 4000)
        steps: list[float] = []

        def write(seconds: float) -> None:
            steps.append(seconds)
            self.fill(10_000 + len(steps), 1, 4000)

        save(copy(self.store.file, lambda: False, write), self.saved)
        self.assertEqual(integrity(self.saved), "ok")
        self.assertEqual(self.positions(self.saved), list(range(1, 3 * STEP_PAGES + 1)))
        self.assertGreater(len(steps), 2)
        self.assertLess(len(steps), 10)

    def test_log_is_restarted_afterwards(self) -> None:
        """The write-ahead log grows while pages are copied; the next transaction afterwards restarts it."""
        log = Path(f"{self.path}-wal")
        self.fill(1, 10)
        marks: list[bytes] = []
        written = 10

        def write(_seconds: float) -> None:
            nonlocal written
            for _ in range(4):
                self.fill(written + 1, 500, 4000)
                written += 500
                marks.append(log.read_bytes()[16:24])

        save(copy(self.store.file, lambda: False, write), self.saved)
        self.assertEqual(len(set(marks)), 1)
        self.fill(100_000, 1)
        self.fill(100_001, 1)
        self.assertNotEqual(log.read_bytes()[16:24], marks[0])
        self.assertEqual(len(positions(self.store)), written + 2)

    def test_nothing_is_left(self) -> None:
        """Neither a backup nor a cancelled one has a name in the folder of the store."""
        self.fill(1, 10)
        before = sorted(os.listdir(self.path.parent))
        backup = copy(self.store.file, lambda: False)
        self.assertEqual(sorted(os.listdir(self.path.parent)), before)
        backup.close()
        self.assertRaises(StoreError, copy, self.store.file, lambda: True)
        self.assertEqual(sorted(os.listdir(self.path.parent)), before)

    def test_cannot_be_written(self) -> None:
        """If the copy cannot be written, the error says so, and later backups and writes are possible."""
        self.fill(1, 1000)

        def fail(_seconds: float) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        error = self.assertRaises(StoreError, copy, self.store.file, lambda: False, fail)
        self.assertEqual(str(error), f"the store {self.path} cannot be backed up: database or disk is full")
        self.fill(2000, 1)
        save(copy(self.store.file, lambda: False), self.saved)
        self.assertEqual(len(self.positions(self.saved)), 1001)

    def test_space_is_left(self) -> None:
        """A backup ends, or does not begin, before it takes the last disk space, which the store needs."""
        self.fill(1, 3 * STEP_PAGES * SYNC_STEPS // 2, 4000)
        free = [10**9, 10**9]
        self.patch(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=free.pop(0), f_frsize=1))
        before = sorted(os.listdir(self.path.parent))
        free.append(RESERVE_OCTETS)
        error = self.assertRaises(StoreError, copy, self.store.file, lambda: False, lambda _: None)
        self.assertIn(f"{RESERVE_OCTETS} are free, and {RESERVE_OCTETS} of these are left", str(error))
        free += [1000, 1000]
        error = self.assertRaises(StoreError, copy, self.store.file, lambda: False)
        self.assertIn("1000 are free, and 500 of these are left to the store", str(error))
        self.assertEqual(sorted(os.listdir(self.path.parent)), before)
        self.fill(100_000, 1)

    def test_restarted_log(self) -> None:
        """If the write-ahead log is being restarted when a backup begins, it waits for that: it needs no log."""
        self.fill(1, 10)
        with closing(self.store.file.connect()) as connection:
            wal_mark._write(connection, bytes(16), is_open=True)
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            waited: list[float] = []

            def restarted(seconds: float) -> None:
                waited.append(seconds)
                wal_mark._write(connection, bytes(16), is_open=False)

            self.patch(time, "sleep", restarted)
            save(copy(self.store.file, lambda: False, lambda _: None), self.saved)
        self.assertEqual(len(waited), 1)
        self.assertEqual(self.positions(self.saved), list(range(1, 11)))

    def test_checksum(self) -> None:
        """A backup ends with a checksum of all before it."""
        self.fill(1, 10)
        save(copy(self.store.file, lambda: False), self.saved)
        checksum = Checksum()
        for at in range(0, self.saved.stat().st_size, 1000):
            checksum.add(self.saved.read_bytes()[at : at + 1000])
        self.assertTrue(checksum.is_right)
        checksum.add(b"x")
        self.assertFalse(checksum.is_right)


class ThreadTests(TestCase):
    """Backups that a thread makes."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    async def test_stored_before(self) -> None:
        """Whatever was reported as stored before the backup began is in it."""
        store = store_at(reactor, self.path, "full")
        for position in range(1, 101):
            stored: Deferred[object] = Deferred()
            store.keep(message(position), stored.callback)
            await stored
        saved = Path(self.mktemp())
        save(await store.backup(), saved)
        store.close()
        again = store_at(reactor, saved, "full")
        self.assertEqual(len(again.waiting(JOBS, 0, 1000)), 100)
        again.close()

    async def test_one_at_a_time(self) -> None:
        """A second backup is refused while one is made."""
        store = store_at(reactor, self.path, "full")
        first = store.backup()
        await self.assertFailure(store.backup(), StoreError)
        (await first).close()
        (await store.backup()).close()
        store.close()

    async def test_closed_meanwhile(self) -> None:
        """A store that is closed while a backup is made cancels it."""
        store = store_at(reactor, self.path, "full")
        made = store.backup()
        store.close()
        self.assertNoResult(made)

    async def test_cancelled(self) -> None:
        """A backup that nobody waits for any more is cancelled, and another one can be made."""
        store = store_at(reactor, self.path, "full")
        made = store.backup()
        made.cancel()
        await self.assertFailure(made, CancelledError)
        while True:
            try:
                backup = await store.backup()
            except StoreError:
                await deferLater(reactor, 0.01, lambda: None)
            else:
                break
        save(backup, Path(self.mktemp()))
        store.close()

    async def test_no_store(self) -> None:
        """A broker without a store cannot be backed up."""
        store = store_at(reactor, None, "full")
        error = await self.assertFailure(store.backup(), StoreError)
        self.assertIn("mlm_server/store/path", str(error))
        store.close()
