"""The store in an SQLite file: batches, files that are refused, and failures to write."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple
from importlib import resources
from pathlib import Path
from typing import cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from alaska.errors import StoreError
from alaska.interfaces import Reactor
from alaska.message import DeadLetter, Message, QueueKind, QueueName, QueueSize, Record, StreamSize
from alaska.store import sqlite
from alaska.store.changes import Changes
from alaska.store.database import File, TemporaryFile
from alaska.store.mark import APPLICATION_ID
from alaska.store.sqlite import LAZY_ATTEMPTS_SECONDS, LAZY_SECONDS, RETRY_SECONDS, SqliteStore, store_at
from alaska.store.writer import Writer
from alaska.store.writing import WritingThread
from alaska.testing import HandWriting

JOBS = QueueName(QueueKind.SERVICE, b"jobs")


def message(position: int, content: bytes = b"x") -> Message:
    """Return a request."""
    return Message(position, JOBS, b"joe", b"job", b"t", (content,), is_tracked=True)


class FileTestCase(SynchronousTestCase):
    """A store in a file that the test writes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp())
        self.stored: list[int] = []
        self.said: list[LogEvent] = []
        observer = cast("ILogObserver", self.said.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def open(self, file: File | None = None) -> SqliteStore:
        """Return a store that is closed at the end."""

        def make_writing(file: File, wake: Callable[[], None]) -> HandWriting:
            self.writing = HandWriting(file, wake)
            return self.writing

        store = SqliteStore(cast("Reactor", self.clock), file or File(self.path, "FULL"), make_writing)
        self.addCleanup(store.close)
        return store

    def keep(self, store: SqliteStore, *positions: int) -> None:
        """Store messages, and record the calls of their ``stored`` callbacks."""
        for position in positions:
            store.keep(message(position), lambda kept: self.stored.append(kept.position))


class WritingTests(FileTestCase):
    """When changes are written."""

    def test_stored_after_the_commit(self) -> None:
        """A message with a callback is written at once, and the callback is called after the commit."""
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        self.assertEqual(self.stored, [])
        self.writing.run()
        self.assertEqual(self.stored, [1])
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT position FROM message").fetchall(), [(1,)])

    def test_in_groups(self) -> None:
        """All changes that arrive while a batch is written form the next batch."""
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        self.keep(store, *range(2, 500))
        self.writing.run()
        self.writing.run()
        self.assertEqual((self.writing.groups, self.stored), (2, list(range(1, 500))))

    def test_without_a_callback(self) -> None:
        """A message without a callback is written after a delay."""
        store = self.open()
        store.keep(message(1), None)
        self.clock.advance(LAZY_SECONDS / 2)
        self.assertIsNone(self.writing.begun)
        self.clock.advance(LAZY_SECONDS / 2)
        self.assertIsNotNone(self.writing.begun)

    def test_done_before_its_turn(self) -> None:
        """A message that is forgotten before its batch is written is never written."""
        store = self.open()
        self.keep(store, 1)
        store.forget(message(1))
        self.clock.advance(1)
        self.assertIsNone(self.writing.begun)
        self.assertEqual(self.stored, [1])

    def test_done_while_it_is_written(self) -> None:
        """A message that is forgotten while it is written is deleted by the next batch, and not visible before."""
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        store.forget(message(1))
        self.assertEqual(store.waiting(JOBS, 0, 10), [])
        self.writing.run()
        self.assertEqual(store.waiting(JOBS, 0, 10), [])
        self.clock.advance(1)
        self.writing.run()
        self.assertEqual((store.queues(), self.stored), ([], [1]))

    def test_attempts_noted_after_the_commit(self) -> None:
        """The callback for the number of attempts is called after the commit."""
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        self.writing.run()
        tried = message(1)
        tried.attempts = 3
        store.note_attempts(tried, lambda: self.stored.append(-1))
        self.clock.advance(0)
        self.assertEqual(self.stored, [1])
        self.writing.run()
        self.assertEqual(self.stored, [1, -1])
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT attempts FROM message").fetchall(), [(3,)])

    def tried(self, store: SqliteStore) -> Message:
        """Return a message in the file whose number of attempts has changed since."""
        self.keep(store, 1)
        self.clock.advance(0)
        self.writing.run()
        tried = message(1)
        tried.attempts = 3
        store.note_attempts(tried, None)
        return tried

    def test_attempts_that_nobody_waits_for(self) -> None:
        """Without a callback, the number of attempts is visible at once and written after a delay."""
        store = self.open()
        self.tried(store)
        self.keep(store, 2)
        self.clock.advance(0)
        self.assertEqual([each.attempts for each in store.waiting(JOBS, 0, 1)], [3])
        self.writing.run()
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("SELECT attempts FROM message").fetchall(), [(0,), (0,)])
            self.clock.advance(LAZY_ATTEMPTS_SECONDS)
            self.writing.run()
            self.assertEqual(connection.execute("SELECT attempts FROM message").fetchall(), [(3,), (0,)])

    def test_attempts_of_a_forgotten_message(self) -> None:
        """The number of attempts is not written for a message that is forgotten soon."""
        store = self.open()
        store.forget(self.tried(store))
        self.clock.advance(LAZY_ATTEMPTS_SECONDS)
        assert self.writing.begun is not None
        self.assertEqual((dict(self.writing.begun.deleted), self.writing.begun.attempts), ({1: JOBS}, {}))
        self.writing.run()
        self.clock.advance(1)
        self.assertIsNone(self.writing.begun)

    def test_attempts_are_written_at_the_end(self) -> None:
        """The number of attempts is written when the store is closed."""
        store = self.open()
        self.tried(store)
        store.close()
        self.assertEqual([each.attempts for each in self.open().waiting(JOBS, 0, 1)], [3])

    def test_disk_is_slower(self) -> None:
        """When too many changes are unwritten, the next change waits for the disk, so memory is bounded."""
        store = self.open()
        self.patch(sqlite, "MOST_UNWRITTEN_OCTETS", 10_000)
        self.keep(store, 1)
        self.clock.advance(0)
        self.keep(store, *range(2, 1000))
        self.assertGreater(self.writing.groups, 10)
        self.assertLessEqual(store.unwritten_octets, 11_000)

    def test_temporary(self) -> None:
        """A temporary store writes only large amounts of changes, and leaves no file behind."""
        file = TemporaryFile()
        store = self.open(file)
        self.patch(sqlite, "SPILL_OCTETS", 10_000)
        self.keep(store, *range(1, 30))
        self.assertEqual(self.stored, list(range(1, 30)))
        self.assertFalse(hasattr(self, "writing"))
        self.keep(store, *range(30, 100))
        self.writing.run()
        self.assertFalse(file.path.exists())
        self.keep(store, 100)
        self.assertEqual([each.position for each in store.waiting(JOBS, 0, 200)], list(range(1, 101)))


