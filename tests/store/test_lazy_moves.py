"""Delayed messages that are due: most are finished before their rows are moved."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from alaska.message import DELAYED, NORMAL, Message, RankedName
from alaska.store import write_batches
from alaska.store.sqlite import SqliteStore
from alaska.store.write_batches import LAZY_MOVES_SECONDS
from tests.store.sqlite_case import JOBS, FileTestCase, message

LATER = RankedName(*JOBS, DELAYED)
FIRST = (0.0, 0)


class LazyMoveTests(FileTestCase):
    """Moves of delayed messages to the part in which they wait."""

    def delayed(self, *positions: int) -> SqliteStore:
        """Return a store whose file has delayed messages, which are due at 5."""
        store = self.open()
        for position in positions:
            each = message(position)
            each.rank, each.expires = DELAYED, 5.0
            store.keep(each, None)
        store.queues()
        return store

    def due(self, store: SqliteStore, limit: int = 10) -> list[Message]:
        """Move messages that are due, and return them."""
        found = store.overdue(6.0, FIRST, limit)
        for each in found:
            each.rank, each.expires = NORMAL, None
            store.move(each, LATER)
        return found

    def rows(self, columns: str = "position") -> list[tuple[object, ...]]:
        """Return columns of the messages in the file, in order, that of the normal part first."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(f"SELECT {columns} FROM message ORDER BY kind, position").fetchall()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and write what is to be written."""
        self.clock.advance(seconds)
        if self.writing.begun is not None:
            self.writing.run()

    def test_finished(self) -> None:
        """A message that is finished soon is deleted where it was, and not moved."""
        store = self.delayed(1, 2)
        store.forget(self.due(store)[0])
        self.clock.advance(0.1)
        assert self.writing.begun is not None
        self.assertEqual((self.writing.begun.deleted, self.writing.begun.moved), ({1: LATER}, {}))
        self.writing.run()
        self.assertEqual(self.rows(), [(2,)])

    def test_visible(self) -> None:
        """A read finds a message in its new part at once, and nowhere else."""
        store = self.delayed(1)
        self.due(store)
        self.assertEqual([each.position for each in store.waiting(JOBS, 0, 10)], [1])
        self.assertEqual((store.waiting(LATER, 0, 10), store.overdue(6.0, FIRST, 10)), ([], []))
        self.assertEqual((store.message_at(LATER, 1), store.message_at(JOBS, 2)), (None, None))
        self.assertEqual([(each.part, each.messages) for each in store.queues()], [(JOBS, 1)])

    def test_unfinished(self) -> None:
        """A message that is not finished is moved a moment later."""
        store = self.delayed(1)
        self.due(store)
        self.pass_time(LAZY_MOVES_SECONDS)
        self.assertEqual(self.rows("expires"), [(5.0,)])
        self.pass_time(LAZY_MOVES_SECONDS)
        self.assertEqual(self.rows("expires"), [(None,)])

    def test_many(self) -> None:
        """Not many wait to be moved, so that they take little memory."""
        self.patch(write_batches, "MOST_LAZY_MOVES", 3)
        store = self.delayed(*range(1, 6))
        self.due(store, 3)
        self.pass_time(0.1)
        self.assertEqual(self.rows("expires"), [(5.0,)] * 5)
        self.due(store, 4)
        self.pass_time(0.1)
        self.assertEqual(self.rows("expires"), [*[(None,)] * 4, (5.0,)])

    def test_crash(self) -> None:
        """After a crash, a message that was not moved yet is due again, with the attempts that were stored."""
        store = self.delayed(1)
        (job,) = self.due(store)
        job.attempts = 2
        store.take(job, lambda _is_taken: self.stored.append(1))
        self.pass_time(0)
        self.assertEqual(self.stored, [1])
        self.assertEqual(self.rows("attempts, expires"), [(2, 5.0)])

    def test_put_off(self) -> None:
        """A message that is delayed again before it was moved is in the file with its new time."""
        store = self.delayed(1)
        (job,) = self.due(store)
        job.rank, job.expires = DELAYED, 9.0
        store.move(job, JOBS)
        self.pass_time(0.1)
        self.assertEqual(self.rows("expires"), [(9.0,)])
        self.assertEqual([each.position for each in store.overdue(9.0, FIRST, 10)], [1])

    def test_kept_again(self) -> None:
        """A message that is stored again is in its new part only."""
        store = self.delayed(1)
        store.keep(self.due(store)[0], None)
        self.pass_time(0.1)
        self.assertEqual(self.rows("expires"), [(None,)])

    def test_attempts(self) -> None:
        """The changed number of attempts is written with the move."""
        store = self.delayed(1)
        (job,) = self.due(store)
        job.attempts = 1
        store.take(job, None)
        self.pass_time(LAZY_MOVES_SECONDS)
        self.pass_time(LAZY_MOVES_SECONDS)
        self.assertEqual(self.rows("attempts, expires"), [(1, None)])

    def test_closed(self) -> None:
        """What has not been moved when the store is closed is moved then."""
        store = self.delayed(1)
        self.due(store)
        store.close()
        self.assertEqual(self.rows("expires"), [(None,)])

    def test_different_expiries(self) -> None:
        """Messages that have their own times from now on are moved each with its own."""
        store = self.delayed(1, 2)
        for each in self.due(store):
            before = each.part
            each.rank, each.expires = 7, 7.0 + each.position
            store.move(each, before)
        self.pass_time(0.1)
        self.assertEqual(self.rows("position, expires"), [(1, 8.0), (2, 9.0)])
