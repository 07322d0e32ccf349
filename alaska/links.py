"""ZeroMQ under Twisted: the only module that touches txZMQ.

The descriptor of a ZeroMQ socket is edge-triggered: after any send or receive there may be messages that it will
not announce again. So a socket is read until it has nothing more, and once more after it was sent to.
It is read at most :data:`READ_BUDGET` messages at a time, then everything else gets its turn: a busy peer delays
nobody's heartbeat.

ZeroMQ's own thread sleeps when it has nothing to do, and to wake it takes longer than to send a message. So what is to
be sent leaves together, at the end of a turn of reading, or when so much has come together that it need not sleep
between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import zmq
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqEndpoint, ZmqEndpointType, ZmqFactory
from zmq.utils.monitor import parse_monitor_message
from zope.interface import implementer

from alaska.errors import BadEndpoint, CannotBind, Refused
from alaska.interfaces import ILink, INetwork, IRouter, LinkState, Reactor

READ_BUDGET = 128
POST_AT_ONCE = 64
"""So many messages leave in the middle of a turn: by then those who wait for the first have waited long enough."""
CLOSE_MILLISECONDS = 1000
ROUTER_RECEIVE_MARK = 10_000
"""Messages of one connection that wait to be read before its sender has to wait too; none is dropped."""
ZAP_ENDPOINT = "inproc://zeromq.zap.01"
# pyzmq's own functions for whole messages look into each flag and option anew, which takes longer than the sending.
_send = zmq.backend.Socket.send
_recv = zmq.backend.Socket.recv
_GONE = frozenset({zmq.EHOSTUNREACH, zmq.EAGAIN})
_LAST = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)


def default_reactor() -> Reactor:
    """Return the reactor of the process; txZMQ installs one when it is imported."""
    from twisted.internet import reactor  # noqa: PLC0415  # where it stands, this is all that depends on it

    return cast("Reactor", reactor)


def _receive(socket: zmq.Socket[bytes]) -> list[bytes]:
    """Return the frames of the next message.

    :raises zmq.Again: there is none.
    """
    frame = _recv(socket, _LAST, False)
    frames = [frame.bytes]
    while frame.more:
        frame = _recv(socket, _LAST, False)
        frames.append(frame.bytes)
    return frames


def _receive_routed(socket: zmq.Socket[bytes]) -> list[bytes]:
    """Return the routing id and the frames of the next message.

    :raises zmq.Again: there is none.
    """
    # More always follows, so this one need not be asked, which takes as long again.
    routing_id = _recv(socket, _LAST)
    return [routing_id, *_receive(socket)]


class _Socket(ZmqConnection):
    """A ZeroMQ socket that reads whole messages, within a budget, by the function ``receive``.

    ``unsent`` is called with each message that was posted and could not be sent, since its connection is gone.
    """

    _log = Logger()
    receive = staticmethod(_receive)

    def __init__(
        self,
        factory: ZmqFactory,
        received: Callable[[list[bytes]], None],
        unsent: Callable[[Sequence[bytes]], None] = lambda _frames: None,
    ) -> None:
        self._received = received
        self._unsent = unsent
        self._next_read: IDelayedCall | None = None
        self._is_reading = False
        self._posted: list[Sequence[bytes]] = []
        super().__init__(factory)

    def doRead(self) -> None:
        """Send what was posted, read what has arrived, at most the budget, and send what is posted meanwhile."""
        if self._next_read is not None:
            if self._next_read.active():
                self._next_read.cancel()
            self._next_read = None
        self._is_reading = True
        try:
            is_dry = self._read()
            self._send_posted()
        finally:
            self._is_reading = False
        if not is_dry:
            self._read_soon()

    def _read(self) -> bool:
        """Read what has arrived; return False if that was more than the budget."""
        for _ in range(READ_BUDGET):
            if len(self._posted) >= POST_AT_ONCE:
                self._send_posted()
            if self.factory is None:
                return True
            try:
                frames = self.receive(self.socket)
            except zmq.Again:
                if not self._posted:
                    return True
                self._send_posted()
                continue
            try:
                self._received(frames)
            except Exception:  # A fault of ours with one message must not cost the others.
                self._log.failure("a message could not be dealt with")
        return False

    def addEndpoints(self, endpoints: list[ZmqEndpoint]) -> None:
        """Bind or connect."""
        super().addEndpoints(endpoints)
        self._read_soon()

    def post(self, frames: Sequence[bytes]) -> None:
        """Send a message with the others of this turn; what is sent alone, when nothing is read, leaves at once."""
        if self._is_reading or self._next_read is not None:
            self._posted.append(frames)
        elif self.factory is not None:
            self._read_soon()
            if not self._send(frames):
                self._unsent(frames)

    def transmit(self, frames: Sequence[bytes]) -> bool:
        """Send a message at once, behind what was posted; return False if its connection is gone."""
        if self._posted:
            self._send_posted()
        if self._next_read is None and not self._is_reading:
            self._read_soon()
        return self._send(frames)

    def _send_posted(self) -> None:
        posted, self._posted = self._posted, []
        for frames in posted:
            if not self._send(frames):
                self._unsent(frames)

    def _send(self, frames: Sequence[bytes]) -> bool:
        """Send a message; return False if its connection is gone, and nothing of it was sent."""
        socket = self.socket
        try:
            for frame in frames[:-1]:
                _send(socket, frame, _MORE)
            _send(socket, frames[-1], _LAST)
        except zmq.ZMQError as error:
            if error.errno not in _GONE:
                self._log.failure("a message could not be sent")
            return False
        return True

    def _read_soon(self) -> None:
        if self._next_read is None and self.factory is not None:
            self._next_read = self.factory.reactor.callLater(0, self.doRead)

    def shutdown(self) -> None:
        """Close the socket; what was sent or posted still leaves within a second."""
        self._send_posted()
        if self._next_read is not None and self._next_read.active():
            self._next_read.cancel()
        super().shutdown()


class _SharingFactory(ZmqFactory):
    """A factory in the context of another one, which ends it."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.connections = set()
        self.context = context

    def shutdown(self) -> None:
        """Close the sockets."""
        for connection in list(self.connections or ()):
            connection.shutdown()
        self.connections = None


