"""Damaged files: unreadable rows are skipped, and all others can be read."""

from __future__ import annotations

import operator
import random
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker import queues
from alaska.interfaces import Reactor
from alaska.message import DeadLetter, Message, QueueKind, QueueName, Record, StreamSize
from alaska.mlm import commands as mlm
from alaska.store import reader, rows, writer
from alaska.store.damage import first_readable
from alaska.store.database import File
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting
from tests import examples
from tests.broker.test_broker import OFFER, request
from tests.broker.test_durability import DurableTestCase
from tests.network_case import LogCase

PAGE = 4096
MANY = 1000
MAIL = [QueueName(QueueKind.MAILBOX, b"box%d" % number) for number in range(3)]
WRONG_ROWS = (
    "data = x'93c0'",
    "data = NULL",
    "data = 7",
    "data = 'text'",
    "octets = 'many'",
    "octets = -1",
    "octets = 1e300",
    "attempts = NULL",
    "attempts = -7",
    "expires = x'00'",
    "data = CAST(x'ff9480' AS TEXT)",
)


def message(position: int, queue: QueueName = MAIL[0], content: bytes = b"x") -> Message:
    """Return a message."""
    return Message(position, queue, b"joe", b"s", b"t%d" % position, (content,))


class DamageCase(LogCase, SynchronousTestCase):
    """A file that is written and then damaged."""

    def setUp(self) -> None:
        LogCase.setUp(self)
        self.path = Path(self.mktemp())

    def open(self, path: Path | None = None) -> SqliteStore:
        """Return a store in the file that is closed at the end."""
        file = File(path or self.path, "OFF")
        store = SqliteStore(cast("Reactor", Clock()), file, HandWriting)
        self.addCleanup(store.close)
        return store

    def execute(self, *statements: str) -> None:
        """Execute statements on the file, ignoring its CHECK constraints."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                connection.execute(statement)

    def loosen(self, table: str) -> None:
        """Remove the NOT NULL constraints of a table."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(f"UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = '{table}'")

    def positions(self, store: SqliteStore, queue: QueueName = MAIL[0], limit: int = MANY) -> list[int]:
        """Return the positions of all messages of a queue, read page by page."""
        found: list[int] = []
        upto: int | None = 0
        while upto is not None:
            page = store.waiting(queue, upto, limit)
            found += [each.position for each in page]
            assert page.upto is None or page.upto > upto
            upto = page.upto
        return found


class RowTests(DamageCase):
    """Damaged rows."""

    def test_message(self) -> None:
        """A damaged row of a message, and only that one, is skipped; it is counted and logged once."""
        store = self.open()
        for position in range(1, 6):
            store.keep(message(position), None)
        store.close()
        self.loosen("message")
        for wrong in WRONG_ROWS:
            self.events.clear()
            self.execute(
                "UPDATE message SET data = (SELECT data FROM message WHERE position = 2), octets = 1,"
                "attempts = 0, expires = NULL",
                f"UPDATE message SET {wrong} WHERE position = 3",
            )
            again = self.open()
            for limit in (1, 2, 100):
                self.assertEqual(self.positions(again, limit=limit), [1, 2, 4, 5], wrong)
            self.assertEqual(again.damaged, 1)
            self.assertEqual(len([line for line in self.logged() if "row 3 of table message" in line]), 1)
            again.close()

    def test_overdue(self) -> None:
        """A damaged message that has expired does not hide others, and is not read repeatedly."""
        store = self.open()
        for position in range(1, 4):
            store.keep(Message(position, MAIL[0], b"", b"", b"", (), expires=float(position)), None)
        store.close()
        self.execute("UPDATE message SET data = x'93c0' WHERE position = 1")
        again = self.open()
        found = again.overdue(5.0, (0.0, 0), 10)
        self.assertEqual([each.position for each in found], [2, 3])
        for each in found:
            again.forget(each)
        self.assertEqual(again.overdue(5.0, (0.0, 0), 10), [])
        again._view.reader = None
        self.assertEqual(again.overdue(6.0, (0.0, 0), 10), [])

    def test_letters_and_records(self) -> None:
        """A dead letter or record with damaged content is skipped."""
        store = self.open()
        for position in range(1, 4):
            store.bury(DeadLetter(message(position), 404, b"", 1.0))
            store.record(Record(b"s", position, 0, b"", b"", (b"x",)))
        store.close()
        for table in ("letter", "record"):
            self.execute(f"UPDATE {table} SET content = x'00000009ff' WHERE position = 2")
        again = self.open()
        self.assertEqual([each.message.position for each in again.letters(0, 10)], [1, 3])
        self.assertIsNone(again.letter(2))
        self.assertEqual([each.position for each in again.records(b"s", 0, 10)], [1, 3])
        self.assertEqual(again.damaged, 2)

    def test_key(self) -> None:
        """Rows with a damaged key are ignored."""
        store = self.open()
        for position in range(1, 6):
            store.keep(message(position), None)
        store.close()
        self.execute(
            "UPDATE message SET kind = 7 WHERE position = 1",
            "UPDATE message SET address = 'box0' WHERE position = 2",
            f"UPDATE message SET position = {2**63 - 1} WHERE position = 3",
        )
        again = self.open()
        self.assertEqual((again.last_position, self.positions(again)), (5, [4, 5]))
        self.assertEqual([size.queue for size in again.queues()], [MAIL[0]])

    def test_stream(self) -> None:
        """A stream whose name or last position is damaged does not affect others."""
        store = self.open()
        for name in (b"a", b"b", b"c"):
            store.record(Record(name, 1, 0, b"", b"", (b"x",)))
        store.close()
        self.loosen("stream")
        self.execute(
            "UPDATE stream SET name = 'text' WHERE name = x'61'", "UPDATE stream SET last = 'x' WHERE name = x'62'"
        )
        self.assertIn(StreamSize(b"c", 1, 1, 1), self.open().streams())


