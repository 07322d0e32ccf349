"""The metrics of a broker."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from alaska.admin.families import Filled, Kind, Selected
from alaska.broker import bindings, measured, measured_streams
from alaska.broker.binding import BindingKey
from alaska.broker.details import details
from alaska.broker.figures import (
    BACKUP,
    COMMIT,
    FAILURES,
    FAMILIES,
    FILE,
    FREE,
    REQUESTS,
    ROWS,
    SERVING,
    WRITE,
    figures,
)
from alaska.broker.limits import Limits
from alaska.broker.measured import MOST_READS
from alaska.errors import OperationFailed, StoreError
from alaska.interfaces import IStore
from alaska.message import Message, Page, PartName, QueueKind, QueueName, Retention
from alaska.mlm import commands as mlm
from alaska.service_limits import Rate, ServiceLimit
from alaska.store.memory import MemoryStore
from alaska.system.histogram import Reading
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, mail, request


class FiguresCase(BrokerTestCase):
    """A broker whose metrics are shown."""

    def shown(self) -> list[Filled]:
        """Return all metrics."""
        return list(figures(self.successResultOf(self.broker.administration.measures())))


class FiguresTests(FiguresCase):
    """What is shown of a broker."""

    limits = Limits(client_timeout=60.0)

    def figures(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """Return all values by name and labels."""
        return {family.name: dict(values) for family, values in self.shown()}

    def value(self, name: str, *labels: str) -> Any:
        """Return one value."""
        return self.figures()[f"alaska_{name}"].get(labels)

    def test_families(self) -> None:
        """A broker in use shows each family once, with values for all its labels, and no other."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(), request())
        shown = self.shown()
        of_files = {family.name for family in (ROWS, WRITE, COMMIT, FAILURES, FILE, FREE, BACKUP)}
        expected = {family.name for family in FAMILIES} - {SERVING.name} - of_files
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
        for family, values in self.shown():
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

    def test_held(self) -> None:
        """Requests that a limit holds back are shown, and counted when they are delivered."""
        self.broker.configure(Limits(of_services=(ServiceLimit(b"svc", None, Rate(1, "s")),)))
        self.open("a", OFFER, credit=10)
        self.open("p", request(), request(), request())
        self.assertEqual(self.value("broker_service_held", "svc"), 2)
        self.assertEqual(self.value("broker_request_held_total", "svc"), 0)
        self.pass_time(1)
        self.assertEqual(self.value("broker_service_held", "svc"), 1)
        self.assertEqual(self.value("broker_request_held_total", "svc"), 1)

    def test_unserved(self) -> None:
        """Requests for services without a worker are counted, also if none has ever offered the service."""
        self.open("a", OFFER, credit=0)
        self.open("p", request(), *(mlm.ServiceSend(b"new%d" % number, b"job", b"", 0, ()) for number in range(8)))
        self.assertEqual(self.value("broker_waiting_without_workers"), 8)
        overview = self.broker.administration.overview()
        self.assertEqual((overview.waiting_unserved, overview.unserved), (8, [f"new{number}" for number in range(5)]))

    def test_names(self) -> None:
        """Different names have different labels, whatever octets they have."""
        for name in (b"\xff", b"\\xff", b'"', b"\n"):
            self.open(f"w{name!r}", mlm.ServiceOffer(name, b""), credit=1)
        self.assertEqual(len(self.figures()["alaska_broker_service_workers"]), 4)

    def test_no_name(self) -> None:
        """A service without a name is one of the others."""
        self.open("w", mlm.ServiceOffer(b"", b""), credit=1)
        names = [labels for family, values in self.shown() if family in REQUESTS[:1] for labels, _ in values]
        self.assertEqual(names, [("",)])

    def test_refused(self) -> None:
        """Who asks the broker's own services without the right to do so is counted with accesses that are refused."""
        self.router.is_local = False
        for service in (b"alaska.admin", b"alaska.letters"):
            self.open(f"to {service!r}", mlm.ServiceSend(service, b"letters", b"", 0, ()), credit=1)
        self.assertEqual(self.value("broker_commands_refused_total", "access"), 2)
        self.assertEqual(self.value("broker_commands_refused_total", "limit"), 0)

    def test_paused(self) -> None:
        """Paused services are counted."""
        self.open("a", OFFER, credit=5)
        self.broker.queues.pauses.pause(b"svc")
        self.assertEqual(self.value("broker_services_paused"), 1)

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

    def bind(self, service: bytes, pattern: bytes = b"") -> BindingKey:
        """Bind the stream s to a service."""
        key = BindingKey(b"s", service, pattern)
        self.broker.bindings.bind(key, 0, "test")
        return key

    def test_bindings(self) -> None:
        """The first bindings are shown separately, all others together, and no total falls when one is ended."""
        self.patch(bindings, "MOST_MEASURED", 1)
        self.open("p", mlm.StreamWrite(b"s"))
        first, second, _ = self.bind(b"1"), self.bind(b"2"), self.bind(b"3", b"x")
        self.do("p", mlm.StreamSend(b"x", ()), mlm.StreamSend(b"y", ()))
        self.assertEqual(self.value("broker_bindings"), 3)
        self.assertEqual(self.figures()["alaska_broker_binding_position"], {("s", "1", ""): 3})
        expected = {("s", "1", ""): 2, ("", "", ""): 3}
        self.assertEqual(self.figures()["alaska_broker_binding_requests_total"], expected)
        self.broker.bindings.unbind(second)
        self.assertEqual(self.figures()["alaska_broker_binding_requests_total"], expected)
        self.broker.bindings.unbind(first)
        self.bind(b"4")
        self.do("p", mlm.StreamSend(b"x", ()))
        expected = {("s", "4", ""): 1, ("", "", ""): 4}
        self.assertEqual(self.figures()["alaska_broker_binding_requests_total"], expected)

    def test_durable_readers(self) -> None:
        """The first durable readers are shown separately, of all others the greatest lag and the earliest time."""
        self.patch(measured_streams, "MOST_READERS", 1)
        self.broker.tick(self.now, 1000.0)
        for name in ("1", "2", "3"):
            self.open_second(name, mlm.StreamReplay(b"s", b"", 0, {"name": name.encode()}), credit=1)
        self.do("2", mlm.ConnectionClose())
        self.now += 5
        self.broker.tick(self.now, 1005.0)
        self.do("3", mlm.ConnectionClose())
        self.open("p", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"x", (b"1",)) for _ in range(4)))
        self.do("1", mlm.Confirm(b"", 200, b"", {"stream": b"s", "position": 1}))
        prefix = "broker_durable_reader"
        self.assertEqual((self.value(f"{prefix}s", "connected"), self.value(f"{prefix}s", "away")), (1, 2))
        self.assertEqual(self.figures()[f"alaska_{prefix}_position"], {("s", "1"): 2})
        self.assertEqual(self.figures()[f"alaska_{prefix}_lag_records"], {("s", "1"): 3, ("", ""): 3})
        seen = {("s", "1"): 1005.0, ("", ""): 1000.0}
        self.assertEqual(self.figures()[f"alaska_{prefix}_seen_timestamp_seconds"], seen)


