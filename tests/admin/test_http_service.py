"""The endpoint: real sockets of the loopback interface."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from alaska.admin.health import Check
from alaska.admin.http.answers import Answer
from alaska.admin.http.pages import Contents, serve
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.service import RETRY_SECONDS, Endpoint, HTTPService
from alaska.admin.http.users import Role
from alaska.config import BrokerSettings
from alaska.config.http import conflicts, is_loopback, missing_files, warnings
from alaska.endpoints import TCP
from alaska.errors import CannotBind, ConfigurationError
from alaska.interfaces import Reactor
from tests.config.texts import broker, one, worker

reactor = cast("Reactor", global_reactor)
LOCAL = Endpoint(TCP("127.0.0.1", 0), is_local=True, is_open=True)
GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
LONG_OCTETS = 3_000_000


class Client(Protocol):
    """A connection; ``closed`` fires with all that has arrived when the server closes it."""

    def __init__(self) -> None:
        self.octets = b""
        self.closed: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Collect what arrives."""
        self.octets += data

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802
        """Fire."""
        self.closed.callback(self.octets)


class SocketTests(TestCase):
    """A service with real sockets."""

    timeout = 20

    def setUp(self) -> None:
        def long(_asked: Asked) -> Answer:
            return Answer(200, b"x" * LONG_OCTETS)

        self.checks = [Check("store", True)]
        routes = [Route("GET", "/long", long, Role.VIEW, "A long answer.", {200: ("The answer.", None)})]
        self.service = HTTPService(reactor, LOCAL, Contents(ready=[lambda: self.checks], routes=routes).pages)
        self.service.startService()
        self.addCleanup(self.stop)
        assert self.service.bound is not None
        self.port = int(self.service.bound.rpartition(":")[2])

    def stop(self) -> Deferred[None] | None:
        """Stop the service, unless a test has stopped it."""
        return self.service.stopService() if self.service.running else None

    async def connect(self) -> Client:
        """Return a connection."""
        return cast("Client", await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", self.port), Client()))

    async def get(self, path: bytes) -> bytes:
        """Return the answer to a request."""
        client = await self.connect()
        client.transport.write(GET % path)  # type: ignore[union-attr]
        return await client.closed

    def test_health(self) -> Deferred[None]:
        """Health is answered, with the reasons for what does not hold."""

        async def test() -> None:
            for path, words in (
                (b"/livez", b"\r\n\r\nok\n"),
                (b"/readyz", b"\r\n\r\nok\n"),
                (b"/healthz", b'{"ok":true,'),
            ):
                octets = await self.get(path)
                self.assertTrue(octets.startswith(b"HTTP/1.1 200 OK\r\n"), octets)
                self.assertIn(words, octets)
            self.checks = [Check("broker", True), Check("store", False, "the disk is full")]
            for path, words in (
                (b"/readyz", b"store: the disk is full\n"),
                (b"/healthz", b'"reason":"the disk is full"'),
            ):
                octets = await self.get(path)
                self.assertTrue(octets.startswith(b"HTTP/1.1 503 "), octets)
                self.assertIn(words, octets)
            self.assertIn(b" 200 OK", await self.get(b"/livez"))

        return ensureDeferred(test())

    def test_refusal_arrives(self) -> Deferred[None]:
        """A client that still sends gets the refusal, because the rest of what it sends is read."""

        async def test() -> None:
            client = await self.connect()
            head = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
            client.transport.write(head + b"x" * 2_000_000)  # type: ignore[union-attr]
            self.assertTrue((await client.closed).startswith(b"HTTP/1.1 413 "))

        return ensureDeferred(test())

    def test_long_answer(self) -> Deferred[None]:
        """A long answer arrives whole, also if the client closes its own direction after the request."""

        async def test() -> None:
            head, _, body = (await self.get(b"/long")).partition(b"\r\n\r\n")
            self.assertIn(b"Content-Length: %d" % LONG_OCTETS, head)
            self.assertEqual(len(body), LONG_OCTETS)

        return ensureDeferred(test())

    def test_stop(self) -> Deferred[None]:
        """When the service stops, it closes its connections and its port."""

        async def test() -> None:
            client = await self.connect()
            client.transport.write(b"GET /")  # type: ignore[union-attr]
            await self.get(b"/livez")
            await self.service.stopService()
            self.assertEqual(await client.closed, b"")
            with socket.socket() as probe:
                self.assertEqual(probe.connect_ex(("127.0.0.1", self.port)), errno.ECONNREFUSED)

        return ensureDeferred(test())

    def test_stop_while_sending(self) -> Deferred[None]:
        """When the service stops, answers that have begun arrive whole."""

        async def test() -> None:
            client, other = await self.connect(), await self.connect()
            client.transport.write(GET % b"/long")  # type: ignore[union-attr]
            other.transport.write(GET % b"/livez")  # type: ignore[union-attr]
            while self.service.site is None or sum(self.service.site.answered.values()) < 2:
                await deferLater(reactor, 0, lambda: None)
            await self.service.stopService()
            self.assertEqual(len((await client.closed).partition(b"\r\n\r\n")[2]), LONG_OCTETS)
            self.assertTrue((await other.closed).endswith(b"ok\n"))

        return ensureDeferred(test())


class _Listening(Clock):
    """A reactor whose port is taken until the test frees it."""

    code: int | None = errno.EADDRINUSE
    closed = 0

    def listenTCP(self, port: int, factory: object, backlog: int, interface: str) -> Any:  # noqa: N802
        """Listen, unless another process does."""
        del factory, backlog
        if self.code is not None:
            raise CannotListenError(interface, port, OSError(self.code, "why"))
        return self

    def getHost(self) -> TCP:  # noqa: N802
        """Return the bound address."""
        return TCP("127.0.0.1", 9998)

    def stopListening(self) -> None:  # noqa: N802
        """Count."""
        self.closed += 1


class TakenTests(SynchronousTestCase):
    """A port that cannot be bound."""

    def setUp(self) -> None:
        self.clock = _Listening()
        self.service = HTTPService(cast("Reactor", self.clock), LOCAL, Contents().pages)

    def test_takes_over(self) -> None:
        """While another process has the port, the service starts without it, and serves it afterwards."""
        self.service.startService()
        self.assertIsNone(self.service.bound)
        self.clock.advance(RETRY_SECONDS)
        self.clock.code = None
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.service.bound, "tcp://127.0.0.1:9998")
        self.successResultOf(self.service.stopService())
        self.assertEqual((self.clock.closed, self.clock.getDelayedCalls()), (1, []))

    def test_stopped_before(self) -> None:
        """A service that waits for the port can be stopped."""
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertEqual((self.clock.closed, self.clock.getDelayedCalls()), (0, []))

    def test_other_failure(self) -> None:
        """A port that cannot be bound for another reason prevents the start; later it is retried."""
        self.clock.code = errno.EACCES
        self.assertRaises(CannotBind, self.service.startService)
        self.clock.code = errno.EADDRINUSE
        self.service.startService()
        self.clock.code = errno.EADDRNOTAVAIL
        self.clock.advance(RETRY_SECONDS)
        self.clock.code = None
        self.clock.advance(RETRY_SECONDS * 60)
        self.assertIsNotNone(self.service.bound)


