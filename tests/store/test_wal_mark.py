"""A store's file and its WAL: accepted after a crash, and refused if they do not belong together."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import StoreError
from alaska.interfaces import Reactor
from alaska.message import Message, QueueKind, QueueName
from alaska.store import wal_mark
from alaska.store.database import File
from alaska.store.kv import KeyValues
from alaska.store.sqlite import SqliteStore
from alaska.store.wal import FRAME_HEADER_OCTETS, HEADER_OCTETS
from alaska.testing import HandWriting
from tests import examples

JOBS = QueueName(QueueKind.SERVICE, b"jobs")
FRAME = FRAME_HEADER_OCTETS + 4096


def frames_of(log: bytes) -> int:
    """Return the number of frames of a WAL that are not left over from an older one."""
    count = (len(log) - HEADER_OCTETS) // FRAME
    places = [HEADER_OCTETS + number * FRAME + 8 for number in range(count)]
    return sum(log[place : place + 8] == log[16:24] for place in places)


class MarkCase(SynchronousTestCase):
    """A store that the test writes, and its files after a crash."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = self.new_path()
        self.position = 0

    def new_path(self) -> Path:
        """Return a path in a new directory."""
        folder = Path(self.mktemp())
        folder.mkdir()
        return folder / "store.db"

    def open(self, path: Path) -> SqliteStore:
        """Return a store in a file that is closed at the end."""

        def make_writing(file: File, wake: Callable[[], None]) -> HandWriting:
            self.writing = HandWriting(file, wake)
            return self.writing

        store = SqliteStore(cast("Reactor", self.clock), File(path, "OFF"), make_writing)
        self.addCleanup(store.close)
        return store

    def write(self, store: SqliteStore, groups: int, octets: int = 100) -> None:
        """Write a number of batches of one message each."""
        for _ in range(groups):
            self.position += 1
            store.keep(Message(self.position, JOBS, b"", b"", b"", (b"x" * octets,)), None)
            self.clock.advance(1)
            self.writing.run()

    def crash(self, path: Path) -> Path:
        """Return the path of a copy of the files, as after a crash."""
        other = self.new_path()
        for each in path.parent.glob(f"{path.name}*"):
            shutil.copy(each, other.with_name(each.name))
        return other

    def crashed(self, groups: int = 5) -> Path:
        """Return the path of a store after a crash, with a number of batches only in the WAL."""
        path = self.new_path()
        self.position = 0
        self.write(self.open(path), groups)
        return self.crash(path)

    def positions(self, path: Path) -> list[int]:
        """Open a store; return the positions of its messages."""
        store = self.open(path)
        found = [each.position for each in store.waiting(JOBS, 0, 1000)]
        store.close()
        return found

    def contents(self, path: Path) -> dict[str, bytes]:
        """Return the content of a store's files, except the lock file."""
        return {
            each.name: each.read_bytes()
            for each in path.parent.iterdir()
            if each.is_file() and not each.name.endswith("-lock")
        }

    def assert_refused(self, path: Path, pattern: str) -> None:
        """Check that a store is refused repeatedly with an error that matches, and its files are not modified."""
        before = self.contents(path)
        for _ in range(2):
            with self.assertRaisesRegex(StoreError, pattern):
                self.open(path)
        self.assertEqual(self.contents(path), before)


