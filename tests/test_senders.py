"""The clients that send for scripts."""

from __future__ import annotations

import os
import re
import socket

from twisted.logger import LogLevel

from alaska.client import Client
from alaska.errors import NotConnected
from alaska.worker.senders import MOST_SENDERS, Senders
from tests.network_case import ENDPOINT, NetworkCase


class SendersCase(NetworkCase):
    """Senders, and a note of all clients that they made."""

    password = "secret"

    def setUp(self) -> None:
        super().setUp()
        self.made: list[Client] = []
        self.senders = Senders(self.make_client)

    def make_client(self, address: str) -> Client:
        """Make a client and note it."""
        client = Client(
            ENDPOINT, address, network=self.network, reactor=self.reactor, username="worker", password=self.password
        )
        self.made.append(client)
        return client

    def send(self, name: bytes, subject: str) -> None:
        """Send mail as somebody."""
        self.senders.named(name).send_to("box", subject)


class NameTests(SendersCase):
    """Who sends."""

    def test_address(self) -> None:
        """The address begins with the sender's name, and goes on as those of all of Alaska's clients."""
        self.start_broker()
        got = self.mailbox("box")
        self.send(b"LU", "a")
        self.network.run()
        host = re.escape(socket.gethostname())
        self.assertRegex(got[0].sender, f"^LU::{host}::{os.getpid()}-[0-9A-F]{{4}}$")

    def test_connection_is_used_again(self) -> None:
        """A name keeps its client; another name has another."""
        first, second = self.senders.named(b"LU"), self.senders.named(b"EP")
        self.assertIs(self.senders.named(b"LU"), first)
        self.assertIs(self.senders.named(b"EP"), second)
        self.assertIsNot(first, second)

    def test_any_name(self) -> None:
        """A name may be empty, no text, or as long as the wire allows; it is cut where the address would be longer."""
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
    """Nothing is lost on the way."""

    def test_before_the_broker_is_there(self) -> None:
        """What is sent before the broker is there arrives, in order, when it is."""
        for subject in "abc":
            self.send(b"LU", subject)
        self.pass_time(3)
        self.start_broker()
        got = self.mailbox("box")
        self.pass_time(0.2)
        self.assertEqual([delivery.subject for delivery in got], ["a", "b", "c"])

    def test_close_flushes(self) -> None:
        """Close fires when the broker has what all of them have sent, not before."""
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
        """Without any sender there is nothing to wait for."""
        self.successResultOf(self.senders.close())

    def test_close_without_broker(self) -> None:
        """Close waits five seconds for a broker that is away, then says for each sender what it could not."""
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

    def test_name_after_close(self) -> None:
        """A name that is used after a close has a new client."""
        first = self.senders.named(b"LU")
        self.senders.close()
        self.assertIsNot(self.senders.named(b"LU"), first)


class MostSendersTests(SendersCase):
    """Scripts that name ever more senders."""

    def fill(self) -> None:
        """Use as many names as are kept, b'0' the longest ago."""
        for number in range(MOST_SENDERS):
            self.send(b"%d" % number, str(number))

    def test_unused_for_the_longest(self) -> None:
        """One name too many closes the client that was not used for the longest, and no other."""
        self.start_broker()
        self.fill()
        self.network.run()
        self.senders.named(b"0")
        self.senders.named(b"new")
        self.network.run()
        self.assertEqual([number for number, client in enumerate(self.made) if not client.is_connected], [1])
        self.assertIs(self.senders.named(b"0"), self.made[0])

    def test_its_messages_arrive(self) -> None:
        """What a client has sent that is closed for a newer one arrives, even if the broker comes only then."""
        self.fill()
        self.senders.named(b"new")
        self.start_broker()
        got = self.mailbox("box")
        self.pass_time(1)
        self.assertEqual(sorted(int(delivery.subject) for delivery in got), list(range(MOST_SENDERS)))

    def test_close_waits_for_it(self) -> None:
        """Close fires only when those that are being closed already have left, too."""
        self.start_broker()
        got = self.mailbox("box")
        self.fill()
        self.network.run()
        self.senders.named(b"0").send_to("box", "last words")
        for number in range(MOST_SENDERS):
            self.senders.named(b"new %d" % number)
        closed = self.senders.close()
        while not got or got[-1].subject != "last words":
            self.assertNoResult(closed)
            self.network.step()
        self.network.run()
        self.successResultOf(closed)

    def test_its_end_does_not_harm_its_successor(self) -> None:
        """When a closed client fails at last, a newer one of the same name stays in use."""
        self.fill()
        self.senders.named(b"new")
        successor = self.senders.named(b"0")
        self.pass_time(5.1)
        self.assertIn("0::", self.logged(LogLevel.error)[0])
        self.assertIs(self.senders.named(b"0"), successor)


class FailureTests(SendersCase):
    """Clients that cannot connect."""

    def test_refused(self) -> None:
        """A sender that the broker refuses is logged and forgotten; the next message tries again."""
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

    def test_cannot_even_begin(self) -> None:
        """A client that cannot begin to connect raises and is not kept."""
        used = self.make_client("used")
        used.connect()
        unused = self.make_client("unused")
        clients = iter([used, unused])
        senders = Senders(lambda _address: next(clients))
        self.assertRaises(NotConnected, senders.named, b"LU")
        self.assertIs(senders.named(b"LU"), unused)
