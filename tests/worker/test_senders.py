"""The connections that send the messages of scripts."""

from __future__ import annotations

import os
import re
import socket

from twisted.logger import LogLevel

from alaska.client import Client
from alaska.errors import BacklogFull, ConnectTimeout, NotConnected
from alaska.worker.senders import MOST_CONNECTIONS, Buffer, BufferLimit, Senders
from tests.network_case import ENDPOINT, NetworkCase


class SendersCase(NetworkCase):
    """Senders, and a list of all clients that they have made."""

    password = "secret"

    def setUp(self) -> None:
        super().setUp()
        self.made: list[Client] = []
        self.senders = Senders(self.make_client)

    def make_client(self, address: str) -> Client:
        """Make and store a client."""
        client = Client(
            ENDPOINT, address, network=self.network, reactor=self.reactor, username="worker", password=self.password
        )
        self.made.append(client)
        return client

    def send(self, name: bytes, subject: str) -> None:
        """Send mail under a name."""
        self.senders.named(name).send_to(b"box", subject.encode())


class NameTests(SendersCase):
    """Sender names and addresses."""

    def test_address(self) -> None:
        """The address of a sender is its name, the host, and a unique number."""
        self.start_broker()
        got = self.mailbox("box")
        self.send(b"LU", "a")
        self.network.run()
        host = re.escape(socket.gethostname())
        self.assertRegex(got[0].sender, f"^LU::{host}::{os.getpid()}-[0-9A-F]{{4}}$")

    def test_connection_is_used_again(self) -> None:
        """Each name has its own client and keeps it."""
        first, second = self.senders.named(b"LU"), self.senders.named(b"EP")
        self.assertIs(self.senders.named(b"LU"), first)
        self.assertIs(self.senders.named(b"EP"), second)
        self.assertIsNot(first, second)

    def test_any_name(self) -> None:
        """A name may be empty or any octets; it is truncated if the address would be too long for the wire."""
        self.start_broker()
        got = self.mailbox("box")
        names = [b"", b"\xff\0", "ä".encode() * 127, b"x" * 255]
        for name in names:
            self.send(name, "a")
        self.network.run()
        self.assertEqual(len(got), 4)
        for name, delivery in zip(names, got, strict=True):
            sender = delivery.command.sender
            self.assertTrue(name.startswith(sender.split(b"::")[0]))
            self.assertLessEqual(len(sender), 255)


