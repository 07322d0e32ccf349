"""Durable readers of the Twisted client, with a broker in memory."""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel

from alaska import errors
from alaska.broker.limits import Limits
from alaska.broker.service import BrokerService
from alaska.client import Client, Delivery
from alaska.message import Retention
from alaska.mlm import commands as mlm
from alaska.mlm.replay import ReaderStart, Replay
from alaska.store.memory import MemoryStore
from tests.network_case import ENDPOINT, NetworkCase


class ReaderCase(NetworkCase):
    """A broker that keeps 100 records of each stream, and a client that writes."""

    retained = 100

    def setUp(self) -> None:
        super().setUp()
        self.service = self.serve()
        self.writer = self.client("writer")

    def serve(self) -> BrokerService:
        """Start a broker."""
        limits = Limits(retention=Retention(most_records=self.retained))
        wall = self.reactor.seconds
        service = BrokerService(self.reactor, self.process, MemoryStore, [ENDPOINT], limits, wall=wall)
        service.startService()
        self.network.run()
        return service

    def write(self, *subjects: int) -> None:
        """Send records to the stream s."""
        for subject in subjects:
            self.writer.publish("s", str(subject))
        self.pass_time(0.1)

    def reader(self, got: list[Delivery] | None, address: str = "", **options: Any) -> Client:
        """Return a client that reads the stream s as a durable reader."""
        client = self.client(address, None if got is None else got.append)
        consuming = client.consume("s", name="n", **options)
        self.network.run()
        self.successResultOf(consuming)
        return client

    def close(self, client: Client) -> None:
        """Close a client."""
        closing = client.close()
        self.pass_time(0.1)
        self.successResultOf(closing)

    @property
    def position(self) -> int:
        """The position that the broker keeps."""
        assert self.service.broker is not None
        reader = self.service.broker.streams.durable.get(b"s", b"n")
        assert reader is not None
        return reader.position


def subjects(got: list[Delivery]) -> list[int]:
    """Return the subjects of deliveries as numbers, and empty the list."""
    found = [int(each.subject) for each in got]
    got.clear()
    return found


class ConsumeTests(ReaderCase):
    """Reading with a name."""

    def test_goes_on(self) -> None:
        """A client gets each record once; the next one with the name goes on after it."""
        got: list[Delivery] = []
        self.write(1, 2, 3)
        client = self.reader(got)
        self.pass_time(0.1)
        self.close(client)
        self.assertEqual((subjects(got), self.position), ([1, 2, 3], 4))
        self.write(4, 5)
        self.reader(got)
        self.pass_time(0.1)
        self.assertEqual(subjects(got), [4, 5])

    def test_confirms_in_batches(self) -> None:
        """Records that arrive together are confirmed at once."""
        sent: list[mlm.Command] = []
        client = self.reader([])
        transmit = client.transmit

        def noted(command: mlm.Command) -> None:
            sent.append(command)
            transmit(command)

        self.patch(client, "transmit", noted)
        self.write(*range(50))
        self.pass_time(0.1)
        self.assertEqual(self.position, 51)
        self.assertLessEqual(len([each for each in sent if isinstance(each, mlm.Confirm)]), 2)

    def test_iteration(self) -> None:
        """A record counts as read when the program that iterates asks for the next one."""
        self.write(1, 2, 3)
        client = self.reader(None)
        for _ in range(2):
            self.successResultOf(client.__anext__())
        self.pass_time(0.2)
        self.assertEqual(self.position, 2)

    def test_manual(self) -> None:
        """With manual, a record counts as read, with all earlier ones, when the program confirms it."""
        got: list[Delivery] = []
        self.write(1, 2, 3)
        client = self.reader(got, manual=True)
        self.pass_time(0.2)
        self.assertEqual(self.position, 1)
        client.confirm(got[1])
        client.confirm(got[2], 500)
        self.pass_time(0.2)
        self.assertEqual(self.position, 3)

    def test_reconnect(self) -> None:
        """A client whose session was ended gets no record twice, and confirms what it had before."""
        got: list[Delivery] = []
        self.write(1, 2, 3)
        client = self.reader(got, "r", manual=True)
        self.pass_time(0.2)
        assert self.service.broker is not None
        session = self.service.broker.clients.by_address(b"r")
        assert session is not None
        self.service.broker.sessions.end_with_error(session, errors.COMMAND_INVALID, 0.0)
        client.confirm(got[1])
        self.write(4)
        self.pass_time(5)
        self.assertEqual(subjects(got), [1, 2, 3, 4])
        self.assertEqual(self.position, 3)

    def test_stream_is_lost(self) -> None:
        """With a broker that has lost the stream, the client reads the new one; what it had before confirms nothing."""
        got: list[Delivery] = []
        self.write(1, 2, 3)
        client = self.reader(got, manual=True)
        self.pass_time(0.2)
        client.confirm(got[2])
        old = list(got)
        self.assertEqual(subjects(got), [1, 2, 3])
        self.service.stopService()
        self.service = self.serve()
        self.pass_time(5)
        self.write(7, 8, 9)
        client.confirm(old[1])
        self.pass_time(5)
        self.assertEqual((subjects(got), self.position), ([7, 8, 9], 1))

    def test_taken_over(self) -> None:
        """A client whose name another one takes over is told, and does not take it back after a reconnect."""
        refused: list[errors.ClientError] = []
        first: list[Delivery] = []
        second: list[Delivery] = []
        client = self.reader(first)
        client.refused = refused.append
        self.reader(second)
        self.write(1)
        self.assertEqual((subjects(first), subjects(second)), ([], [1]))
        (error,) = refused
        self.assertEqual(error.status, errors.RESOURCE_LOCKED)
        self.assertEqual(client._machine.setups.current, [])

    def test_cancel(self) -> None:
        """Cancelling confirms what was processed."""
        got: list[Delivery] = []
        self.write(1, 2)
        client = self.reader(got)
        self.network.run()
        client.cancel("s")
        self.pass_time(0.1)
        self.assertEqual((subjects(got), self.position), ([1, 2], 3))

    def test_values(self) -> None:
        """A name has at most 255 octets, and a broker without durable readers is not asked for one."""
        client = self.client("c")
        self.assertRaises(errors.ValueTooLong, client.consume, "s", name="x" * 256)
        client._machine.capabilities = frozenset({b"replay"})
        self.assertRaises(errors.Refused, client.consume, "s", name="x")


