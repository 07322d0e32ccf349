"""The size of messages as limits count it."""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.limits import Limits, QueueLimits
from alaska.message import FRAME_OCTETS, FREE_FRAMES, Message, QueueKind, QueueName, Record, insert_by_position
from alaska.mlm import commands as mlm
from tests.broker.broker_case import BrokerTestCase, mail


class SizeTests(BrokerTestCase):
    """Messages with many frames or long names."""

    limits = Limits(mailbox=QueueLimits(10_000), content_octets=10_000, stream=QueueLimits(10_000))

    def size(self, *content: bytes, name: bytes = b"") -> int:
        """Return the size of a message with this content and subject; check that of the same record."""
        size = Message(1, QueueName(QueueKind.MAILBOX, b"box"), b"me", name, b"t", content).size
        record = Record(b"box", 1, 0, b"me", name, content)
        self.assertIn(size - record.size, (0, 1))
        return size

    def test_ordinary(self) -> None:
        """The size of a message with few frames is that of its content, as in C."""
        self.assertEqual((self.size(b"abc"), self.size(), self.size(b"", name=b"n" * 200)), (3, 0, 0))
        self.assertEqual(self.size(*[b"x"] * FREE_FRAMES), FREE_FRAMES)

    def test_frames_and_names(self) -> None:
        """Many frames and long names add to the size."""
        self.assertEqual(self.size(b"abc", *[b""] * (FREE_FRAMES + 1)), 3 + 2 * FRAME_OCTETS)
        self.assertEqual(self.size(b"abc", name=b"n" * 255), 3 + 255 + len(b"boxmet"))

    def test_empty_frames_fill_a_mailbox(self) -> None:
        """Mail with many empty frames is refused if it exceeds a limit, alone or together with other mail."""
        self.open("p", credit=0)
        for frames, statuses in ((150, [201]), (150, [301]), (200, [301])):
            command = mlm.MailboxSend(b"box", b"s", b"t", 0, (b"",) * frames)
            answers = [each for each in self.say("p", command) if isinstance(each, mlm.Confirm)]
            self.assertEqual([answer.status_code for answer in answers], statuses)
        self.do("p", mail(to=b"box"))
        self.assertEqual(sum(self.broker.counters.dropped_for.values()), 2)


class OrderTests(SynchronousTestCase):
    """Insertion by position."""

    @given(st.lists(st.integers(1, 1000), unique=True))
    def test_any_order(self, positions: list[int]) -> None:
        """Messages that are inserted in any order are ordered by position."""
        queue = QueueName(QueueKind.MAILBOX, b"box")
        messages: deque[Message] = deque()
        for position in positions:
            insert_by_position(messages, Message(position, queue, b"", b"", b"", ()))
        self.assertEqual([message.position for message in messages], sorted(positions))

    def test_cost(self) -> None:
        """The insertion of many messages, each after the last one and before others, takes few comparisons."""
        reads = 0

        class CountedMessage:
            """A message that counts how often its position is read."""

            def __init__(self, position: int) -> None:
                self._position = position

            @property
            def position(self) -> int:
                """Return the position."""
                nonlocal reads
                reads += 1
                return self._position

        messages: deque[Any] = deque([CountedMessage(10_000)])
        for position in range(1, 1000):
            insert_by_position(messages, CountedMessage(position))  # type: ignore[arg-type]
        self.assertLess(reads, 20_000)