class LostTests(FiguresCase):
    """Records that streams remove before they were read."""

    limits = Limits(client_timeout=60.0, retention=Retention(most_records=2))

    def test_lost(self) -> None:
        """What a binding and a durable reader have lost is counted."""
        self.patch(bindings, "MOST_UNFINISHED", 1)
        self.broker.bindings.bind(BindingKey(b"s", b"svc", b""), 0, "test")
        reads = mlm.StreamReplay(b"s", b"", 0, {"name": b"n"})
        self.open_second("a", reads, mlm.ConnectionClose(), credit=1)
        self.open("p", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"x", ()) for _ in range(10)))
        self.pass_time(2, "p")
        self.open_second("b", OFFER, reads, credit=9)
        self.do("b", mlm.Confirm(b"", 200, b"", {"lease": 1}))
        self.pass_time(0.1, "p")
        shown = {family.name: dict(values) for family, values in self.shown()}
        self.assertEqual(shown["alaska_broker_durable_reader_lost_records_total"], {(): 8})
        self.assertEqual(shown["alaska_broker_binding_lost_records_total"]["s", "svc", ""], 7)


class TurnTests(FiguresCase):
    """A broker with more than one look can see."""

    limits = Limits(client_timeout=60.0)

    def setUp(self) -> None:
        super().setUp()
        self.patch(measured, "TURN_ITEMS", 10)
        self.open("a", *(mlm.StreamRead(b"s%d" % number, b"") for number in range(25)), credit=1)
        self.open("p", *(mail(to=b"%d" % number) for number in range(25)))

    def test_in_turns(self) -> None:
        """It is looked at in turns, and nothing is left out."""
        asked = self.broker.administration.measures()
        self.assertNoResult(asked)
        for _ in range(5):
            self.broker.tick(self.now)
        measures = self.successResultOf(asked)
        self.assertEqual([each.waiting for each in measures.queues], [25, 0])
        self.assertEqual((measures.streams.streams, measures.clients.plain), (25, 1))

    def test_ended(self) -> None:
        """If the broker ends meanwhile, there is no result."""
        asked = self.broker.administration.measures()
        self.broker.administration.turns.end()
        self.failureResultOf(asked, OperationFailed)