class SettingsTests(SynchronousTestCase):
    """The settings of HTTP."""

    def test_off(self) -> None:
        """Without the setting, or with an empty one, there is no HTTP."""
        for settings in (broker(""), worker(""), broker(one("http/endpoint", ""))):
            self.assertIsNone(Endpoint.of(settings))
            serve(reactor, settings, Contents(), cast("Any", None), [], cast("Any", None))

    def test_endpoint(self) -> None:
        """Loopback is open for programs of this machine, unless the setting says otherwise."""
        for address, is_local in (("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("127.1.2.3", True)):
            endpoint = Endpoint.of(broker(one("http/endpoint", f"tcp://{address}:0")))
            assert endpoint is not None
            self.assertEqual((endpoint.is_local, endpoint.is_open, endpoint.at.port), (is_local, is_local, 0))
        # The address itself may be used as a host name.
        self.assertEqual(endpoint and endpoint.hosts, {"127.1.2.3"})
        closed = Endpoint.of(broker("http\n    endpoint = tcp://127.0.0.1:9998\n    anonymous = 0\n"))
        self.assertEqual(closed and closed.is_open, False)

    def test_public(self) -> None:
        """Without a file of tokens, an endpoint that other machines reach prevents the start; with one, it warns."""
        for address in ("*", "0.0.0.0", "[::]", "10.0.0.1", "[2001:db8::1]"):
            text = f"http\n    endpoint = 'tcp://{address}:9998'\n"
            for read in (broker, worker):
                error = self.assertRaises(ConfigurationError, read, text)
                self.assertIn("http/tokens", str(error))
                settings = read(f"{text}    tokens = tokens\n")
                self.assertEqual((conflicts(settings), len(warnings(settings))), ([], 1))
                self.assertFalse(is_loopback(settings.http_endpoint or ""))
        self.assertEqual(warnings(broker(one("http/endpoint", "tcp://127.0.0.1:9998"))), [])

    def test_bad_endpoints(self) -> None:
        """Only TCP endpoints with an address can be served."""
        for text in (
            "ipc://x",
            "inproc://x",
            "tcp://eth0:1",
            "tcp://example.org:1",
            "127.0.0.1:1",
            "tcp://127.0.0.1:70000",
        ):
            self.assertRaises(ConfigurationError, broker, one("http/endpoint", text))

    def test_missing_tokens(self) -> None:
        """A file of tokens that cannot be read is named."""
        settings: BrokerSettings = broker("http\n    endpoint = tcp://127.0.0.1:0\n    tokens = no/such/file\n")
        (sentence,) = missing_files(settings, Path())
        self.assertIn("no/such/file", sentence)
