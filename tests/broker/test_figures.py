"""The metrics of a broker."""

from __future__ import annotations

from typing import Any

from alaska.admin.families import Kind
from alaska.broker.figures import (
    COMMIT,
    FAILURES,
    FAMILIES,
    FILE,
    FREE,
    LOGINS,
    MOST_READS,
    ROWS,
    SERVING,
    WRITE,
    figures,
)
from alaska.broker.limits import Limits
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import Message, Page, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from alaska.system.histogram import Reading
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, mail, request


class FiguresTests(BrokerTestCase):
    """What is shown of a broker."""

    limits = Limits(client_timeout=60.0)

    def figures(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """Return all values by name and labels."""
        return {family.name: dict(values) for family, values in figures(self.broker, self.store)}

    def value(self, name: str, *labels: str) -> Any:
        """Return one value."""
        return self.figures()[f"alaska_{name}"].get(labels)

    def test_families(self) -> None:
        """A broker in use shows each family once, with values for all its labels, and no other."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(), request())
        shown = list(figures(self.broker, self.store))
        of_files = {family.name for family in (ROWS, WRITE, COMMIT, FAILURES, FILE, FREE)}
        expected = {family.name for family in FAMILIES} - {SERVING.name, LOGINS.name} - of_files
        self.assertEqual(sorted(family.name for family, _ in shown), sorted(expected))
        for family, values in shown:
            for labels, value in values:
                self.assertEqual(len(labels), len(family.labels), family.name)
                self.assertEqual(isinstance(value, Reading), family.kind is Kind.HISTOGRAM, family.name)

    def test_totals_never_fall(self) -> None:
        """No total falls when clients, queues and streams go."""
        self.open("a", OFFER, mlm.StreamRead(b"s", b""), credit=9)
        self.open("p", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", (b"1",)), request(tracker=b"t"), mail(to=b"a"))
        self.do("a", confirm(b"t", 404))
        before = self.totals()
        self.do("a", mlm.ConnectionClose())
        self.do("p", mlm.ConnectionClose())
        self.pass_time(2.0)
        self.assertEqual((len(list(self.broker.streams)), len(self.broker.clients)), (0, 0))
        for name, total in self.totals().items():
            self.assertGreaterEqual(total, before[name], name)

    def totals(self) -> dict[tuple[str, ...], float]:
        """Return all counters, and the counts of all histograms."""
        found: dict[tuple[str, ...], float] = {}
        for family, values in figures(self.broker, self.store):
            for labels, value in values:
                key = (family.name, *labels)
                if isinstance(value, Reading):
                    found[key] = sum(value.counts)
                elif family.kind is Kind.COUNTER:
                    found[key] = value
        return found

    def test_requests(self) -> None:
        """Requests are shown by service and outcome, and as histograms of their times."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(tracker=b"1", content=b"12345"), request(tracker=b"2"))
        self.do("a", confirm(b"1"), mlm.Credit(1), confirm(b"2", 502))
        self.assertEqual(self.value("broker_request_accepted_total", "svc"), 2)
        self.assertEqual(self.value("broker_request_ended_total", "svc", "succeeded"), 1)
        self.assertEqual(self.value("broker_request_ended_total", "svc", "failed"), 1)
        self.assertEqual(self.value("broker_request_received_bytes_total", "svc"), 6)
        self.assertEqual(self.value("broker_request_delivered_bytes_total", "svc"), 6)
        self.assertEqual(sum(self.value("broker_request_wait_seconds", "svc").counts), 2)
        self.assertEqual(self.value("broker_dead_letters_total", "failed"), 1)
        self.assertEqual(self.value("broker_dead_letters"), 1)

    def test_waiting(self) -> None:
        """What waits is shown by kind and service, with the time when the oldest arrived."""
        self.broker.tick(self.now, 1000.0)
        self.open("a", OFFER, credit=0)
        self.open("p", request(), mail(), mail())
        self.assertEqual(self.value("broker_waiting", "service"), 1)
        self.assertEqual(self.value("broker_waiting_bytes", "mailbox"), 2)
        self.assertEqual(self.value("broker_queues", "mailbox"), 1)
        self.assertEqual(self.value("broker_oldest_timestamp_seconds", "mailbox"), 1000.0)
        self.assertEqual(self.value("broker_service_oldest_timestamp_seconds", "svc"), 1000.0)
        self.assertEqual(self.value("broker_service_workers", "svc"), 1)
        self.assertEqual(self.value("broker_service_workers_ready", "svc"), 0)
        self.do("a", mlm.Credit(2))
        self.assertIsNone(self.value("broker_oldest_timestamp_seconds", "service"))

    def test_names(self) -> None:
        """Different names have different labels, whatever octets they have."""
        for name in (b"\xff", b"\\xff", b'"', b"\n"):
            self.open(f"w{name!r}", mlm.ServiceOffer(name, b""), credit=1)
        self.assertEqual(len(self.figures()["alaska_broker_service_workers"]), 4)

    def test_clients(self) -> None:
        """Clients are shown by kind, with the credit and the unconfirmed deliveries of all."""
        self.open("a", OFFER, credit=5)
        self.open("p", request())
        self.assertEqual(self.figures()["alaska_broker_clients"], {("credit",): 1, ("plain",): 1})
        self.assertEqual((self.value("broker_credit"), self.value("broker_unconfirmed")), (4, 1))

    def test_readers(self) -> None:
        """The lag of a reader is the number of records that it has not got."""
        self.open("a", mlm.StreamRead(b"s", b""), credit=1)
        self.open("p", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"x", (b"1",)) for _ in range(4)))
        self.assertEqual(self.value("broker_stream_readers", "lagging"), 1)
        self.assertEqual(self.value("broker_stream_lag_records"), 3)