class DetailsTests(FiguresCase):
    """The metrics of single objects."""

    limits = Limits(client_timeout=60.0)

    def select(self, family: str, name: bytes = b"", most: int = 100) -> tuple[dict[str, Any], int]:
        """Return the values of what has this in its name, by metric and label, and the number of those left out."""
        current = details(lambda: self.broker.administration)
        selected = self.result(current[family](lambda each: name in each, most))
        shown = {
            f"{one.name.removeprefix('alaska_detailed_')} {' '.join(labels)}": value
            for one, values in selected.filled
            for labels, value in values
        }
        return shown, selected.left_out

    def result(self, found: Selected | Deferred[Selected]) -> Selected:
        """Return what was selected."""
        return self.successResultOf(found) if isinstance(found, Deferred) else found

    def test_services(self) -> None:
        """A service has what waits for it, and who offers it."""
        self.broker.tick(self.now, 1000.0)
        self.open("a", OFFER, credit=1)
        self.open("p", request(), request(content=b"123"))
        self.assertEqual(
            self.select("services"),
            (
                {
                    "service_waiting svc": 1,
                    "service_waiting_bytes svc": 3,
                    "service_oldest_timestamp_seconds svc": 1000.0,
                    "service_in_flight svc": 1,
                    "service_workers svc": 1,
                    "service_held svc": 0,
                    "service_paused svc": False,
                },
                0,
            ),
        )

    def test_selected(self) -> None:
        """Only the names that match are shown, at most so many, and what is left out is counted."""
        self.open("p", *(mail(to=b"box%d" % number) for number in range(30)), mail(to=b"cat"))
        shown, left_out = self.select("mailboxes", b"box", 10)
        self.assertEqual((len([name for name in shown if "_waiting box" in name]), left_out), (10, 20))

    def test_streams(self) -> None:
        """A stream has its readers and their lag."""
        self.open("a", mlm.StreamRead(b"s", b""), credit=1)
        self.open("p", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"x", (b"1",)) for _ in range(4)))
        shown, _ = self.select("streams")
        self.assertEqual((shown["stream_position s"], shown["stream_lag_records s"]), (4, 3))

    def test_clients(self) -> None:
        """Clients are shown if they have an address."""
        self.open("a", OFFER, credit=5)
        self.do("x", mlm.ConnectionOpen(b""))
        self.assertEqual(
            self.select("clients")[0], {"client_credit a": 5, "client_unconfirmed a": 0, "client_full a": 0}
        )

    def test_bindings(self) -> None:
        """A binding is shown by its stream and its service, with its lag and its requests."""
        self.open("p", mlm.StreamWrite(b"s"))
        self.broker.bindings.bind(BindingKey(b"s", b"svc", b"^a"), 0, "test")
        self.do("p", mlm.StreamSend(b"a", ()), mlm.StreamSend(b"b", ()))
        expected = {"position": 3, "lag_records": 0, "requests": 1, "lost_records": 0}
        for name in (b"s", b"svc"):
            self.assertEqual(
                self.select("bindings", name)[0],
                {f"binding_{each} s svc ^a": value for each, value in expected.items()},
            )
        self.assertEqual(self.select("bindings", b"x"), ({}, 0))

    def test_readers(self) -> None:
        """A durable reader is shown by its stream and its own name; others are not shown."""
        self.broker.tick(self.now, 1000.0)
        self.open_second("a", mlm.StreamReplay(b"s", b"", 0, {"name": b"n"}), mlm.StreamReplay(b"t", b"", 0), credit=1)
        self.open("p", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"x", (b"1",)) for _ in range(4)))
        # The stream retains nothing, and stores what the reader has no credit for.
        expected = {"position": 1, "lag_records": 3, "seen_timestamp_seconds": 1000.0}
        for name in (b"s", b"n"):
            self.assertEqual(
                self.select("readers", name)[0],
                {f"durable_reader_{each} s n": value for each, value in expected.items()},
            )

    def test_taken_over(self) -> None:
        """A client whose address another one has taken over is left out: each address is there once."""
        self.open("a")
        self.do("b", mlm.ConnectionOpen(b"a"))
        self.assertEqual(len(self.broker.clients), 2)
        selected = self.result(details(lambda: self.broker.administration)["clients"](lambda _: True, 10))
        self.assertEqual([[label for (label,), _ in values] for _, values in selected.filled], [["a"]] * 3)

    def test_no_broker(self) -> None:
        """While no broker serves, there is nothing."""
        selected = self.result(details(lambda: None)["streams"](bool, 10))
        self.assertEqual([list(values) for _, values in selected.filled], [[]] * 5)


class BreakableStore(MemoryStore):
    """A store that may become unreadable."""

    is_broken = False

    def waiting(self, part: PartName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`IStore`."""
        if self.is_broken:
            raise StoreError("the disk is broken")
        return super().waiting(part, after, limit)


class OldestTests(FiguresCase):
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
        self.shown()
        self.assertEqual(self.known(), MOST_READS)

    def test_store_fails(self) -> None:
        """If the store cannot be read, everything else is shown."""
        self.open("p")
        for timeout in (500, 0):
            self.do("p", request(timeout=timeout))
        self.pass_time(2.0, "p")
        assert isinstance(self.store, BreakableStore)
        self.store.is_broken = True
        shown = {family.name: dict(values) for family, values in self.shown()}
        self.assertEqual(shown["alaska_broker_waiting"]["service",], 1)
        self.assertEqual(shown["alaska_broker_oldest_timestamp_seconds"], {})

    def known(self) -> int:
        """Return in how many queues the oldest message is known."""
        return sum(queue.oldest is not None for queue in self.broker.queues.table.values())
