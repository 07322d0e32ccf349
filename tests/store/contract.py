"""The contract of all stores, as tests: a mixin for a test case that creates the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from alaska.interfaces import IStore
from alaska.message import DeadLetter, Message, QueueKind, QueueName, QueueSize, Record, StreamSize
from tests import examples
from tests.store.model import StoreModel, noted_callbacks, shown

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    # A mixin: if it were a test case, trial would run it without a store.
    _Case = object

JOBS = QueueName(QueueKind.SERVICE, b"jobs")
MAIL = QueueName(QueueKind.MAILBOX, b"jobs")
OTHER = QueueName(QueueKind.SERVICE, b"\x00\xff other")
EVERYTHING = 1000
FIRST = (0.0, 0)
OPERATIONS = (
    "keep",
    "keep",
    "keep",
    "forget",
    "forget",
    "attempt",
    "bury",
    "drop",
    "record",
    "record",
    "trim",
    "reopen",
)


def message(position: int, queue: QueueName = JOBS, *content: bytes, expires: float | None = None) -> Message:
    """Return a message."""
    return Message(position, queue, b"joe", b"subject %d" % position, b"t%d" % position, content, expires=expires)


def letter(dead: Message) -> DeadLetter:
    """Return a dead letter."""
    return DeadLetter(dead, 404, b"no such script", 17.25)


def record(position: int, *content: bytes, stream: bytes = b"s") -> Record:
    """Return a record."""
    return Record(stream, position, 1000 + position, b"joe", b"subject %d" % position, content)


class StoreContract(_Case):
    """The contract; each test begins with an empty store."""

    def setUp(self) -> None:
        self.store = self.make_store()
        self.addCleanup(self.close)

    # Creating a store

    def make_store(self) -> IStore:
        """Return an empty store."""
        raise NotImplementedError

    def reopen(self, store: IStore) -> IStore:
        """Close a store and open it again, as after a restart."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until all changes are written and all callbacks were called."""

    def close(self) -> None:
        """Close the store at the end."""
        self.store.close()

    # Helpers

    def restart(self) -> None:
        """Close the store and open it again."""
        self.store = self.reopen(self.store)

    def positions(self, queue: QueueName = JOBS, after: int = 0, limit: int = EVERYTHING) -> list[int]:
        """Return the positions of a queue's messages."""
        return [each.position for each in self.store.waiting(queue, after, limit)]

    def overdue(self, now: float) -> list[int]:
        """Return the positions of all expired messages."""
        return sorted(each.position for each in self.store.overdue(now, FIRST, EVERYTHING))

    def records(self, stream: bytes = b"s", after: int = 0, limit: int = EVERYTHING) -> list[int]:
        """Return the positions of a stream's records."""
        return [each.position for each in self.store.records(stream, after, limit)]

    def keep(self, *messages: Message, stored: Callable[[Message], None] | None = None) -> None:
        """Store messages."""
        for each in messages:
            self.store.keep(each, stored)

    # The store as a whole

    def test_interface(self) -> None:
        """The store provides the interface."""
        verifyObject(IStore, self.store)

    def test_empty(self) -> None:
        """All queries of a new store return nothing."""
        self.assertEqual(self.store.last_position, 0)
        for found in (
            self.store.queues(),
            self.store.streams(),
            self.store.letters(0, EVERYTHING),
            self.store.waiting(JOBS, 0, EVERYTHING),
            self.store.records(b"s", 0, EVERYTHING),
            self.store.overdue(1e12, FIRST, EVERYTHING),
        ):
            self.assertEqual(found, [])

    def test_restart(self) -> None:
        """After a restart a durable store has the same content, and another store is empty."""
        mine = Message(3, MAIL, b"joe", b"s", b"t", (b"x", b""), is_tracked=True, expires=1e9 + 0.125)
        self.keep(mine, message(4), message(5))
        mine.attempts = 2
        self.store.note_attempts(mine, None)
        self.store.bury(letter(message(4)))
        self.store.record(record(1, b"abc"))
        self.restart()
        if not self.store.is_durable:
            self.test_empty()
            return
        self.assertEqual(
            [noted_callbacks(each) for each in self.store.waiting(MAIL, 0, EVERYTHING)], [noted_callbacks(mine)]
        )
        self.assertEqual(self.positions(JOBS), [5])
        self.assertEqual([each.message.position for each in self.store.letters(0, EVERYTHING)], [4])
        self.assertEqual(self.store.records(b"s", 0, EVERYTHING), [record(1, b"abc")])
        self.assertEqual(self.store.last_position, 5)

    def test_last_position(self) -> None:
        """The last position is the highest one of messages and dead letters when the store was opened."""
        self.keep(message(7), message(8))
        self.store.bury(letter(message(9)))
        self.assertEqual(self.store.last_position, 0)
        self.restart()
        self.assertEqual(self.store.last_position, 9 if self.store.is_durable else 0)

    # Messages

    def test_whole_message(self) -> None:
        """A message with any octets and any number of frames is returned unchanged."""
        every_octet = bytes(range(256))
        contents = (), (b"",), (b"", b"x", b""), (every_octet, every_octet * 300)
        for position, content in enumerate(contents, 1):
            mine = Message(position, OTHER, every_octet[:255], b"\xff\x00", b"'; --", content, expires=12.75)
            self.store.keep(mine, None)
            (found,) = self.store.waiting(OTHER, position - 1, 1)
            self.assertEqual(noted_callbacks(found), noted_callbacks(mine))

    def test_waiting(self) -> None:
        """Messages are returned by queue, oldest first, after a position and up to a limit."""
        self.keep(message(1), message(2, OTHER), message(3), message(4, MAIL), message(5))
        self.assertEqual(self.positions(), [1, 3, 5])
        self.assertEqual(self.positions(after=1), [3, 5])
        self.assertEqual(self.positions(after=2, limit=1), [3])
        self.assertEqual(self.positions(after=5), [])
        self.assertEqual((self.positions(MAIL), self.positions(OTHER)), ([4], [2]))

    def test_many(self) -> None:
        """Paging through a queue returns each message once and in order."""
        self.keep(*map(message, range(1, 2501)))
        seen: list[int] = []
        for _ in range(8):
            seen += self.positions(after=seen[-1] if seen else 0, limit=400)
        self.assertEqual(seen, list(range(1, 2501)))

    def test_forget(self) -> None:
        """A forgotten message is deleted; forgetting a message that is not stored has no effect."""
        first, second = message(1), message(2)
        self.keep(first, second)
        self.store.forget(first)
        for unknown in (first, message(3), message(2, MAIL), message(4, OTHER)):
            self.store.forget(unknown)
        self.assertEqual(self.positions(), [2])
        self.settle()
        self.restart()
        self.assertEqual(self.positions(), [2] if self.store.is_durable else [])

    def test_written_or_not(self) -> None:
        """Changes are visible to the next call, whether they are written yet or not."""
        self.keep(message(1))
        for position in range(2, 200, 2):
            self.keep(message(position), message(position + 1))
            self.assertEqual(self.positions(), [1, position, position + 1])
            self.store.forget(message(position))
            self.assertEqual(self.positions(), [1, position + 1])
            if position % 3 == 0:
                self.settle()
            self.store.forget(message(position + 1))
            self.assertEqual(self.store.queues(), [QueueSize(JOBS, 1, 0)])

    def test_attempts(self) -> None:
        """The number of attempts is stored; noting that of an unknown message has no effect."""
        mine = message(1)
        self.keep(mine)
        for attempts in (1, 2, 7):
            mine.attempts = attempts
            self.store.note_attempts(mine, None)
            (found,) = self.store.waiting(JOBS, 0, EVERYTHING)
            self.assertEqual(found.attempts, attempts)
        self.store.note_attempts(message(2), None)
        self.assertEqual(self.positions(), [1])

    def test_kept_again(self) -> None:
        """A message that is stored again, or after later ones, is returned once and in order."""
        self.keep(message(2), message(3))
        self.settle()
        self.keep(message(1), message(3, JOBS, b"again"), message(4))
        self.keep(message(1), message(2, JOBS, b"again"))
        self.assertEqual(self.positions(), [1, 2, 3, 4])
        self.settle()
        self.assertEqual(self.positions(after=1, limit=2), [2, 3])
        self.assertEqual(self.store.queues(), [QueueSize(JOBS, 4, 10)])
        for position in range(1, 5):
            self.store.forget(message(position))
        self.assertEqual((self.positions(), self.store.queues()), ([], []))

    def test_queues(self) -> None:
        """Non-empty queues are listed with their sizes; a mailbox and a service of the same name are two queues."""
        self.assertEqual(self.store.queues(), [])
        self.keep(message(1, JOBS, b"abc", b"de"), message(2, JOBS, b"f"), message(3, MAIL), message(4, OTHER, b"g"))
        self.store.forget(message(4, OTHER, b"g"))
        self.store.forget(message(2, JOBS, b"f"))
        self.assertEqual(set(self.store.queues()), {QueueSize(JOBS, 1, 5), QueueSize(MAIL, 1, 0)})
        self.assertEqual(len(self.store.queues()), 2)

    # Callbacks

    def test_stored(self) -> None:
        """The callback is called once, with the same message object, when the message is stored."""
        heard: list[Message] = []
        mine = message(1)
        self.keep(mine, stored=heard.append)
        self.keep(message(2))
        self.settle()
        self.assertEqual(len(heard), 1)
        self.assertIs(heard[0], mine)
        self.store.forget(mine)
        self.settle()
        self.assertEqual(len(heard), 1)

    def test_stored_at_the_latest(self) -> None:
        """The callback is called at the latest by the call that forgets or buries the message, and not again."""
        heard: list[int] = []
        first, second = message(1), message(2)
        self.keep(first, second, stored=lambda each: heard.append(each.position))
        self.store.forget(first)
        self.assertIn(1, heard)
        self.store.bury(letter(second))
        self.assertEqual(heard, [1, 2])
        self.settle()
        self.assertEqual(heard, [1, 2])

    def test_stored_in_order(self) -> None:
        """Callbacks are called in the order in which the messages were stored."""
        heard: list[int] = []
        self.keep(*map(message, range(1, 101)), stored=lambda each: heard.append(each.position))
        self.settle()
        self.assertEqual(heard, list(range(1, 101)))

    def test_told_and_forgotten(self) -> None:
        """A callback may forget its message."""
        self.keep(message(1), stored=self.store.forget)
        self.settle()
        self.assertEqual(self.positions(), [])
        self.settle()
        self.restart()
        self.assertEqual(self.positions(), [])

    # Expiry

    def test_overdue(self) -> None:
        """Messages of all queues are returned from the time of their expiry on, and never those without an expiry."""
        self.keep(message(1, expires=10.0), message(2), message(3, MAIL, expires=20.5), message(4, OTHER, expires=5.0))
        self.assertEqual(self.overdue(4.99), [])
        self.assertEqual(self.overdue(5.0), [4])
        self.assertEqual(self.overdue(20.49), [1, 4])
        self.assertEqual(self.overdue(1e12), [1, 3, 4])
        (found,) = self.store.overdue(6.0, FIRST, EVERYTHING)
        self.assertEqual(noted_callbacks(found), noted_callbacks(message(4, OTHER, expires=5.0)))

    def test_overdue_at_most(self) -> None:
        """The limit applies to expired messages; when those returned are forgotten, the next ones are returned."""
        self.keep(*(message(position, expires=float(position % 7)) for position in range(1, 51)))
        seen: list[int] = []
        for _ in range(10):
            found = self.store.overdue(6.0, FIRST, 8)
            self.assertLessEqual(len(found), 8)
            for each in found:
                seen.append(each.position)
                self.store.forget(each)
        self.assertEqual(sorted(seen), list(range(1, 51)))

    def test_overdue_no_more(self) -> None:
        """Forgotten messages and dead letters do not expire."""
        self.keep(message(1, expires=1.0), message(2, expires=1.0))
        self.store.forget(message(1))
        self.store.bury(letter(message(2, expires=1.0)))
        self.assertEqual(self.overdue(2.0), [])

    # Dead letters

    def test_bury(self) -> None:
        """A buried message is deleted from its queue, and its dead letter is returned unchanged."""
        mine = message(1, JOBS, b"x", b"")
        mine.attempts = 3
        self.keep(mine, message(2))
        self.store.bury(letter(mine))
        self.assertEqual(self.positions(), [2])
        self.assertEqual(self.store.queues(), [QueueSize(JOBS, 1, 0)])
        (found,) = self.store.letters(0, EVERYTHING)
        self.assertEqual(shown(found), shown(letter(mine)))

    def test_bury_what_is_not_kept(self) -> None:
        """A message that was never stored can become a dead letter."""
        self.store.bury(letter(message(1)))
        self.assertEqual(len(self.store.letters(0, EVERYTHING)), 1)
        self.assertEqual(self.store.queues(), [])

    def test_letters(self) -> None:
        """Dead letters are returned in the order of positions, after a position and up to a limit."""
        self.keep(*map(message, range(1, 6)))
        for position in (4, 1, 5, 2):
            self.store.bury(letter(message(position)))

        def found(after: int, limit: int) -> list[int]:
            return [each.message.position for each in self.store.letters(after, limit)]

        self.assertEqual(found(0, EVERYTHING), [1, 2, 4, 5])
        self.assertEqual(found(1, 2), [2, 4])
        self.assertEqual(found(5, EVERYTHING), [])

    def test_drop_letter(self) -> None:
        """A dropped dead letter is deleted, and the result says whether there was one; messages are not affected."""
        self.keep(message(1), message(2))
        self.store.bury(letter(message(1)))
        self.assertFalse(self.store.drop_letter(2))
        self.assertTrue(self.store.drop_letter(1))
        self.assertFalse(self.store.drop_letter(1))
        self.assertEqual(self.store.letters(0, EVERYTHING), [])
        self.assertEqual(self.positions(), [2])

    # Streams

    def test_records(self) -> None:
        """Records are returned unchanged by stream, oldest first, after a position and up to a limit."""
        for position in range(1, 6):
            self.store.record(record(position, b"x" * position, b""))
            self.store.record(record(position, stream=b"\xffother"))
        self.assertEqual(self.records(), [1, 2, 3, 4, 5])
        self.assertEqual(self.records(after=2, limit=2), [3, 4])
        self.assertEqual(self.records(after=5), [])
        self.assertEqual(self.records(b"\xffother", after=4), [5])
        self.assertEqual(self.store.records(b"s", 1, 1), [record(2, b"xx", b"")])

    def test_positions_with_gaps(self) -> None:
        """Positions of records may have gaps."""
        for position in (3, 7, 1000):
            self.store.record(record(position))
        self.assertEqual(self.records(after=3, limit=1), [7])
        self.assertEqual(self.store.streams(), [StreamSize(b"s", 3, 1000, 0)])

    def test_trim(self) -> None:
        """Trimming deletes a stream's records up to and including a position, and returns their size."""
        for position in range(1, 6):
            self.store.record(record(position, b"x" * position))
            self.store.record(record(position, stream=b"other"))
        self.assertEqual(self.store.trim(b"s", 3), 1 + 2 + 3)
        self.assertEqual(self.store.trim(b"never seen", 3), 0)
        self.assertEqual((self.records(), self.records(b"other")), ([4, 5], [1, 2, 3, 4, 5]))
        self.assertEqual(self.store.trim(b"s", 2), 0)
        self.assertEqual(self.records(), [4, 5])
        self.settle()
        self.assertEqual(self.store.trim(b"s", 5), 4 + 5)

    def test_streams(self) -> None:
        """Each stream is listed with its first and last position and its size, also after trimming."""
        for position in range(1, 4):
            self.store.record(record(position, b"abc"))
        self.store.record(record(1, b"x", stream=b"other"))
        self.assertEqual(set(self.store.streams()), {StreamSize(b"s", 1, 3, 9), StreamSize(b"other", 1, 1, 1)})
        self.store.trim(b"s", 2)
        self.assertIn(StreamSize(b"s", 3, 3, 3), self.store.streams())

    def test_empty_stream_knows_its_last_position(self) -> None:
        """A stream without records still has its last position, so that the position is not used again."""
        for position in range(1, 4):
            self.store.record(record(position, b"abc"))
        self.store.trim(b"s", 3)
        self.assertEqual(self.store.streams(), [StreamSize(b"s", 4, 3, 0)])
        self.settle()
        self.restart()
        self.assertEqual(self.store.streams(), [StreamSize(b"s", 4, 3, 0)] if self.store.is_durable else [])
        self.store.record(record(4, b"d"))
        self.assertIn(StreamSize(b"s", 4, 4, 1), self.store.streams())

    # Random operations

    # Hypothesis warns because the same test runs for each kind of store.
    @settings(max_examples=examples(60), suppress_health_check=[HealthCheck.differing_executors])
    @given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 11), st.booleans()), max_size=40))
    def test_any_operations(self, operations: list[tuple[str, int, bool]]) -> None:
        """After any sequence of operations, the store has the same content as the model."""
        store, model = self.make_store(), StoreModel()
        try:
            for operation, number, is_quick in operations:
                if operation == "reopen":
                    store = self.reopen(store)
                    model.reopened(store.is_durable)
                else:
                    model.do(store, operation, number)
                    self.settle() if not is_quick else None
                self.assertEqual(model.seen_in(store), model.expected())
            self.settle()
            self.assertEqual(sorted(model.heard), sorted(model.to_hear))
        finally:
            store.close()
