"""A broker's side of all its connections."""

from __future__ import annotations

import contextlib
import ctypes
import secrets
from collections.abc import Callable, Sequence

import zmq
from txzmq import ZmqEndpoint, ZmqEndpointType
from zope.interface import implementer

from alaska.authentication import Bind, Mechanism
from alaska.errors import CannotBind
from alaska.interfaces import IRouter
from alaska.links import ipc
from alaska.links.authenticator import LOGIN_PROPERTY
from alaska.links.shared_context import SharedContext
from alaska.links.sockets import Router, SharingFactory
from alaska.links.user_router import UserRouter
from alaska.sockets.addresses import set_version, version_to_bind
from alaska.sockets.dealer import NEAR_ID, NEAR_OCTETS, numbers
from alaska.sockets.security import ServerSecurity

HANDSHAKE_MILLISECONDS = 10_000
"""The maximum time of a connection's handshake, including authentication; then its descriptor is freed."""
ROUTER_RECEIVE_MARK = 64
"""The number of unread messages per connection from which on back-pressure stops its sender; none is dropped.

Messages may be large, so the number is small. But ZeroMQ's thread has to be woken up to continue reading each time when
half of them are read: a request costs the broker 22.6 us of processor time with 32, 20.5 with 64, 19.5 with 512.
"""


@implementer(IRouter)
class RouterLink:
    """The broker's side of all connections, at one or more endpoints."""

    def __init__(
        self,
        factory: SharingFactory,
        shared: SharedContext,
        binds: list[Bind],
        security: ServerSecurity,
        most_unread: int | None,
    ) -> None:
        self._factory = factory
        self._shared = shared
        self._binds = binds
        self._security = security
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
        _shuffle_routing_ids()
        socket = self._socket = self._make_socket(received, lambda frames, is_full: gone(frames[0], is_full))
        # Message tracking needs a thread of pyzmq's; start it before descriptors can run out.
        socket.prepare_tracking()
        # A send to a closed connection fails with an error, instead of dropping the message silently.
        socket.socket.set(zmq.ROUTER_MANDATORY, 1)
        # At the high-water mark a send fails with an error; messages that were accepted before are not dropped.
        socket.socket.set(zmq.SNDHWM, self._most_unread or 0)
        socket.socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MILLISECONDS)
        # Back-pressure: unread messages of clients are queued in the clients' memory rather than in the broker's.
        socket.socket.set(zmq.RCVHWM, ROUTER_RECEIVE_MARK)
        try:
            bound = {bind: self._bind(socket, bind) for bind in self._security.in_order(self._binds)}
        except CannotBind:
            self.close()
            raise
        self.bound = [bound[bind] for bind in self._binds]
        if self._binds:
            self._near = f"inproc://router-{next(numbers)}"
            socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, self._near)])
            self._shared.serve([*(bind.endpoint for bind in self._binds), *self.bound], self._near, self._factory)

    def _make_socket(
        self, received: Callable[[bytes, list[bytes]], int | None], unsent: Callable[[Sequence[bytes], bool], None]
    ) -> Router:
        if self.has_users:
            return UserRouter(self._factory, received, unsent)
        return Router(self._factory, lambda frames: received(frames.pop(0), frames), unsent)

    def _bind(self, socket: Router, bind: Bind) -> str:
        """Bind an endpoint; return it, with the port that the system chose."""
        endpoint = bind.endpoint
        lock = ipc.lock(endpoint)
        if lock is not None:
            self._locks.append(lock)
        set_version(socket.socket, version_to_bind(endpoint))
        self._security.apply(socket.socket, bind)
        try:
            socket.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, endpoint)])
        except zmq.ZMQError as error:
            raise CannotBind(f"cannot serve {endpoint}: {error.strerror}", error.errno == zmq.EADDRINUSE) from error
        is_open = endpoint.endswith((":*", ":0"))
        return str(socket.socket.get_string(zmq.LAST_ENDPOINT)) if is_open else endpoint

    @property
    def has_users(self) -> bool:
        """See :class:`IRouter`."""
        return any(bind.mechanism is not Mechanism.NULL for bind in self._binds)

    def user_of(self, peer: bytes) -> bytes | None:
        """See :class:`IRouter`."""
        if self._socket is None:
            return b""
        # First for connections within the process: to find out that they have no user id takes long.
        if peer.startswith(NEAR_ID) and self._socket.is_over_inproc:
            return peer[NEAR_OCTETS:] or None
        # A client that no authenticator has been asked about can give itself any user id.
        user = self._socket.user if self._security.is_authenticated else b""
        return None if not user and self._socket.is_over_inproc else user

    @property
    def login(self) -> str:
        """See :class:`IRouter`."""
        is_trusted = self._security.is_authenticated
        return self._socket.property(LOGIN_PROPERTY) if self._socket is not None and is_trusted else ""

    @property
    def is_local(self) -> bool:
        """See :class:`IRouter`."""
        return self._socket is not None and self._socket.is_local

    @property
    def is_on_machine(self) -> bool:
        """See :class:`IRouter`."""
        return self._socket is not None and self._socket.is_on_machine

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


def _shuffle_routing_ids() -> None:
    """Let the routing ids that the next router gives to its connections begin at a number that nobody can guess.

    ZeroMQ takes it from ``rand``, which it does not seed, so that it is the same in each process. A peer may claim any
    routing id. By claiming the next one that ZeroMQ would give, it ends the process of the router (libzmq 4.3.5), and
    by claiming that of a client that has left, it may get messages for that client.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # This is not a Unix system.
        ctypes.CDLL(None).srand(secrets.randbits(32))
