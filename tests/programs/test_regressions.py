"""Regression tests for faults of earlier brokers and workers that concern more than one module."""

from __future__ import annotations

import gc
from collections.abc import Hashable

from twisted.logger import LogLevel

from alaska.broker import past
from alaska.broker.clients import Client
from alaska.broker.limits import Limits, QueueLimits
from alaska.broker.offers import Offers
from alaska.broker.queue import Queue
from alaska.broker.stream import Stream
from alaska.broker.stream_readers import Reader
from alaska.message import Message, Page, PartName, Retention
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from tests.broker.broker_case import CLOSE, OFFER, PONG, BrokerTestCase, confirm, mail, request
from tests.network_case import LogCase
from tests.worker.worker_case import ServedCase

HOUR = 3600


class DispatchTests(BrokerTestCase):
    """Requests in flight when a client disconnects."""

    def transmit(self, peer: bytes, command: mlm.Command) -> bool:
        """Disconnect the fragile peer after two deliveries."""
        is_delivery = isinstance(command, mlm.ServiceDeliver)
        if is_delivery and peer == b"fragile" and len(self.inboxes.get(peer, [])) == 2:
            self.gone.add(peer)
        return super().transmit(peer, command)

    def test_worker_exits_during_dispatch(self) -> None:
        """If a worker exits while a queue is dispatched to it, the next worker gets the other requests."""
        for credit in (None, 10):
            self.setUp()
            self.open("p", *(request(b"%d" % number) for number in range(6)))
            self.open("fragile", OFFER, credit=credit)
            taken = self.taken("fragile") if credit is None else []
            self.open("next", OFFER, credit=10)
            self.pass_time(0.1, "p", "next")
            self.assertEqual(sorted(taken + self.taken("next")), [b"%d" % number for number in range(6)])

    def test_requester_disconnects(self) -> None:
        """If a requester disconnects while its request is in flight, the worker and later requests are not affected."""
        self.open("w", OFFER, credit=2)
        self.open("p", request(tracker=b"t"), CLOSE, credit=0)
        self.take("w")
        self.assertEqual(self.say("w", confirm(b"t"), mlm.ConnectionPing()), [PONG])
        self.do("p", mlm.ConnectionOpen(b"other"), mlm.Credit(0))
        answer = self.say("p", request(b"2", tracker=b"u"))[-1]
        assert isinstance(answer, mlm.Confirm)
        self.assertEqual((answer.tracker, answer.status_code), (b"u", 201))
        self.assertEqual(self.taken("w"), [b"2"])


