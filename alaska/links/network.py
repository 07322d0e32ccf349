"""Links over ZeroMQ: a process's connections, to a broker or of a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import cast

import zmq
from txzmq import ZmqEndpoint, ZmqEndpointType
from zmq.utils.monitor import parse_monitor_message
from zope.interface import implementer

from alaska.errors import BadEndpoint, CannotBind, CannotOpen, Refused
from alaska.interfaces import ILink, INetwork, IRouter, LinkState, Reactor, Verdict
from alaska.links import ipc
from alaska.links.addresses import LookUp, Question, families_of, place, set_version, version_to_bind
from alaska.links.authenticator import Authenticator
from alaska.links.sockets import Dealer, Pair, Router, SharingFactory

CLOSE_MILLISECONDS = 1000
HANDSHAKE_MILLISECONDS = 10_000
"""So long a connection may take to be let in, before it is given up and its descriptor is free."""
ROUTER_RECEIVE_MARK = 32
"""Messages of one connection that wait to be read before its sender has to wait too; none is dropped.

They may be large, so they are few. Half as many would cost a twentieth of the throughput of small ones, since ZeroMQ's
thread has to be woken as often to read on.
"""
_numbers = count()


def default_reactor() -> Reactor:
    """Return the reactor of the process; txZMQ installs one when it is imported."""
    from twisted.internet import reactor  # noqa: PLC0415  # where it stands, this is all that depends on it

    return cast("Reactor", reactor)


class Neighbours:
    """What networks of one process that lie beside each other share: a context, and who of them serves what.

    A dealer reaches a router among them through memory. When such a router begins to serve the endpoint of a dealer,
    or ends, the dealer goes there or leaves, and its client sees a connection that went down and comes up again.
    """

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.links: set[DealerLink] = set()
        self._served: dict[str, tuple[str, SharingFactory]] = {}
        self._networks = 0

    @property
    def is_open(self) -> bool:
        """Whether there is still a network among them."""
        return self._networks > 0

    def join(self) -> None:
        """Count one more network."""
        self._networks += 1

    def leave(self) -> None:
        """Count one less; the last ends the context, and waits for what was sent."""
        self._networks -= 1
        if not self.is_open:
            self.context.term()

    def near(self, endpoint: str, factory: SharingFactory) -> str | None:
        """Return where an endpoint is reached through memory, if another network than this one's serves it."""
        near, owner = self._served.get(endpoint, (None, None))
        return None if owner is factory else near

    def serve(self, endpoints: Iterable[str], near: str, factory: SharingFactory) -> None:
        """Take note of where endpoints are reached through memory from now on, and whose network serves them."""
        self._served.update(dict.fromkeys(endpoints, (near, factory)))
        self._look_around()

    def withdraw(self, near: str) -> None:
        """Take note that nothing is served there any more."""
        self._served = {endpoint: served for endpoint, served in self._served.items() if served[0] != near}
        self._look_around()

    def _look_around(self) -> None:
        for link in list(self.links):
            link.look_around()


@implementer(INetwork)
class Network:
    """Sockets in one ZeroMQ context.

    The context makes threads, so a network must not be made before a daemon has forked.

    A network may lie beside another one of the same process and its neighbours, unless those are all closed.
    """

    def __init__(self, reactor: Reactor, beside: Network | None = None, look_up: LookUp = families_of) -> None:
        neighbours = None if beside is None else beside._neighbours
        self._neighbours: Neighbours = neighbours if neighbours is not None and neighbours.is_open else Neighbours()
        self._neighbours.join()
        self._factory = SharingFactory(self._neighbours.context)
        self._factory.reactor = reactor
        self._factory.lingerPeriod = CLOSE_MILLISECONDS
        self._look_up = look_up
        self._routers: list[RouterLink] = []

    def dealer(self, endpoint: str, username: str | None = None, password: str | None = None) -> ILink:
        """See :class:`INetwork`."""
        return DealerLink(self._factory, self._neighbours, endpoint, username, password, self._look_up)

    def router(
        self,
        endpoints: Iterable[str],
        domain: str | None = None,
        is_plain: bool = False,
        most_unread: int | None = None,
    ) -> RouterLink:
        """See :class:`INetwork`."""
        router = RouterLink(self._factory, self._neighbours, list(endpoints), domain, is_plain, most_unread)
        self._routers.append(router)
        return router

    def authenticate(self, decide: Callable[[bytes, bytes, str], Verdict]) -> None:
        """See :class:`INetwork`."""
        Authenticator(self._factory, decide)

    def close(self) -> None:
        """See :class:`INetwork`; the last of its neighbours waits for what was sent."""
        if self._factory.connections is None:
            return
        for link in [link for link in self._neighbours.links if link.factory is self._factory]:
            link.close()
        while self._routers:
            self._routers.pop().close()
        self._factory.shutdown()
        self._neighbours.leave()


