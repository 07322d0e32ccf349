"""Deliveries that may not have left the broker's process."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.untransmitted import ENCODER_OCTETS, HEADER_OCTETS, Untransmitted
from alaska.message import Message, QueueKind, QueueName


class UntransmittedTests(SynchronousTestCase):
    """One client's deliveries, with proofs in the test's hand."""

    def setUp(self) -> None:
        self.untransmitted = Untransmitted()
        self.left: set[int] = set()

    def send(self, position: int, octets: int = 0) -> None:
        """Add a delivery."""
        content = (b"x" * octets,)
        message = Message(position, QueueName(QueueKind.MAILBOX, b"box"), b"", b"", b"", content)
        self.untransmitted.add(message, lambda: position in self.left)

    def popped(self) -> list[int]:
        """Return the positions of the deliveries that have left."""
        return [message.position for message in self.untransmitted.pop_left()]

    def test_all(self) -> None:
        """When all have left, all are returned, once."""
        self.send(1)
        self.send(2)
        self.assertEqual(self.popped(), [])
        self.left.update((1, 2))
        self.assertEqual(self.popped(), [1, 2])
        self.assertEqual((self.popped(), self.untransmitted.is_empty), ([], True))

    def test_in_the_buffer(self) -> None:
        """While a later one waits, the last ones before it may still be in ZeroMQ's buffer."""
        for position in (1, 2, 3):
            self.send(position, ENCODER_OCTETS // 2)
        self.send(4)
        self.left.update((1, 2, 3))
        self.assertEqual(self.popped(), [1])
        self.assertEqual([message.position for message in self.untransmitted.encoded()], [2, 3])
        self.assertEqual([message.position for message in self.untransmitted.unsent()], [4])
        self.left.add(4)
        self.assertEqual(self.popped(), [2, 3, 4])

    def test_empty_ones(self) -> None:
        """The number of deliveries that may still be in ZeroMQ's buffer is limited even if they are empty."""
        most = ENCODER_OCTETS // HEADER_OCTETS
        for position in range(most + 5):
            self.send(position)
            self.left.add(position - 1)
            self.assertEqual(self.popped(), [position - most - 1] if position > most else [])
