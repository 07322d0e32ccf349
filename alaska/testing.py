"""What a test puts in the place of the network and of the broker. Part of the product, with tests of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from twisted.internet.task import Clock
from zope.interface import implementer

from alaska.errors import CannotBind
from alaska.interfaces import ILink, INetwork, IRouter, LinkState
from alaska.mlm.codec import decode, encode
from alaska.mlm.commands import Command


@implementer(INetwork)
class MemoryNetwork:
    """Links in memory. Nothing moves until :meth:`run`, so a test sees each step."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[], None]] = deque()
        self._routers: dict[str, MemoryRouter] = {}
        self._links: list[MemoryLink] = []
        self._decide: Callable[[bytes, bytes], bool] = lambda _username, _password: False

    def dealer(self, endpoint: str, username: str | None = None, password: str | None = None) -> ILink:
        """See :class:`INetwork`."""
        link = MemoryLink(self, endpoint, (username, password))
        self._links.append(link)
        return link

    def router(self, endpoints: Iterable[str], domain: str | None = None, is_plain: bool = False) -> IRouter:
        """See :class:`INetwork`."""
        return MemoryRouter(self, list(endpoints), is_plain)

    def authenticate(self, decide: Callable[[bytes, bytes], bool]) -> None:
        """See :class:`INetwork`."""
        self._decide = decide

    def close(self) -> None:
        """See :class:`INetwork`."""
        self._links.clear()
        self._routers.clear()

    def run(self) -> None:
        """Move messages until nothing is under way."""
        while self._steps:
            self._steps.popleft()()

    def later(self, step: Callable[[], None]) -> None:
        """Let something happen at the next :meth:`run`, after all that is to happen already."""
        self._steps.append(step)

    def bind(self, endpoint: str, router: MemoryRouter) -> None:
        """Serve an endpoint, and connect the links that wait for it.

        :raises CannotBind: it is served already.
        """
        if endpoint in self._routers:
            raise CannotBind(f"cannot serve {endpoint}: Address already in use", is_taken=True)
        self._routers[endpoint] = router
        for link in self._links:
            link.try_to_connect()

    def unbind(self, endpoint: str) -> None:
        """Serve an endpoint no longer, as when a broker's process ends; what was under way to it is lost."""
        router = self._routers.pop(endpoint, None)
        if router is not None:
            for link in self._links:
                link.disconnect(router)

    def served(self, endpoint: str) -> MemoryRouter | None:
        """Return who serves an endpoint."""
        return self._routers.get(endpoint)

    def may_connect(self, router: MemoryRouter, credentials: tuple[str | None, str | None]) -> bool:
        """Return whether these credentials are accepted."""
        username, password = credentials
        if not router.is_plain:
            return True
        return username is not None and password is not None and self._decide(username.encode(), password.encode())


@implementer(ILink)
class MemoryLink:
    """A client's link in memory."""

    _count = 0

    def __init__(self, network: MemoryNetwork, endpoint: str, credentials: tuple[str | None, str | None]) -> None:
        self._network = network
        self._endpoint = endpoint
        self._credentials = credentials
        self._router: MemoryRouter | None = None
        self._peer = b""
        self._received: Callable[[list[bytes]], None] | None = None
        self._changed: Callable[[LinkState], None] = lambda _state: None

    def start(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """See :class:`ILink`."""
        self._received = received
        self._changed = changed
        self.try_to_connect()

    def try_to_connect(self) -> None:
        """Connect, if the link is started and somebody serves its endpoint."""
        router = self._network.served(self._endpoint)
        if router is None or self._router is not None or self._received is None:
            return
        if self._network.may_connect(router, self._credentials):
            MemoryLink._count += 1
            self._peer = b"\0%04d" % MemoryLink._count
            self._router = router
            router.links[self._peer] = self
            self._network.later(lambda: self._changed(LinkState.UP))
        else:
            self._network.later(lambda: self._changed(LinkState.REFUSED))

    def disconnect(self, router: MemoryRouter) -> None:
        """Go down, if the link is connected to this router; it comes up again when the endpoint is served again."""
        if self._router is router:
            self._router = None
            router.links.pop(self._peer, None)
            self._network.later(lambda: self._changed(LinkState.DOWN))

    def send(self, frames: list[bytes]) -> None:
        """See :class:`ILink`."""
        router, peer = self._router, self._peer
        if router is not None:
            self._network.later(lambda: router.take(peer, frames))

    def take(self, frames: list[bytes]) -> None:
        """Receive a message."""
        if self._received is not None:
            self._received(frames)

    def close(self) -> None:
        """See :class:`ILink`."""
        self._received = None
        self._changed = lambda _state: None
        if self._router is not None:
            self._router.links.pop(self._peer, None)
            self._router = None


@implementer(IRouter)
class MemoryRouter:
    """A broker's end in memory."""

    def __init__(self, network: MemoryNetwork, endpoints: list[str], is_plain: bool) -> None:
        self._network = network
        self._endpoints = endpoints
        self._received: Callable[[bytes, list[bytes]], None] | None = None
        self.is_plain = is_plain
        self.links: dict[bytes, MemoryLink] = {}

    def start(self, received: Callable[[bytes, list[bytes]], None]) -> None:
        """See :class:`IRouter`."""
        self._received = received
        for endpoint in self._endpoints:
            self._network.bind(endpoint, self)

    def send(self, peer: bytes, frames: list[bytes]) -> None:
        """See :class:`IRouter`."""
        link = self.links.get(peer)
        if link is not None:
            self._network.later(lambda: link.take(frames))

    def take(self, peer: bytes, frames: list[bytes]) -> None:
        """Receive a message."""
        if self._received is not None:
            self._received(peer, frames)

    def close(self) -> None:
        """See :class:`IRouter`."""
        self._received = None
        for endpoint in self._endpoints:
            self._network.unbind(endpoint)


class ScriptedBroker:
    """The other side of a client, played by the test: it notes what comes and answers what it is told to."""

    def __init__(self, network: MemoryNetwork, endpoint: str) -> None:
        self._network = network
        self._router = network.router([endpoint])
        self._peer = b""
        self.received: list[Command] = []
        self._router.start(self._take)

    def _take(self, peer: bytes, frames: list[bytes]) -> None:
        self._peer = peer
        self.received.append(decode(frames))

    def send(self, *commands: Command) -> None:
        """Send commands to the client that was heard last, and let everything happen that follows."""
        for command in commands:
            self.send_frames(encode(command))

    def send_frames(self, frames: list[bytes]) -> None:
        """Send any frames to the client that was heard last, and let everything happen that follows."""
        self._router.send(self._peer, frames)
        self._network.run()

    def take(self) -> list[Command]:
        """Return what has come since the last call."""
        self._network.run()
        received, self.received = self.received, []
        return received

    def stop(self) -> None:
        """End, as a process does."""
        self._router.close()
        self._network.run()


def run_for(clock: Clock, network: MemoryNetwork, seconds: float, step: float = 0.05) -> None:
    """Let time pass in small steps, and messages move after each."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        network.run()
