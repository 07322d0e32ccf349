"""ZeroMQ sockets under Twisted.

The descriptor of a ZeroMQ socket is edge-triggered: after any send or receive there may be messages that it will
not announce again. So a socket is read until it has nothing more, and once more after it was sent to.
It is read at most :data:`READ_BUDGET` messages and :data:`TURN_SECONDS` at a time, then what was posted leaves and
everything else gets its turn: a busy peer delays nobody's heartbeat.

ZeroMQ's own thread sleeps when it has nothing to do, and to wake it takes longer than to send a message. So what is to
be sent leaves together, at the end of a turn of reading, or when so much has come together that it need not sleep
between.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from time import monotonic

import zmq
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from txzmq import ZmqConnection, ZmqEndpoint, ZmqFactory

READ_BUDGET = 128
TURN_SECONDS = 0.01
_LARGE_OCTETS = 64 * 1024
POST_AT_ONCE = 64
"""So many messages leave in the middle of a turn: by then those who wait for the first have waited long enough."""
# pyzmq's own functions for whole messages look into each flag and option anew, which takes longer than the sending.
_send = zmq.backend.Socket.send
_recv = zmq.backend.Socket.recv
_GONE = frozenset({zmq.EHOSTUNREACH, zmq.EAGAIN})
_DESCRIPTOR = 2
"""ZeroMQ's number for the descriptor of the connection that a message came by."""
_OF_IPC = re.compile(r"localhost:(?P<user>[0-9]+):[0-9]+:[0-9]+")
_LAST = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)


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


def _is_near(frame: zmq.Frame) -> bool:
    try:
        frame.get(_DESCRIPTOR)
    except zmq.ZMQError:
        return True  # Only what comes through memory has no descriptor.
    try:
        address = str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        return False
    return is_of_this_user(address)


def is_of_this_user(address: str) -> bool:
    """Return whether ZeroMQ's address of a peer is that of a program of this user, by ipc.

    No address of IPv4 or IPv6 looks like that: those stand there as numbers.
    """
    found = _OF_IPC.fullmatch(address)
    return found is not None and int(found["user"]) == os.geteuid()


def _proof(octets: bytes) -> tuple[zmq.Frame, Callable[[], bool]]:
    """Return a frame that is not copied when it is sent, so that ZeroMQ says when it is done with the octets."""
    frame = zmq.Frame(octets, track=True, copy=False, copy_threshold=0)
    tracker = frame.tracker
    return frame, lambda: bool(tracker.done)


class Socket(ZmqConnection):
    """A ZeroMQ socket that reads whole messages, within a budget, by the function ``receive``.

    ``unsent`` is called with each message that could not be sent, and with whether too many wait for its connection;
    else that is gone.
    """

    _log = Logger()
    receive = staticmethod(_receive)

    def __init__(
        self,
        factory: ZmqFactory,
        received: Callable[[list[bytes]], None],
        unsent: Callable[[Sequence[bytes], bool], None] = lambda _frames, _is_full: None,
    ) -> None:
        self._received = received
        self._unsent = unsent
        self._next_read: IDelayedCall | None = None
        self._is_reading = False
        self._posted: list[Sequence[bytes]] = []
        super().__init__(factory)

    def doRead(self) -> None:
        """Read what has arrived, at most the budget, and send what was posted before and meanwhile."""
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
        # Else ZeroMQ looks only at every hundredth frame whether another connection has something, too.
        self.socket.get(zmq.EVENTS)
        end = monotonic() + TURN_SECONDS
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
            if len(frames[-1]) > _LARGE_OCTETS and self._posted:
                # This one will take some time.
                self._send_posted()
            try:
                self._received(frames)
            except Exception:  # A fault of ours with one message must not cost the others.
                self._log.failure("a message could not be dealt with")
            if monotonic() >= end:
                break
        return False

    def addEndpoints(self, endpoints: list[ZmqEndpoint]) -> None:
        """Bind or connect."""
        super().addEndpoints(endpoints)
        self._read_soon()

    def post(self, frames: Sequence[bytes]) -> None:
        """Send a message with the others of this turn."""
        self._posted.append(frames)
        if self._next_read is None and not self._is_reading:
            self._read_soon()

    def transmit(self, frames: Sequence[bytes]) -> bool:
        """Send a message at once, behind what was posted; return False if that cannot be."""
        self._begin_turn()
        return self._send(frames)

    def prove(self, frames: Sequence[bytes]) -> Callable[[], bool] | None:
        """Send a message as :meth:`transmit` does; return what says whether ZeroMQ is done with it, or None."""
        self._begin_turn()
        last, has_left = _proof(frames[-1])
        return has_left if self._send(frames, last) else None

    @staticmethod
    def prepare_proofs() -> None:
        """Let pyzmq have what it needs for proofs."""
        _proof(b"")

    def _begin_turn(self) -> None:
        if self._posted:
            self._send_posted()
        if self._next_read is None and not self._is_reading:
            self._read_soon()

    def _send_posted(self) -> None:
        posted, self._posted = self._posted, []
        for frames in posted:
            self._send(frames)

    def _send(self, frames: Sequence[bytes], last: zmq.Frame | None = None) -> bool:
        """Send a message, its last frame perhaps as one that is not copied; return False if nothing of it was sent."""
        socket = self.socket
        try:
            for frame in frames[:-1]:
                _send(socket, frame, _MORE)
            if last is None:
                _send(socket, frames[-1], _LAST)
            else:
                _send(socket, last, _LAST, False)
        except zmq.ZMQError as error:
            if error.errno not in _GONE:
                self._log.failure("a message could not be sent")
            self._unsent(frames, error.errno == zmq.EAGAIN)
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


class SharingFactory(ZmqFactory):
    """A factory in a context that others use too, and somebody else ends."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        # Not txZMQ's own constructor, which would make another context.
        self.connections = set()
        self.context = context

    def shutdown(self) -> None:
        """Close the sockets."""
        for connection in list(self.connections or ()):
            connection.shutdown()
        self.connections = None


class Dealer(Socket):
    """A client's end."""

    socketType = zmq.DEALER


class Router(Socket):
    """A broker's end."""

    socketType = zmq.ROUTER
    _header: zmq.Frame | None = None

    def receive(self, socket: zmq.Socket[bytes]) -> list[bytes]:
        """Return the routing id and the frames of the next message.

        :raises zmq.Again: there is none.
        """
        # More always follows, so this one need not be asked, which takes as long again.
        routing_id = _recv(socket, _LAST)
        frame = self._header = _recv(socket, _LAST, False)
        frames = [routing_id, frame.bytes]
        while frame.more:
            frame = _recv(socket, _LAST, False)
            frames.append(frame.bytes)
        return frames

    @property
    def is_near(self) -> bool:
        """Whether the last message came from a program of this user on this machine, by ipc or through memory."""
        return self._header is not None and _is_near(self._header)


class Pair(Socket):
    """One end of two within the process."""

    socketType = zmq.PAIR