@implementer(ILink)
class DealerLink:
    """A client's connection, which reconnects by itself."""

    _UP = frozenset({zmq.Event.HANDSHAKE_SUCCEEDED})
    _REFUSED = frozenset({zmq.Event.HANDSHAKE_FAILED_AUTH, zmq.Event.HANDSHAKE_FAILED_PROTOCOL})
    _DOWN = frozenset({zmq.Event.DISCONNECTED})

    def __init__(
        self,
        factory: SharingFactory,
        neighbours: Neighbours,
        endpoint: str,
        username: str | None,
        password: str | None,
        look_up: LookUp,
    ) -> None:
        self.factory = factory
        self._neighbours = neighbours
        self._endpoint = endpoint
        self._username = username
        self._password = password
        self._look_up = look_up
        self._near: str | None = None
        self._is_up = False
        self._question: Question | None = None
        self._socket: Dealer | None = None
        self._monitor: Pair | None = None
        self._received: Callable[[list[bytes]], None] = lambda _frames: None
        self._changed: Callable[[LinkState], None] = lambda _state: None

    def start(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """See :class:`ILink`."""
        self._received, self._changed = received, changed
        self._begin()
        self._neighbours.links.add(self)

    def _begin(self) -> None:
        """Open a socket, and let it connect to where the endpoint is served now."""
        self._near = self._neighbours.near(self._endpoint, self.factory)
        at = place(self._endpoint) if self._near is None else None
        try:
            socket = self._open()
        except zmq.ZMQError as error:
            self._drop()
            raise CannotOpen(f"no connection can be opened: {error}") from error
        if at is not None and at.version is None:
            self._question = Question(self.factory.reactor, at.host, partial(self._connect, str(at)), self._look_up)
        elif at is not None:
            self._connect(str(at), at.version or 4)
        else:
            self._connect(self._near or self._endpoint, 4)
        if (self._near or self._endpoint).startswith("inproc:"):
            # No event tells of connections in memory, which are there at once.
            self.factory.reactor.callLater(0, lambda: self._change(LinkState.UP) if self._socket is socket else None)

    def look_around(self) -> None:
        """Go to where the endpoint is served now, through memory or not."""
        if self._near != self._neighbours.near(self._endpoint, self.factory):
            self._drop()
            if self._is_up:
                self._change(LinkState.DOWN)
            if self in self._neighbours.links:
                self._begin()

    def _connect(self, endpoint: str, version: int) -> None:
        assert self._socket is not None
        set_version(self._socket.socket, version)
        try:
            self._socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, endpoint)])
        except zmq.ZMQError as error:
            self._drop()
            raise BadEndpoint(f"cannot connect to {self._endpoint!r}: {error}") from error

    def _open(self) -> Dealer:
        """Make the socket and what watches it.

        :raises zmq.ZMQError: there are no more sockets or descriptors.
        """
        socket = self._socket = Dealer(self.factory, self._received)
        # Without a connection there is no queue: nothing can be sent to a new broker before it is greeted.
        socket.socket.set(zmq.IMMEDIATE, 1)
        socket.socket.set(zmq.RECONNECT_IVL_MAX, 500)
        self._identify(socket.socket)
        # A number that is never used again: ZeroMQ closes sockets some time after they are closed here.
        events = f"inproc://monitor-{next(_numbers)}"
        socket.socket.monitor(events, sum(self._UP | self._DOWN | self._REFUSED))
        self._monitor = Pair(self.factory, self._event)
        self._monitor.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, events)])
        return socket

    def _identify(self, socket: zmq.Socket[bytes]) -> None:
        if self._username is None or self._password is None:
            return
        try:
            socket.set_string(zmq.PLAIN_USERNAME, self._username)
            socket.set_string(zmq.PLAIN_PASSWORD, self._password)
        except zmq.ZMQError as error:
            self._drop()
            raise Refused("user name and password must have 1 to 255 octets each") from error

    def _event(self, frames: list[bytes]) -> None:
        event = parse_monitor_message(frames)["event"]
        if event in self._UP:
            self._change(LinkState.UP)
        elif event in self._DOWN:
            self._change(LinkState.DOWN)
        elif event in self._REFUSED:
            self._change(LinkState.REFUSED)

    def _change(self, state: LinkState) -> None:
        self._is_up = state is LinkState.UP
        self._changed(state)

    def send(self, frames: list[bytes]) -> None:
        """See :class:`ILink`."""
        if self._socket is not None:
            # Where the connection is gone by then, the monitor is about to say so.
            self._socket.post(frames)

    def close(self) -> None:
        """See :class:`ILink`."""
        self._neighbours.links.discard(self)
        self._drop()

    def _drop(self) -> None:
        if self._question is not None:
            self._question.close()
            self._question = None
        if self._monitor is not None and self._socket is not None:
            self._socket.socket.disable_monitor()
            self._monitor.shutdown()
            self._monitor = None
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None


