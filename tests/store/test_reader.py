"""The size of pages, and large content."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from alaska.message import DeadLetter, Message, Record
from alaska.store import reader, rows, writer
from alaska.store.sqlite import SqliteStore
from tests.store.damage_case import MAIL, DamageCase, message


class SizeTests(DamageCase):
    """The size of pages, and large content."""

    def test_page(self) -> None:
        """A page ends when it reaches its maximum size, and the next page continues after it."""
        self.patch(reader, "PAGE_OCTETS", 10_000)
        store = self.open()
        for position in range(1, 11):
            store.keep(message(position, content=b"x" * 3000), None)
            store.record(Record(b"s", position, 0, b"", b"", (b"x" * 3000,)))
        store.queues()
        page = store.waiting(MAIL[0], 0, 100)
        self.assertEqual(([each.position for each in page], page.upto), ([1, 2, 3, 4], 4))
        self.assertEqual(self.positions(store), list(range(1, 11)))
        self.assertEqual([each.position for each in store.records(b"s", 4, 100)], [5, 6, 7, 8])
        sizes = store.sizes_of_records(b"s", 0, 100)
        self.assertEqual((len(sizes), sizes.upto), (4, 4))

    def test_large(self) -> None:
        """A page ends before a large row, which is read in another thread and returned by a later call."""
        store = self.open()
        large = message(2, content=bytes(3_000_000))
        for each in (message(1), large, message(3)):
            store.keep(each, None)
            store.record(Record(b"s", each.position, 0, b"", b"", each.content))
        store.queues()
        assert store.view.reader is not None
        for read in (lambda after: store.waiting(MAIL[0], after, 10), lambda after: store.records(b"s", after, 10)):
            page = read(0)
            self.assertEqual(([each.position for each in page], page.upto), ([1], 1))
            store.view.reader.large.wait()
            page = read(1)
            self.assertEqual(([each.position for each in page], page.upto), ([2, 3], None))
            self.assertEqual(page[0].content, large.content)

    def test_large_and_overdue(self) -> None:
        """A large message that has expired is returned at once, without its content."""
        store = self.open()
        store.keep(Message(1, MAIL[0], b"joe", b"", b"t", (bytes(3_000_000),), True, expires=1.0), None)
        store.queues()
        page = store.overdue(2.0, (0.0, 0), 10)
        found = [(each.position, each.size, each.tracker, each.is_tracked) for each in page]
        self.assertEqual((found, page.upto), ([(1, 3_000_000, b"t", True)], None))

    def test_large_of_older_version(self) -> None:
        """Large content that an older version wrote into one row is read in another thread."""
        self.patch(rows, "LARGE_OCTETS", 10**9)
        self.patch(writer, "LARGE_OCTETS", 10**9)
        store = self.open()
        large = Message(1, MAIL[0], b"joe", b"", b"t", (bytes(3_000_000),), expires=1.0)
        store.keep(large, None)
        store.record(Record(b"s", 1, 0, b"", b"", large.content))
        store.queues()
        assert store.view.reader is not None
        for read in (
            lambda: store.waiting(MAIL[0], 0, 10),
            lambda: store.overdue(2.0, (0.0, 0), 10),
            lambda: store.records(b"s", 0, 10),
        ):
            self.assertEqual(read(), [])
            store.view.reader.large.wait()
            self.assertEqual([each.content for each in read()], [large.content])

    def test_large_is_deleted(self) -> None:
        """Large content is deleted when its row is deleted, trimmed, stored again or made a dead letter."""
        store = self.open()
        content = bytes(3_000_000)
        for position in range(1, 4):
            store.keep(message(position, content=content), None)
            store.record(Record(b"s", position, 0, b"", b"", (content,)))
        store.queues()
        store.keep(message(1, content=content[:2_000_000]), None)
        self.assertEqual(self.chunks(store), 2 + 2 * 3 + 3 * 3)
        store.forget(message(1))
        store.add_dead_letter(DeadLetter(message(2, content=content), 404, b"", 1.0))
        store.trim(b"s", 2)
        self.assertEqual(self.chunks(store), 2 * 3)
        store.close()
        again = self.open()
        again.forget(message(3))
        again.trim(b"s", 3)
        self.assertEqual(self.chunks(again), 0)

    def test_missing_chunk(self) -> None:
        """A large message with a missing chunk is skipped."""
        store = self.open()
        for position in (1, 2):
            store.keep(message(position, content=bytes(3_000_000)), None)
        store.close()
        self.execute("DELETE FROM large WHERE position = 1 AND number = 1")
        again = self.open()
        assert again.view.reader is not None
        found: list[int] = []
        upto: int | None = 0
        while upto is not None:
            page = again.waiting(MAIL[0], upto, 10)
            found += [each.position for each in page]
            upto = page.upto
            again.view.reader.large.wait()
        self.assertEqual((found, again.damaged), ([2], 1))

    def chunks(self, store: SqliteStore) -> int:
        """Write all changes; return the number of chunks in the file."""
        store.queues()
        with closing(sqlite3.connect(self.path)) as connection:
            ((count,),) = connection.execute("SELECT count(*) FROM large").fetchall()
        return int(count)

    def test_large_letter(self) -> None:
        """A query of dead letters waits until large ones are read."""
        store = self.open()
        store.add_dead_letter(DeadLetter(message(1, content=bytes(3_000_000)), 404, b"", 1.0))
        store.queues()
        self.assertEqual([each.message.position for each in store.dead_letters(0, 10)], [1])