class PageTests(DamageCase):
    """Damaged pages of the file."""

    def make(self) -> bytes:
        """Return the octets of a file with rows of several sizes; each mailbox has 150 messages."""
        store = self.open()
        for position in range(1, 451):
            store.keep(message(position, MAIL[position % 3], b"x" * (20, 3000, 200)[position // 3 % 3]), None)
        for position in range(451, 481):
            store.bury(DeadLetter(message(position, content=b"x" * 2500), 404, b"no", 1.0))
        for position in range(1, 101):
            store.record(Record(b"s", position, 0, b"", b"", (b"x" * (2000 if position % 2 else 30),)))
        store.close()
        return self.path.read_bytes()

    def read(self, octets: bytes) -> dict[object, int]:
        """Open a store in a file with these octets; return the number of readable rows of each kind."""
        path = Path(self.mktemp())
        path.write_bytes(octets)
        store = self.open(path)
        found: dict[object, int] = {size.queue: len(self.positions(store, size.queue)) for size in store.queues()}
        found["letters"] = len(store.letters(0, MANY))
        found["records"] = len(store.records(b"s", 0, MANY))
        store.keep(message(store.last_position + 1, MAIL[2]), None)
        self.assertEqual(self.positions(store, MAIL[2])[-1], store.last_position + 1)
        store.close()
        return found

    def rows_lost(self, octets: bytes) -> int:
        """Return the number of unreadable rows of a file."""
        found = self.read(octets)
        return 3 * 150 + 30 + 100 - sum(found.values())

    def test_leaves(self) -> None:
        """An overwritten page loses only the rows in it."""
        whole = self.make()
        self.assertEqual(self.rows_lost(whole), 0)
        rnd = random.Random(0)
        pages = [page for page in range(8, len(whole) // PAGE) if whole[page * PAGE] not in (2, 5)]
        for page in rnd.sample(pages, min(len(pages), examples(25))):
            octets = bytearray(whole)
            octets[page * PAGE : (page + 1) * PAGE] = rnd.randbytes(PAGE)
            self.assertLessEqual(self.rows_lost(bytes(octets)), 50, page)

    def test_zeros(self) -> None:
        """A page of zeros, as after the loss of a disk block, loses only the rows in it."""
        whole = self.make()
        rnd = random.Random(0)
        pages = [page for page in range(8, len(whole) // PAGE) if whole[page * PAGE] not in (2, 5)]
        for page in rnd.sample(pages, min(len(pages), examples(25))):
            octets = bytearray(whole)
            octets[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
            self.assertLessEqual(self.rows_lost(bytes(octets)), 50, page)

    def test_any_octets(self) -> None:
        """After any change behind the first pages, the store can be opened, read and written."""
        whole = self.make()
        rnd = random.Random(0)
        for _ in range(examples(40)):
            octets = bytearray(whole)
            for _ in range(rnd.choice((1, 5, 50, 500))):
                octets[rnd.randrange(8 * PAGE, len(octets))] = rnd.randrange(256)
            self.read(bytes(octets))

    def test_positions_are_not_given_again(self) -> None:
        """The last position of a damaged file is far above the readable ones."""
        octets = bytearray(self.make())
        pages = {page: octets[page * PAGE : (page + 1) * PAGE] for page in range(8, len(octets) // PAGE)}
        leaf = max(page for page, found in pages.items() if found[0] == 10 and b"box2" in found)
        octets[leaf * PAGE : (leaf + 1) * PAGE] = b"\xee" * PAGE
        self.path.write_bytes(octets)
        self.assertGreater(self.open().last_position, 10_000)


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
        self.assertEqual(len(store.sizes_of_records(b"s", 0, 100)), 10)

    def test_large(self) -> None:
        """A page ends before a large row, which is read in another thread and returned by a later call."""
        store = self.open()
        large = message(2, content=bytes(3_000_000))
        for each in (message(1), large, message(3)):
            store.keep(each, None)
            store.record(Record(b"s", each.position, 0, b"", b"", each.content))
        store.queues()
        assert store._view.reader is not None
        for read in (lambda after: store.waiting(MAIL[0], after, 10), lambda after: store.records(b"s", after, 10)):
            page = read(0)
            self.assertEqual(([each.position for each in page], page.upto), ([1], 1))
            store._view.reader.large.wait()
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
        assert store._view.reader is not None
        for read in (
            lambda: store.waiting(MAIL[0], 0, 10),
            lambda: store.overdue(2.0, (0.0, 0), 10),
            lambda: store.records(b"s", 0, 10),
        ):
            self.assertEqual(read(), [])
            store._view.reader.large.wait()
            self.assertEqual([each.content for each in read()], [large.content])

    def test_large_is_deleted(self) -> None:
        """Large content is deleted when its row is forgotten, buried, trimmed or stored again."""
        store = self.open()
        content = bytes(3_000_000)
        for position in range(1, 4):
            store.keep(message(position, content=content), None)
            store.record(Record(b"s", position, 0, b"", b"", (content,)))
        store.queues()
        store.keep(message(1, content=content[:2_000_000]), None)
        self.assertEqual(self.chunks(store), 2 + 2 * 3 + 3 * 3)
        store.forget(message(1))
        store.bury(DeadLetter(message(2, content=content), 404, b"", 1.0))
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
        assert again._view.reader is not None
        found: list[int] = []
        upto: int | None = 0
        while upto is not None:
            page = again.waiting(MAIL[0], upto, 10)
            found += [each.position for each in page]
            upto = page.upto
            again._view.reader.large.wait()
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
        store.bury(DeadLetter(message(1, content=bytes(3_000_000)), 404, b"", 1.0))
        store.queues()
        self.assertEqual([each.message.position for each in store.letters(0, 10)], [1])


class NextTests(SynchronousTestCase):
    """The search for the end of damage."""

    def test_any_end(self) -> None:
        """The end is found at any place."""
        for end in (6, 7, 8, 12, 13, 14, 1005, 10**9, 2**62):
            self.assertEqual(first_readable(partial(operator.le, end), 5, 2**62), end)

    def test_no_end(self) -> None:
        """The result is None if there is no end."""
        self.assertIsNone(first_readable(lambda _number: False, 5, 2**62))


class BrokerTests(DurableTestCase):
    """A broker with a damaged file."""

    def damage(self, statement: str) -> None:
        """Write all changes, damage rows, and restart the broker."""
        self.write()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)
        self.crash()

    def read_by(self, name: str, *commands: mlm.Command) -> list[Any]:
        """Return the deliveries to a client with enough credit within a second."""
        self.open(name, credit=100)
        self.do(name, *commands)
        self.pass_time(1.0, name)
        self.write()
        return [each for each in self.take(name) if hasattr(each, "subject")]

    def test_mailbox(self) -> None:
        """The other messages of a mailbox are delivered in order, and damaged ones do not count for limits."""
        mails = (mlm.MailboxSend(b"late", b"%d" % number, b"", 0, (b"x" * 100,)) for number in range(6))
        self.open("p", *mails)
        self.damage("UPDATE message SET data = x'93c0' WHERE position IN (1, 4)")
        got = self.read_by("late")
        self.assertEqual([each.subject for each in got], [b"1", b"2", b"4", b"5"])
        self.assertEqual(self.broker.queues._room.octets, 0)
        self.assertEqual([queue.waiting for queue in self.broker.queues._queues.values()], [0])

    def test_much_at_once(self) -> None:
        """The messages of many queues are read over several ticks, even if their clients connect at the same time."""
        self.patch(queues, "READ_IN_A_TICK", 50)
        names = ("a", "b", "c", "d")
        self.open("p")
        for name in names:
            self.do("p", *(mlm.MailboxSend(name.encode(), b"s", b"", 0, (b"x",)) for _ in range(30)))
        self.write()
        self.crash()
        for name in names:
            self.open(name, credit=1000)
        self.assertEqual([len(self.taken(name)) for name in names], [30, 30, 0, 0])
        self.pass_time(0.05)
        self.assertEqual([len(self.taken(name)) for name in names], [0, 0, 30, 30])

    def test_service(self) -> None:
        """The other requests of a service are delivered."""
        self.open("p", *(request(b"%d" % number) for number in range(6)))
        self.damage("UPDATE message SET octets = 'x' WHERE position = 6")
        self.assertEqual([each.subject for each in self.read_by("w", OFFER)], [b"0", b"1", b"2", b"3", b"4"])

    def test_stream(self) -> None:
        """A replay delivers the readable records, and then new ones."""
        self.open("p", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"%d" % number, (b"x",)) for number in range(6)))
        self.damage("UPDATE record SET content = x'ff' WHERE position IN (1, 3)")
        got = self.read_by("r", mlm.StreamReplay(b"s", b"", 0))
        self.open("p", mlm.StreamWrite(b"s"), mlm.StreamSend(b"new", (b"x",)))
        got += self.take("r")
        subjects = [each.subject for each in got if isinstance(each, mlm.StreamRecord)]
        self.assertEqual(subjects, [b"1", b"3", b"4", b"5", b"new"])
