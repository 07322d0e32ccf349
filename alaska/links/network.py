"""Links and routers over ZeroMQ."""

from __future__ import annotations

import secrets
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
from alaska.links.addresses import LookUp, VersionLookup, connect_target, families_of, set_version, version_to_bind
from alaska.links.authenticator import Authenticator
from alaska.links.sockets import Dealer, Pair, Router, SharingFactory
from alaska.mlm.commands import MAX_STRING_OCTETS

CLOSE_MILLISECONDS = 1000
HANDSHAKE_MILLISECONDS = 10_000
"""The maximum time of a connection's handshake, including authentication; then its descriptor is freed."""
ROUTER_RECEIVE_MARK = 64
"""The number of unread messages per connection from which on back-pressure stops its sender; none is dropped.

Messages may be large, so the number is small. But ZeroMQ's thread has to be woken up to continue reading each time when
half of them are read: a request costs the broker 22.6 us of processor time with 32, 20.5 with 64, 19.5 with 512.
"""
_numbers = count()
_NEAR_ID = b"\0near"
"""The beginning of the routing ids of connections over inproc; after 16 random octets follows the user, if any."""
_NEAR_OCTETS = len(_NEAR_ID) + 16


def default_reactor() -> Reactor:
    """Return the reactor of the process; importing txZMQ has installed one."""
    from twisted.internet import reactor  # noqa: PLC0415  # the import installs the default reactor if there is none

    return cast("Reactor", reactor)


class SharedContext:
    """What the networks of one process share: the ZeroMQ context, and the endpoints that their routers serve.

    A dealer connects to a router of another such network over inproc. When a router binds or closes the endpoint of a
    dealer, the dealer reconnects, over inproc or over the endpoint itself. Its client sees the link go down and up.
    """

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.links: set[DealerLink] = set()
        self._served: dict[str, tuple[str, SharingFactory]] = {}
        self._networks = 0

    @property
    def is_open(self) -> bool:
        """Whether any network still uses the context."""
        return self._networks > 0

    def join(self) -> None:
        """Add a network."""
        self._networks += 1

    def leave(self) -> None:
        """Remove a network; the last one terminates the context, which waits for sent messages to be transmitted."""
        self._networks -= 1
        if not self.is_open:
            self.context.term()

    def near(self, endpoint: str, factory: SharingFactory) -> str | None:
        """Return the inproc endpoint to use instead of an endpoint, if another network than this one serves it."""
        near, owner = self._served.get(endpoint, (None, None))
        return None if owner is factory else near

    def serve(self, endpoints: Iterable[str], near: str, factory: SharingFactory) -> None:
        """Register the inproc endpoint ``near`` for endpoints that a network serves from now on."""
        self._served.update(dict.fromkeys(endpoints, (near, factory)))
        self._reconnect_moved_links()

    def withdraw(self, near: str) -> None:
        """Unregister an inproc endpoint."""
        self._served = {endpoint: served for endpoint, served in self._served.items() if served[0] != near}
        self._reconnect_moved_links()

    def _reconnect_moved_links(self) -> None:
        for link in list(self.links):
            link.reconnect_if_moved()


@implementer(INetwork)
class Network:
    """Creates links and routers in a ZeroMQ context.

    The context starts threads, so a daemon must create its network after it has forked.

    With ``beside``, the network shares the context of another network of the same process, unless that is closed and
    so are all others that share it.
    """

    def __init__(self, reactor: Reactor, beside: Network | None = None, look_up: LookUp = families_of) -> None:
        shared = None if beside is None else beside.shared
        self.shared: SharedContext = shared if shared is not None and shared.is_open else SharedContext()
        self.shared.join()
        self._factory = SharingFactory(self.shared.context)
        self._factory.reactor = reactor
        self._factory.lingerPeriod = CLOSE_MILLISECONDS
        self._look_up = look_up
        self._routers: list[RouterLink] = []

    def dealer(self, endpoint: str, username: str | None = None, password: str | None = None) -> ILink:
        """See :class:`INetwork`."""
        return DealerLink(self._factory, self.shared, endpoint, username, password, self._look_up)

    def router(
        self,
        endpoints: Iterable[str],
        domain: str | None = None,
        is_plain: bool = False,
        most_unread: int | None = None,
    ) -> RouterLink:
        """See :class:`INetwork`."""
        router = RouterLink(self._factory, self.shared, list(endpoints), domain, is_plain, most_unread)
        self._routers.append(router)
        return router

    def authenticate(self, decide: Callable[[bytes, bytes, str], Verdict]) -> None:
        """See :class:`INetwork`."""
        Authenticator(self._factory, decide)

    def close(self) -> None:
        """See :class:`INetwork`; the last network of a context waits for sent messages to be transmitted."""
        if self._factory.connections is None:
            return
        for link in [link for link in self.shared.links if link.factory is self._factory]:
            link.close()
        while self._routers:
            self._routers.pop().close()
        self._factory.shutdown()
        self.shared.leave()


