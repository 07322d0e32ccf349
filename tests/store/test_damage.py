"""Damaged files: unreadable rows are skipped, and all others can be read."""

from __future__ import annotations

import operator
import random
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.message import DeadLetter, Message, Record, StreamSize
from alaska.store.damage import first_readable
from tests import examples
from tests.store.damage_case import MAIL, MANY, DamageCase, message

PAGE = 4096
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
        again.view.reader = None
        self.assertEqual(again.overdue(6.0, (0.0, 0), 10), [])

    def test_letters_and_records(self) -> None:
        """A dead letter or record with damaged content is skipped."""
        store = self.open()
        for position in range(1, 4):
            store.add_dead_letter(DeadLetter(message(position), 404, b"", 1.0))
            store.record(Record(b"s", position, 0, b"", b"", (b"x",)))
        store.close()
        for table in ("letter", "record"):
            self.execute(f"UPDATE {table} SET content = x'00000009ff' WHERE position = 2")
        again = self.open()
        self.assertEqual([each.message.position for each in again.dead_letters(0, 10)], [1, 3])
        self.assertIsNone(self.successResultOf(again.dead_letter(2)))
        self.assertEqual([each.position for each in again.records(b"s", 0, 10)], [1, 3])
        self.assertEqual(again.damaged, 2)

    def test_key(self) -> None:
        """Rows with a damaged key are ignored."""
        store = self.open()
        for position in range(1, 6):
            store.keep(message(position), None)
        store.close()
        self.execute(
            "UPDATE message SET kind = 3 WHERE position = 1",
            "UPDATE message SET address = 'box0' WHERE position = 2",
            f"UPDATE message SET position = {2**63 - 1} WHERE position = 3",
        )
        again = self.open()
        self.assertEqual((again.last_position, self.positions(again)), (5, [4, 5]))
        self.assertEqual([size.part for size in again.queues()], [MAIL[0]])

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


def later_pages(octets: bytes) -> list[int]:
    """Return the pages of a file, counted from 0, behind the first ones and those that have the schema."""
    schema: set[int] = set()
    if octets[100] == 5:
        # The first page has the numbers of the others of the schema: https://sqlite.org/fileformat2.html
        places = [112 + 2 * cell for cell in range(int.from_bytes(octets[103:105], "big"))]
        starts = [108, *(int.from_bytes(octets[place : place + 2], "big") for place in places)]
        schema = {int.from_bytes(octets[start : start + 4], "big") - 1 for start in starts}
    return [page for page in range(8, len(octets) // PAGE) if page not in schema]


class PageTests(DamageCase):
    """Damaged pages of the file."""

    def make(self) -> bytes:
        """Return the octets of a file with rows of several sizes; each mailbox has 150 messages."""
        store = self.open()
        for position in range(1, 451):
            store.keep(message(position, MAIL[position % 3], b"x" * (20, 3000, 200)[position // 3 % 3]), None)
        for position in range(451, 481):
            store.add_dead_letter(DeadLetter(message(position, content=b"x" * 2500), 404, b"no", 1.0))
        for position in range(1, 101):
            store.record(Record(b"s", position, 0, b"", b"", (b"x" * (2000 if position % 2 else 30),)))
        store.close()
        return self.path.read_bytes()

    def read(self, octets: bytes) -> dict[object, int]:
        """Open a store in a file with these octets; return the number of readable rows of each kind."""
        path = Path(self.mktemp())
        path.write_bytes(octets)
        store = self.open(path)
        found: dict[object, int] = {size.part: len(self.positions(store, size.part)) for size in store.queues()}
        found["letters"] = len(store.dead_letters(0, MANY))
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
        pages = [page for page in later_pages(whole) if whole[page * PAGE] not in (2, 5)]
        for page in rnd.sample(pages, min(len(pages), examples(25))):
            octets = bytearray(whole)
            octets[page * PAGE : (page + 1) * PAGE] = rnd.randbytes(PAGE)
            self.assertLessEqual(self.rows_lost(bytes(octets)), 50, page)

    def test_zeros(self) -> None:
        """A page of zeros, as after the loss of a disk block, loses only the rows in it."""
        whole = self.make()
        rnd = random.Random(0)
        pages = [page for page in later_pages(whole) if whole[page * PAGE] not in (2, 5)]
        for page in rnd.sample(pages, min(len(pages), examples(25))):
            octets = bytearray(whole)
            octets[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
            self.assertLessEqual(self.rows_lost(bytes(octets)), 50, page)

    def test_any_octets(self) -> None:
        """After any change behind the first pages, the store can be opened, read and written."""
        whole = self.make()
        rnd = random.Random(0)
        pages = later_pages(whole)
        for _ in range(examples(40)):
            octets = bytearray(whole)
            for _ in range(rnd.choice((1, 5, 50, 500))):
                octets[rnd.choice(pages) * PAGE + rnd.randrange(PAGE)] = rnd.randrange(256)
            self.read(bytes(octets))

    def test_positions_are_not_given_again(self) -> None:
        """The last position of a damaged file is far above the readable ones."""
        octets = bytearray(self.make())
        pages = {page: octets[page * PAGE : (page + 1) * PAGE] for page in later_pages(bytes(octets))}
        leaf = max(page for page, found in pages.items() if found[0] == 10 and b"box2" in found)
        octets[leaf * PAGE : (leaf + 1) * PAGE] = b"\xee" * PAGE
        self.path.write_bytes(octets)
        self.assertGreater(self.open().last_position, 10_000)


class NextTests(SynchronousTestCase):
    """The search for the end of damage."""

    def test_any_end(self) -> None:
        """The end is found at any place."""
        for end in (6, 7, 8, 12, 13, 14, 1005, 10**9, 2**62):
            self.assertEqual(first_readable(partial(operator.le, end), 5, 2**62), end)

    def test_no_end(self) -> None:
        """The result is None if there is no end."""
        self.assertIsNone(first_readable(lambda _number: False, 5, 2**62))
