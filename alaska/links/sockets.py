"""ZeroMQ sockets under Twisted; :mod:`alaska.sockets.transfer` says how they are read and written."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Sequence

import zmq
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqEndpoint, ZmqEndpointType, ZmqFactory

from alaska.links.reactor_loop import ReactorTimer
from alaska.sockets.transfer import LAST, Transfer, receive_frame

DESCRIPTOR = 2
"""ZMQ_SRCFD: the message property with the descriptor of the connection that a message was received from."""
_IPC_PEER = re.compile(r"localhost:(?P<user>[0-9]+):[0-9]+:[0-9]+")


def _is_near(frame: zmq.Frame) -> bool:
    if _is_over_inproc(frame):
        return True
    try:
        address = str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        return False
    return is_of_this_user(address)


def _is_over_inproc(frame: zmq.Frame) -> bool:
    try:
        frame.get(DESCRIPTOR)
    except zmq.ZMQError:
        return True  # Only inproc messages have no descriptor.
    return False


def is_loopback(address: str) -> bool:
    """Return whether ZeroMQ's address of a peer is a loopback address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def is_of_this_user(address: str) -> bool:
    """Return whether ZeroMQ's address of a peer is that of a program of this user, over ipc.

    IPv4 and IPv6 addresses are always numeric, so they never match.
    """
    found = _IPC_PEER.fullmatch(address)
    return found is not None and int(found["user"]) == os.geteuid()


class Socket(Transfer, ZmqConnection):
    """A ZeroMQ socket in the reactor; see :class:`Transfer`."""

    _log = Logger()

    def __init__(
        self,
        factory: ZmqFactory,
        received: Callable[[list[bytes]], int | None],
        unsent: Callable[[Sequence[bytes], bool], None] = lambda _frames, _is_full: None,
    ) -> None:
        Transfer.__init__(self, received, unsent)
        ZmqConnection.__init__(self, factory)

    def _soon(self) -> ReactorTimer:
        assert self.factory is not None
        return ReactorTimer(self.factory.reactor.callLater(0, self.doRead))

    def addEndpoints(self, endpoints: list[ZmqEndpoint]) -> None:
        """Bind or connect."""
        super().addEndpoints(endpoints)
        self._read_soon()

    def connect(self, endpoint: str) -> None:
        """Connect."""
        self.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, endpoint)])

    def shutdown(self) -> None:
        """Send the posted messages and close the socket; ZeroMQ has one second to transmit what was sent."""
        self._finish()
        super().shutdown()


class SharingFactory(ZmqFactory):
    """A txZMQ factory in a shared context, which it does not terminate."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        # txZMQ's own constructor is not called, because it would create a context.
        self.connections = set()
        self.context = context

    def shutdown(self) -> None:
        """Close the sockets."""
        for connection in list(self.connections or ()):
            connection.shutdown()
        self.connections = None


class Dealer(Socket):
    """A client's socket."""

    socketType = zmq.DEALER


class Router(Socket):
    """A broker's socket."""

    socketType = zmq.ROUTER
    _header: zmq.Frame | None = None

    def receive(self, socket: zmq.Socket[bytes]) -> list[bytes]:
        """Return the routing id and the frames of the next message.

        :raises zmq.Again: there is no message.
        """
        # The routing id is always followed by a frame. A Frame object, which could tell, would take twice as long.
        routing_id = receive_frame(socket, LAST)
        frame = self._header = receive_frame(socket, LAST, False)
        frames = [routing_id, frame.bytes]
        while frame.more:
            frame = receive_frame(socket, LAST, False)
            frames.append(frame.bytes)
        return frames

    @property
    def is_local(self) -> bool:
        """Whether the last message came from a program of this user on this machine, over ipc or inproc."""
        return self._header is not None and _is_near(self._header)

    @property
    def is_on_machine(self) -> bool:
        """Whether the last message came from a program on this machine: a local one, or one over a loopback address."""
        return self.is_local or is_loopback(self.property("Peer-Address"))

    @property
    def is_over_inproc(self) -> bool:
        """Whether the last message came from within the process."""
        return self._header is not None and _is_over_inproc(self._header)

    @property
    def user(self) -> bytes:
        """The user id of the last message. Without authentication it is empty, or whatever the peer says."""
        try:
            return b"" if self._header is None else str(self._header.get("User-Id")).encode()
        except UnicodeDecodeError as error:
            return bytes(error.object)
        except zmq.ZMQError:
            return b""

    def property(self, name: str) -> str:
        """Return a property of the connection of the last message; empty if it has none, or one that is not UTF-8.

        Peers can give their connections any property that the authenticator has not given to them.
        """
        if self._header is None:
            return ""
        try:
            return str(self._header.get(name))
        except (zmq.ZMQError, UnicodeDecodeError):
            return ""


class Pair(Socket):
    """One end of a connection within the process."""

    socketType = zmq.PAIR
