"""Two brokers with one store, which answers later (docs/store.md): each message goes to one client of either."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableSequence
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.message import QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from tests.broker.fake_router import FakeRouter
from tests.broker.test_broker_model import take_small_steps
from tests.store.later import Shared

JOBS = QueueName(QueueKind.SERVICE, b"jobs")
TURNS = 40


class Side:
    """One of the two brokers, and what its clients were sent; those in ``gone`` are disconnected."""

    def __init__(self, shared: Shared, random: Random, limits: Limits | None = None, short: float = 0.3) -> None:
        self.store = shared.open(random, short)
        self.sent: dict[bytes, list[mlm.Command]] = {}
        self.gone: set[bytes] = set()
        self.now = 1.0
        self.broker = Broker(FakeRouter(self._transmit), limits or Limits(), self.store)

    def _transmit(self, peer: bytes, command: mlm.Command) -> bool:
        if peer in self.gone:
            return False
        self.sent.setdefault(peer, []).append(command)
        return True

    def do(self, peer: bytes, *commands: mlm.Command) -> None:
        """Let a client send commands."""
        for command in commands:
            self.broker.received(peer, encode(command), self.now)

    def open(self, peer: bytes, *commands: mlm.Command, credit: int | None = None) -> None:
        """Let a client open with its name as its address, give credit, and send commands."""
        self.do(peer, mlm.ConnectionOpen(peer), *([] if credit is None else [mlm.Credit(credit)]), *commands)

    def delivered(self, peer: bytes) -> list[bytes]:
        """Return the contents of what a client was delivered."""
        found = self.sent.get(peer, ())
        return [each.content[0] for each in found if isinstance(each, mlm.ServiceDeliver | mlm.MailboxDeliver)]

    def confirm_all(self, peer: bytes, status: int) -> None:
        """Let a client confirm all that it was delivered."""
        for each in self.sent.pop(peer, ()):
            if isinstance(each, mlm.ServiceDeliver | mlm.MailboxDeliver):
                self.do(peer, mlm.Confirm(each.tracker, status, b""))


def settle(*sides: Side) -> None:
    """Let stores and brokers do what is due."""
    for _ in range(TURNS):
        for side in sides:
            side.store.turn()
            side.broker.tick(side.now)


def pass_time(seconds: int, *sides: Side) -> None:
    """Let time pass, while all clients send pings."""
    for _ in range(seconds):
        for side in sides:
            side.now += 1.0
            for client in side.broker.clients:
                side.do(client.peer, mlm.ConnectionPing())
        settle(*sides)


class AddedFirst(Random):
    """Random numbers with which a store calls ``added`` before all other callbacks."""

    def shuffle(self, x: MutableSequence[Any], random: object = None) -> None:
        """Reverse the order."""
        x.reverse()

    def randint(self, a: int, b: int) -> int:
        """Put what has an order of its own last."""
        del a
        return b


class SharedStoreTests(SynchronousTestCase):
    """Two brokers, and clients of each."""

    def setUp(self) -> None:
        self.shared = Shared()
        self.one, self.two = Side(self.shared, Random(1)), Side(self.shared, Random(2))

    def settle(self) -> None:
        """Let stores and brokers do what is due."""
        settle(self.one, self.two)

    def request(self, side: Side, *contents: bytes) -> None:
        """Let a client that does not confirm send requests."""
        side.open(b"asks", *(mlm.ServiceSend(b"jobs", b"s", b"", 0, (content,)) for content in contents))

    def test_mail_to_the_other(self) -> None:
        """Mail for a client of the other broker reaches it."""
        self.two.open(b"reads", credit=5)
        self.one.open(b"writes", mlm.MailboxSend(b"reads", b"s", b"", 0, (b"hello",)))
        self.settle()
        self.assertEqual(self.two.delivered(b"reads"), [b"hello"])

    def test_mail_of_both(self) -> None:
        """All mail of clients of both brokers is delivered, although the positions of one broker are all lower."""
        take_small_steps(self.patch)
        one = Side(self.shared, Random(1), short=0.0)
        two = Side(self.shared, Random(2), short=0.0)
        two.open(b"writes", *(mlm.MailboxSend(b"reads", b"s", b"", 0, (letter * 14,)) for letter in (b"a", b"b", b"c")))
        settle(one, two)
        one.open(b"reads", credit=1)
        settle(one, two)
        one.open(b"writes", *(mlm.MailboxSend(b"reads", b"s", b"", 0, (letter * 14,)) for letter in (b"d", b"e")))
        settle(one, two)
        one.do(b"reads", mlm.Credit(100))
        settle(one, two)
        self.assertEqual(sorted(each[:1] for each in one.delivered(b"reads")), [b"a", b"b", b"c", b"d", b"e"])

    def test_plain_client(self) -> None:
        """A client that does not confirm gets what the other broker has stored, and it is stored no longer."""
        self.two.open(b"reads", mlm.ConnectionPing())
        self.one.open(b"writes", mlm.MailboxSend(b"reads", b"s", b"", 0, (b"hello",)))
        self.settle()
        self.assertEqual(self.two.delivered(b"reads"), [b"hello"])
        self.assertEqual(self.shared.data.queues(), [])

    def test_each_once(self) -> None:
        """Requests that wait when both brokers get workers go to one worker each."""
        self.request(self.one, *(b"%d" % number for number in range(20)))
        for side in (self.one, self.two):
            side.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=15)
        self.settle()
        taken = Counter(self.one.delivered(b"works") + self.two.delivered(b"works"))
        self.assertEqual(taken, {b"%d" % number: 1 for number in range(20)})

    def test_more_than_memory_has(self) -> None:
        """As many requests as there are go to workers, however few of them a broker has in memory."""
        take_small_steps(self.patch)
        self.two.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=100)
        self.settle()
        self.request(self.one, *(b"%d" % number for number in range(50)))
        self.settle()
        self.assertEqual(self.two.delivered(b"works"), [b"%d" % number for number in range(50)])

    def test_constant_additions(self) -> None:
        """While the other broker adds requests all the time, those that it added before are delivered."""
        two = Side(self.shared, AddedFirst(3), short=0.0)
        two.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=1000)
        self.one.open(b"asks")
        for number in range(50):
            self.one.do(b"asks", mlm.ServiceSend(b"jobs", b"s", b"", 0, (b"%d" % number,)))
            two.store.turn()
            two.broker.tick(1.0)
        self.assertGreater(len(two.delivered(b"works")), 40)

    def test_credit_of_who_came_too_late(self) -> None:
        """A worker whose broker was too late for a message can still take as many as it gave credit for."""
        self.two.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=3)
        self.one.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=2)
        self.request(self.one, *(b"%d" % number for number in range(5)))
        self.settle()
        self.assertEqual(len(self.one.delivered(b"works")), 2)
        self.assertEqual(len(self.two.delivered(b"works")), 3)

    def test_returned(self) -> None:
        """What a worker of one broker returns goes to a worker of the other, with its attempts counted."""
        self.one.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=1)
        self.request(self.one, b"job")
        self.settle()
        self.assertEqual(self.one.delivered(b"works"), [b"job"])
        self.one.do(b"works", mlm.ConnectionClose())
        self.two.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=1)
        self.settle()
        self.assertEqual(self.two.delivered(b"works"), [b"job"])
        (kept,) = self.shared.data.waiting(JOBS, 0, 10)
        self.assertEqual(kept.attempts, 2)

    def test_done(self) -> None:
        """What one broker's worker has done is done for both."""
        self.two.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=5)
        self.request(self.one, b"job")
        self.settle()
        self.two.confirm_all(b"works", 200)
        self.one.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=5)
        self.settle()
        self.assertEqual((self.one.delivered(b"works"), self.shared.data.queues()), ([], []))

    def test_status_for_a_client_of_the_other(self) -> None:
        """A client is not sent the status of a message that a client of the other broker has sent."""
        self.two.open(b"peer", mlm.ServiceSend(b"jobs", b"s", b"t", 0, (b"job",)), credit=0)
        self.one.do(b"peer", mlm.ConnectionOpen(b"somebody else"), mlm.Credit(0))
        self.one.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=1)
        self.settle()
        self.assertEqual(self.one.delivered(b"works"), [b"job"])
        self.one.confirm_all(b"works", 200)
        self.settle()
        self.assertEqual([each for each in self.one.sent[b"peer"] if isinstance(each, mlm.Confirm)], [])

    def test_broker_that_dies(self) -> None:
        """What was with a client of a broker that dies is delivered by the other one."""
        self.one.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=1)
        self.request(self.one, b"job")
        self.settle()
        self.one.store.close()
        self.two.open(b"works", mlm.ServiceOffer(b"jobs", b""), credit=1)
        settle(self.two)
        self.assertEqual(self.two.delivered(b"works"), [b"job"])
