"""The store in an SQLite file: batches and failures to write."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from alaska.interfaces import Reactor
from alaska.message import KnownId, Message, Record
from alaska.store import sqlite, write_batches
from alaska.store.changes import Changes
from alaska.store.database import File, TemporaryFile
from alaska.store.sqlite import SqliteStore, store_at
from alaska.store.write_batches import LAZY_ATTEMPTS_SECONDS, LAZY_SECONDS, RETRY_SECONDS
from alaska.store.writer_thread import WritingThread
from tests.store.sqlite_case import JOBS, FileTestCase, connect_small, message


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

    def written(self) -> tuple[list[int], list[int]]:
        """Return the positions of the messages in the file, and those of the ids."""
        with closing(sqlite3.connect(self.path)) as connection:
            queries = (f"SELECT position FROM {table} ORDER BY position" for table in ("message", "once"))
            messages, ids = ([each for (each,) in connection.execute(query)] for query in queries)
        return messages, ids

    def test_id_with_its_message(self) -> None:
        """An id is in the batch of the message that is stored next, however much waits to be written."""
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        store.keep(message(2, b"x" * (write_batches.MOST_UNWRITTEN_OCTETS - 300)), None)
        store.set_id(KnownId(JOBS, b"a", 4, None), message(1))
        self.assertEqual(self.writing.groups, 0)
        self.keep(store, 4)
        self.assertEqual((self.writing.groups, self.written()), (1, ([1], [])))
        self.writing.run()
        self.assertEqual(self.written(), ([2, 4], [4]))

    def test_id_alone(self) -> None:
        """An id that changes without a message is written after a delay."""
        store = self.open()
        store.set_id(KnownId(JOBS, b"a", 4, None))
        self.clock.advance(LAZY_SECONDS)
        self.writing.run()
        store.delete_id(JOBS, b"a")
        self.clock.advance(LAZY_SECONDS)
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
        store.take(tried, lambda _is_taken: self.stored.append(-1))
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
        store.take(tried, None)
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
        for module in (sqlite, write_batches):
            self.patch(module, "MOST_UNWRITTEN_OCTETS", 10_000)
        self.keep(store, 1)
        self.clock.advance(0)
        self.keep(store, *range(2, 1000))
        self.assertGreater(self.writing.groups, 10)
        self.assertLessEqual(store._unwritten.current.weight, 11_000)

    def test_temporary(self) -> None:
        """A temporary store writes only large amounts of changes, and leaves no file behind."""
        file = TemporaryFile()
        store = self.open(file)
        self.patch(write_batches, "SPILL_OCTETS", 10_000)
        self.keep(store, *range(1, 30))
        self.assertEqual(self.stored, list(range(1, 30)))
        self.assertFalse(hasattr(self, "writing"))
        self.keep(store, *range(30, 100))
        self.writing.run()
        self.assertFalse(file.path.exists())
        self.keep(store, 100)
        self.assertEqual([each.position for each in store.waiting(JOBS, 0, 200)], list(range(1, 101)))


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
        self.patch(write_batches, "MOST_UNSAFE_OCTETS", 10_000)
        self.keep(store, 1)
        self.clock.advance(0)
        self.writing.run("database or disk is full")
        self.keep(store, *range(2, 10))
        self.assertTrue(store.has_room)
        self.keep(store, *range(10, 100))
        self.assertFalse(store.has_room)

    def test_no_room_for_a_temporary_file(self) -> None:
        """A temporary file that cannot be written does not make memory grow without limit, either."""
        store = self.open(TemporaryFile())
        self.patch(write_batches, "SPILL_OCTETS", 1000)
        self.patch(write_batches, "MOST_UNSAFE_OCTETS", 10_000)
        self.keep(store, *range(1, 10))
        self.writing.run("database or disk is full")
        self.assertTrue(store.has_room)
        self.keep(store, *range(10, 100))
        self.assertFalse(store.has_room)
        self.clock.advance(RETRY_SECONDS)
        self.writing.run()
        self.assertTrue(store.has_room)

    def test_temporary_file_cannot_be_created(self) -> None:
        """A temporary file that cannot be created is tried again every second, and nothing is lost meanwhile."""
        store = self.open(TemporaryFile())
        self.patch(write_batches, "SPILL_OCTETS", 1000)
        self.patch(write_batches, "MOST_UNSAFE_OCTETS", 10_000)
        folder = tempfile.tempdir
        self.patch(tempfile, "tempdir", "/nonexistent")
        self.keep(store, *range(1, 100))
        self.assertFalse(store.has_room)
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(len([each for each in self.said if "complaint" in each]), 1)
        self.patch(tempfile, "tempdir", folder)
        self.clock.advance(RETRY_SECONDS)
        self.writing.run()
        self.assertTrue(store.has_room)
        self.assertEqual([each.position for each in store.waiting(JOBS, 0, 200)], list(range(1, 100)))

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
        self.patch(File, "connect", connect_small)
        writer.write(full)
        self.assertRegex(str(writer.result(is_waited_for=True)), "cannot be written: database or disk is full")
        self.assertEqual([each.position for each in store.waiting(JOBS, 0, 10)], [1])


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
        self.patch(write_batches, "SPILL_OCTETS", 1000)
        for module in (sqlite, write_batches):
            self.patch(module, "MOST_UNWRITTEN_OCTETS", 2000)
        store = store_at(cast("Reactor", global_reactor), None, "full")
        self.addCleanup(store.close)
        for position in range(1, 2001):
            store.keep(message(position), None)
        self.assertFalse(store.file.path.exists())
        self.assertEqual([each.position for each in store.waiting(JOBS, 500, 5000)], list(range(501, 2001)))
