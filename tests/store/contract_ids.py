"""The contract of stores for the ids of messages that are sent once."""

from __future__ import annotations

from alaska.message import KnownId, QueueName
from tests.store.contract_case import EVERYTHING, JOBS, MAIL, StoreCase, message


def known(name: bytes, position: int = 1, ends: float | None = None, queue: QueueName = JOBS) -> KnownId:
    """Return what is known of an id whose message has no outcome yet."""
    return KnownId(queue, name, position, ends)


class IdContract(StoreCase):
    """Ids."""

    def test_id(self) -> None:
        """What is known of an id is returned for its queue only, whether it is written yet or not."""
        self.assertIsNone(self.store.known_id(JOBS, b"a"))
        mine = known(b"a", 7, 12.5)._replace(status=302, reason=b"why")
        self.store.set_id(mine)
        self.store.set_id(known(b"", 3, queue=MAIL))
        for _ in range(2):
            self.assertEqual(self.store.known_id(JOBS, b"a"), mine)
            self.assertEqual(self.store.known_id(MAIL, b""), known(b"", 3, queue=MAIL))
            self.assertIsNone(self.store.known_id(MAIL, b"a"))
            self.settle()

    def test_replaced_id(self) -> None:
        """What is stored of an id last is what is known of it; a deleted one is unknown."""
        for step in range(3):
            for position in range(1, 4):
                self.store.set_id(known(b"a", position))
                self.assertEqual(self.store.known_id(JOBS, b"a"), known(b"a", position))
                self.settle() if step else None
            for _ in range(2):
                self.store.delete_id(JOBS, b"a")
                self.assertIsNone(self.store.known_id(JOBS, b"a"))
            self.settle() if step > 1 else None

    def test_many_ids(self) -> None:
        """Many ids are stored and deleted at once, each of them for itself."""
        names = [b"%d" % number for number in range(1500)]
        for name in names:
            self.store.set_id(known(name))
        self.settle()
        for name in names[100:]:
            self.store.delete_id(JOBS, name)
        self.settle()
        self.assertEqual([name for name in names if self.store.known_id(JOBS, name)], names[:100])

    def test_ended_ids(self) -> None:
        """Ids whose windows have ended are returned until they are deleted; others never are."""
        for number in range(5):
            self.store.set_id(known(b"%d" % number, ends=10.0 + number))
        self.store.set_id(known(b"no end"))
        self.assertEqual(self.store.ended_ids(9.9, EVERYTHING), [])
        self.assertEqual(set(self.store.ended_ids(11.0, EVERYTHING)), {(JOBS, b"0"), (JOBS, b"1")})
        self.settle()
        self.assertEqual(set(self.store.ended_ids(11.0, EVERYTHING)), {(JOBS, b"0"), (JOBS, b"1")})
        self.store.set_id(known(b"0", ends=99.0))
        self.store.delete_id(JOBS, b"1")
        self.assertEqual(self.store.ended_ids(11.0, EVERYTHING), [])
        self.settle()
        self.assertEqual(self.store.ended_ids(11.0, EVERYTHING), [])
        self.assertEqual(set(self.store.ended_ids(13.0, EVERYTHING)), {(JOBS, b"2"), (JOBS, b"3")})
        self.store.set_id(known(b"early", ends=1.0))
        self.assertIn((JOBS, b"early"), self.store.ended_ids(2.0, EVERYTHING))

    def test_some_ended_ids(self) -> None:
        """If many windows have ended, repeated calls with deletions return all of them."""
        for number in range(50):
            self.store.set_id(known(b"%d" % number, ends=1.0))
        self.settle()
        seen = set()
        for _ in range(20):
            for queue, name in self.store.ended_ids(5.0, 7):
                seen.add(name)
                self.store.delete_id(queue, name)
            self.settle()
        self.assertEqual(len(seen), 50)
        self.assertEqual(self.store.ended_ids(5.0, 7), [])

    def test_replaced_message(self) -> None:
        """A message that is replaced is deleted, and its callback is called."""
        stored: list[int] = []
        for is_settled in (False, True):
            first, second = (message(position + 2 * is_settled) for position in (1, 2))
            self.store.keep(first, lambda each: stored.append(each.position))
            self.settle() if is_settled else None
            self.store.set_id(known(b"a", second.position), first)
            self.assertIn(first.position, stored)
            self.store.keep(second, None)
            self.assertEqual(self.positions()[-1:], [second.position])
            self.settle()
            self.assertNotIn(first.position, self.positions())

    def test_ids_after_a_restart(self) -> None:
        """After a restart, a durable store knows the same ids and their numbers; others know none."""
        kept = [known(b"a", 1, 5.5), known(b"b", 2)._replace(status=200), known(b"c", 3, queue=MAIL)]
        for each in (*kept, known(b"gone")):
            self.store.set_id(each)
        self.store.delete_id(JOBS, b"gone")
        self.settle()
        self.restart()
        is_durable = self.store.is_durable
        found = [self.store.known_id(each.queue, each.id) for each in kept]
        self.assertEqual(found, kept if is_durable else [None] * 3)
        self.assertEqual(self.store.counts_of_ids(), {JOBS: 2, MAIL: 1} if is_durable else {})
        self.assertEqual(self.store.ended_ids(6.0, EVERYTHING), [(JOBS, b"a")] if is_durable else [])
        self.assertIsNone(self.store.known_id(JOBS, b"gone"))

    def test_position_of_id(self) -> None:
        """The position of an id counts for the last one, so that no other message gets it while the id is known."""
        self.store.set_id(known(b"a", 9))
        self.settle()
        self.restart()
        self.assertEqual(self.store.last_position, 9 if self.store.is_durable else 0)
