"""The Twisted client, with a scripted broker and with Alaska's broker."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.broker.limits import Limits
from alaska.broker.service import BrokerService
from alaska.client import Client, to_octets, to_text
from alaska.interfaces import IStore, Reactor
from alaska.message import Retention
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from alaska.testing import MemoryNetwork, ScriptedBroker, run_for

ENDPOINT = "tcp://broker"
OK = mlm.Ok(200, b"")
PONG = mlm.ConnectionPong()


class ClientTestCase(SynchronousTestCase):
    """A network in memory and a clock."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.clock = Clock()

    def client(self, address: str = "me", **options: Any) -> Client:
        """Return a new client."""
        return Client(ENDPOINT, address, network=self.network, reactor=cast("Reactor", self.clock), **options)


class ScriptedTests(ClientTestCase):
    """The client with a scripted broker."""

    def setUp(self) -> None:
        super().setUp()
        self.broker = ScriptedBroker(self.network, ENDPOINT)

    def connected(self, **options: Any) -> Client:
        """Return a client that is connected."""
        client = self.client(**options)
        connecting = client.connect()
        self.network.run()
        self.broker.send(OK)
        self.successResultOf(connecting)
        self.broker.take()
        return client

    def test_refused_stream(self) -> None:
        """The client logs that messages of a stream are lost, if the broker refuses the stream."""
        client = self.connected()
        client.publish("news", "x")
        self.network.run()
        with capturedLogs() as events:
            self.broker.send(mlm.Error(401, b"user me may not write news"))
        (text,) = [formatEvent(event) for event in events]
        self.assertIn("messages of a stream are lost (1 times so far): the broker refuses: user me may not write", text)
        self.assertTrue(client.is_connected)

    def test_connects(self) -> None:
        """``connect`` fires when the broker has answered."""
        client = self.client()
        connecting = client.connect()
        self.network.run()
        self.assertNoResult(connecting)
        self.assertFalse(client.is_connected)
        self.broker.send(mlm.Ok(200, b"alaska/1 credit"))
        self.successResultOf(connecting)
        self.assertTrue(client.is_connected)
        self.assertEqual(client.capabilities, {"credit"})

    def test_timeout(self) -> None:
        """Without an answer, ``connect`` fails after its timeout, and no timer is left."""
        connecting = self.client().connect(timeout=0.3)
        run_for(self.clock, self.network, 0.25)
        self.assertNoResult(connecting)
        run_for(self.clock, self.network, 0.1)
        failure = self.failureResultOf(connecting, errors.ConnectTimeout)
        self.assertEqual(str(failure.value), "no broker answers at tcp://broker within 0.3 s")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancel(self) -> None:
        """A cancelled ``connect`` leaves no timer."""
        connecting = self.client().connect(timeout=None)
        connecting.cancel()
        self.failureResultOf(connecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """If the broker answers OPEN with ERROR, ``connect`` fails with the status."""
        connecting = self.client().connect()
        self.network.run()
        self.broker.send(mlm.Error(401, b"not you"))
        failure = self.failureResultOf(connecting, errors.Refused)
        self.assertEqual(failure.value.status, 401)

    def test_connect_twice(self) -> None:
        """A second ``connect`` raises an error at once, even after the client is closed."""
        client = self.connected()
        self.assertRaises(errors.NotConnected, client.connect)
        client.close()
        self.assertRaises(errors.NotConnected, client.connect)

    def test_never_connected(self) -> None:
        """All methods but ``close`` raise an error if the client was never connected."""
        client = self.client()
        for call in (
            lambda: client.send_for("a", "b"),
            lambda: client.publish("a", "b"),
            lambda: client.offer("a"),
            client.flush,
        ):
            self.assertRaises(errors.NotConnected, call)
        self.successResultOf(client.close())

    def test_setups_are_answered(self) -> None:
        """Each of ``produce``, ``consume``, ``cancel`` and ``offer`` fires at its own OK."""
        client = self.connected()
        asked = [client.produce("s"), client.consume("t", "x"), client.cancel("t"), client.offer("svc", "y")]
        self.assertEqual(
            self.broker.take(),
            [
                mlm.StreamWrite(b"s"),
                mlm.StreamRead(b"t", b"x"),
                mlm.StreamCancel(b"t"),
                mlm.ServiceOffer(b"svc", b"y"),
            ],
        )
        for number, deferred in enumerate(asked):
            self.assertNoResult(deferred)
            self.broker.send(OK)
            self.successResultOf(deferred)
            for later in asked[number + 1 :]:
                self.assertNoResult(later)

    def test_refused_setup(self) -> None:
        """A refused setup command fails, and the client stays connected."""
        client = self.connected()
        offering = client.offer("svc", "(")
        self.broker.send(mlm.Error(300, b"bad pattern"))
        self.failureResultOf(offering, errors.Refused)
        self.assertTrue(client.is_connected)

    def test_sends(self) -> None:
        """Each send method sends its command, with the timeout in milliseconds."""
        client = self.connected()
        client.produce("s")
        client.send("subject", b"1")
        client.publish("other", "é", b"2", b"")
        client.send_to("box", b"\xff", tracker="t", timeout=1.5)
        client.send_for("svc", "job", b"3")
        self.assertEqual(
            self.broker.take(),
            [
                mlm.StreamWrite(b"s"),
                mlm.StreamSend(b"subject", (b"1",)),
                mlm.StreamWrite(b"other"),
                mlm.StreamSend("é".encode(), (b"2", b"")),
                mlm.MailboxSend(b"box", b"\xff", b"t", 1500, ()),
                mlm.ServiceSend(b"svc", b"job", b"", 0, (b"3",)),
            ],
        )

    def test_too_long(self) -> None:
        """A name of 256 octets is an error, and nothing is sent."""
        client = self.connected()
        self.assertRaises(errors.ValueTooLong, client.send_for, "a" * 256, "job")
        self.assertRaises(errors.ValueTooLong, client.offer, "svc", "é" * 128)
        self.assertEqual(self.broker.take(), [])

    def test_unreadable(self) -> None:
        """Malformed messages from the broker are counted, and the client stays connected."""
        client = self.connected()
        for frames in ([b""], [b"\xaa\xa8\x0d\x05"], [b"junk", b"more"]):
            self.broker.send_frames(frames)
        self.assertEqual(client.malformed, 3)
        self.assertTrue(client.is_connected)

    def test_flush(self) -> None:
        """``flush`` fires when a PONG has proven that all messages were received, or at once if none was sent."""
        client = self.connected()
        self.successResultOf(client.flush())
        client.send_for("svc", "job")
        flushed = client.flush()
        self.assertEqual(self.broker.take()[1:], [mlm.ConnectionPing()])
        self.assertNoResult(flushed)
        self.broker.send(PONG)
        self.successResultOf(flushed)

    def test_closed_while_something_waits(self) -> None:
        """All pending Deferreds fail when closing the client times out."""
        client = self.connected()
        client.send_for("svc", "job")
        flushed, asked, coming = client.flush(), client.offer("svc"), client.__anext__()
        closing = client.close(timeout=0.5)
        run_for(self.clock, self.network, 0.6)
        for deferred in (flushed, asked, coming, closing):
            self.failureResultOf(deferred, errors.ConnectTimeout)


class IteratorTests(ClientTestCase):
    """Iterating over deliveries."""

    def setUp(self) -> None:
        super().setUp()
        self.broker = ScriptedBroker(self.network, ENDPOINT)
        self.it = self.client()
        self.it.connect()
        self.network.run()
        self.broker.send(OK)

    def test_in_order(self) -> None:
        """The iteration returns deliveries in the order of their arrival."""
        subjects: list[str] = []

        async def iterate() -> None:
            async for delivery in self.it:
                subjects.append(delivery.subject)  # noqa: PERF401  # the order of arrival is what is tested

        done = ensureDeferred(iterate())
        for subject in (b"1", b"2", b"3"):
            self.broker.send(mlm.MailboxDeliver(b"s", b"me", subject, b"", ()))
        self.assertEqual(subjects, ["1", "2", "3"])
        self.it.close()
        self.network.run()
        self.broker.send(OK)
        self.successResultOf(done)

    def test_what_a_delivery_says(self) -> None:
        """A delivery of each kind has kind, address, sender, subject, tracker and content."""
        self.broker.send(
            mlm.StreamDeliver(b"news", b"s", b"x", (b"1",)),
            mlm.MailboxDeliver(b"s", b"me", b"x", b"t", (b"1", b"2")),
            mlm.ServiceDeliver(b"s", b"svc", b"x", b"t", ()),
        )
        seen = [self.successResultOf(self.it.__anext__()) for _ in range(3)]
        self.assertEqual(
            [(each.kind, each.address, each.sender, each.subject, each.tracker, each.content) for each in seen],
            [
                ("stream", "news", "s", "x", "", (b"1",)),
                ("mailbox", "me", "s", "x", "t", (b"1", b"2")),
                ("service", "svc", "s", "x", "t", ()),
            ],
        )

    def test_any_octets(self) -> None:
        """Octets that are not UTF-8 can be converted to text and back."""
        self.assertEqual(to_octets(to_text(b"a\xff\0")), b"a\xff\0")


class RestartTests(ClientTestCase):
    """Clients of a broker that is killed and restarted."""

    limits = Limits(client_timeout=5.0, retention_of={b"kept": Retention(100)})

    def start_broker(self, store: IStore | None = None) -> BrokerService:
        """Start a broker, with a new store or a given one."""
        service = BrokerService(
            cast("Reactor", self.clock), lambda: self.network, lambda: store or MemoryStore(), [ENDPOINT], self.limits
        )
        service._network = None
        service.startService()
        self.network.run()
        return service

    def kill_broker(self, service: BrokerService) -> None:
        """Stop a broker abruptly."""
        assert service._router is not None
        service._ticks.stop()
        service._router.close()
        self.network.run()

    def test_serves_again(self) -> None:
        """After a restart, a worker gets requests again within two heartbeats, without any action of the program."""
        service = self.start_broker()
        seen: list[str] = []
        worker = self.client("worker", deliver=lambda delivery: seen.append(delivery.subject))
        producer = self.client("producer")
        for client in (worker, producer):
            client.connect()
        self.network.run()
        worker.offer("svc")
        producer.send_for("svc", "1")
        run_for(self.clock, self.network, 1)
        self.kill_broker(service)
        producer.send_for("svc", "2")
        run_for(self.clock, self.network, 3)
        producer.send_for("svc", "3")
        self.start_broker()
        run_for(self.clock, self.network, 2)
        producer.send_for("svc", "4")
        self.network.run()
        self.assertEqual(seen, ["1", "2", "3", "4"])

    def read_over_a_restart(self, keep: bool) -> list[tuple[int | None, str]]:
        """Return the records that a reader gets from a stream whose broker is killed and restarted."""
        store = MemoryStore()
        service = self.start_broker(store)
        seen: list[tuple[int | None, str]] = []
        reader = self.client("reader", deliver=lambda delivery: seen.append((delivery.position, delivery.subject)))
        writer = self.client("writer")
        for client in (reader, writer):
            client.connect()
        self.network.run()
        writer.publish("kept", "0")
        reader.replay("kept")
        for subject in ("1", "2"):
            writer.publish("kept", subject)
        run_for(self.clock, self.network, 1)
        self.kill_broker(service)
        run_for(self.clock, self.network, 3)
        service = self.start_broker(store if keep else None)
        assert service.broker is not None
        for subject in ("3", "4"):
            writer.publish("kept", subject)
        run_for(self.clock, self.network, 5)
        return seen

    def test_stream_goes_on(self) -> None:
        """If the broker still has the stream after a restart, a reader gets each record once."""
        self.assertEqual(self.read_over_a_restart(keep=True), [(n + 1, f"{n}") for n in range(5)])

    def test_stream_begins_anew(self) -> None:
        """If the broker has lost the stream, a reader gets the new one from its start."""
        expected = [(1, "0"), (2, "1"), (3, "2"), (1, "3"), (2, "4")]
        self.assertEqual(self.read_over_a_restart(keep=False), expected)

    def test_ten_one_shot_producers(self) -> None:
        """The requests of ten producers that connect, send and close at once all arrive."""
        self.start_broker()
        seen: list[str] = []
        worker = self.client("worker", deliver=lambda delivery: seen.append(delivery.subject))
        worker.connect()
        worker.offer("svc")
        self.network.run()
        for number in range(10):
            producer = self.client("producer")
            producer.connect()
            producer.send_for("svc", str(number))
            closing = producer.close()
            self.network.run()
            self.successResultOf(closing)
        self.assertEqual(seen, [str(number) for number in range(10)])
