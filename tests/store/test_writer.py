"""Rows that SQLite refuses."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from alaska.message import DeadLetter, KnownId, Record, StreamSize
from alaska.store.changes import Changes
from alaska.store.database import File
from alaska.store.writer import Writer
from tests.store.sqlite_case import JOBS, FileTestCase, connect_small, message

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
        self.store.on_refused(lambda refused, reason: self.refused.append((refused.position, reason)))
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
            self.store.add_dead_letter(DeadLetter(message(position), 404, b"", 1.0))
            self.store.record(Record(b"s", position - 4, 0, b"", b"", ()))
        self.write()
        self.store.close()
        again = self.open()
        self.assertEqual([each.position for each in again.waiting(JOBS, 0, 10)], [5])
        self.assertEqual([each.message.position for each in again.dead_letters(0, 10)], [6])
        self.assertEqual([each.position for each in again.records(b"s", 0, 10)], [1])
        self.assertEqual(again.streams(), [StreamSize(b"s", 1, 2, 0)])

    def test_id_of_refused(self) -> None:
        """The id of a refused message is not written either, and neither is affected by other ids that are refused."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(
                "CREATE TRIGGER refuse_id BEFORE INSERT ON once WHEN new.position = 6 "
                "BEGIN SELECT RAISE(ABORT, 'too odd'); END"
            )
        for position in (2, 3, 6):
            self.store.set_id(KnownId(JOBS, b"%d" % position, position, None))
            self.keep(self.store, position)
        self.store.set_id(KnownId(JOBS, b"alone", 1, None))
        self.write()
        self.assertEqual((self.stored, [position for position, _ in self.refused]), ([2], [3, 6]))
        known = [name for name in (b"2", b"3", b"6", b"alone") if self.store.known_id(JOBS, name) is not None]
        self.assertEqual(known, [b"2", b"alone"])

    def test_disk_fails_meanwhile(self) -> None:
        """If the disk is full, no row is dropped, and the whole batch has to be retried."""
        self.keep(self.store, 1, 3)
        self.clock.advance(0)
        self.patch(File, "connect", connect_small)
        writer = Writer(self.store.file)
        self.addCleanup(writer.close)
        group = Changes()
        for position in (1, 3, 7):
            group.keep(message(position, b"x" * 10**6 if position == 7 else b"x"))
        self.assertRaises(sqlite3.OperationalError, writer.write, group)
