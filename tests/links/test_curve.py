"""CURVE over real sockets, beside PLAIN and no security."""

from __future__ import annotations

import socket
import unittest
from collections.abc import Callable

import zmq
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from alaska.authentication import Attempt, Bind, CurveKeys, Entry, KeyPair, Mechanism, Verdict
from alaska.errors import CannotBind, ConfigurationError, Refused
from alaska.interfaces import ILink, LinkState
from alaska.links import Network
from alaska.sockets import curve, dealer
from tests.links.links_case import ANY_PORT, LinkTestCase, Waiter, reactor, read, until

NEEDS_CURVE = unittest.skipUnless(curve.is_available(), curve.NO_CURVE)


@NEEDS_CURVE
class CurveTests(LinkTestCase):
    """A broker's router with one endpoint for each mechanism."""

    def setUp(self) -> None:
        super().setUp()
        self.server, self.ann = curve.new_pair(), curve.new_pair()
        self.asked: list[Attempt] = []
        self.received: list[tuple[list[bytes], bytes | None, str]] = []
        self.network.authenticate(self.decide)
        self.router = self.network.router([Bind(ANY_PORT, each) for each in reversed(Mechanism)], keys=self.server)
        self.router.start(self.take, self.lost)
        self.endpoint = dict(zip(reversed(Mechanism), self.router.bound, strict=True))

    def decide(self, attempt: Attempt, answer: Callable[[Verdict], None]) -> None:
        """Accept ann's key as Ann, each password, and each connection without security."""
        self.asked.append(attempt)
        if attempt.mechanism is not Mechanism.CURVE:
            answer(Verdict(Entry.GRANTED, user=attempt.username))
        elif attempt.key == self.ann.public:
            answer(Verdict(Entry.GRANTED, user=b"Ann", login="by key"))
        else:
            answer(Verdict(Entry.REFUSED))

    def take(self, peer: bytes, frames: list[bytes]) -> int:
        """Record and echo a message."""
        self.received.append((frames, self.router.user_of(peer), self.router.login))
        self.router.send(peer, frames)
        return 1

    def keys(self, own: KeyPair | None = None, server: str = "") -> CurveKeys:
        """Return ann's keys for the broker, or others."""
        return CurveKeys(own or self.ann, server or self.server.public)

    def link(self, mechanism: Mechanism, curve: CurveKeys | None = None, username: str | None = None) -> ILink:
        """Return a link to the endpoint with a mechanism; with a user name it uses PLAIN."""
        password = None if username is None else "secret"
        link = self.network.dealer(self.endpoint[mechanism], username, password, curve)
        self.addCleanup(link.close)
        return link

    async def first_state(self, link: ILink) -> LinkState:
        """Return the first state of a link."""
        changes = Waiter()
        link.start(Waiter(), changes)
        await changes.until(1)
        state: LinkState = changes.got[0]
        return state

    async def test_all_mechanisms(self) -> None:
        """One router serves each mechanism at its endpoint, and knows the user of each message."""
        for mechanism, options, user, login in (
            (Mechanism.CURVE, {"curve": self.keys()}, b"Ann", "by key"),
            (Mechanism.PLAIN, {"username": "joe"}, b"joe", ""),
            (Mechanism.NULL, {}, b"", ""),
        ):
            link = self.link(mechanism, **options)
            self.assertIs(await self.first_state(link), LinkState.UP)
            link.send([mechanism.name.encode()])
            await until(lambda: bool(self.received))
            self.assertEqual(self.received.pop(), ([mechanism.name.encode()], user, login))
        self.assertEqual([attempt.mechanism for attempt in self.asked], list(reversed(Mechanism)))
        self.assertEqual(self.asked[0].key, self.ann.public)

    async def test_any_client(self) -> None:
        """A client that uses ZeroMQ directly connects as well."""
        plain: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(plain.close, 0)
        plain.curve_serverkey = self.server.public.encode()
        plain.curve_publickey, plain.curve_secretkey = self.ann.public.encode(), self.ann.secret.encode()
        plain.connect(self.endpoint[Mechanism.CURVE])
        plain.send(b"hello")
        self.assertEqual(await read(plain), b"hello")

    async def test_unknown_key(self) -> None:
        """A client with another key is refused, and the link names the key."""
        mallory = curve.new_pair()
        link = self.link(Mechanism.CURVE, self.keys(mallory))
        self.assertIs(await self.first_state(link), LinkState.REFUSED)
        self.assertEqual(link.fault, f"the broker does not accept this client's key, {mallory.public}")

    async def test_wrong_server_key(self) -> None:
        """A client that expects another broker is not connected; the link says what may be wrong, then gives up."""
        self.patch(dealer, "FAULTS_TO_REFUSE", 4)
        link, changes = self.link(Mechanism.CURVE, self.keys(server=curve.new_pair().public)), Waiter()
        link.start(Waiter(), changes)
        await until(lambda: bool(link.fault))
        self.assertIn(f"the broker at {self.endpoint[Mechanism.CURVE]} ends the connection during", link.fault)
        self.assertIn("perhaps it has another key", link.fault)
        self.assertNotIn(LinkState.REFUSED, changes.got)
        await until(lambda: LinkState.REFUSED in changes.got)
        self.assertNotIn(LinkState.UP, changes.got)
        self.assertEqual(self.asked, [])

    async def test_wrong_mechanism(self) -> None:
        """A client with another mechanism than that of the endpoint is refused, and the link says so."""
        for mechanism in Mechanism:
            for used, options in ((Mechanism.CURVE, {"curve": self.keys()}), (Mechanism.NULL, {})):
                if used is not mechanism:
                    link = self.link(mechanism, **options)  # type: ignore[arg-type]  # of a table
                    self.assertIs(await self.first_state(link), LinkState.REFUSED)
                    self.assertIn("this client has given", link.fault)

    async def test_ended_handshakes(self) -> None:
        """A client without keys whose handshakes are ended without a reason says so, and is not given up."""
        self.patch(dealer, "FAULTS_TO_REFUSE", 4)
        with socket.create_server(("127.0.0.1", 0)) as server:
            link = self.network.dealer(f"tcp://127.0.0.1:{server.getsockname()[1]}", None, None, None)
            self.addCleanup(link.close)
            changes = Waiter()
            link.start(Waiter(), changes)
            for _ in range(6):
                accepted, _peer = await deferToThread(server.accept)
                accepted.close()
        await until(lambda: bool(link.fault))
        self.assertIn("perhaps it requires other security than this client uses", link.fault)
        self.assertNotIn(LinkState.REFUSED, changes.got)

    async def test_no_authenticator(self) -> None:
        """Without an authenticator, no key is accepted, instead of all."""
        self.network.close()
        self.network = Network(reactor)
        self.addCleanup(self.network.close)
        router = self.network.router([Bind(ANY_PORT, Mechanism.CURVE)], keys=self.server)
        received = Waiter()
        router.start(received, self.lost)
        link, changes = self.network.dealer(router.endpoint, curve=self.keys()), Waiter()
        link.start(Waiter(), changes)
        await deferLater(reactor, 0.3, lambda: None)
        self.assertNotIn(LinkState.UP, changes.got)

    def test_invalid_keys(self) -> None:
        """Keys that are not valid are refused at once, and an endpoint without keys is not bound."""
        bad = KeyPair("x" * 40, "y" * 39)
        self.assertRaises(Refused, self.link(Mechanism.CURVE, self.keys(bad)).start, Waiter(), Waiter())
        router = self.network.router([Bind(ANY_PORT, Mechanism.CURVE)])
        self.assertRaises(CannotBind, router.start, Waiter(), Waiter())


