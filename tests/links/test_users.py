"""From which user a message comes."""

from __future__ import annotations

import ctypes
import socket
import struct
import time

import zmq
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from alaska.authentication import Bind, Entry, Mechanism, Verdict
from alaska.links import Network, RouterLink
from tests.links.links_case import ANY_PORT, LinkTestCase, Waiter, reactor, read, until


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


class RoutingIdTests(LinkTestCase):
    """The routing ids of clients that have chosen none."""

    async def test_not_predictable(self) -> None:
        """They are others in each process, although ZeroMQ begins with the same random number in each."""
        heard = Waiter()
        for count in (1, 2):
            ctypes.CDLL(None).srand(1)  # as in a new process
            link = await self.connect(self.serve(heard), Waiter())
            link.send([b"hi"])
            await heard.until(count)
        first, second = (peer for peer, _frames in heard.got)
        self.assertNotEqual(first, second)


class TakenOverTests(LinkTestCase):
    """Messages to a routing id that a client has chosen, and another one takes over."""

    def setUp(self) -> None:
        super().setUp()
        self.network.authenticate(lambda asked, answer: answer(Verdict(Entry.GRANTED, user=asked.username)))
        self.heard = Waiter()
        self.router = self.serve(self.heard, Mechanism.PLAIN)

    def connect_as(self, name: bytes, *, is_silent: bool = False) -> zmq.Socket[bytes]:
        """Return a socket with the routing id that all of them choose."""
        peer: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(peer.close, 0)
        peer.set(zmq.ROUTING_ID, b"the same")
        peer.set(zmq.PLAIN_USERNAME, name)
        peer.set(zmq.PLAIN_PASSWORD, b"x")
        peer.connect(self.router.endpoint)
        if not is_silent:
            peer.send(name)
        return peer

    async def leave(self, peer: zmq.Socket[bytes]) -> None:
        """Disconnect, and wait until the router can have noticed it."""
        await deferToThread(peer.close, 0)
        await deferLater(reactor, 0.2, lambda: None)

    async def test_silent_successor(self) -> None:
        """What is for a client that has left is not sent to a silent one with its routing id, in no way to send."""
        ann = self.connect_as(b"ann")
        await self.heard.until(1)
        await self.leave(ann)
        bob = self.connect_as(b"bob", is_silent=True)
        await deferLater(reactor, 0.3, lambda: None)
        self.assertFalse(self.router.send(b"the same", [b"for ann"]))
        self.assertIsNone(self.router.send_with_proof(b"the same", [b"for ann"]))
        self.router.post(b"the same", [b"for ann"])
        self.router.post_from(b"the same", lambda: [[b"for ann"]])
        await until(lambda: len(self.unsent) == 4)  # each of them
        await deferLater(reactor, 0.2, lambda: None)
        self.assertFalse(bob.poll(0))

    async def test_successor_that_speaks(self) -> None:
        """From its first message on, the new client gets what is sent to its routing id."""
        for number, name in enumerate((b"ann", b"bob", b"ann"), 1):
            peer = self.connect_as(name)
            await self.heard.until(number)
            self.assertTrue(self.router.send(b"the same", [b"for " + name]))
            self.assertEqual(await read(peer), b"for " + name)
            await self.leave(peer)

    async def test_late_message(self) -> None:
        """A message that is read when its connection has ended is executed, but nobody gets the reply."""
        ann = self.connect_as(b"ann")
        await self.heard.until(1)
        ann.send(b"last words")
        ann.close(1000)
        time.sleep(0.2)  # the reactor must not run
        self.router.send(b"the same", [b"for ann"])
        await self.heard.until(2)
        self.connect_as(b"bob", is_silent=True)
        await deferLater(reactor, 0.3, lambda: None)
        self.assertFalse(self.router.send(b"the same", [b"for ann"]))

    async def test_within_the_process(self) -> None:
        """Connections within the process get replies."""
        sharing = Network(reactor, self.network)
        self.addCleanup(sharing.close)
        link, changes, replies = sharing.dealer(self.router.endpoint, "ann"), Waiter(), Waiter()
        link.start(replies, changes)
        await changes.until(1)
        for count in (1, 2):
            link.send([b"hi"])
            await self.heard.until(count)
            self.assertTrue(self.router.send(self.heard.got[-1][0], [b"yes"]))
            await replies.until(count)
