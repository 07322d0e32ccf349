"""The contract of stores for messages."""

from __future__ import annotations

from alaska.message import Message, QueueSize
from tests.store.contract_case import EVERYTHING, FIRST, JOBS, MAIL, OTHER, StoreCase, letter, message
from tests.store.model import message_values


class MessageContract(StoreCase):
    """Messages in queues."""

    def test_whole_message(self) -> None:
        """A message with any octets and any number of frames is returned unchanged."""
        every_octet = bytes(range(256))
        contents = (), (b"",), (b"", b"x", b""), (every_octet, every_octet * 300)
        for position, content in enumerate(contents, 1):
            mine = Message(position, OTHER, every_octet[:255], b"\xff\x00", b"'; --", content, expires=12.75)
            self.store.keep(mine, None)
            (found,) = self.waiting(OTHER, position - 1, 1)
            self.assertEqual(message_values(found), message_values(mine))

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

    def test_release(self) -> None:
        """A released message is stored with its number of attempts; to release one that is not stored has no effect."""
        mine, ended = message(1), message(2)
        self.keep(mine, ended)
        self.settle()
        self.store.take(mine, None)
        self.store.take(ended, None)
        self.store.forget(ended)
        mine.attempts, ended.attempts = 3, 3
        self.store.release(mine)
        self.store.release(ended)
        self.settle()
        self.restart()
        kept = [(each.position, each.attempts) for each in self.waiting(JOBS, 0, EVERYTHING)]
        self.assertEqual(kept, [(1, 3)] if self.store.is_durable else [])

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
        """The number of attempts is stored; storing that of an unknown message has no effect."""
        mine = message(1)
        self.keep(mine)
        for attempts in (1, 2, 7):
            mine.attempts = attempts
            self.store.take(mine, None)
            (found,) = self.waiting(JOBS, 0, EVERYTHING)
            self.assertEqual(found.attempts, attempts)
        self.store.take(message(2), None)
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


class CallbackContract(StoreCase):
    """Callbacks for stored messages."""

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
        """The callback is called at the latest when the message is forgotten or made a dead letter, and only once."""
        heard: list[int] = []
        first, second = message(1), message(2)
        self.keep(first, second, stored=lambda each: heard.append(each.position))
        self.store.forget(first)
        self.assertIn(1, heard)
        self.store.add_dead_letter(letter(second))
        self.assertEqual(heard, [1, 2])
        self.settle()
        self.assertEqual(heard, [1, 2])

    def test_stored_in_order(self) -> None:
        """Callbacks are called in the order in which the messages were stored."""
        heard: list[int] = []
        self.keep(*map(message, range(1, 101)), stored=lambda each: heard.append(each.position))
        self.settle()
        self.assertEqual(heard, list(range(1, 101)))

    def test_when_durable(self) -> None:
        """It is called once for the changes before it, also if there are none, or if later ones undo them."""
        heard: list[int] = []
        self.store.when_durable(lambda: heard.append(0))
        self.settle()
        self.keep(message(1))
        self.store.when_durable(lambda: heard.append(1))
        self.store.forget(message(1))
        self.store.when_durable(lambda: heard.append(2))
        self.settle()
        self.assertEqual(heard, [0, 1, 2])

    def test_callback_forgets(self) -> None:
        """A callback may forget its message."""
        self.keep(message(1), stored=self.store.forget)
        self.settle()
        self.assertEqual(self.positions(), [])
        self.settle()
        self.restart()
        self.assertEqual(self.positions(), [])


class ExpiryContract(StoreCase):
    """Expiry of messages."""

    def test_subjects(self) -> None:
        """The subjects of a part's messages are those of its messages in order, as far as they are at hand."""
        for position in range(1, 5):
            self.store.keep(Message(position, JOBS, b"joe", b"s%d" % position, b"", (b"x",)), None)
        self.store.keep(Message(5, OTHER, b"joe", b"other", b"", (b"x",)), None)
        self.settle()
        self.store.keep(Message(6, JOBS, b"joe", b"s6", b"", (b"x" * 5000,)), None)
        for after in (0, 2):
            found = self.store.subjects(JOBS, after, 2)
            there = [(position, b"s%d" % position) for position in (after + 1, after + 2)]
            self.assertEqual(found, [] if self.store.is_shared else there)
            self.assertEqual(found.upto, after + len(found))

    def test_overdue(self) -> None:
        """Messages of all queues are returned from the time of their expiry on, and never those without an expiry."""
        self.keep(message(1, expires=10.0), message(2), message(3, MAIL, expires=20.5), message(4, OTHER, expires=5.0))
        self.assertEqual(self.overdue(4.99), [])
        self.assertEqual(self.overdue(5.0), [4])
        self.assertEqual(self.overdue(20.49), [1, 4])
        self.assertEqual(self.overdue(1e12), [1, 3, 4])
        (found,) = self.page(lambda: self.store.overdue(6.0, FIRST, EVERYTHING))
        self.assertEqual(message_values(found), message_values(message(4, OTHER, expires=5.0)))

    def test_overdue_at_most(self) -> None:
        """The limit applies to expired messages; when those returned are forgotten, the next ones are returned."""
        self.keep(*(message(position, expires=float(position % 7)) for position in range(1, 51)))
        seen: list[int] = []
        for _ in range(10):
            found = self.page(lambda: self.store.overdue(6.0, FIRST, 8))
            self.assertLessEqual(len(found), 8)
            for each in found:
                seen.append(each.position)
                self.store.forget(each)
        self.assertEqual(sorted(seen), list(range(1, 51)))

    def test_overdue_no_more(self) -> None:
        """Forgotten messages and dead letters do not expire."""
        self.keep(message(1, expires=1.0), message(2, expires=1.0))
        self.store.forget(message(1))
        self.store.add_dead_letter(letter(message(2, expires=1.0)))
        self.assertEqual(self.overdue(2.0), [])
