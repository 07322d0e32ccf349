"""Delayed messages."""

from __future__ import annotations

from typing import cast

from twisted.internet.task import Clock

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits, QueueLimits
from alaska.interfaces import IStore, Reactor
from alaska.message import DELAYED, QueueKind, QueueName, RankedName
from alaska.mlm import commands as mlm
from alaska.store.database import TemporaryFile
from alaska.store.sqlite import SqliteStore
from alaska.testing.disk import HandWriting
from tests.broker.broker_case import OFFER, BrokerTestCase

LARGE = 2 * 2**20
SERVICE = QueueName(QueueKind.SERVICE, b"svc")


def later(subject: bytes, seconds: float, tracker: bytes = b"", timeout: int = 0, size: int = 1) -> mlm.ServiceSend:
    """Return a request that is delayed."""
    properties: mlm.Properties = {"delay": round(seconds * 1000)}
    return mlm.ServiceSend(b"svc", subject, tracker, timeout, (b"x" * size,), properties)


class DelayCase(BrokerTestCase):
    """A worker and a sender, both of the second edition."""

    limits = Limits(client_timeout=1e9, service=QueueLimits(4 * LARGE))

    def setUp(self) -> None:
        super().setUp()
        self.open_second("w", OFFER, credit=10_000)
        self.open_second("p")

    def delayed(self) -> int:
        """Return the number of delayed requests of the service."""
        queue = self.broker.queues.table.get(SERVICE)
        return 0 if queue is None else queue.delayed

    def statuses(self, name: str = "p") -> list[tuple[bytes, int]]:
        """Return the confirmations that a client got."""
        return [(each.tracker, each.status_code) for each in self.take(name) if isinstance(each, mlm.Confirm)]


