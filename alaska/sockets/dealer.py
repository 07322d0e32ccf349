"""A client's connection to a broker, in any event loop."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Protocol

import zmq
from zmq.utils.monitor import parse_monitor_message

from alaska.authentication import Mechanism
from alaska.errors import AlaskaError, BadEndpoint, CannotOpen, Refused
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.mlm.states import LinkState
from alaska.names import printable
from alaska.sockets.addresses import LookUp, VersionLookup, connect_target, set_version
from alaska.sockets.loop import Loop, Timer
from alaska.sockets.security import ClientSecurity
from alaska.sockets.transfer import Take

numbers = count()
"""Numbers for the names of inproc endpoints, each used once in the process."""
NEAR_ID = b"\0near"
"""The beginning of the routing ids of connections over inproc; after 16 random octets follows the user, if any."""
NEAR_OCTETS = len(NEAR_ID) + 16
RETRY_MILLISECONDS = 50
"""The time after which a lost connection is tried again. It is short, since a broker whose endpoint requires other
security often ends the connection before it has said so: about every second time, as measured."""
FAULTS_TO_REPORT = 2
"""The number of handshakes in a row that the broker ends without a reason, after which that is reported."""
FAULTS_TO_REFUSE = 200
"""The number after which it counts as a refusal, some ten seconds: no broker takes so long to stop."""
MAX_RETRY_SECONDS = 30.0


class Channel(Protocol):
    """A ZeroMQ socket in an event loop; see :class:`alaska.sockets.transfer.Transfer`."""

    socket: zmq.Socket[bytes]

    def connect(self, endpoint: str) -> None:
        """Connect."""

    def post(self, frames: Sequence[bytes]) -> None:
        """Send a message in one batch with all others of this iteration of the event loop."""

    def post_from(self, take: Take) -> None:
        """Do as :meth:`post` with the messages that ``take`` returns when the batch is sent."""

    def shutdown(self) -> None:
        """Send the posted messages and close the socket."""


class Log(Protocol):
    """Where faults are logged; Twisted's Logger is one."""

    def warn(self, format: str, **fields: object) -> None:  # noqa: A002  # as Twisted names it
        """Log what may be a fault."""

    def error(self, format: str, **fields: object) -> None:  # noqa: A002
        """Log a fault."""


Received = Callable[[list[bytes]], None]