class BindingTests(ReaderCase):
    """Streams that are bound with an offer."""

    def test_offered(self) -> None:
        """The records of a bound stream arrive as requests, with their positions in the stream."""
        self.write(1, 2)
        got: list[Delivery] = []
        worker = self.client("worker", got.append, credit=10)
        offering = worker.offer("svc", streams=[("s", "2|3")])
        self.network.run()
        self.successResultOf(offering)
        self.write(3)
        self.assertEqual([each.kind for each in got], ["service", "service"])
        self.assertEqual([each.command.properties["position"] for each in got], [2, 3])
        self.assertEqual(subjects(got), [2, 3])

    def test_other_broker(self) -> None:
        """A broker that cannot bind streams is not asked to."""
        client = self.client("worker")
        client._machine.capabilities = frozenset({b"replay"})
        self.assertRaises(errors.Refused, client.offer, "svc", streams=[("s", "")])


class LossTests(ReaderCase):
    """What a program is told of records that it has missed."""

    retained = 2

    def test_missed(self) -> None:
        """The program is told how many records are missed; without a callback, it is logged."""
        starts: list[ReaderStart] = []
        self.close(self.reader([]))
        self.write(*range(5))
        self.pass_time(2)
        got: list[Delivery] = []
        client = self.client("c", got.append)
        client.began_reading = starts.append
        client.consume("s", name="n")
        self.network.run()
        self.assertEqual(starts, [ReaderStart(b"s", b"n", 4, 4, 3, False)])
        self.pass_time(0.1)
        self.assertEqual(subjects(got), [3, 4])
        client._readers.log_start(starts[0])
        (line,) = self.logged(LogLevel.warn)
        self.assertIn("has missed 3 records", line)


class LiveTests(ReaderCase):
    """A stream that stores no records."""

    retained = 0

    def test_is_logged(self) -> None:
        """The program is told that the reader gets only what is sent while it is connected."""
        self.reader([])
        (line,) = self.logged(LogLevel.warn)
        self.assertIn("stores no records", line)


class ReplayTests(ReaderCase):
    """The client's side of one durable reader."""

    def test_nothing_to_confirm(self) -> None:
        """Nothing is confirmed twice, or before the broker has accepted the reader."""
        replay = Replay(mlm.StreamReplay(b"s", b"", 0, {"name": b"n"}))
        replay.processed(5, 1)
        self.assertIsNone(replay.confirmation())
        replay.resumed(b"last=9 first=1 next=9 lost=0", 1)
        confirmation = replay.confirmation()
        assert confirmation is not None
        self.assertEqual(confirmation.properties, {"stream": b"s", "position": 5})
        self.assertIsNone(replay.confirmation())