class OlderTests(FileTestCase):
    """Migration of a file of schema version 1."""

    def setUp(self) -> None:
        super().setUp()
        script = resources.files("alaska.store").joinpath("schema/1.sql").read_text("utf-8")
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(f"{script}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1")

    def insert(self, position: int, content: bytes, expires: float | None) -> None:
        """Insert a request as version 1 would."""
        row = (1, b"jobs", position, b"joe", b"job", b"t", content, 3, 1, b"\0peer", expires, 2)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(f"INSERT INTO message VALUES ({', '.join('?' * len(row))})", row)

    def test_carried_over(self) -> None:
        """Messages of version 1 are migrated with all their values, also when the store is opened again."""
        self.insert(8, b"\0\0\0\1x\0\0\0\0\0\0\0\2yz", 17.5)
        self.insert(7, b"\0\0\0\3abc", None)
        first = Message(7, JOBS, b"joe", b"job", b"t", (b"abc",), True, b"\0peer", None, 2)
        second = Message(8, JOBS, b"joe", b"job", b"t", (b"x", b"", b"yz"), True, b"\0peer", 17.5, 2)
        for _ in range(2):
            store = self.open()
            found = store.waiting(JOBS, 0, 10)
            self.assertEqual([astuple(each) for each in found], [astuple(first), astuple(second)])
            self.assertEqual([each.position for each in store.overdue(18.0, (0.0, 0), 10)], [8])
            self.assertEqual((store.last_position, store.queues()), (8, [QueueSize(JOBS, 2, 6)]))
            store.close()

    def test_goes_on(self) -> None:
        """Migrated messages can be updated and deleted."""
        self.insert(7, b"\0\0\0\3abc", None)
        self.insert(8, b"\0\0\0\3abc", None)
        store = self.open()
        seven, eight = store.waiting(JOBS, 0, 10)
        store.forget(seven)
        eight.attempts = 3
        store.note_attempts(eight, None)
        self.keep(store, 9)
        store.close()
        again = self.open()
        found = [(each.position, each.attempts) for each in again.waiting(JOBS, 0, 10)]
        self.assertEqual((self.stored, found), ([9], [(8, 3), (9, 0)]))