class _Dealer(_Socket):
    socketType = zmq.DEALER


class _Router(_Socket):
    socketType = zmq.ROUTER
    receive = staticmethod(_receive_routed)


class _Pair(_Socket):
    socketType = zmq.PAIR


@implementer(INetwork)
class Network:
    """Sockets in one ZeroMQ context.

    The context makes threads, so a network must not be made before a daemon has forked.

    A network may lie beside another one of the same process, whose context it shares unless that is closed. Its dealers
    reach what the other one's routers serve through memory, and are closed before those are.
    """

    def __init__(self, reactor: Reactor, beside: Network | None = None) -> None:
        if beside is not None and beside._factory.connections is None:
            beside = None
        self._factory: ZmqFactory = ZmqFactory() if beside is None else _SharingFactory(beside._factory.context)
        self._factory.reactor = reactor
        self._factory.lingerPeriod = CLOSE_MILLISECONDS
        self._beside: list[Network] = []
        self._served: dict[str, str] = {}
        self._near = {} if beside is None else beside._served
        if beside is not None:
            beside._beside.append(self)

    def dealer(self, endpoint: str, username: str | None = None, password: str | None = None) -> ILink:
        """See :class:`INetwork`."""
        return DealerLink(self._factory, self._near.get(endpoint, endpoint), username, password)

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
        if self._factory.connections is not None:
            self._factory.shutdown()


@implementer(ILink)
class DealerLink:
    """A client's connection, which reconnects by itself."""

    _UP = frozenset({zmq.Event.HANDSHAKE_SUCCEEDED})
    _REFUSED = frozenset({zmq.Event.HANDSHAKE_FAILED_AUTH, zmq.Event.HANDSHAKE_FAILED_PROTOCOL})
    _DOWN = frozenset({zmq.Event.DISCONNECTED})

    def __init__(self, factory: ZmqFactory, endpoint: str, username: str | None, password: str | None) -> None:
        self._factory = factory
        self._endpoint = endpoint
        self._username = username
        self._password = password
        self._socket: _Dealer | None = None
        self._monitor: _Pair | None = None

    def start(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """See :class:`ILink`."""
        socket = self._socket = _Dealer(self._factory, received)
        # Without a connection there is no queue: nothing can be sent to a new broker before it is greeted.
        socket.socket.set(zmq.IMMEDIATE, 1)
        socket.socket.set(zmq.RECONNECT_IVL_MAX, 500)
        self._identify(socket.socket)
        events = f"inproc://monitor-{id(self)}"
        socket.socket.monitor(events, sum(self._UP | self._DOWN | self._REFUSED))
        self._monitor = _Pair(self._factory, lambda frames: self._event(frames, changed))
        self._monitor.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, events)])
        try:
            socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, self._endpoint)])
        except zmq.ZMQError as error:
            self.close()
            raise BadEndpoint(f"cannot connect to {self._endpoint!r}: {error}") from error
        if self._endpoint.startswith("inproc:"):
            self._factory.reactor.callLater(0, lambda: changed(LinkState.UP) if socket.factory is not None else None)

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
        self._socket: _Router | None = None
        self.endpoint = ""
        """The endpoint bound last, with the port that the system chose where it was left open."""

    def start(self, received: Callable[[bytes, list[bytes]], None], gone: Callable[[bytes], None]) -> None:
        """See :class:`IRouter`."""
        socket = self._socket = _Router(
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
                socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, endpoint)])
            except zmq.ZMQError as error:
                self.close()
                raise CannotBind(f"cannot serve {endpoint}: {error}", error.errno == zmq.EADDRINUSE) from error
        if self._endpoints:
            self.endpoint = str(socket.socket.get_string(zmq.LAST_ENDPOINT))
            near = f"inproc://router-{id(self)}"
            socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, near)])
            self._served.update(dict.fromkeys([*self._endpoints, self.endpoint], near))

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        return self._socket is not None and self._socket.transmit([peer, *frames])

    def post(self, peer: bytes, frames: list[bytes]) -> None:
        """See :class:`IRouter`."""
        if self._socket is not None:
            self._socket.post([peer, *frames])

    def close(self) -> None:
        """See :class:`IRouter`."""
        for endpoint in (*self._endpoints, self.endpoint):
            self._served.pop(endpoint, None)
        if self._socket is not None:
            self._socket.shutdown()
            self._socket = None


class _Authenticator:
    """Answers ZeroMQ's questions about credentials, in the reactor (RFC 27/ZAP)."""

    def __init__(self, factory: ZmqFactory, decide: Callable[[bytes, bytes], bool]) -> None:
        self._decide = decide
        self._socket = _Router(factory, self._asked)
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