class CrashTests(MarkCase):
    """Files that are accepted."""

    def test_killed(self) -> None:
        """After a crash the store has all data that was written."""
        self.assertEqual(self.positions(self.crashed()), [1, 2, 3, 4, 5])

    def test_killed_at_any_moment(self) -> None:
        """The store has all written data after a crash before any statement, including during checkpoints."""
        self.patch(wal_mark, "LONG_FRAMES", 5)
        store = self.open(self.path)
        self.write(store, 1)
        crashes: list[tuple[int, Path]] = []
        assert self.writing._writer is not None
        connection = self.writing._writer._connection
        connection.set_trace_callback(lambda _: crashes.append((self.position - 1, self.crash(self.path))))
        self.write(store, 20)
        connection.set_trace_callback(None)
        logs = {path.with_name("store.db-wal").read_bytes()[16:24] for _, path in crashes}
        self.assertGreater(len(logs), 2)
        for least, path in crashes:
            found = self.positions(path)
            self.assertIn(len(found), (least, least + 1))

    def test_killed_again(self) -> None:
        """The store has all written data after repeated crashes right after it was opened."""
        path = self.crashed()
        for _ in range(3):
            self.open(path)
            path = self.crash(path)
        self.assertEqual(self.positions(path), [1, 2, 3, 4, 5])

    def test_new(self) -> None:
        """A new store can be opened after a crash before anything was written."""
        self.open(self.path)
        self.assertEqual(self.positions(self.crash(self.path)), [])

    def test_stopped(self) -> None:
        """A closed store has no WAL, and its file can be copied."""
        self.write(store := self.open(self.path), 3)
        store.close()
        self.assertEqual(list(self.contents(self.path)), ["store.db"])
        other = self.new_path()
        shutil.copy(self.path, other)
        self.assertEqual(self.positions(other), [1, 2, 3])

    def test_folded_by_others(self) -> None:
        """A store whose WAL was checkpointed by another program is accepted."""
        path = self.crashed()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT count(*) FROM message").fetchall()
        self.assertNotIn("store.db-wal", self.contents(path))
        self.assertEqual(self.positions(path), [1, 2, 3, 4, 5])

    def test_backup(self) -> None:
        """A backup of an open store that SQLite makes is accepted."""
        self.write(self.open(self.path), 3)
        other = self.new_path()
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(other)) as target:
            source.backup(target)
        self.assertEqual(self.positions(other), [1, 2, 3])

    def test_torn(self) -> None:
        """A transaction that was incomplete when the machine crashed is ignored."""
        path = self.crashed()
        log = path.with_name("store.db-wal")
        octets = bytearray(log.read_bytes())
        octets[HEADER_OCTETS + frames_of(bytes(octets)) * FRAME - 100] ^= 0x55
        log.write_bytes(octets)
        path.with_name("store.db-lock").write_bytes(b"\1")
        self.assertEqual(self.positions(path), [1, 2, 3, 4])

    def test_log_stays_short(self) -> None:
        """The WAL is checkpointed whenever it is long."""
        self.patch(wal_mark, "LONG_FRAMES", 50)
        self.write(self.open(self.path), 100, octets=3000)
        self.assertLess(self.path.with_name("store.db-wal").stat().st_size, 70 * FRAME)


class OtherLogTests(MarkCase):
    """WALs that are refused."""

    def log_of(self, path: Path) -> Path:
        """Return the path of a store's WAL."""
        return path.with_name("store.db-wal")

    def test_missing(self) -> None:
        """A missing or empty WAL is detected, also after checkpoints."""
        self.patch(wal_mark, "LONG_FRAMES", 12)
        for groups in (1, 5, 40):
            path = self.crashed(groups)
            os.truncate(self.log_of(path), 0)
            self.assert_refused(path, "log .* is missing")
            self.log_of(path).unlink()
            self.assert_refused(path, "log .* is missing")

    def test_go_on_without(self) -> None:
        """The statement in the error text lets the store be opened without its WAL."""
        path = self.crashed()
        self.log_of(path).unlink()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE opening SET is_open = 0")
        self.assertEqual(self.positions(path), [])

    def test_of_another_store(self) -> None:
        """The WAL of another store, or an older one of the same store, is not replayed, even into a closed store."""
        crashed, other, closed = self.crashed(), self.crashed(), self.new_path()
        self.open(closed).close()
        for path in (crashed, closed):
            shutil.copy(self.log_of(other), self.log_of(path))
            self.assert_refused(path, "belongs to another file")
        older = self.log_of(other).read_bytes()
        self.open(other)
        again = self.crash(other)
        self.log_of(again).write_bytes(older)
        self.assert_refused(again, "belongs to another file")

    def test_of_another_program(self) -> None:
        """The WAL of another program's database is not replayed, whatever its page size."""
        for octets in (4096, 1024):
            other = self.new_path()
            connection = sqlite3.connect(other)
            self.addCleanup(connection.close)
            connection.executescript(f"PRAGMA page_size = {octets}; PRAGMA journal_mode = WAL; CREATE TABLE theirs (x)")
            path = self.crashed()
            shutil.copy(self.log_of(other), self.log_of(path))
            self.assert_refused(path, "belongs to another file")

    def test_garbled(self) -> None:
        """A WAL with any changed octet is refused, even in the last transaction."""
        whole = self.log_of(self.crashed(8)).read_bytes()
        rnd = random.Random(0)
        places = [rnd.randrange(frames_of(whole) * FRAME) for _ in range(examples(30))]
        for place in [*range(0, HEADER_OCTETS, 5), *(HEADER_OCTETS + each for each in places)]:
            path = self.crashed(8)
            octets = bytearray(self.log_of(path).read_bytes())
            octets[place] ^= 0x55
            self.log_of(path).write_bytes(octets)
            self.assert_refused(path, "is damaged|belongs to another|is missing")

    def test_cut(self) -> None:
        """A truncated WAL is refused."""
        path = self.crashed(8)
        os.truncate(self.log_of(path), HEADER_OCTETS + 7 * FRAME)
        self.assert_refused(path, "is damaged")

    def test_cut_store(self) -> None:
        """A truncated file is refused, with or without its WAL."""
        path = self.crashed()
        os.truncate(path, 3 * 4096)
        self.assert_refused(path, "is truncated: it has 3 of .* pages")
        self.open(self.path).close()
        os.truncate(self.path, 3 * 4096 + 100)
        self.assert_refused(self.path, "is truncated: it has 3 of .* pages")

    def test_damaged_tables(self) -> None:
        """A file with a damaged schema is refused before its WAL is checkpointed."""
        for path in (self.crashed(), self.path):
            if path == self.path:
                self.open(path).close()
            octets = path.read_bytes()
            path.write_bytes(octets.replace(b"CREATE TABLE message", b"CREATE TUBLE message"))
            self.assert_refused(path, "cannot be used: malformed database schema")

    def test_without_file(self) -> None:
        """The WAL of an empty or missing file is not modified."""
        path = self.crashed()
        os.truncate(path, 0)
        self.assert_refused(path, "is empty, but its write-ahead log")
        path.unlink()
        self.assert_refused(path, "is missing, but its write-ahead log")
        self.assertFalse(path.exists())

    def test_journal(self) -> None:
        """A rollback journal beside a store is refused and not rolled back."""
        self.open(self.path).close()
        self.path.with_name("store.db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(1000))
        self.assert_refused(self.path, "journal .* belongs to another file")


class KindTests(MarkCase):
    """Other files at the path of a store."""

    def test_no_store(self) -> None:
        """A text file and another program's database are refused, with any WAL."""
        self.path.write_text("worker\n" * 1000)
        self.assert_refused(self.path, "is not a database")
        shutil.copy(self.crashed().with_name("store.db-wal"), self.path.with_name("store.db-wal"))
        self.assert_refused(self.path, "is not a database")
        other = self.new_path()
        connection = sqlite3.connect(other)
        self.addCleanup(connection.close)
        connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x)")
        self.assert_refused(self.crash(other), "database of another program|belongs to another file")
        connection.execute("PRAGMA wal_checkpoint")
        self.assert_refused(self.crash(other), "database of another program")

    def test_no_file(self) -> None:
        """A directory, a pipe or a device is refused at once, in place of the store or any file beside it."""
        makes: list[Callable[[Path], Any]] = [
            Path.mkdir,
            os.mkfifo,
            lambda path: path.symlink_to("/dev/zero"),
        ]
        for make in makes:
            for end in ("", "-wal", "-lock", "-shm", "-journal"):
                path = self.new_path()
                make(path.with_name(f"store.db{end}"))
                self.assert_refused(path, "is not a regular file, but a (directory|pipe|socket or device)")

    def test_empty(self) -> None:
        """An empty file, and a symbolic link to a missing file, become stores."""
        self.path.touch()
        self.assertEqual(self.positions(self.path), [])
        link = self.new_path()
        link.symlink_to(self.new_path().absolute())
        self.assertEqual(self.positions(link), [])


