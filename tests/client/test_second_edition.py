"""The Twisted client with batches, leases and properties (docs/protocol.md, section 7)."""

from __future__ import annotations

from alaska import errors
from alaska.client import Client, Confirmation, Delivery
from alaska.mlm import commands as mlm
from alaska.mlm.batch import HEADER, encode_batch
from alaska.mlm.codec import encode
from alaska.testing import ScriptedBroker, run_for
from alaska.traces.context import TraceContext, of_properties
from tests.client.test_client import ENDPOINT, PONG, ClientTestCase

FIRST = mlm.Ok(200, b"alaska/1 credit confirm replay")
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SENDS = (mlm.StreamSend, mlm.MailboxSend, mlm.ServiceSend)
SECOND = mlm.Ok(200, b"alaska/1 credit confirm replay batch properties")


class SecondEditionCase(ClientTestCase):
    """A scripted broker that keeps the frames it gets."""

    def setUp(self) -> None:
        super().setUp()
        self.broker = ScriptedBroker(self.network, ENDPOINT)
        self.deliveries: list[Delivery] = []

    def connected(self, ok: mlm.Ok = SECOND, credit: int | None = 10) -> Client:
        """Return a client that is connected to a broker with this answer."""
        client = self.client(credit=credit, deliver=self.deliveries.append)
        connecting = client.connect()
        self.network.run()
        self.broker.send(ok)
        self.successResultOf(connecting)
        self.broker.take()
        self.broker.take_frames()
        return client


class TraceTests(SecondEditionCase):
    """Trace contexts of messages."""

    def test_all_methods(self) -> None:
        """All send methods send a trace context, besides headers."""
        client, trace = self.connected(credit=0), TraceContext(PARENT, b"a=b")
        client.produce("s")
        client.send("job", trace=trace)
        client.publish("s", "job", trace=trace, headers={"n": "v"})
        client.send_to("box", "job", trace=trace)
        client.send_for("svc", "job", trace=trace)
        client.track_to("box", "job", trace=trace)
        client.track_for("svc", "job", trace=trace)
        client.ask("svc", "job", trace=trace)
        client.send_for("svc", "job")
        self.network.run()
        sent = [each for each in self.broker.take() if isinstance(each, SENDS)]
        self.assertEqual([of_properties(each.properties) for each in sent], [trace] * 7 + [None])
        self.assertEqual(sent[1].properties.get("h-n"), b"v")

    def test_delivery(self) -> None:
        """A delivery has the trace context of its message, or none."""
        self.connected()
        for properties in ({"traceparent": PARENT, "tracestate": b"a=b"}, {"traceparent": b"x"}, {}):
            self.broker.send(mlm.MailboxDeliver(b"", b"", b"job", b"", (), properties))
        self.assertEqual([each.trace for each in self.deliveries], [TraceContext(PARENT, b"a=b"), None, None])


class NegotiationTests(SecondEditionCase):
    """What the client announces, and to whom it sends batches and properties."""

    def test_announcement(self) -> None:
        """CONNECTION-OPEN announces batches and properties, and identifies the program."""
        self.client().connect()
        (opening,) = self.broker.take()
        assert isinstance(opening, mlm.ConnectionOpen)
        self.assertEqual((opening.address, opening.properties["can"]), (b"me", b"batch properties progress cancel"))
        self.assertLessEqual({"host", "pid", "version"}, set(opening.properties))

    def test_first_edition(self) -> None:
        """A broker of the first edition gets single commands without properties."""
        client = self.connected(FIRST)
        client.send_for("svc", "1", headers={"a": "b"})
        client.send_for("svc", "2")
        self.network.run()
        expected = [encode(mlm.ServiceSend(b"svc", subject, b"", 0, ())) for subject in (b"1", b"2")]
        self.assertEqual(self.broker.take_frames(), expected)

    def test_another_broker(self) -> None:
        """After a reconnect to a broker of the first edition, it gets nothing new."""
        client = self.connected()
        self.broker.stop()
        client.send_for("svc", "1")
        client.send_for("svc", "2")
        self.broker = ScriptedBroker(self.network, ENDPOINT)
        self.network.run()
        self.broker.send(FIRST)
        self.assertEqual([type(each) for each in self.broker.take()][-2:], [mlm.ServiceSend] * 2)