class BreakableStore(MemoryStore):
    """A store that may become unreadable."""

    is_broken = False

    def waiting(self, queue: QueueName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`IStore`."""
        if self.is_broken:
            raise StoreError("the disk is broken")
        return super().waiting(queue, after, limit)


class OldestTests(BrokerTestCase):
    """The time when the oldest waiting message arrived."""

    limits = Limits(client_timeout=600.0)

    def make_store(self) -> IStore:
        """Return a store that may become unreadable."""
        return BreakableStore()

    def oldest(self, may_read: bool = True) -> int | None:
        """Return it for the service, in ms."""
        queue = self.broker.queues.table[QueueName(QueueKind.SERVICE, b"svc")]
        queue.find_oldest(may_read)
        return queue.oldest

    def send(self, *seconds: float, subject: bytes = b"job") -> None:
        """Send a request at each of these times."""
        for each in seconds:
            self.now = each
            self.broker.tick(self.now, self.now)
            self.do("p", request(subject))

    def test_first(self) -> None:
        """It is that of the first message, until this is delivered, and then that of the next."""
        self.open("a", OFFER, credit=0)
        self.open("p")
        self.send(1.0, 2.0, 3.0)
        self.assertEqual(self.oldest(), 1000)
        self.do("a", mlm.Credit(1))
        self.assertEqual(self.oldest(), 2000)

    def test_no_worker(self) -> None:
        """It is known without a worker, when no message is in memory, without asking the store."""
        self.open("p")
        self.send(1.0, 2.0)
        self.assertEqual(self.oldest(may_read=False), 1000)

    def test_expired(self) -> None:
        """When the first one has expired, the store says which is the next."""
        self.open("p")
        self.now = 1.0
        self.broker.tick(self.now, self.now)
        self.do("p", request(timeout=500))
        self.send(1.2, 1.3)
        self.assertEqual(self.oldest(may_read=False), 1000)
        self.broker.tick(3.0, 3.0)
        self.assertIsNone(self.oldest(may_read=False))
        self.assertEqual(self.oldest(), 1200)

    def test_lost_worker(self) -> None:
        """A request that waits again has its old time."""
        self.open("a", OFFER, credit=1)
        self.open("p")
        self.send(1.0, 2.0)
        self.assertEqual(self.oldest(), 2000)
        self.do("a", mlm.ConnectionClose())
        self.assertEqual(self.oldest(), 1000)

    def test_in_flight(self) -> None:
        """Messages in flight do not wait, although they are in the store."""
        self.open("a", mlm.ServiceOffer(b"svc", b"^mine"), credit=1)
        self.open("p")
        self.send(1.0, subject=b"mine")
        self.send(2.0, 3.0, subject=b"other")
        self.do("p", request(b"mine"))
        self.do("a", mlm.Credit(1))
        self.assertEqual(self.oldest(), 2000)

    def test_bounded(self) -> None:
        """One look at all queues reads few of them from the store."""
        self.open("p")
        for timeout in (500, 0):
            self.do("p", *(mlm.ServiceSend(b"%d" % number, b"", b"", timeout, ()) for number in range(40)))
        self.pass_time(2.0, "p")
        self.assertEqual(self.known(), 0)
        list(figures(self.broker, self.store))
        self.assertEqual(self.known(), MOST_READS)

    def test_store_fails(self) -> None:
        """If the store cannot be read, everything else is shown."""
        self.open("p")
        for timeout in (500, 0):
            self.do("p", request(timeout=timeout))
        self.pass_time(2.0, "p")
        assert isinstance(self.store, BreakableStore)
        self.store.is_broken = True
        shown = {family.name: dict(values) for family, values in figures(self.broker, self.store)}
        self.assertEqual(shown["alaska_broker_waiting"]["service",], 1)
        self.assertEqual(shown["alaska_broker_oldest_timestamp_seconds"], {})

    def known(self) -> int:
        """Return in how many queues the oldest message is known."""
        return sum(queue.oldest is not None for queue in self.broker.queues.table.values())