class SendingTests(SendersCase):
    """No message is lost."""

    def test_before_the_broker_is_there(self) -> None:
        """Messages that are sent before the broker is there arrive later, in order."""
        for subject in "abc":
            self.send(b"LU", subject)
        self.pass_time(3)
        self.start_broker()
        got = self.mailbox("box")
        self.pass_time(0.2)
        self.assertEqual([delivery.subject for delivery in got], ["a", "b", "c"])

    def test_close_flushes(self) -> None:
        """Close fires when the broker has the messages of all senders, not before."""
        self.start_broker()
        got = self.mailbox("box")
        for number in range(10):
            self.send(b"%d" % (number % 3), str(number))
        closed = self.senders.close()
        self.assertNoResult(closed)
        self.network.run()
        self.successResultOf(closed)
        self.assertEqual(sorted(int(delivery.subject) for delivery in got), list(range(10)))

    def test_close_with_nothing(self) -> None:
        """Close fires at once if there are no senders."""
        self.successResultOf(self.senders.close())

    def test_close_without_broker(self) -> None:
        """Without a broker, close waits five seconds and then logs an error for each sender."""
        self.send(b"LU", "a")
        self.send(b"EP", "b")
        closed = self.senders.close()
        self.pass_time(4.9)
        self.assertNoResult(closed)
        self.pass_time(0.2)
        self.successResultOf(closed)
        lines = self.logged(LogLevel.error)
        self.assertEqual(sorted(line.split("::")[0] for line in lines), ["EP", "LU"])
        self.assertIn("did not take everything within 5 s", lines[0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_at_once(self) -> None:
        """Connections that close at once, since the broker is away and has all their messages, do so together."""
        broker = self.start_broker()
        self.send(b"LU", "a")
        self.send(b"EP", "b")
        self.pass_time(1.0)
        broker.stopService()
        self.network.run()
        self.successResultOf(self.senders.close())

    def test_name_after_close(self) -> None:
        """A name that is used after close gets a new client."""
        first = self.senders.named(b"LU")
        self.senders.close()
        self.assertIsNot(self.senders.named(b"LU"), first)


class MostConnectionsTests(SendersCase):
    """More sender names than connections."""

    def fill(self) -> None:
        """Use as many names as there are connections; b'0' is the least recently used."""
        for number in range(MOST_CONNECTIONS):
            self.send(b"%d" % number, str(number))

    def test_least_recently_used(self) -> None:
        """A name without a connection closes the least recently used connection, and no other."""
        self.start_broker()
        self.fill()
        self.network.run()
        self.senders.named(b"0")
        self.send(b"new", "a")
        self.network.run()
        self.assertEqual([number for number, client in enumerate(self.made) if not client.is_connected], [1])
        self.assertIs(self.senders.named(b"0"), self.made[0])

    def test_replies_keep_their_connection(self) -> None:
        """The connection for replies is never closed for other names."""
        self.start_broker()
        self.send(b"LU", "a")
        for number in range(3 * MOST_CONNECTIONS):
            self.send(b"%d" % number, str(number))
            self.network.run()
        self.assertTrue(self.made[0].is_connected)

    def test_limit(self) -> None:
        """The limit of connections always holds; all messages arrive, those of one name in order."""
        self.start_broker()
        got = self.mailbox("box")
        for number in range(1000):
            self.send(b"%d" % (number % 100), str(number))
            self.assertLessEqual(sum(client.is_open for client in self.made), MOST_CONNECTIONS)
        while len(got) < 1000:
            self.network.step()
            self.assertLessEqual(sum(client.is_open for client in self.made), MOST_CONNECTIONS)
        for name in range(100):
            numbers = [int(each.subject) for each in got if each.sender.startswith(f"{name}::")]
            self.assertEqual(numbers, list(range(name, 1000, 100)))

    def test_a_broker_that_comes_late(self) -> None:
        """No connection is closed before the broker has its messages, however long that takes."""
        for number in range(3 * MOST_CONNECTIONS):
            self.send(b"%d" % number, str(number))
        self.pass_time(60)
        self.start_broker()
        got = self.mailbox("box")
        self.pass_time(5)
        self.assertEqual(sorted(int(delivery.subject) for delivery in got), list(range(3 * MOST_CONNECTIONS)))

    def test_flush_of_a_buffer(self) -> None:
        """The flush of a buffer fires when its messages were sent over a connection and the broker has them."""
        self.start_broker()
        got = self.mailbox("box")
        self.fill()
        buffer = self.senders.named(b"new")
        buffer.send_to(b"box", b"last")
        flushed = buffer.flush()
        self.assertNoResult(flushed)
        self.network.run()
        self.successResultOf(flushed)
        self.assertEqual((got[-1].subject, buffer.unproven), ("last", 0))
        self.successResultOf(buffer.flush())

    def test_close_waits_for_all(self) -> None:
        """Close fires only when the broker also has the messages that were buffered."""
        self.start_broker()
        got = self.mailbox("box")
        for number in range(5 * MOST_CONNECTIONS):
            self.send(b"%d" % number, str(number))
        closed = self.senders.close()
        while len(got) < 5 * MOST_CONNECTIONS:
            self.assertNoResult(closed)
            self.network.step()
        self.network.run()
        self.successResultOf(closed)

    def test_close_without_broker(self) -> None:
        """Without a broker, close ends within five seconds, and logs an error for each name, however many wait."""
        for number in range(3 * MOST_CONNECTIONS):
            self.send(b"%d" % number, str(number))
        buffer = self.senders.named(b"%d" % (2 * MOST_CONNECTIONS))
        closed = self.senders.close()
        self.pass_time(5.1)
        self.successResultOf(closed)
        self.assertEqual(len(self.logged(LogLevel.error)), 3 * MOST_CONNECTIONS)
        self.failureResultOf(buffer.flush(), ConnectTimeout)
        self.assertEqual((buffer.is_open, buffer.unproven), (False, 1))

    def test_buffer_limit(self) -> None:
        """A message beyond the limit of messages or octets is refused."""
        self.start_broker()
        self.fill()
        buffer = Buffer(b"new", BufferLimit(messages=2, octets=10))
        buffer.send_to(b"box", b"a", b"12345678")
        self.assertRaises(BacklogFull, buffer.send_to, b"box", b"b", b"123")
        buffer.send_to(b"box", b"b", b"12")
        self.assertRaises(BacklogFull, buffer.send_to, b"box", b"c")
        buffer.send_all(self.client("new"))
        self.assertEqual(buffer.unproven, 2)
        self.network.run()


class FailureTests(SendersCase):
    """Clients that cannot connect."""

    def test_refused(self) -> None:
        """If the broker refuses a sender, this is logged, and the next message connects again."""
        self.start_broker(accept=lambda _username, password: password == b"secret")
        got = self.mailbox("box", username="reader", password="secret")
        self.password = "wrong"
        self.send(b"LU", "a")
        self.network.run()
        (line,) = self.logged(LogLevel.error)
        self.assertEqual(line, "cannot send as LU: the broker does not accept this user name and password")
        self.password = "secret"
        self.send(b"LU", "b")
        self.network.run()
        self.assertEqual([delivery.subject for delivery in got], ["b"])

    def test_cannot_start_to_connect(self) -> None:
        """If a client cannot start to connect, an error is raised, and the next call makes another client."""
        used = self.make_client("used")
        used.connect()
        unused = self.make_client("unused")
        clients = iter([used, unused])
        senders = Senders(lambda _address: next(clients))
        self.assertRaises(NotConnected, senders.named, b"LU")
        self.assertIs(senders.named(b"LU"), unused)
