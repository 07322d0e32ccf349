"""What the tests of HTTP share: a site, connections in memory, and parsed answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from alaska.admin.http.channel import Channel
from alaska.admin.http.dispatch import Dispatch
from alaska.admin.http.exchange import Exchange
from alaska.admin.http.gate import Gate
from alaska.admin.http.health import HealthPages
from alaska.admin.http.login import Decide, Login
from alaska.admin.http.routes import Route, Routes
from alaska.admin.http.sessions import Sessions
from alaska.admin.http.site import Site
from alaska.admin.http.table import health_routes, login_routes, table
from alaska.admin.http.users import Users
from alaska.interfaces import Reactor

TOKENS = {"ann": "all", "bob": "view", "cid": "send", "dan": "operate"}
"""The users of the tests with their roles; the token of each is ``T-`` and the name."""

BUFFER_OCTETS = 65_536


def token_lines() -> str:
    """Return the text of a file of tokens with the users of the tests."""
    rows = [f"{name} {role} {hashlib.sha256(f'T-{name}'.encode()).hexdigest()}" for name, role in TOKENS.items()]
    return "\n".join(rows) + "\n"


class Got(NamedTuple):
    """A parsed answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


def parse(octets: bytes) -> list[Got]:
    """Return the answers in what a connection has sent; a chunked body is not decoded."""
    found = []
    while octets:
        head, _, octets = octets.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", len(octets)))
        found.append(Got(int(first.split()[1]), headers, octets[:length]))
        octets = octets[length:]
    return found


@implementer(ITCPTransport)
class Wire(StringTransport):
    """The transport of a connection in memory, which tells how it was closed."""

    is_aborted = False
    is_half_closed = False

    def __init__(self, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 4000))
        self.protocol: Channel | None = None
        self.is_read = True
        self._unread = 0

    def write(self, data: bytes) -> None:
        """Take octets; if the client does not read, the buffer is full at some point."""
        super().write(data)
        self._unread += len(data)
        if not self.is_read and self._unread > BUFFER_OCTETS and self.protocol is not None:
            self.protocol.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802
        """Take octets."""
        self.write(b"".join(data))

    def drain(self) -> None:
        """Let the client read what is in the buffer."""
        self._unread = 0
        if self.protocol is not None:
            self.protocol.resumeProducing()

    def abortConnection(self) -> None:  # noqa: N802
        """Close the connection at once."""
        self.is_aborted = True
        if self.protocol is not None:
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost()

    def loseWriteConnection(self) -> None:  # noqa: N802
        """Close one direction."""
        self.is_half_closed = True

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """Do nothing."""

    def getTcpNoDelay(self) -> bool:  # noqa: N802
        """Return nothing of interest."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
        """Do nothing."""

    def getTcpKeepAlive(self) -> bool:  # noqa: N802
        """Return nothing of interest."""
        return True


class Connection:
    """A connection in memory."""

    def __init__(self, site: Site, host: str = "127.0.0.1") -> None:
        self.wire = Wire(host)
        self.channel = cast("Channel | None", site.buildProtocol(cast("IAddress", self.wire.getPeer())))
        if self.channel is not None:
            self.wire.protocol = self.channel
            self.channel.makeConnection(self.wire)

    def send(self, octets: bytes) -> None:
        """Send octets, unless the connection is closed."""
        if self.wire.protocol is not None:
            self.wire.protocol.dataReceived(octets)

    def drop(self) -> None:
        """Close the connection, as the client does."""
        self.wire.abortConnection()

    @property
    def answers(self) -> list[Got]:
        """What was answered so far."""
        return parse(self.wire.value())


class HTTPCase(SynchronousTestCase):
    """A site on loopback with health, login, further routes, a file of tokens, and a clock."""

    hosts: frozenset[str] = frozenset()
    is_local = True
    is_open = True
    decide: Decide | None = None
    connections = 10
    octets = 100_000

    def setUp(self) -> None:
        self.clock = Clock()
        self.reactor = cast("Reactor", self.clock)
        self.file = Path(self.mktemp())
        self.file.write_text(token_lines())
        self.users, self.sessions = Users(self.file), Sessions()
        self.ready: list[Callable[[], list[Any]]] = []
        self.routes = self.make_routes()
        self.gate = Gate(self.users, self.sessions, self.is_local, self.is_open, self.hosts)
        dispatch = Dispatch(self.routes, self.gate, self.clock.seconds)
        self.site = Site(self.reactor, partial(Exchange, dispatch), dispatch.is_known, self.connections, self.octets)

    def more_routes(self) -> Iterable[Route]:
        """Return further routes."""
        return ()

    def make_routes(self) -> Routes:
        """Return all routes."""
        login = Login(self.reactor, self.users, self.sessions, self.decide)
        return table([*health_routes(HealthPages(self.ready)), *login_routes(login), *self.more_routes()])

    def connect(self, host: str = "127.0.0.1") -> Connection:
        """Return a new connection."""
        return Connection(self.site, host)

    def ask(
        self, method: str, path: str, *headers: str, body: bytes = b"", user: str = "", host: str = "localhost"
    ) -> Got:
        """Send one request over a connection of its own, and return the answer."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
        if user:
            lines.append(f"Authorization: Bearer T-{user}")
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        connection = self.connect()
        connection.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        (answer,) = connection.answers
        connection.drop()
        return answer
