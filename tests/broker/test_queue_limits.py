"""Limits for the size of a queue."""

from __future__ import annotations

from alaska.broker.limits import Limits, QueueLimits
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, OFFER, BrokerTestCase, confirm, request


class LimitTests(BrokerTestCase):
    """Full queues."""

    limits = Limits(mailbox=QueueLimits(25, 15), service=QueueLimits(25, None))

    def test_full_queue(self) -> None:
        """A message that would exceed the limit is dropped and counted; smaller ones and other queues are accepted."""
        self.open("p", *(request(b"%d" % size, content=b"x" * size) for size in (10, 10, 6, 5)))
        self.open("q", mlm.ServiceSend(b"other", b"20", b"", 0, (b"x" * 20,)))
        self.assertEqual(sum(self.broker.counters.dropped_for.values()), 1)
        self.open("a", OFFER)
        self.assertEqual(self.taken("a"), [b"10", b"10", b"5"])

    def test_limits_count_what_waits(self) -> None:
        """After a queue was emptied there is room again."""
        self.open("p", request(content=b"x" * 25), request(content=b"x"))
        self.open("a", OFFER, CLOSE)
        self.do("p", request(content=b"x" * 25))
        self.assertEqual(sum(self.broker.counters.dropped_for.values()), 1)

    def test_delivered_at_once_needs_no_room(self) -> None:
        """A message that is delivered at once may be larger than the limit of the queue."""
        self.open("a", OFFER)
        self.open("p", request(content=b"x" * 100))
        self.assertEqual(self.taken("a"), [b"job"])

    def test_sender_gets_301(self) -> None:
        """The sender of a tracked message that was refused gets 301."""
        self.open("p", credit=0)
        (confirm,) = self.say("p", request(tracker=b"t", content=b"x" * 26))
        assert isinstance(confirm, mlm.Confirm)
        self.assertEqual((confirm.tracker, confirm.status_code), (b"t", 301))


class RoomTests(BrokerTestCase):
    """The counted size, after unusual changes of a queue."""

    limits = Limits(service=QueueLimits(30), total=QueueLimits(40))

    def test_replay_without_room(self) -> None:
        """A dead letter for which there is no room is not sent again, and is not removed."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(tracker=b"t", content=b"x" * 20))
        self.do("a", confirm(b"t", 404), mlm.ConnectionClose())
        self.do("p", request(content=b"x" * 20))
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertFalse(self.successResultOf(self.broker.queues.replay_dead_letter(letter.message.position, self.now)))
        self.assertEqual(len(list(self.broker.queues.dead_letters.summaries(0, 10))), 1)

    def test_disconnected_clients(self) -> None:
        """A message that could not be sent to several disconnected plain clients is counted once while it waits."""
        self.open("w", OFFER, credit=1)
        self.open("p", request(content=b"x" * 20))
        for name in ("d0", "d1", "d2"):
            self.open(name, OFFER)
            self.gone.add(name.encode())
        self.do("w", mlm.ConnectionClose())
        self.do("p", mlm.ServiceSend(b"other", b"", b"", 0, (b"x" * 20,)))
        self.assertEqual(sum(self.broker.counters.dropped_for.values()), 0)
        self.do("p", mlm.ServiceSend(b"other", b"", b"", 0, (b"x",)))
        self.assertEqual(sum(self.broker.counters.dropped_for.values()), 1)

    def test_refused_message_leaves_no_queue(self) -> None:
        """A queue that was created for a message that is refused is removed again."""
        self.open("p", *(mlm.ServiceSend(b"s%d" % number, b"", b"", 0, (b"x" * 31,)) for number in range(9)))
        self.assertEqual(sum(self.broker.counters.dropped_for.values()), 9)
        self.assertEqual((self.broker.queues.table, self.broker.queues.table._offers), ({}, {}))