class AvailableTests(LinkTestCase):
    """ZeroMQ without CURVE."""

    def test_missing(self) -> None:
        """Everything that needs CURVE says what is missing."""
        self.patch(zmq, "has", lambda _capability: False)
        self.assertFalse(curve.is_available())
        self.assertRaises(ConfigurationError, curve.new_pair)
        keys = CurveKeys(KeyPair("p", "s"), "k")
        link = self.network.dealer("tcp://127.0.0.1:1", curve=keys)
        self.assertEqual(str(self.assertRaises(Refused, link.start, Waiter(), Waiter())), curve.NO_CURVE)
        router = self.network.router([Bind(ANY_PORT, Mechanism.CURVE)], keys=keys.own)
        error = self.assertRaises(CannotBind, router.start, Waiter(), Waiter())
        self.assertIn(curve.NO_CURVE, str(error))

    @NEEDS_CURVE
    def test_pairs(self) -> None:
        """A pair whose keys do not belong together is refused, without showing the secret key."""
        first, second = curve.new_pair(), curve.new_pair()
        curve.check_pair(first, "file")
        mixed = KeyPair(first.public, second.secret)
        error = self.assertRaises(ConfigurationError, curve.check_pair, mixed, "file")
        self.assertEqual(str(error), "file: the public key does not belong to the secret key")
        self.assertNotIn(second.secret, repr(second))