class DelayTests(DelayCase):
    """When a delayed message is delivered."""

    def test_not_before(self) -> None:
        """A request is delivered when its delay has passed, and not before; others are not held up."""
        self.do("p", later(b"second", 2), later(b"first", 1), mlm.ServiceSend(b"svc", b"now", b"", 0, ()))
        self.assertEqual(self.taken("w"), [b"now"])
        self.pass_time(0.95)
        self.assertEqual((self.taken("w"), self.delayed()), ([], 2))
        self.pass_time(0.1)
        self.assertEqual(self.taken("w"), [b"first"])
        self.pass_time(1)
        self.assertEqual((self.taken("w"), self.delayed()), ([b"second"], 0))

    def test_mail(self) -> None:
        """Mail is delayed as well."""
        self.do("p", mlm.MailboxSend(b"w", b"hi", b"", 0, (b"x",), {"delay": 500}))
        self.pass_time(0.4)
        self.assertEqual(self.taken("w"), [])
        self.pass_time(0.2)
        self.assertEqual(self.taken("w"), [b"hi"])

    def test_at(self) -> None:
        """The time of the property ``at`` is that of the wall clock; a time in the past is no delay."""
        self.broker.tick(self.now, 1000.0)
        for subject, at in ((b"later", 1_001_000), (b"past", 999_000)):
            self.do("p", mlm.ServiceSend(b"svc", subject, b"", 0, (), {"at": at}))
        self.assertEqual(self.taken("w"), [b"past"])
        self.pass_time(0.9)
        self.assertEqual(self.taken("w"), [])
        self.pass_time(0.2)
        self.assertEqual(self.taken("w"), [b"later"])

    def test_clock_steps(self) -> None:
        """A step of the wall clock after the message was accepted changes nothing."""
        for step in (3600.0, -3600.0):
            self.broker.tick(self.now, 10_000.0)
            self.do("p", mlm.ServiceSend(b"svc", b"job", b"", 0, (), {"at": 10_001_000}))
            self.broker.tick(self.now, 10_000.0 + step)
            self.pass_time(0.9)
            self.assertEqual(self.taken("w"), [])
            self.pass_time(0.2)
            self.assertEqual(self.taken("w"), [b"job"])

    def test_confirmed(self) -> None:
        """The sender hears at once that the message is stored, and later that it is done."""
        self.do("p", later(b"job", 1, b"t"))
        self.assertEqual(self.statuses(), [(b"t", 201)])
        self.pass_time(1.1)
        (delivery,) = [each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
        self.do("w", mlm.Confirm(b"", 200, b"", {"lease": delivery.properties["lease"]}))
        self.assertEqual(self.statuses(), [(b"t", 200)])

    def test_timeout(self) -> None:
        """The timeout of a message begins when it is due."""
        self.do("w", mlm.ConnectionClose())
        self.do("p", later(b"job", 1, b"t", timeout=500))
        self.pass_time(1.4)
        self.assertEqual(self.statuses(), [(b"t", 201)])
        self.pass_time(0.2)
        self.assertEqual(self.statuses(), [(b"t", 302)])

    def test_no_worker(self) -> None:
        """A request that is due waits for a worker as any other, in the order of arrival."""
        self.do("w", mlm.ConnectionClose())
        self.do("p", later(b"1", 1), mlm.ServiceSend(b"svc", b"2", b"", 0, ()))
        self.pass_time(1.1)
        self.open_second("v", OFFER, credit=10)
        self.assertEqual(self.taken("v"), [b"1", b"2"])

    def test_many_due(self) -> None:
        """Many that are due at once are delivered in turns, within a tick where there is time."""
        self.do("p", *(later(b"%d" % number, 1) for number in range(700)))
        self.pass_time(1)
        while self.broker.queues.next_turn is not None:
            self.broker.continue_turns(self.now)
            self.router.end_turn(self.broker)
        self.assertEqual(self.taken("w"), [b"%d" % number for number in range(700)])

    def test_large(self) -> None:
        """A large message has its content when it is due."""
        self.do("p", later(b"large", 1, size=LARGE))
        self.pass_time(1.3)
        contents = [each.content for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
        self.assertEqual(contents, [(b"x" * LARGE,)])

    def test_room(self) -> None:
        """Delayed messages count for the limits of their queue."""
        self.do("p", *(later(b"large", 1, b"%d" % number, size=LARGE) for number in range(5)))
        self.assertEqual(self.statuses(), [(b"0", 201), (b"1", 201), (b"2", 201), (b"3", 201), (b"4", 301)])

    def test_purged(self) -> None:
        """A purge ends delayed messages, too."""
        self.do("p", later(b"job", 100, b"t"))
        from alaska.admin.requests import OneQueue  # noqa: PLC0415

        done = self.broker.administration.perform("purge", OneQueue(kind="service", name="svc"), "me")
        self.pass_time(0.2)
        self.assertEqual((self.successResultOf(done).count, self.delayed()), (1, 0))
        self.assertEqual(self.statuses(), [(b"t", 201), (b"t", 300)])

    def test_not_valid(self) -> None:
        """A message with a delay or a time that is not valid is refused, and says why."""
        for properties in ({"delay": b"x"}, {"at": 2**60}, {"at": 1, "delay": 1}, {"priority": 10}, {"priority": "-1"}):
            self.do("p", mlm.ServiceSend(b"svc", b"job", b"t", 0, (), properties))
            ((tracker, status),) = self.statuses()
            self.assertEqual((tracker, status), (b"t", 300))
        self.assertEqual(self.taken("w"), [])


class RestartTests(DelayCase):
    """Delayed messages and restarts of the broker."""

    def test_restart(self) -> None:
        """A delayed message is there after a restart, and due at the same time."""
        self.do("p", later(b"job", 2))
        self.pass_time(1)
        self.broker = Broker(self.router, self.limits, self.store)
        self.broker.tick(self.now)
        self.assertEqual(self.delayed(), 1)
        self.open_second("v", OFFER, credit=10)
        self.pass_time(0.9)
        self.assertEqual(self.taken("v"), [])
        self.pass_time(0.2)
        self.assertEqual((self.taken("v"), self.delayed()), ([b"job"], 0))


class SqliteDelayTests(DelayTests):
    """The same with the store of a broker that is not durable."""

    def make_store(self) -> IStore:
        """Return a temporary store."""
        self.clock = Clock()
        store = SqliteStore(cast("Reactor", self.clock), TemporaryFile(), HandWriting)
        self.addCleanup(store.close)
        return store


class StoreTests(DelayCase):
    """Where delayed messages are."""

    def test_part(self) -> None:
        """A delayed message is in a part of its own, and in that of its priority when it is due."""
        self.do("w", mlm.ConnectionClose())
        self.do("p", mlm.ServiceSend(b"svc", b"job", b"", 0, (b"x",), {"delay": 1000, "priority": 7}))
        self.assertEqual([size.part for size in self.store.queues()], [RankedName(*SERVICE, DELAYED)])
        self.pass_time(1.1)
        self.assertEqual([size.part for size in self.store.queues()], [RankedName(*SERVICE, 7)])
