"""Links over real sockets, at ports that the system chooses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import zmq
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from alaska.authentication import Bind, Mechanism
from alaska.interfaces import ILink, Reactor
from alaska.links import Network, RouterLink

reactor = cast("Reactor", global_reactor)
ANY_PORT = "tcp://127.0.0.1:*"


class Waiter:
    """Collects the arguments of its calls, and waits for a number of calls."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def __call__(self, *args: Any) -> None:
        self.got.append(args[0] if len(args) == 1 else args)
        for count, waiting in list(self._waiting):
            if len(self.got) >= count:
                self._waiting.remove((count, waiting))
                waiting.callback(None)

    def until(self, count: int) -> Deferred[None]:
        """Return a Deferred that fires after ``count`` calls."""
        waiting: Deferred[None] = Deferred()
        if len(self.got) >= count:
            waiting.callback(None)
        else:
            self._waiting.append((count, waiting))
        return waiting


class LinkTestCase(TestCase):
    """A network that is closed after the test."""

    timeout = 20

    def setUp(self) -> None:
        self.network = Network(reactor)
        self.unsent: list[bytes] = []
        self.full: list[bytes] = []
        self.addCleanup(self.network.close)

    def serve(self, received: Any, mechanism: Mechanism = Mechanism.NULL, **options: Any) -> RouterLink:
        """Bind a router to a free port; peers that messages could not be sent to are recorded."""
        router = self.network.router([Bind(ANY_PORT, mechanism)], **options)
        router.start(received, self.lost)
        return router

    def lost(self, peer: bytes, is_full: bool) -> None:
        """Record the peer of a message that could not be sent."""
        (self.full if is_full else self.unsent).append(peer)

    async def connect(self, router: RouterLink, received: Any) -> ILink:
        """Return a link that is connected to a router."""
        link, changes = self.network.dealer(router.endpoint), Waiter()
        link.start(received, changes)
        await changes.until(1)
        return link

    def plain_reader(self, endpoint: str, peer: bytes) -> zmq.Socket[bytes]:
        """Return a plain socket that has sent one message and reads only on request."""
        reader: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(reader.close, 0)
        reader.set(zmq.RCVHWM, 1)
        reader.set(zmq.SNDHWM, 1)
        reader.set(zmq.ROUTING_ID, peer)
        reader.connect(endpoint)
        reader.send(b"hello")
        return reader


async def until(is_true: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    while not is_true():
        await deferLater(reactor, 0.01, lambda: None)


async def read(socket: zmq.Socket[bytes]) -> bytes:
    """Return the next message of a socket while the reactor runs."""
    await until(lambda: bool(socket.poll(0)))
    return socket.recv()


def connections_to(endpoint: str) -> int:
    """Return the number of established TCP connections to an endpoint on this machine."""
    port = f"{int(endpoint.rsplit(':', 1)[1]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(fields[2].endswith(f":{port}") and fields[3] == "01" for fields in lines)