class SameProcessTests(MarkCase):
    """A file that is opened twice in one process."""

    def test_refused(self) -> None:
        """The second store is refused by any path, and the first keeps its POSIX locks."""
        self.write(self.open(self.path), 3)
        symbolic, hard = self.path.with_name("symbolic"), self.path.with_name("hard")
        symbolic.symlink_to(self.path.absolute())
        hard.hardlink_to(self.path)
        for path in (self.path, self.path.absolute(), symbolic, hard):
            with self.assertRaisesRegex(StoreError, "in use by another broker"):
                self.open(path)
        self.look_from_outside()
        self.assertTrue(self.path.with_name("store.db-wal").exists())

    def test_key_values(self) -> None:
        """A key-value store in the same file is refused, and the store keeps its POSIX locks."""
        self.write(self.open(self.path), 3)
        self.assertRaises(StoreError, KeyValues, self.path)
        self.look_from_outside()
        self.assertTrue(self.path.with_name("store.db-wal").exists())

    def test_free_again(self) -> None:
        """A file that could not be opened, or was closed, can be opened again."""
        self.path.write_text("no store")
        for _ in range(2):
            with self.assertRaisesRegex(StoreError, "not a database"):
                self.open(self.path)
        self.path.unlink()
        for _ in range(2):
            self.open(self.path).close()

    def look_from_outside(self) -> None:
        """Open and close the file in another process, which deletes the WAL if the file is not locked."""
        program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM clock'); c.close()"
        subprocess.run([sys.executable, "-c", program, str(self.path)], check=True, timeout=60)


class PlaceTests(MarkCase):
    """A WAL that is deleted while the store is open."""

    def test_deleted_wal(self) -> None:
        """A deleted WAL is detected."""
        file = File(self.path, "OFF")
        file.open()
        self.addCleanup(file.close)
        file.check_place()
        self.path.with_name("store.db-wal").unlink()
        with self.assertRaisesRegex(StoreError, "log .* was moved, deleted or replaced"):
            file.check_place()
