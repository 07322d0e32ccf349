"""What the broker measures of its messages."""

from __future__ import annotations

from alaska.broker import measures as measures_module
from alaska.broker.limits import Limits, QueueLimits
from alaska.broker.measures import Measures, QueueMeasures
from alaska.broker.past import Past
from alaska.message import QueueKind, QueueName
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, mail, request


class RequestTests(BrokerTestCase):
    """Requests of one service."""

    limits = Limits(client_timeout=5.0, attempts=2, service=QueueLimits(2000))

    @property
    def measures(self) -> QueueMeasures:
        """The measures of the service."""
        return self.broker.queues.measures.services[b"svc"]

    def test_immediate(self) -> None:
        """A request that a worker takes at once has not waited, and its octets are counted."""
        self.open("a", OFFER, credit=2)
        self.open("p", request(content=b"12345"), request())
        found = self.measures
        self.assertEqual((found.immediate, found.immediate_octets, found.enqueued), (2, 6, 0))

    def test_waiting(self) -> None:
        """A request that waits for credit is counted with the time that it has waited."""
        self.open("a", OFFER, credit=0)
        self.open("p", request(content=b"12345"))
        self.pass_time(2.0, "a", "p")
        self.do("a", mlm.Credit(1))
        found = self.measures
        self.assertEqual((found.immediate, found.enqueued, found.enqueued_octets, found.dequeued_octets), (0, 1, 5, 5))
        self.assertAlmostEqual(found.waiting.read().total, 2.0, places=6)

    def test_running(self) -> None:
        """A request that is confirmed as successful is counted with the time since its last delivery."""
        self.open("a", OFFER, credit=0)
        self.open("p", request(tracker=b"t"), request(tracker=b"u"))
        self.pass_time(1.0, "a", "p")
        self.do("a", mlm.Credit(2))
        self.pass_time(3.0, "a", "p")
        self.do("a", confirm(b"t"), confirm(b"u"))
        reading = self.measures.running.read()
        self.assertEqual(sum(reading.counts), 2)
        self.assertAlmostEqual(reading.total, 6.0, places=6)

    def test_outcomes(self) -> None:
        """Requests that do not succeed are counted by outcome."""
        self.open("a", OFFER, credit=9)
        self.open("p", request(tracker=b"1"), request(tracker=b"2"))
        self.do("a", confirm(b"1", 404), confirm(b"2", 502))
        self.open("b", OFFER)
        self.do("a", mlm.ConnectionClose())
        self.do("p", request())
        self.do("b", mlm.ConnectionClose())
        self.do("p", request(timeout=500), request(content=b"x" * 2001))
        self.pass_time(1.0, "p")
        self.assertEqual(self.measures.ended, {"not_found": 1, "failed": 1, "delivered": 1, "refused": 1, "expired": 1})

    def test_attempts(self) -> None:
        """A request whose workers are lost is counted as redelivered, and then as given up."""
        for name in ("a", "b"):
            self.open(name, OFFER, credit=1)
            if name == "a":
                self.open("p", request())
            self.do(name, mlm.ConnectionClose())
        self.assertEqual((self.measures.redelivered, self.measures.ended), (1, {"attempts": 1}))

    def test_after_redelivery(self) -> None:
        """The wait of a redelivered request begins when its worker is lost."""
        self.open("a", OFFER, credit=1)
        self.open("p", request())
        self.pass_time(3.0, "a", "p")
        self.do("a", mlm.ConnectionClose())
        self.pass_time(1.0, "p")
        self.open("b", OFFER, credit=1)
        reading = self.measures.waiting.read()
        self.assertEqual(sum(reading.counts), 1)
        self.assertAlmostEqual(reading.total, 1.0, places=6)

    def test_from_store(self) -> None:
        """The wait of requests that are read from the store is known as well."""
        self.open("p")
        self.pass_time(10.0, "p")
        self.broker.tick(self.now, 1000.0)
        self.do("p", request())
        self.open("other", mlm.ServiceOffer(b"svc", b"else"), credit=1)
        message = self.store.waiting(QueueName(QueueKind.SERVICE, b"svc"), 0, 1)[0]
        message.moved_at = 0.0  # as if it was read from a file
        self.pass_time(4.0, "p", "other")
        self.open("a", OFFER, credit=1)
        self.pass_time(0.05)
        self.assertAlmostEqual(self.measures.waiting.read().total, 4.0, places=2)

    def test_totals_stay(self) -> None:
        """The totals stay when the service has neither workers nor requests."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(tracker=b"t"))
        self.do("a", confirm(b"t"), mlm.ConnectionClose())
        self.assertEqual((self.measures.immediate, sum(self.measures.running.read().counts)), (1, 1))
        self.open("b", OFFER, credit=1)
        self.do("p", request())
        self.assertEqual(self.measures.immediate, 2)


class NamesTests(BrokerTestCase):
    """Which queues are measured together."""

    def test_mailboxes(self) -> None:
        """All mailboxes are measured together."""
        self.open("a")
        self.open("b")
        self.pass_time(0.2, "a", "b")
        self.do("a", mail(to=b"a"), mail(to=b"b"), mail(to=b"nobody"))
        found = self.broker.queues.measures.mailboxes
        self.assertEqual((found.immediate, found.enqueued, found.ended), (2, 1, {"delivered": 2}))

    def test_not_offered(self) -> None:
        """A name that no worker has offered costs no memory, however many of them clients use."""
        self.open("p", *(mlm.ServiceSend(b"svc%d" % number, b"", b"", 0, ()) for number in range(100)))
        found = self.broker.queues.measures
        self.assertEqual((found.services, found.other_services.enqueued), ({}, 100))

    def test_offered_later(self) -> None:
        """Requests count for their service from the moment that a worker offers it."""
        self.open("p", request())
        self.open("a", OFFER, credit=2)
        self.do("p", request())
        found = self.broker.queues.measures
        self.assertEqual((found.other_services.enqueued, found.services[b"svc"].immediate), (1, 1))

    def test_bounded(self) -> None:
        """Only the first services are measured separately, the others together."""
        most = measures_module.MOST_SERVICES
        found = Measures(Past(lambda: 0.0))
        names = [b"%d" % number for number in range(most + 2)]
        each = [found.offered(name) for name in names]
        self.assertEqual(len(set(map(id, each))), most + 1)
        self.assertIs(each[-1], found.other_services)
        self.assertEqual([found.of(QueueName(QueueKind.SERVICE, name)) for name in names], each)


class RefusedTests(BrokerTestCase):
    """Messages that are dropped."""

    limits = Limits(client_timeout=5.0, content_octets=100, mailbox=QueueLimits(10))

    def test_causes(self) -> None:
        """Dropped messages are counted by cause."""
        self.open("p", request(content=b"x" * 101), mail(to=b""), *(mail() for _ in range(12)))
        self.assertEqual(self.broker.counters.dropped_for, {"too_large": 1, "no_address": 1, "no_room": 2})


class SessionTests(BrokerTestCase):
    """Sessions of clients."""

    def test_causes(self) -> None:
        """Sessions are counted when they are opened, and by cause when they end."""
        for name in ("closes", "silent", "wrong", "gone", "twice"):
            self.open(name, credit=1)
        self.do("closes", mlm.ConnectionClose())
        self.do("wrong", mlm.ConnectionOpen(b"wrong"))
        self.do("again", mlm.ConnectionOpen(b"twice"))
        self.broker.send_failed(b"gone")
        self.pass_time(6.0, "again")
        counters = self.broker.counters
        self.assertEqual(counters.opened, 6)
        self.assertEqual(counters.ended, {"closed": 1, "error": 1, "replaced": 1, "disconnected": 1, "expired": 1})


class StreamTests(BrokerTestCase):
    """Messages of streams."""

    limits = Limits(client_timeout=5.0, stream=QueueLimits(5))

    def publish(self, *contents: bytes) -> None:
        """Publish messages."""
        self.do("p", *(mlm.StreamSend(b"", (content,)) for content in contents))

    def totals(self) -> tuple[int, ...]:
        """Return messages and octets that were published, messages and octets that were delivered, and those lost."""
        found = self.broker.streams.measures
        return found.published, found.published_octets, found.delivered, found.delivered_octets, found.unstored

    def test_live(self) -> None:
        """A message counts once as published, and as delivered for each reader."""
        self.open("p", mlm.StreamWrite(b"s"))
        self.publish(b"nobody")
        for name in ("a", "b"):
            self.open(name, mlm.StreamRead(b"s", b""))
        self.publish(b"123", b"4")
        self.assertEqual(self.totals(), (3, 10, 4, 8, 0))

    def test_lagging(self) -> None:
        """What a reader gets later counts when it is delivered; what there is no room for is lost."""
        self.open("a", mlm.StreamRead(b"s", b""), credit=0)
        self.open("p", mlm.StreamWrite(b"s"))
        self.publish(b"123", b"45", b"6")
        self.assertEqual(self.totals(), (3, 6, 0, 0, 1))
        self.do("a", mlm.Credit(9))
        self.assertEqual(self.totals(), (3, 6, 2, 5, 1))
        self.do("a", mlm.ConnectionClose())
        self.assertEqual(self.totals(), (3, 6, 2, 5, 1))
