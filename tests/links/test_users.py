"""From which user a message comes."""

from __future__ import annotations

import socket
import struct

import zmq
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from alaska.interfaces import Bind, Entry, Mechanism, Verdict
from alaska.links import Network, RouterLink
from tests.links.links_case import ANY_PORT, LinkTestCase, Waiter, reactor


def prop(name: bytes, value: bytes) -> bytes:
    """Return a property of a ZMTP handshake."""
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def say_as(endpoint: str, user: bytes) -> socket.socket:
    """Connect without ZeroMQ, with a property that claims a user id, and send a message."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    peer = socket.create_connection((host, int(port)))
    peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\0" + b"NULL".ljust(20, b"\0") + bytes(32))
    greeting = b""
    while len(greeting) < 64:  # the length of a greeting
        greeting += peer.recv(64 - len(greeting))
    ready = b"\x05READY" + prop(b"Socket-Type", b"DEALER") + prop(b"User-Id", user)
    peer.sendall(b"\x04" + bytes([len(ready)]) + ready + b"\x00\x02hi")
    return peer


class UserTests(LinkTestCase):
    """``user_of`` of a router."""

    def setUp(self) -> None:
        super().setUp()
        self.users: list[bytes | None] = []
        self.heard = Waiter()

    def router(self, endpoint: str = ANY_PORT, *, is_plain: bool = False) -> RouterLink:
        """Return a bound router that records the users of its messages."""
        if is_plain:
            self.network.authenticate(lambda asked, answer: answer(Verdict(Entry.GRANTED, user=asked.username)))
        router = self.network.router([Bind(endpoint, Mechanism.PLAIN if is_plain else Mechanism.NULL)])

        def received(peer: bytes, frames: list[bytes]) -> None:
            self.users.append(router.user_of(peer))
            self.heard(frames)

        router.start(received, self.lost)
        return router

    async def send(self, network: Network, endpoint: str, username: str | None, password: str | None) -> None:
        """Send a message, and wait until it has arrived."""
        link, changes = network.dealer(endpoint, username, password), Waiter()
        self.addCleanup(link.close)
        link.start(Waiter(), changes)
        await changes.until(1)
        link.send([b"hi"])
        await self.heard.until(len(self.heard.got) + 1)

    async def test_plain(self) -> None:
        """A message has the user name with which its connection was authenticated, whatever octets it has."""
        router = self.router(is_plain=True)
        self.assertTrue(router.has_users)
        for name in ("ann", "\u00e9 b", "a\nb", "x" * 255):
            await self.send(self.network, router.endpoint, name, "secret")
        self.assertEqual(self.users, [b"ann", "\u00e9 b".encode(), b"a\nb", b"x" * 255])

    async def test_not_utf_8(self) -> None:
        """A user name that is not UTF-8 is kept as it is."""
        router = self.router(is_plain=True)
        peer: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(peer.close, 0)
        peer.set(zmq.PLAIN_USERNAME, b"\xffx")
        peer.set(zmq.PLAIN_PASSWORD, b"y")
        peer.connect(router.endpoint)
        peer.send(b"hi")
        await self.heard.until(1)
        self.assertEqual(self.users, [b"\xffx"])

    async def test_without_security(self) -> None:
        """Without authentication there is no user, whatever a peer claims in its handshake."""
        router = self.router()
        self.assertFalse(router.has_users)
        await self.send(self.network, router.endpoint, None, None)
        peer = await deferToThread(say_as, router.endpoint, b"ann")
        self.addCleanup(peer.close)
        await self.heard.until(2)
        self.assertEqual(self.users, [b"", b""])

    async def test_within_the_process(self) -> None:
        """A connection within the process acts for the user that it names, without a login, or for the process."""
        for is_plain in (True, False):
            router = self.router(is_plain=is_plain)
            sharing = Network(reactor, self.network)
            self.addCleanup(sharing.close)
            for name in ("ann", None, "\u00e9"):
                await self.send(sharing, router.endpoint, name, None)
            self.assertEqual(self.users, [b"ann", None, "\u00e9".encode()])
            self.users.clear()

    async def test_routing_id_like_within_the_process(self) -> None:
        """A client of another process does not become another user by its routing id."""
        for is_plain, expected in ((False, b""), (True, b"bob")):
            router = self.router(is_plain=is_plain)
            for user in (b"ann", b""):
                peer: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
                self.addCleanup(peer.close, 0)
                peer.set(zmq.ROUTING_ID, b"\0near" + bytes(16) + user)
                if is_plain:
                    peer.set(zmq.PLAIN_USERNAME, b"bob")
                    peer.set(zmq.PLAIN_PASSWORD, b"x")
                peer.connect(router.endpoint)
                peer.send(b"hi")
                await self.heard.until(len(self.heard.got) + 1)
            self.assertEqual(self.users, [expected, expected])
            self.users.clear()

    async def test_same_routing_id(self) -> None:
        """Who connects with the routing id of another is still another user."""
        router = self.router(is_plain=True)
        for number, name in enumerate((b"ann", b"bob"), 1):
            # Until the router has noticed that the one before has left, it ignores another one with its routing id.
            while len(self.heard.got) < number:
                peer: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
                peer.set(zmq.ROUTING_ID, b"the same")
                peer.set(zmq.PLAIN_USERNAME, name)
                peer.set(zmq.PLAIN_PASSWORD, b"x")
                peer.connect(router.endpoint)
                peer.send(b"hi")
                await deferLater(reactor, 0.2, lambda: None)
                await deferToThread(peer.close, 0)
        self.assertEqual(list(dict.fromkeys(self.users)), [b"ann", b"bob"])
