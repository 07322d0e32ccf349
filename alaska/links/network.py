"""Links over ZeroMQ: a process's connections, to a broker or of a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import cast

import zmq
from txzmq import ZmqEndpoint, ZmqEndpointType, ZmqFactory
from zmq.utils.monitor import parse_monitor_message
from zope.interface import implementer

from alaska.errors import BadEndpoint, CannotBind, CannotOpen, Refused
from alaska.interfaces import ILink, INetwork, IRouter, LinkState, Reactor
from alaska.links import ipc
from alaska.links.addresses import LookUp, Question, families_of, place, set_version, version_to_bind
from alaska.links.sockets import Dealer, Pair, Router, SharingFactory

CLOSE_MILLISECONDS = 1000
ROUTER_RECEIVE_MARK = 10_000
"""Messages of one connection that wait to be read before its sender has to wait too; none is dropped."""
ZAP_ENDPOINT = "inproc://zeromq.zap.01"
_numbers = count()


def default_reactor() -> Reactor:
    """Return the reactor of the process; txZMQ installs one when it is imported."""
    from twisted.internet import reactor  # noqa: PLC0415  # where it stands, this is all that depends on it

    return cast("Reactor", reactor)


@implementer(INetwork)
class Network:
    """Sockets in one ZeroMQ context.

    The context makes threads, so a network must not be made before a daemon has forked.

    A network may lie beside another one of the same process, whose context it shares unless that is closed. Its dealers
    reach what the other one's routers serve through memory, and are closed before those are.
    """

    def __init__(self, reactor: Reactor, beside: Network | None = None, look_up: LookUp = families_of) -> None:
        if beside is not None and not beside._is_open:
            beside = None
        self._factory: ZmqFactory = ZmqFactory() if beside is None else SharingFactory(beside._factory.context)
        self._factory.reactor = reactor
        self._factory.lingerPeriod = CLOSE_MILLISECONDS
        self._look_up = look_up
        self._beside: list[Network] = []
        self._served: dict[str, str] = {}
        self._near = {} if beside is None else beside._served
        if beside is not None:
            beside._beside.append(self)

    @property
    def _is_open(self) -> bool:
        return self._factory.connections is not None

    def dealer(self, endpoint: str, username: str | None = None, password: str | None = None) -> ILink:
        """See :class:`INetwork`."""
        return DealerLink(self._factory, self._near.get(endpoint, endpoint), username, password, self._look_up)

    def router(self, endpoints: Iterable[str], domain: str | None = None, is_plain: bool = False) -> RouterLink:
        """See :class:`INetwork`."""
        return RouterLink(self._factory, list(endpoints), domain, is_plain, self._served)

    def authenticate(self, decide: Callable[[bytes, bytes], bool]) -> None:
        """See :class:`INetwork`."""
        _Authenticator(self._factory, decide)

    def close(self) -> None:
        """See :class:`INetwork`; waits for what was sent."""
        while self._beside:
            self._beside.pop().close()
        if self._is_open:
            self._factory.shutdown()


@implementer(ILink)
class DealerLink:
    """A client's connection, which reconnects by itself."""

    _UP = frozenset({zmq.Event.HANDSHAKE_SUCCEEDED})
    _REFUSED = frozenset({zmq.Event.HANDSHAKE_FAILED_AUTH, zmq.Event.HANDSHAKE_FAILED_PROTOCOL})
    _DOWN = frozenset({zmq.Event.DISCONNECTED})

    def __init__(
        self, factory: ZmqFactory, endpoint: str, username: str | None, password: str | None, look_up: LookUp
    ) -> None:
        self._factory = factory
        self._endpoint = endpoint
        self._username = username
        self._password = password
        self._look_up = look_up
        self._question: Question | None = None
        self._socket: Dealer | None = None
        self._monitor: Pair | None = None

    def start(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """See :class:`ILink`."""
        at = place(self._endpoint)
        try:
            socket = self._open(received, changed)
        except zmq.ZMQError as error:
            self.close()
            raise CannotOpen(f"no connection can be opened: {error}") from error
        if at is not None and at.version is None:
            self._question = Question(self._factory.reactor, at.host, partial(self._connect, str(at)), self._look_up)
        else:
            self._connect(self._endpoint if at is None else str(at), 4 if at is None else at.version or 4)
        if self._endpoint.startswith("inproc:"):
            self._factory.reactor.callLater(0, lambda: changed(LinkState.UP) if socket.factory is not None else None)

    def _connect(self, endpoint: str, version: int) -> None:
        assert self._socket is not None
        set_version(self._socket.socket, version)
        try:
            self._socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, endpoint)])
        except zmq.ZMQError as error:
            self.close()
            raise BadEndpoint(f"cannot connect to {self._endpoint!r}: {error}") from error

    def _open(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> Dealer:
        """Make the socket and what watches it.

        :raises zmq.ZMQError: there are no more sockets or descriptors.
        """
        socket = self._socket = Dealer(self._factory, received)
        # Without a connection there is no queue: nothing can be sent to a new broker before it is greeted.
        socket.socket.set(zmq.IMMEDIATE, 1)
        socket.socket.set(zmq.RECONNECT_IVL_MAX, 500)
        self._identify(socket.socket)
        # A number that is never used again: ZeroMQ closes sockets some time after they are closed here.
        events = f"inproc://monitor-{next(_numbers)}"
        socket.socket.monitor(events, sum(self._UP | self._DOWN | self._REFUSED))
        self._monitor = Pair(self._factory, lambda frames: self._event(frames, changed))
        self._monitor.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, events)])
        return socket

    def _identify(self, socket: zmq.Socket[bytes]) -> None:
        if self._username is None or self._password is None:
            return
        try:
            socket.set_string(zmq.PLAIN_USERNAME, self._username)
            socket.set_string(zmq.PLAIN_PASSWORD, self._password)
        except zmq.ZMQError as error:
            self.close()
            raise Refused("user name and password must have 1 to 255 octets each") from error

    def _event(self, frames: list[bytes], changed: Callable[[LinkState], None]) -> None:
        event = parse_monitor_message(frames)["event"]
        if event in self._UP:
            changed(LinkState.UP)
        elif event in self._DOWN:
            changed(LinkState.DOWN)
        elif event in self._REFUSED:
            changed(LinkState.REFUSED)

    def send(self, frames: list[bytes]) -> None:
        """See :class:`ILink`."""
        if self._socket is not None:
            # Where the connection is gone by then, the monitor is about to say so.
            self._socket.post(frames)

    def close(self) -> None:
        """See :class:`ILink`."""
        if self._question is not None:
            self._question.close()
        if self._monitor is not None and self._socket is not None:
            self._socket.socket.disable_monitor()
            self._monitor.shutdown()
            self._monitor = None
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None


