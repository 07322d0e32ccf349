"""What is measured of writing to the store's file."""

from __future__ import annotations

from alaska.message import Record
from alaska.store.changes import Changes
from alaska.store.measures import WriteMeasures
from alaska.system.histogram import ROWS
from tests.store.sqlite_case import FileTestCase, message


class MeasureTests(FileTestCase):
    """The measures of a store."""

    def setUp(self) -> None:
        super().setUp()
        self.store = self.open()

    def test_batch(self) -> None:
        """Each batch counts with its rows, and with the time for its commit as part of its whole time."""
        self.keep(self.store, *range(1, 101))
        self.clock.advance(1)
        self.writing.run()
        measures = self.store.measures
        self.assertEqual((measures.rows.read().total, measures.rows.read().counts[ROWS.index(128.0)]), (100.0, 1))
        self.assertGreater(measures.write.read().total, measures.commit.read().total)
        self.assertGreater(measures.commit.read().total, 0.0)
        self.assertEqual(measures.failures, 0)

    def test_failure(self) -> None:
        """A batch that cannot be written counts as a failure only."""
        self.keep(self.store, 1)
        self.clock.advance(1)
        self.writing.run(failure="the disk is full")
        measures = self.store.measures
        self.assertEqual((measures.failures, sum(measures.rows.read().counts)), (1, 0))

    def test_disk(self) -> None:
        """The size of the file grows with what is written, and the disk has some octets left."""
        before = self.store.measures.disk()
        self.keep(self.store, *range(1, 5001))
        self.clock.advance(1)
        self.writing.run()
        after = self.store.measures.disk()
        assert before is not None
        assert after is not None
        self.assertGreater(after.octets, before.octets)
        self.assertGreater(after.free, 0)

    def test_no_file(self) -> None:
        """Nothing is known of the disk of a file that is temporary, or was removed."""
        self.assertIsNone(WriteMeasures().disk())
        self.assertIsNone(WriteMeasures(self.path.with_name("none")).disk())


class RowTests(FileTestCase):
    """The number of rows of a batch."""

    def test_all_kinds(self) -> None:
        """Messages, deletions and records count one each; the deletion of older records counts once."""
        changes = Changes()
        for position in range(1, 4):
            changes.keep(message(position))
            changes.record(Record(b"s", position + 10, 0, b"", b"", ()))
        changes.delete(message(9), message(9).part)
        changes.trim(b"s", 7)
        self.assertEqual(changes.rows, 8)