@implementer(ILink)
class DealerLink:
    """A client's connection, which reconnects automatically."""

    _UP = frozenset({zmq.Event.HANDSHAKE_SUCCEEDED})
    _REFUSED = frozenset({zmq.Event.HANDSHAKE_FAILED_AUTH, zmq.Event.HANDSHAKE_FAILED_PROTOCOL})
    _DOWN = frozenset({zmq.Event.DISCONNECTED})

    def __init__(
        self,
        factory: SharingFactory,
        shared: SharedContext,
        endpoint: str,
        username: str | None,
        password: str | None,
        look_up: LookUp,
    ) -> None:
        self.factory = factory
        self._shared = shared
        self._endpoint = endpoint
        self._username = username
        self._password = password
        self._look_up = look_up
        self._near: str | None = None
        self._is_up = False
        self._lookup: VersionLookup | None = None
        self._socket: Dealer | None = None
        self._monitor: Pair | None = None
        self._received: Callable[[list[bytes]], None] = lambda _frames: None
        self._changed: Callable[[LinkState], None] = lambda _state: None

    def start(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """See :class:`ILink`."""
        self._received, self._changed = received, changed
        self._begin()
        self._shared.links.add(self)

    def _begin(self) -> None:
        """Open a socket and connect it, over inproc if a router of this process serves the endpoint."""
        self._near = self._shared.near(self._endpoint, self.factory)
        at = connect_target(self._endpoint) if self._near is None else None
        try:
            socket = self._open()
        except zmq.ZMQError as error:
            self._drop()
            raise CannotOpen(f"no connection can be opened: {error}") from error
        if at is not None and at.version is None:
            self._lookup = VersionLookup(self.factory.reactor, at.host, partial(self._connect, str(at)), self._look_up)
        elif at is not None:
            self._connect(str(at), at.version or 4)
        else:
            self._connect(self._near or self._endpoint, 4)
        if (self._near or self._endpoint).startswith("inproc:"):
            # ZeroMQ reports no events for inproc connections, which are up at once.
            self.factory.reactor.callLater(0, lambda: self._change(LinkState.UP) if self._socket is socket else None)

    def reconnect_if_moved(self) -> None:
        """Reconnect if the endpoint is now reached over another transport."""
        if self._near != self._shared.near(self._endpoint, self.factory):
            self._drop()
            if self._is_up:
                self._change(LinkState.DOWN)
            if self in self._shared.links:
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
        """Create the socket and its monitor.

        :raises zmq.ZMQError: no socket or descriptor is left.
        """
        socket = self._socket = Dealer(self.factory, self._received)
        # Queue no messages while disconnected: the first message that a new broker gets must be CONNECTION-OPEN.
        socket.socket.set(zmq.IMMEDIATE, 1)
        socket.socket.set(zmq.RECONNECT_IVL_MAX, 500)
        self._identify(socket.socket)
        # The number must be unique: ZeroMQ closes sockets asynchronously, and the old monitor may still be bound.
        events = f"inproc://monitor-{next(_numbers)}"
        socket.socket.monitor(events, sum(self._UP | self._DOWN | self._REFUSED))
        self._monitor = Pair(self.factory, self._event)
        self._monitor.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, events)])
        return socket

    def _identify(self, socket: zmq.Socket[bytes]) -> None:
        if (self._near or self._endpoint).startswith("inproc:"):
            # There is no handshake, so the routing id says for whom the connection acts; it must not be guessed.
            user = (self._username or "").encode("utf-8", "surrogateescape")
            if len(user) > MAX_STRING_OCTETS - _NEAR_OCTETS:
                raise Refused("a user name has too many octets for a connection within the process")
            socket.set(zmq.ROUTING_ID, _NEAR_ID + secrets.token_bytes(16) + user)
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
            # If the connection is lost by then, the monitor reports it.
            self._socket.post(frames)

    def send_from(self, take: Callable[[], list[list[bytes]]]) -> None:
        """See :class:`ILink`."""
        if self._socket is not None:
            self._socket.post_from(take)

    def close(self) -> None:
        """See :class:`ILink`."""
        self._shared.links.discard(self)
        self._drop()

    def _drop(self) -> None:
        if self._lookup is not None:
            self._lookup.close()
            self._lookup = None
        if self._monitor is not None and self._socket is not None:
            self._socket.socket.disable_monitor()
            self._monitor.shutdown()
            self._monitor = None
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None


