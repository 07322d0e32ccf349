"""Arguments of the client's methods: an invalid one raises an error, and the call has no effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.client import Client
from alaska.interfaces import Reactor
from alaska.mlm import commands as mlm
from alaska.testing import MemoryNetwork, ScriptedBroker

ENDPOINT = "tcp://broker"
NOT_TEXT: tuple[Any, ...] = (None, 1, 1.5, ["x"], object(), True)
NOT_SECONDS: tuple[Any, ...] = (None, "1", b"1", [1.0])
WRONG_SECONDS: tuple[Any, ...] = (-1, -0.001, float("nan"), float("inf"), 2**32 / 1000)


class ValuesCase(SynchronousTestCase):
    """A client of a scripted broker that supports confirmations."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.clock = Clock()
        self.broker = ScriptedBroker(self.network, ENDPOINT)
        self.client: Any = self.make(credit=0)
        self.client.connect()
        self.network.run()
        self.broker.send(mlm.Ok(200, b"alaska/1 credit confirm replay"))
        self.broker.take()

    def make(self, *values: Any, **options: Any) -> Client:
        """Return a new client with these arguments."""
        endpoint, address = values or (ENDPOINT, "me")
        return Client(endpoint, address, network=self.network, reactor=cast("Reactor", self.clock), **options)

    def refused(self, wanted: type[Exception], call: Callable[..., Any], *values: Any, **options: Any) -> None:
        """Check that a call raises an error, and sends, buffers and waits for nothing."""
        credit, timers = self.client.credit, len(self.clock.getDelayedCalls())
        self.assertRaises(wanted, call, *values, **options)
        self.assertEqual((self.broker.take(), self.client.unproven, self.client.credit), ([], 0, credit))
        self.assertEqual((self.client._trackers.take_pending(), len(self.clock.getDelayedCalls())), ([], timers))


class SendTests(ValuesCase):
    """Arguments of the send methods."""

    def test_text_is_utf_8(self) -> None:
        """All send methods encode text as UTF-8."""
        client = self.client
        client.produce("s")
        client.send("job", "é", b"\xff")
        client.publish("s", "job", "é")
        client.send_to("box", "job", "é")
        client.send_for("svc", "job", "\udcff", "é")
        client.track_to("box", "job", "é")
        client.track_for("svc", "job", "é")
        client.ask("svc", "job", "é")
        sent = [cast("mlm.ServiceSend", each).content for each in self.broker.take() if hasattr(each, "content")]
        octets = "é".encode()
        self.assertEqual(sent, [(octets, b"\xff"), (octets,), (octets,), (b"\xff", octets), *[(octets,)] * 3])

    def test_other_octets_are_copied(self) -> None:
        """The content of a bytearray or memoryview is copied at the call."""
        changing = bytearray(b"now")
        self.client.send_for("svc", "job", changing, memoryview(changing)[1:])
        changing[:] = b"xxx"
        self.assertEqual(self.broker.take(), [mlm.ServiceSend(b"svc", b"job", b"", 0, (b"now", b"ow"))])

    def test_wrong_content_and_names(self) -> None:
        """A name, subject, tracker or content that is neither text nor octets is a TypeError."""
        client = self.client
        calls = (client.publish, client.send_to, client.send_for, client.track_to, client.track_for, client.ask)
        for wrong in NOT_TEXT:
            for call in calls:
                self.refused(TypeError, call, wrong, "job")
                self.refused(TypeError, call, "svc", wrong)
                self.refused(TypeError, call, "svc", "job", b"x", wrong)
            for call in (client.send_to, client.send_for):
                self.refused(TypeError, call, "svc", "job", tracker=wrong)
        self.refused(ValueError, client.send_for, "svc", "job", "\ud800")

    def test_wrong_timeouts(self) -> None:
        """A timeout that is not a number is a TypeError; one that is out of range is a ValueError."""
        client = self.client
        for call in (client.send_to, client.send_for, client.track_to, client.track_for, client.ask):
            for wrong in NOT_SECONDS:
                self.refused(TypeError, call, "svc", "job", timeout=wrong)
            for wrong in WRONG_SECONDS:
                self.refused(ValueError, call, "svc", "job", timeout=wrong)

    def test_shortest_and_longest_timeouts(self) -> None:
        """Any timeout above 0 is at least 1 ms on the wire, and the maximum is that of the wire."""
        for seconds in (0, 0.0001, 1, (2**32 - 1) / 1000):
            self.client.send_to("box", "job", timeout=seconds)
        sent = [cast("mlm.MailboxSend", each).timeout for each in self.broker.take()]
        self.assertEqual(sent, [0, 1, 1000, 2**32 - 1])

    def test_too_long(self) -> None:
        """A name of more than 255 octets is a ValueError."""
        client = self.client
        for call in (client.publish, client.send_to, client.send_for, client.track_for, client.ask):
            self.refused(errors.ValueTooLong, call, "x" * 256, "job")
        self.refused(ValueError, client.publish, "s", "x" * 256)
        self.assertRaises(ValueError, client.letters, "x" * 256)

    def test_full(self) -> None:
        """A request that does not fit into the send buffer leaves no credit and no Deferred behind."""
        client: Any = self.make(credit=0, most_octets=1)
        client.connect()
        for call in (client.ask, client.track_for):
            self.assertRaises(errors.BacklogFull, call, "svc", "job", b"xx")
        self.assertEqual((client.credit, client._trackers.take_pending()), (0, []))