class ReadsStore(MemoryStore):
    """A store that counts the reads of queues."""

    reads = 0

    def waiting(self, part: PartName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`alaska.interfaces.IStore`."""
        self.reads += 1
        return super().waiting(part, after, limit)


class LongQueueTests(BrokerTestCase):
    """Queues that stay long."""

    def make_store(self) -> ReadsStore:
        """Return a store that counts reads."""
        return ReadsStore()

    def test_cost_of_what_nobody_offers(self) -> None:
        """Requests that no offer matches are not read again when other requests are dispatched."""
        self.open("p", *(request(b"nobody's") for _ in range(3000)))
        self.open("w", mlm.ServiceOffer(b"svc", b"^job"), credit=1000)
        self.pass_time(1, "p", "w")
        store = self.store
        assert isinstance(store, ReadsStore)
        before = store.reads
        self.do("p", *(request() for _ in range(500)))
        self.pass_time(1, "p", "w")
        self.assertEqual(self.taken("w"), [b"job"] * 500)
        self.assertEqual(store.reads, before)

    def test_cost_of_many_patterns(self) -> None:
        """Dispatching one request does not check all patterns that requests wait under."""
        looks: list[Hashable] = []
        next_of = Offers.next_of

        def noted(offers: Offers, lane: Hashable, tracker: bytes) -> Client | None:
            looks.append(lane)
            return next_of(offers, lane, tracker)

        self.patch(Offers, "next_of", noted)
        self.open("w", *(mlm.ServiceOffer(b"svc", b"^%d$" % number) for number in range(200)), credit=0)
        self.open("p", *(request(b"%d" % (number % 200)) for number in range(400)))
        looks.clear()
        for number in range(400):
            self.do("w", mlm.Credit(1))
            self.assertEqual(self.taken("w"), [b"%d" % (number % 200)])
        self.assertLessEqual(len(looks), 1000)


class SteadyTests(BrokerTestCase):
    """Streams with continuous traffic."""

    def test_two_producers_for_an_hour(self) -> None:
        """Messages of two producers are delivered at once and in order for an hour, with credit and without."""
        self.open("plain", mlm.StreamRead(b"s", b""))
        self.open("careful", mlm.StreamRead(b"s", b""), credit=20)
        for name in ("w1", "w2"):
            self.open(name, mlm.StreamWrite(b"s"))
        for second in range(HOUR):
            self.now += 1.0
            self.broker.tick(self.now)
            expected = [b"w1 %d" % second, b"w2 %d" % second]
            for name, subject in zip(("w1", "w2"), expected, strict=True):
                self.do(name, mlm.StreamSend(subject, ()))
            self.do("plain", mlm.ConnectionPing())
            self.do("careful", mlm.Credit(2))
            self.assertEqual((self.taken("plain"), self.taken("careful")), (expected, expected))

    def test_second_consumer_joins(self) -> None:
        """A consumer that joins during a flood gets all later messages, and a slow consumer gets all messages."""
        self.open("w", mlm.StreamWrite(b"s"))
        self.open("slow", mlm.StreamRead(b"s", b""), credit=5)
        self.do("w", *(mlm.StreamSend(b"%d" % number, (b"x" * 32,)) for number in range(5000)))
        self.open("late", mlm.StreamRead(b"s", b""))
        self.do("w", *(mlm.StreamSend(b"%d" % number, (b"x" * 32,)) for number in range(5000, 6000)))
        self.do("slow", mlm.Credit(50_000))
        self.pass_time(1, "w", "slow", "late")
        everything = [b"%d" % number for number in range(6000)]
        self.assertEqual((self.taken("late"), self.taken("slow")), (everything[5000:], everything))


class LeakTests(BrokerTestCase):
    """Objects of clients that have disconnected."""

    limits = Limits(retention_of={b"kept": Retention(1)})

    def setUp(self) -> None:
        # What is kept of messages that have ended is bounded; it is to be full after the first rounds.
        for name in ("MOST_ENDED", "MOST_WITH_STEPS"):
            self.patch(past, name, 1)
        super().setUp()

    def known(self) -> int:
        """Count all objects for clients, messages, queues, services and streams."""
        gc.collect()
        return sum(isinstance(each, Client | Message | Queue | Offers | Reader | Stream) for each in gc.get_objects())

    def round(self, number: int) -> None:
        """Let clients connect, use all features, and disconnect in all possible ways."""
        for way, credit in (("close", None), ("close", 9), ("vanish", 9), ("garble", 9), ("again", None), ("again", 9)):
            name = f"{way}{credit}"
            self.open(name, mlm.StreamRead(b"s%d" % number, b""), mlm.StreamWrite(b"s%d" % number), credit=credit)
            self.do(name, mlm.ServiceOffer(b"%d" % number, b"a%d" % number), mlm.StreamSend(b"x", ()))
            sends = request(tracker=b"t"), mail(to=name.encode(), tracker=b"t"), request(timeout=10)
            self.do(name, OFFER, *sends, mlm.StreamCancel(b"s%d" % number))
            self.do(name, *(confirm(tracker) for tracker in self.trackers(name)))
            self.gone.add(name.encode()) if way == "vanish" else None
            if way == "garble":
                self.broker.received(name.encode(), [b""], self.now)
            elif way == "close":
                self.do(name, CLOSE)
        self.open("w", OFFER, CLOSE)
        self.pass_time(6)
        self.gone.clear()
        self.inboxes.clear()

    def test_many_rounds(self) -> None:
        """The number of objects does not grow with the number of clients that have connected and disconnected."""
        for number in range(5):
            self.round(number)
        before = self.known()
        for number in range(5, 30):
            self.round(number)
        self.assertEqual(self.known(), before)
        self.assertEqual(len(self.broker.clients), 0)


class WarningTests(BrokerTestCase, LogCase):
    """Warnings about growing queues."""

    limits = Limits(mailbox=QueueLimits(40, 20), service=QueueLimits(30), total=QueueLimits(1000, 45))

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)

    def test_once_each_time(self) -> None:
        """There is one warning when a queue reaches its mark and when it is full, and again after it has shrunk."""
        self.open("p")
        for _ in range(2):
            self.do("p", *(mail(b"%d" % number) for number in range(50)), *(request() for _ in range(40)))
            self.open("late", OFFER, CLOSE)
        warnings = ["mailbox late has grown to 20", "mailbox late is full: 41 would be too much"]
        warnings += ["the size of all queues has grown to 45 (service svc)"]
        warnings += ["service svc is full: 31 would be too much"]
        self.assertEqual(self.logged(LogLevel.warn), warnings * 2)
        self.assertEqual(sum(self.broker.counters.dropped_for.values()), 40)

    def test_late_mail(self) -> None:
        """There is another warning after a queue has shrunk because its messages expired."""
        self.open("p", *(mail(timeout=100) for _ in range(50)))
        self.pass_time(0.2, "p")
        self.do("p", *(mail() for _ in range(50)))
        warnings = ["mailbox late has grown to 20", "mailbox late is full: 41 would be too much"]
        self.assertEqual(self.logged(LogLevel.warn), warnings * 2)

    def test_full_all_the_time(self) -> None:
        """There is only one warning for a queue that stays nearly full."""
        self.open("w", OFFER, credit=0)
        self.open("p", *(request() for _ in range(31)))
        for _ in range(5):
            self.do("w", mlm.Credit(1))
            self.do("p", request(), request())
        self.assertEqual(self.logged(LogLevel.warn), ["service svc is full: 31 would be too much"])


class WorkerTests(ServedCase):
    """A worker with a broker."""

    def test_heartbeat_of_a_busy_worker(self) -> None:
        """A worker whose script runs for a minute does not expire, and the request is run once."""
        self.script(b"long")
        self.start()
        self.ask("long")
        self.pool.begin()
        other = self.client("other", credit=10)
        other.offer("default")
        self.pass_time(60)
        self.run_scripts()
        self.pass_time(1)
        self.assertEqual([request.subject for request in self.scripts.requests], [b"long"])
        assert self.broker.broker is not None
        self.assertEqual(self.broker.broker.counters.redelivered, 0)

    def test_failures_use_no_credit(self) -> None:
        """A worker keeps receiving requests, however many scripts fail."""
        self.script(b"bad", error="oh no")
        self.script(b"good")
        self.start()
        for _ in range(300):
            self.ask("bad")
        self.ask("good")
        for _ in range(310):
            self.run_scripts()
            self.pass_time(0.05)
        self.assertEqual([request.subject for request in self.scripts.requests], [b"bad"] * 300 + [b"good"])


class DeadLettersTests(BrokerTestCase):
    """Hostile requests to the service for dead letters."""

    def test_hostile_content(self) -> None:
        """Infinite numbers and invalid JSON are answered with an error or an empty result."""
        for content in (b'{"position": 1e999}', b'{"position": -1e30}', b'{"position": NaN}', b"[" * 10**6, b"\xff"):
            for what in (b"read", b"list", b"replay", b"drop"):
                self.open("p", mlm.ServiceSend(b"alaska.letters", what, b"t", 0, (content,)))
                (answer,) = (each for each in self.take("p") if isinstance(each, mlm.MailboxDeliver))
                self.assertRegex(answer.content[0], rb'"error": |"letter": null|"letters": \[\]|"done": false')
                self.do("p", CLOSE)
                self.take("p")