@implementer(IRouter)
class RouterLink:
    """The broker's side of all connections, at one or more endpoints."""

    def __init__(
        self,
        factory: SharingFactory,
        shared: SharedContext,
        endpoints: list[str],
        domain: str | None,
        is_plain: bool,
        most_unread: int | None,
    ) -> None:
        self._factory = factory
        self._shared = shared
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
        """The endpoint that was bound last; a wildcard port is replaced by the one that the system chose."""
        return self.bound[-1] if self.bound else ""

    def start(self, received: Callable[[bytes, list[bytes]], int | None], gone: Callable[[bytes, bool], None]) -> None:
        """See :class:`IRouter`."""
        socket = self._socket = Router(
            self._factory,
            lambda frames: received(frames.pop(0), frames),
            lambda frames, is_full: gone(frames[0], is_full),
        )
        # Message tracking needs a thread of pyzmq's; start it before descriptors can run out.
        socket.prepare_tracking()
        # A send to a closed connection fails with an error, instead of dropping the message silently.
        socket.socket.set(zmq.ROUTER_MANDATORY, 1)
        # At the high-water mark a send fails with an error; messages that were accepted before are not dropped.
        socket.socket.set(zmq.SNDHWM, self._most_unread or 0)
        socket.socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MILLISECONDS)
        # Back-pressure: unread messages of clients are queued in the clients' memory rather than in the broker's.
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
            self._shared.serve([*self._endpoints, *self.bound], self._near, self._factory)

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
    def is_local(self) -> bool:
        """See :class:`IRouter`."""
        return self._socket is not None and self._socket.is_local

    @property
    def has_users(self) -> bool:
        """See :class:`IRouter`."""
        return self._is_plain

    def user_of(self, peer: bytes) -> bytes | None:
        """See :class:`IRouter`."""
        if self._socket is None:
            return b""
        # First for connections within the process: to find out that they have no user id takes long.
        if peer.startswith(_NEAR_ID) and self._socket.is_over_inproc:
            return peer[_NEAR_OCTETS:] or None
        # A client without authentication can give itself any user id.
        user = self._socket.user if self._is_plain else b""
        return None if not user and self._socket.is_over_inproc else user

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        return self._socket is not None and self._socket.transmit([peer, *frames])

    def send_with_proof(self, peer: bytes, frames: list[bytes]) -> Callable[[], bool] | None:
        """See :class:`IRouter`."""
        return None if self._socket is None else self._socket.send_with_proof([peer, *frames])

    def post(self, peer: bytes, frames: list[bytes]) -> None:
        """See :class:`IRouter`."""
        if self._socket is not None:
            self._socket.post([peer, *frames])

    def post_from(self, peer: bytes, take: Callable[[], list[list[bytes]]]) -> None:
        """See :class:`IRouter`."""
        if self._socket is not None:
            self._socket.post_from(lambda: [[peer, *frames] for frames in take()])

    def close(self) -> None:
        """See :class:`IRouter`."""
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None
        if self._near is not None:
            self._shared.withdraw(self._near)
            self._near = None
        while self._locks:
            self._locks.pop().release()