@implementer(IRouter)
class RouterLink:
    """The broker's end of all connections, at one or more endpoints."""

    def __init__(
        self,
        factory: SharingFactory,
        neighbours: Neighbours,
        endpoints: list[str],
        domain: str | None,
        is_plain: bool,
        most_unread: int | None,
    ) -> None:
        self._factory = factory
        self._neighbours = neighbours
        self._endpoints = endpoints
        self._domain = domain
        self._is_plain = is_plain
        self._most_unread = most_unread
        self._near: str | None = None
        self._socket: Router | None = None
        self._locks: list[ipc.PathLock] = []
        self.bound: list[str] = []

    @property
    def endpoint(self) -> str:
        """The endpoint bound last, with the port that the system chose where it was left open."""
        return self.bound[-1] if self.bound else ""

    def start(self, received: Callable[[bytes, list[bytes]], None], gone: Callable[[bytes, bool], None]) -> None:
        """See :class:`IRouter`."""
        socket = self._socket = Router(
            self._factory,
            lambda frames: received(frames.pop(0), frames),
            lambda frames, is_full: gone(frames[0], is_full),
        )
        # Proofs need a thread, which is made for the first: before descriptors can run out.
        socket.prepare_proofs()
        # A send to a connection that is gone is told as an error, instead of looking like any other.
        socket.socket.set(zmq.ROUTER_MANDATORY, 1)
        # At its mark a connection is told as full, and nothing of it is dropped that was taken before.
        socket.socket.set(zmq.SNDHWM, self._most_unread or 0)
        socket.socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MILLISECONDS)
        # What clients send waits in their own memory rather than in ours.
        socket.socket.set(zmq.RCVHWM, ROUTER_RECEIVE_MARK)
        if self._domain is not None:
            socket.socket.set_string(zmq.ZAP_DOMAIN, self._domain)
        if self._is_plain:
            socket.socket.set(zmq.PLAIN_SERVER, 1)
        for endpoint in self._endpoints:
            try:
                self._bind(socket, endpoint)
            except CannotBind:
                self.close()
                raise
        if self._endpoints:
            self._near = f"inproc://router-{next(_numbers)}"
            socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, self._near)])
            self._neighbours.serve([*self._endpoints, *self.bound], self._near, self._factory)

    def _bind(self, socket: Router, endpoint: str) -> None:
        lock = ipc.lock(endpoint)
        if lock is not None:
            self._locks.append(lock)
        set_version(socket.socket, version_to_bind(endpoint))
        try:
            socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, endpoint)])
        except zmq.ZMQError as error:
            raise CannotBind(f"cannot serve {endpoint}: {error.strerror}", error.errno == zmq.EADDRINUSE) from error
        is_open = endpoint.endswith((":*", ":0"))
        self.bound.append(str(socket.socket.get_string(zmq.LAST_ENDPOINT)) if is_open else endpoint)

    @property
    def is_near(self) -> bool:
        """See :class:`IRouter`."""
        return self._socket is not None and self._socket.is_near

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        return self._socket is not None and self._socket.transmit([peer, *frames])

    def prove(self, peer: bytes, frames: list[bytes]) -> Callable[[], bool] | None:
        """See :class:`IRouter`."""
        return None if self._socket is None else self._socket.prove([peer, *frames])

    def post(self, peer: bytes, frames: list[bytes]) -> None:
        """See :class:`IRouter`."""
        if self._socket is not None:
            self._socket.post([peer, *frames])

    def close(self) -> None:
        """See :class:`IRouter`."""
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None
        if self._near is not None:
            self._neighbours.withdraw(self._near)
            self._near = None
        while self._locks:
            self._locks.pop().release()