class SendingTests(SecondEditionCase):
    """What the client sends."""

    def test_one_turn(self) -> None:
        """What a program sends in one turn leaves in one BATCH, in order."""
        client = self.connected()
        for subject in ("1", "2", "3"):
            client.send_for("svc", subject)
        self.network.run()
        expected = [mlm.ServiceSend(b"svc", subject, b"", 0, ()) for subject in (b"1", b"2", b"3")]
        self.assertEqual(self.broker.take_frames(), list(encode_batch(list(expected))))

    def test_one_message(self) -> None:
        """A single message is not sent as a BATCH."""
        client = self.connected()
        client.send_to("box", "1", "x")
        self.network.run()
        self.assertEqual(self.broker.take_frames(), [encode(mlm.MailboxSend(b"box", b"1", b"", 0, (b"x",)))])

    def test_headers(self) -> None:
        """Headers are properties of a message."""
        client = self.connected()
        client.send_to("box", "1", headers={"a": "ä"})
        client.publish("st", "2", headers={"a": b"\xff"})
        sent = [each for each in self.broker.take() if isinstance(each, mlm.MailboxSend | mlm.StreamSend)]
        self.assertEqual([each.properties for each in sent], [{"h-a": "ä".encode()}, {"h-a": b"\xff"}])

    def test_headers_out_of_range(self) -> None:
        """More than 24 headers or 32 KiB, and names of more than 253 octets, are refused, and nothing is sent."""
        client = self.connected()
        for headers in ({str(number): "" for number in range(25)}, {"a": "x" * 40_000}, {"x" * 254: ""}):
            with self.assertRaises(errors.ValueTooLong):
                client.send_to("box", "1", headers=headers)
        self.network.run()
        self.assertEqual(self.broker.take(), [])

    def test_lost_session(self) -> None:
        """What was not sent before the session ended is sent once, in the next one."""
        client = self.connected()
        client.send_for("svc", "1")
        self.broker.send(mlm.Error(500, b""))
        self.broker.send(SECOND)
        self.network.run()
        sent = [each for each in self.broker.take() if isinstance(each, mlm.ServiceSend)]
        self.assertIn(len(sent), (1, 2))
        self.assertIn(client.unproven, (0, 1))


class ReceivingTests(SecondEditionCase):
    """What the client gets."""

    def deliver(self, *leases: int) -> None:
        """Send deliveries with these leases and the same tracker in one BATCH."""
        commands: list[mlm.Command] = [
            mlm.ServiceDeliver(
                b"s", b"svc", b"job", b"t", (b"x",), {"lease": lease, "attempt": 2, "since": 5000, "h-a": "b"}
            )
            for lease in leases
        ]
        for frames in encode_batch(commands):
            self.broker.send_frames(frames)

    def test_batch(self) -> None:
        """The commands of a BATCH are processed in order."""
        self.connected()
        self.deliver(7, 8)
        self.assertEqual([each.lease for each in self.deliveries], [7, 8])
        first = self.deliveries[0]
        self.assertEqual((first.headers, first.attempt, first.arrived), ({"a": "b"}, 2, 5.0))

    def test_single_delivery(self) -> None:
        """A delivery that is not in a BATCH has the same properties."""
        self.connected()
        command = mlm.ServiceDeliver(b"s", b"svc", b"job", b"t", (b"x",), {"lease": 7, "attempt": 2, "since": 5000})
        self.broker.send_frames(encode(command))
        (delivery,) = self.deliveries
        self.assertEqual((delivery.lease, delivery.attempt, delivery.arrived), (7, 2, 5.0))

    def test_confirmations(self) -> None:
        """Each delivery is confirmed by its lease, also if it has no tracker."""
        client = self.connected()
        self.deliver(7, 8)
        self.broker.send_frames(encode(mlm.MailboxDeliver(b"s", b"me", b"", b"", (), {"lease": 9})))
        for delivery in self.deliveries:
            client.confirm(delivery)
        confirmed = [each for each in self.broker.take() if isinstance(each, mlm.Confirm)]
        self.assertEqual(
            [(each.tracker, each.properties["lease"]) for each in confirmed], [(b"t", 7), (b"t", 8), (b"", 9)]
        )

    def test_long_reason(self) -> None:
        """The reason of a confirmation is cut to 255 octets, and sent as a whole in the property ``error``."""
        client = self.connected()
        self.deliver(7)
        client.confirm(self.deliveries[0], 404, "x" * 1000)
        (confirmed,) = [each for each in self.broker.take() if isinstance(each, mlm.Confirm)]
        expected = {"lease": 7, "error": b"x" * 1000}
        self.assertEqual((confirmed.status_reason, confirmed.properties), (b"x" * 255, expected))

    def test_confirmed_with_a_long_reason(self) -> None:
        """The reason that the program gets is the whole one."""
        confirmations: list[Confirmation] = []
        client = self.client(credit=0, confirmed=confirmations.append)
        client.connect()
        self.network.run()
        self.broker.send(SECOND)
        self.broker.send_frames(encode(mlm.Confirm(b"t", 404, b"x" * 255, {"error": b"x" * 1000})))
        self.assertEqual([each.reason for each in confirmations], ["x" * 1000])

    def test_failing_program(self) -> None:
        """An exception of the program for one delivery does not affect the others of the BATCH."""
        client = self.connected()
        taken: list[int | None] = []

        def deliver(delivery: Delivery) -> None:
            taken.append(delivery.lease)
            raise RuntimeError("a fault of the program")

        client._deliver = deliver  # as if it had been passed to the client
        self.deliver(7, 8)
        self.assertEqual(taken, [7, 8])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_unreadable(self) -> None:
        """A BATCH that cannot be read is counted and dropped."""
        client = self.connected()
        self.broker.send_frames([HEADER, b"\x91\x91\x10"])
        self.assertEqual((self.deliveries, client.malformed), ([], 1))

    def test_heartbeat(self) -> None:
        """A PONG in a BATCH proves what was sent before."""
        client = self.connected()
        client.send_for("svc", "1")
        flushed = client.flush()
        run_for(self.clock, self.network, 0.1)
        for frames in encode_batch([PONG, mlm.ConnectionPong()]):
            self.broker.send_frames(frames)
        self.successResultOf(flushed)