class OtherTests(ValuesCase):
    """Arguments of the other methods."""

    def test_setups(self) -> None:
        """Streams, services and patterns must be text or octets, of at most 255 octets."""
        client = self.client
        for call in (client.produce, client.cancel, client.offer, client.consume, client.replay):
            for wrong in NOT_TEXT:
                self.refused(TypeError, call, wrong)
            self.refused(ValueError, call, "x" * 256)
        for call in (client.offer, client.consume, client.replay):
            self.refused(TypeError, call, "s", 1)
        self.assertRaises(errors.NotConnected, client.send, "nothing was produced")

    def test_positions(self) -> None:
        """A position must be an integer of 64 bits."""
        for wrong in (None, "1", 1.0):
            self.refused(TypeError, self.client.replay, "s", "", wrong)
        for position in (-1, 2**64):
            self.refused(ValueError, self.client.replay, "s", "", position)

    def test_credit(self) -> None:
        """Credit must be an integer within its limit."""
        for wrong in (None, "1", 1.0):
            self.refused(TypeError, self.client.give_credit, wrong)
        for amount in (-1, 2**24 + 1):
            self.refused(ValueError, self.client.give_credit, amount)

    def test_confirm(self) -> None:
        """``confirm`` needs a delivery, a status of 16 bits and a text as reason, which is cut to 255 octets."""
        self.broker.send(mlm.ServiceDeliver(b"s", b"svc", b"job", b"t", ()))
        delivery = self.successResultOf(self.client.__anext__())
        for wrong in (None, 1, 200.5):
            self.refused(TypeError, self.client.confirm, wrong)
            self.refused(TypeError, self.client.confirm, delivery, 200, wrong)
        self.refused(TypeError, self.client.confirm, delivery, "200")
        for status in (-1, 2**16):
            self.refused(ValueError, self.client.confirm, delivery, status)
        self.client.confirm(delivery, 404, "é" * 200)
        self.assertEqual(self.broker.take(), [mlm.Confirm(b"t", 404, ("é" * 200).encode()[:255])])

    def test_letters(self) -> None:
        """Positions and limits of dead letters must be integers."""
        self.refused(TypeError, self.client.letters, "read", position="7")
        self.refused(ValueError, self.client.letters, "list", after=-1)
        self.refused(TypeError, self.client.letters, 7)

    def test_connecting_and_closing(self) -> None:
        """The timeouts of ``connect`` and ``close`` must be numbers of seconds within the range of the wire."""
        other: Any = self.make()
        for wrong in NOT_SECONDS[1:]:
            self.assertRaises(TypeError, other.connect, wrong)
            self.refused(TypeError, self.client.close, wrong)
            self.refused(TypeError, self.client.close, 1.0, wrong)
        for wrong in WRONG_SECONDS:
            self.assertRaises(ValueError, other.connect, wrong)
            self.refused(ValueError, self.client.close, wrong)
        self.assertFalse(other.is_open)
        self.assertTrue(self.client.is_open)

    def test_constructor(self) -> None:
        """The constructor checks its arguments."""
        for wrong in (None, 1, b"tcp://x"):
            self.assertRaises(TypeError, self.make, wrong, "me")
        for address in NOT_TEXT:
            self.assertRaises(TypeError, self.make, ENDPOINT, address)
        self.assertRaises(ValueError, self.make, ENDPOINT, "x" * 256)
        for option in ("username", "password", "deliver", "confirmed"):
            self.assertRaises(TypeError, self.make, **{option: 1})
        for option in ("credit", "most_messages", "most_octets"):
            self.assertRaises(TypeError, self.make, **{option: "1"})
            self.assertRaises(ValueError, self.make, **{option: -1})