class ReconnectingLink:
    """The base class of links in an event loop: a connection that reconnects automatically.

    ZeroMQ itself does not after a refusal. Then the link opens another socket, after 1, 2, 4 seconds and so on up to
    ``MAX_RETRY_SECONDS``: the broker delays the logins of all clients of an address that has sent wrong passwords.
    """

    _UP = frozenset({zmq.Event.HANDSHAKE_SUCCEEDED})
    _REFUSED = frozenset({zmq.Event.HANDSHAKE_FAILED_AUTH, zmq.Event.HANDSHAKE_FAILED_PROTOCOL})
    _DOWN = frozenset({zmq.Event.DISCONNECTED})
    _REACHED = frozenset({zmq.Event.CONNECTED})
    _ENDED = frozenset({zmq.Event.HANDSHAKE_FAILED_NO_DETAIL})
    _log: Log

    def __init__(self, loop: Loop, endpoint: str, security: ClientSecurity, look_up: LookUp) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._security = security
        self._look_up = look_up
        self._faults = 0
        self.fault = ""
        self.is_logging_in = False
        self._was_up = False
        self._refusals = 0
        self._retry: Timer | None = None
        self._near: str | None = None
        self._is_up = False
        self._lookup: VersionLookup | None = None
        self._socket: Channel | None = None
        self._monitor: Channel | None = None
        self._received: Received = lambda _frames: None
        self._changed: Callable[[LinkState], None] = lambda _state: None

    def start(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """See :class:`ILink`."""
        self._received, self._changed = received, changed
        self._begin()

    def _open_dealer(self, received: Received) -> Channel:
        """Return a new DEALER socket.

        :raises zmq.ZMQError: no socket or descriptor is left.
        """
        raise NotImplementedError

    def _open_pair(self, received: Received) -> Channel:
        """Return a new PAIR socket; raises the errors of :meth:`_open_dealer`."""
        raise NotImplementedError

    def _near_endpoint(self) -> str | None:
        """Return the inproc endpoint to use instead, if a router of this process serves the endpoint; or None."""
        return None

    def _begin(self) -> None:
        """Open a socket and connect it, over inproc if a router of this process serves the endpoint."""
        self._near = self._near_endpoint()
        at = connect_target(self._endpoint) if self._near is None else None
        try:
            socket = self._open()
        except zmq.ZMQError as error:
            self._drop()
            raise CannotOpen(f"no connection can be opened: {error}") from error
        if at is not None and at.version is None:
            self._lookup = VersionLookup(self._loop, at.host, partial(self._connect, str(at)), self._look_up)
        elif at is not None:
            self._connect(str(at), at.version or 4)
        else:
            self._connect(self._near or self._endpoint, 4)
        if (self._near or self._endpoint).startswith("inproc:"):
            # ZeroMQ reports no events for inproc connections, which are up at once.
            self._loop.later(0, lambda: self._change(LinkState.UP) if self._socket is socket else None)

    def _connect(self, endpoint: str, version: int) -> None:
        assert self._socket is not None
        set_version(self._socket.socket, version)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._drop()
            raise BadEndpoint(f"cannot connect to {self._endpoint!r}: {error}") from error

    def _open(self) -> Channel:
        """Create the socket and its monitor.

        :raises zmq.ZMQError: no socket or descriptor is left.
        """
        socket = self._socket = self._open_dealer(self._received)
        # Queue no messages while disconnected: the first message that a new broker gets must be CONNECTION-OPEN.
        socket.socket.set(zmq.IMMEDIATE, 1)
        socket.socket.set(zmq.RECONNECT_IVL, RETRY_MILLISECONDS)
        socket.socket.set(zmq.RECONNECT_IVL_MAX, 500)
        try:
            self._apply_security(socket.socket)
        except Refused:
            self._drop()
            raise
        # The number must be unique: ZeroMQ closes sockets asynchronously, and the old monitor may still be bound.
        events = f"inproc://monitor-{next(numbers)}"
        socket.socket.monitor(events, sum(self._UP | self._DOWN | self._REFUSED | self._ENDED | self._REACHED))
        self._monitor = self._open_pair(self._event)
        self._monitor.connect(events)
        return socket

    def _apply_security(self, socket: zmq.Socket[bytes]) -> None:
        if (self._near or self._endpoint).startswith("inproc:"):
            # There is no handshake, so the routing id says for whom the connection acts; it must not be guessed.
            octets = (self._security.username or "").encode("utf-8", "surrogateescape")
            if len(octets) > MAX_STRING_OCTETS - NEAR_OCTETS:
                raise Refused("a user name has too many octets for a connection within the process")
            socket.set(zmq.ROUTING_ID, NEAR_ID + secrets.token_bytes(NEAR_OCTETS - len(NEAR_ID)) + octets)
        self._security.apply(socket)

    def _event(self, frames: list[bytes]) -> None:
        message = parse_monitor_message(frames)
        event, value = message["event"], message["value"]
        self.is_logging_in = event in self._REACHED and self._security.mechanism is Mechanism.PLAIN
        if event in self._REACHED:
            return
        if event in self._UP:
            self._faults, self._refusals, self.fault, self._was_up = 0, 0, "", True
            self._change(LinkState.UP)
        elif event in self._DOWN:
            self._change(LinkState.DOWN)
        elif event in self._REFUSED:
            self.fault = self._security.refusal(self._endpoint, event, value)
            self._retry_later()
            self._change(LinkState.REFUSED)
        else:
            self._handshake_ended(self._security.refusal(self._endpoint, event, value))

    def _retry_later(self) -> None:
        if self._retry is not None:
            return
        self._refusals += 1
        seconds = min(MAX_RETRY_SECONDS, 2.0 ** min(self._refusals - 1, 10))
        self._retry = self._loop.later(seconds, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._drop()
        try:
            self._begin()
        except AlaskaError as error:
            self._log.error("{endpoint}: {error}", endpoint=printable(self._endpoint), error=error)
            self._retry_later()

    def _handshake_ended(self, sentence: str) -> None:
        """Record a handshake that the broker has ended without a reason; if it happens repeatedly, log it once.

        A broker does so if it has another key than the client expects, or requires other security. But it could also
        just have been stopped, or a proxy in front of it may have nothing to connect to. So a connection is given up
        for this only if it uses keys and has never been up: clients without keys are told soon what is required.
        """
        self._faults += 1
        if self._faults == FAULTS_TO_REPORT:
            self.fault = sentence
            self._log.warn("{sentence}", sentence=sentence)
        uses_keys = self._security.mechanism is Mechanism.CURVE
        if self._faults >= FAULTS_TO_REFUSE and uses_keys and not self._was_up:
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
        self._drop()

    def _drop(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
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