class PlaceTests(FileTestCase):
    """Exclusive access to a file, and changes of its path."""

    def test_second_broker(self) -> None:
        """A second broker is refused, also over a symbolic or hard link, by another path, and without the lock file."""
        self.open()
        symbolic, hard = self.path.with_name("symbolic"), self.path.with_name("hard")
        symbolic.symlink_to(self.path.absolute())
        hard.hardlink_to(self.path)
        Path(f"{self.path}-lock").unlink()
        for path in (symbolic, hard, self.path.absolute()):
            error = self.assertRaises(StoreError, SqliteStore, cast("Reactor", self.clock), File(path, "FULL"))
            self.assertIn("is in use by another broker", str(error))

    def test_free_again(self) -> None:
        """A store can be opened again after it was closed."""
        self.open().close()
        self.open().close()

    def test_moved(self) -> None:
        """A file that is moved, deleted or replaced while it is open is detected."""
        for change in (
            lambda path: path.rename(path.with_name("moved")),
            Path.unlink,
            lambda path: path.with_name("other").replace(path),
        ):
            path = Path(self.mktemp())
            path.with_name("other").touch()
            file = File(path, "FULL")
            file.open()
            self.addCleanup(file.close)
            file.check_place()
            change(path)
            self.assertRaises(StoreError, file.check_place)


