"""ZeroMQ sockets under Twisted.

The descriptor of a ZeroMQ socket is edge-triggered: after any send or receive there may be messages that it does not
signal again. So a socket is read until it is empty, and again after each send. One call reads at most
:data:`MAX_READ` commands for at most :data:`TURN_SECONDS`, sends the posted messages, and returns to the event loop,
so a busy peer does not delay the heartbeats of others.

Waking up ZeroMQ's idle I/O thread takes longer than sending a message. So messages are sent in batches: at the end of
each call, or when :data:`MAX_BATCH` messages have been posted.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

import zmq
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqEndpoint, ZmqFactory

MAX_READ = 128
TURN_SECONDS = 0.01
_LARGE_OCTETS = 64 * 1024
MAX_BATCH = 64
"""A batch of this many messages is sent before the end of a call, to limit the latency of the first."""
# pyzmq's methods for whole messages check each flag and option every time, which takes longer than the sending.
_send = zmq.backend.Socket.send
_recv = zmq.backend.Socket.recv
Take = Callable[[], Iterable[Sequence[bytes]]]
_UNDELIVERABLE = frozenset({zmq.EHOSTUNREACH, zmq.EAGAIN})
DESCRIPTOR = 2
"""ZMQ_SRCFD: the message property with the descriptor of the connection that a message was received from."""
_IPC_PEER = re.compile(r"localhost:(?P<user>[0-9]+):[0-9]+:[0-9]+")
_LAST = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)


def receive_frames(socket: zmq.Socket[bytes]) -> list[bytes]:
    """Return the frames of the next message.

    :raises zmq.Again: there is no message.
    """
    frame = _recv(socket, _LAST, False)
    frames = [frame.bytes]
    while frame.more:
        frame = _recv(socket, _LAST, False)
        frames.append(frame.bytes)
    return frames


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


def _tracked_frame(octets: bytes) -> tuple[zmq.Frame, Callable[[], bool]]:
    """Return a zero-copy frame, and a function that says whether ZeroMQ has released it."""
    frame = zmq.Frame(octets, track=True, copy=False, copy_threshold=0)
    tracker = frame.tracker
    return frame, lambda: bool(tracker.done)


def _shared_frame(octets: bytes) -> zmq.Frame:
    """Return a zero-copy frame: a message to many readers is in memory once, whoever has not read it yet."""
    return zmq.Frame(octets, track=False, copy=False, copy_threshold=0)


class Socket(ZmqConnection):
    """A ZeroMQ socket that reads whole messages with the function ``receive``, within a budget for each call.

    ``unsent`` is called with each message that could not be sent, and with True if the connection's send queue is full,
    or with False if the connection does not exist any more.
    """

    _log = Logger()
    receive = staticmethod(receive_frames)

    def __init__(
        self,
        factory: ZmqFactory,
        received: Callable[[list[bytes]], int | None],
        unsent: Callable[[Sequence[bytes], bool], None] = lambda _frames, _is_full: None,
    ) -> None:
        self._received = received
        self._unsent = unsent
        self._next_read: IDelayedCall | None = None
        self._is_reading = False
        self._posted: list[Sequence[bytes] | Take] = []
        super().__init__(factory)

    def doRead(self) -> None:
        """Read messages up to the budget, and send the posted messages."""
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
        """Read messages; return False if the budget was exhausted first."""
        # Without this ZeroMQ checks its other connections only at every hundredth frame.
        self.socket.get(zmq.EVENTS)
        end = monotonic() + TURN_SECONDS
        commands = unsent = 0
        while commands < MAX_READ:
            if len(self._posted) >= MAX_BATCH or unsent >= MAX_BATCH:
                self._send_posted()
                unsent = 0
            if self.factory is None:
                return True
            try:
                frames = self.receive(self.socket)
            except zmq.Again:
                if not self._posted:
                    return True
                self._send_posted()
                commands += 1
                continue
            if len(frames[-1]) > _LARGE_OCTETS and self._posted:
                # Processing a large message takes time; send the batch first.
                self._send_posted()
            count = 1
            try:
                count = self._received(frames) or 1
            except Exception:  # A bug in processing one message must not affect the others.
                self._log.failure("a message could not be processed")
            commands += count
            unsent += count
            if monotonic() >= end:
                break
        return False

    def addEndpoints(self, endpoints: list[ZmqEndpoint]) -> None:
        """Bind or connect."""
        super().addEndpoints(endpoints)
        self._read_soon()

    def post(self, frames: Sequence[bytes]) -> None:
        """Add a message to the batch that is sent at the end of this iteration of the event loop."""
        self._posted.append(frames)
        if self._next_read is None and not self._is_reading:
            self._read_soon()

    def post_from(self, take: Take) -> None:
        """Add to the batch the messages that ``take`` returns when it is sent."""
        self._posted.append(take)
        if self._next_read is None and not self._is_reading:
            self._read_soon()

    def transmit(self, frames: Sequence[bytes]) -> bool:
        """Send a message at once, after all posted ones; return False if it cannot be sent."""
        self._begin_turn()
        return self._send(frames)

    def send_with_proof(self, frames: Sequence[bytes]) -> Callable[[], bool] | None:
        """Send a message as :meth:`transmit` does; return a function that says whether it has left, or None."""
        self._begin_turn()
        last, has_left = _tracked_frame(frames[-1])
        return has_left if self._send(frames, last) else None

    @staticmethod
    def prepare_tracking() -> None:
        """Let pyzmq start the thread that it needs to track messages."""
        _tracked_frame(b"")

    def _begin_turn(self) -> None:
        if self._posted:
            self._send_posted()
        if self._next_read is None and not self._is_reading:
            self._read_soon()

    def _send_posted(self) -> None:
        posted, self._posted = self._posted, []
        for entry in posted:
            if callable(entry):
                for frames in entry():
                    self._send(frames)
            else:
                self._send(entry)

    def _send(self, frames: Sequence[bytes], last: zmq.Frame | None = None) -> bool:
        """Send a message, with ``last`` (if given) as its last frame; return False if it was not sent."""
        socket = self.socket
        try:
            for frame in frames[:-1]:
                if len(frame) <= _LARGE_OCTETS:
                    _send(socket, frame, _MORE)
                else:
                    _send(socket, _shared_frame(frame), _MORE, False)
            if last is not None:
                _send(socket, last, _LAST, False)
            elif len(frames[-1]) <= _LARGE_OCTETS:
                _send(socket, frames[-1], _LAST)
            else:
                _send(socket, _shared_frame(frames[-1]), _LAST, False)
        except zmq.ZMQError as error:
            if error.errno not in _UNDELIVERABLE:
                self._log.failure("a message could not be sent")
            self._unsent(frames, error.errno == zmq.EAGAIN)
            return False
        return True

    def _read_soon(self) -> None:
        if self._next_read is None and self.factory is not None:
            self._next_read = self.factory.reactor.callLater(0, self.doRead)

    def shutdown(self) -> None:
        """Send the posted messages and close the socket; ZeroMQ has one second to transmit what was sent."""
        self._send_posted()
        if self._next_read is not None and self._next_read.active():
            self._next_read.cancel()
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
        routing_id = _recv(socket, _LAST)
        frame = self._header = _recv(socket, _LAST, False)
        frames = [routing_id, frame.bytes]
        while frame.more:
            frame = _recv(socket, _LAST, False)
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