@implementer(IRouter)
class RouterLink:
    """The broker's end of all connections, at one or more endpoints.

    In ``served`` it notes where those of its own process reach it without them.
    """

    def __init__(
        self, factory: ZmqFactory, endpoints: list[str], domain: str | None, is_plain: bool, served: dict[str, str]
    ) -> None:
        self._factory = factory
        self._endpoints = endpoints
        self._domain = domain
        self._is_plain = is_plain
        self._served = served
        self._socket: Router | None = None
        self._locks: list[ipc.PathLock] = []
        self.bound: list[str] = []

    @property
    def endpoint(self) -> str:
        """The endpoint bound last, with the port that the system chose where it was left open."""
        return self.bound[-1] if self.bound else ""

    def start(self, received: Callable[[bytes, list[bytes]], None], gone: Callable[[bytes], None]) -> None:
        """See :class:`IRouter`."""
        socket = self._socket = Router(
            self._factory,
            lambda frames: received(frames.pop(0), frames),
            lambda frames: gone(frames[0]),
        )
        # A send to a connection that is gone is told as an error, instead of looking like any other.
        socket.socket.set(zmq.ROUTER_MANDATORY, 1)
        # Replies are never dropped for a mark; what clients send waits in their own memory rather than in ours.
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
            near = f"inproc://router-{next(_numbers)}"
            socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, near)])
            self._served.update(dict.fromkeys([*self._endpoints, *self.bound], near))

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

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        return self._socket is not None and self._socket.transmit([peer, *frames])

    def post(self, peer: bytes, frames: list[bytes]) -> None:
        """See :class:`IRouter`."""
        if self._socket is not None:
            self._socket.post([peer, *frames])

    def close(self) -> None:
        """See :class:`IRouter`."""
        for endpoint in (*self._endpoints, *self.bound):
            self._served.pop(endpoint, None)
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None
        while self._locks:
            self._locks.pop().release()


class _Authenticator:
    """Answers ZeroMQ's questions about credentials, in the reactor (RFC 27/ZAP)."""

    def __init__(self, factory: ZmqFactory, decide: Callable[[bytes, bytes], bool]) -> None:
        self._decide = decide
        self._socket = Router(factory, self._asked)
        self._socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, ZAP_ENDPOINT)])

    def _asked(self, frames: list[bytes]) -> None:
        at = frames.index(b"") + 1
        version, request_id, _domain, _address, _identity, mechanism, *credentials = frames[at:]
        may_connect = mechanism == b"NULL"
        if mechanism == b"PLAIN" and len(credentials) == 2:
            may_connect = self._decide(credentials[0], credentials[1])
        status = [b"200", b"OK"] if may_connect else [b"400", b"wrong user name or password"]
        user = credentials[0] if may_connect and credentials else b""
        self._socket.transmit([*frames[:at], version, request_id, *status, user, b""])