class PrivateTests(FileTestCase):
    """Permissions of the file."""

    def test_mode(self) -> None:
        """Only the owner can access the file and SQLite's files beside it, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        self.writing.run()
        files = list(self.path.parent.glob(f"{self.path.name}*"))
        self.assertGreater(len(files), 2)
        for each in files:
            self.assertEqual(each.stat().st_mode & 0o777, 0o600, each)


class ClockTests(FileTestCase):
    """The clock by which messages expire."""

    def test_goes_on(self) -> None:
        """The clock of a store continues when it is opened again, even if the wall clock was set back or forward."""
        first = self.open()
        first.close()
        for step in (-3600.0, 3600.0):
            self.patch(time, "time", lambda step=step, wall=time.time: wall() + step)
            again = self.open()
            self.assertLess(abs(again.opened_at - first.opened_at), 300)
            again.close()

    def test_begins(self) -> None:
        """The clock of a new store, and of a temporary one, starts with the wall clock."""
        self.assertLess(abs(self.open().opened_at - time.time()), 300)
        self.assertLess(abs(self.open(TemporaryFile()).opened_at - time.time()), 300)


class RefusalTests(FileTestCase):
    """Files that cannot be used as a store."""

    def assert_refused(self, pattern: str) -> None:
        """Check that the file is refused with an error that matches, and is not modified."""
        before = self.path.read_bytes()
        with self.assertRaisesRegex(StoreError, pattern):
            SqliteStore(cast("Reactor", self.clock), File(self.path, "FULL"))
        self.assertEqual(self.path.read_bytes(), before)

    def make(self, *statements: str) -> None:
        """Create a database."""
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def test_newer(self) -> None:
        """A store of a newer version is refused."""
        self.make("CREATE TABLE message (x)", f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 1000")
        self.assert_refused("newer Alaska: its version is 1000, this one knows up to 5")

    def test_stranger(self) -> None:
        """A database of another program is refused."""
        self.make("CREATE TABLE theirs (x)")
        self.assert_refused("database of another program")

    def test_no_database(self) -> None:
        """A file that is not a database is refused."""
        self.path.write_text("worker\n    background = 0\n" * 100)
        self.assert_refused("file is not a database")

    def test_damaged(self) -> None:
        """A file whose first pages are damaged is refused."""
        store = self.open()
        self.keep(store, *range(1, 2000))
        store.close()
        octets = bytearray(self.path.read_bytes())
        octets[8192:] = b"\xee" * (len(octets) - 8192)
        self.path.write_bytes(octets)
        self.assert_refused("cannot be (read|used): database disk image is malformed")

    def test_in_use(self) -> None:
        """A store that another broker has open is refused."""
        self.open()
        self.assert_refused("in use by another broker")

    def test_no_folder(self) -> None:
        """A path in a missing directory is refused."""
        self.path = self.path / "store"
        with self.assertRaisesRegex(StoreError, "cannot be used: No such file or directory"):
            SqliteStore(cast("Reactor", self.clock), File(self.path, "FULL"))


class FailureTests(FileTestCase):
    """Failures of the disk."""

    def test_not_stored(self) -> None:
        """While the file cannot be written no callback is called, and the reason is logged once."""
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        for _ in range(3):
            self.writing.run("database or disk is full")
            self.clock.advance(RETRY_SECONDS)
        self.assertEqual((self.stored, store.complaint), ([], "database or disk is full"))
        self.assertEqual([each["complaint"] for each in self.said if "complaint" in each], ["database or disk is full"])

    def test_nothing_is_lost(self) -> None:
        """When the file can be written again, all pending changes are written, and their callbacks are called."""
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        self.writing.run("disk I/O error")
        self.keep(store, 2)
        store.record(Record(b"s", 1, 0, b"", b"", ()))
        self.assertEqual([each.position for each in store.waiting(JOBS, 0, 10)], [1, 2])
        self.clock.advance(RETRY_SECONDS)
        self.writing.run()
        self.writing.run()
        self.assertEqual((self.stored, store.complaint), ([1, 2], None))

    def test_no_room(self) -> None:
        """When many changes cannot be written, the store reports that it has no room, and does not block."""
        store = self.open()
        self.patch(sqlite, "MOST_UNSAFE_OCTETS", 10_000)
        self.keep(store, 1)
        self.clock.advance(0)
        self.writing.run("database or disk is full")
        self.keep(store, *range(2, 10))
        self.assertTrue(store.has_room)
        self.keep(store, *range(10, 100))
        self.assertFalse(store.has_room)

    def test_really_full(self) -> None:
        """If SQLite reports that the disk is full, the batch fails, and earlier data is intact."""
        store = self.open()
        self.keep(store, 1)
        store.queues()
        self.writing.begun = None
        writer = WritingThread(store.file, lambda: None)
        self.addCleanup(writer.close)
        full = Changes()
        full.keep(message(2, b"x" * 10**6))
        self.patch(File, "connect", _connect_small)
        writer.write(full)
        self.assertRegex(str(writer.result(is_waited_for=True)), "cannot be written: database or disk is full")
        self.assertEqual([each.position for each in store.waiting(JOBS, 0, 10)], [1])


def _connect_small(file: File) -> sqlite3.Connection:
    connection = sqlite3.connect(file.path, isolation_level=None)
    connection.execute("PRAGMA max_page_count = 20")
    return connection


REFUSED = (
    "CREATE TRIGGER refuse_message BEFORE INSERT ON message WHEN new.position IN (3, 400) "
    "BEGIN SELECT RAISE(ABORT, 'too odd'); END",
    "CREATE TRIGGER refuse_letter BEFORE INSERT ON letter WHEN new.position = 5 "
    "BEGIN SELECT RAISE(ROLLBACK, 'too odd'); END",
    "CREATE TRIGGER refuse_record BEFORE INSERT ON record WHEN new.position = 2 "
    "BEGIN SELECT RAISE(ABORT, 'too odd'); END",
)


class RefusedRowTests(FileTestCase):
    """Batches with rows that SQLite refuses."""

    def setUp(self) -> None:
        super().setUp()
        self.store = self.open()
        self.refused: list[tuple[int, str]] = []
        self.store.tell_refused(lambda refused, reason: self.refused.append((refused.position, reason)))
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in REFUSED:
                connection.execute(statement)

    def write(self) -> None:
        """Write all pending changes."""
        self.clock.advance(1)
        while self.writing.begun is not None:
            self.writing.run()
            self.clock.advance(1)

    def test_only_those(self) -> None:
        """The refused rows of a batch are dropped, and all others are written in order."""
        self.keep(self.store, *range(1, 500))
        self.write()
        left = [position for position in range(1, 500) if position not in (3, 400)]
        self.assertEqual(self.stored, left)
        self.assertEqual(self.refused, [(3, "IntegrityError: too odd"), (400, "IntegrityError: too odd")])
        self.assertEqual([each.position for each in self.store.waiting(JOBS, 0, 1000)], left)
        self.assertEqual((self.store.refused, self.store.complaint), (2, None))
        (line,) = [each for each in self.said if "reason" in each]
        self.assertEqual(line["part"], "message 3 of service jobs")

    def test_of_any_sort(self) -> None:
        """A value that no column can store is dropped alone."""
        strange = message(2**70)
        self.store.keep(strange, None)
        self.keep(self.store, 1)
        self.write()
        self.assertEqual((self.stored, [position for position, _ in self.refused]), ([1], [2**70]))

    def test_done_with(self) -> None:
        """A refused message is not reported if it was forgotten or stored again in the meantime."""
        self.keep(self.store, 3, 400)
        self.clock.advance(0)
        self.store.forget(message(3))
        self.store.keep(message(400), None)
        self.writing.run()
        self.assertEqual((self.stored, self.refused), ([3], []))

    def test_letters_and_records(self) -> None:
        """If a dead letter is refused, its message is not deleted, and all other changes are written."""
        self.keep(self.store, 5, 6)
        self.write()
        for position in (5, 6):
            self.store.bury(DeadLetter(message(position), 404, b"", 1.0))
            self.store.record(Record(b"s", position - 4, 0, b"", b"", ()))
        self.write()
        self.store.close()
        again = self.open()
        self.assertEqual([each.position for each in again.waiting(JOBS, 0, 10)], [5])
        self.assertEqual([each.message.position for each in again.letters(0, 10)], [6])
        self.assertEqual([each.position for each in again.records(b"s", 0, 10)], [1])
        self.assertEqual(again.streams(), [StreamSize(b"s", 1, 2, 0)])

    def test_disk_fails_meanwhile(self) -> None:
        """If the disk is full, no row is dropped, and the whole batch has to be retried."""
        self.keep(self.store, 1, 3)
        self.clock.advance(0)
        self.patch(File, "connect", _connect_small)
        writer = Writer(self.store.file)
        self.addCleanup(writer.close)
        group = Changes()
        for position in (1, 3, 7):
            group.keep(message(position, b"x" * 10**6 if position == 7 else b"x"))
        self.assertRaises(sqlite3.OperationalError, writer.write, group)


class ThreadTests(TestCase):
    """The real thread with the real reactor."""

    async def test_written(self) -> None:
        """Messages are written, their callbacks are called, and the file can be opened again."""
        path = Path(self.mktemp())
        store = store_at(cast("Reactor", global_reactor), path, "full")
        done: Deferred[None] = Deferred()
        for position in range(1, 1001):
            store.keep(message(position), lambda kept: done.callback(None) if kept.position == 1000 else None)
        await done
        store.close()
        again = store_at(cast("Reactor", global_reactor), path, "normal")
        self.addCleanup(again.close)
        self.assertEqual((again.last_position, len(again.waiting(JOBS, 0, 2000))), (1000, 1000))

    def test_temporary_file_is_hidden(self) -> None:
        """A temporary store remains usable after its file was unlinked."""
        self.patch(sqlite, "SPILL_OCTETS", 1000)
        self.patch(sqlite, "MOST_UNWRITTEN_OCTETS", 2000)
        store = store_at(cast("Reactor", global_reactor), None, "full")
        self.addCleanup(store.close)
        for position in range(1, 2001):
            store.keep(message(position), None)
        self.assertFalse(store.file.path.exists())
        self.assertEqual([each.position for each in store.waiting(JOBS, 500, 5000)], list(range(501, 2001)))
