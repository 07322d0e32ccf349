"""Messages through a ZeroMQ socket, in any event loop.

The descriptor of a ZeroMQ socket is edge-triggered: after any send or receive there may be messages that it does not
signal again. So a socket is read until it is empty, and again after each send. One turn reads at most
:data:`MAX_READ` commands for at most :data:`TURN_SECONDS`, sends the posted messages, and returns to the event loop,
so a busy peer does not delay the heartbeats of others.

Waking up ZeroMQ's idle I/O thread takes longer than sending a message. So messages are sent in batches: at the end of
each turn, or when :data:`MAX_BATCH` messages have been posted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Protocol

import zmq

from alaska.sockets.loop import Timer

MAX_READ = 128
TURN_SECONDS = 0.01
_LARGE_OCTETS = 64 * 1024
MAX_BATCH = 64
"""A batch of this many messages is sent before the end of a turn, to limit the latency of the first."""
# pyzmq's methods for whole messages check each flag and option every time, which takes longer than the sending.
_send = zmq.backend.Socket.send
receive_frame = zmq.backend.Socket.recv
Take = Callable[[], Iterable[Sequence[bytes]]]
_UNDELIVERABLE = frozenset({zmq.EHOSTUNREACH, zmq.EAGAIN})
LAST = int(zmq.NOBLOCK)
"""The flags of the last frame of a message."""
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)


def receive_frames(socket: zmq.Socket[bytes]) -> list[bytes]:
    """Return the frames of the next message.

    :raises zmq.Again: there is no message.
    """
    frame = receive_frame(socket, LAST, False)
    frames = [frame.bytes]
    while frame.more:
        frame = receive_frame(socket, LAST, False)
        frames.append(frame.bytes)
    return frames


def _tracked_frame(octets: bytes) -> tuple[zmq.Frame, Callable[[], bool]]:
    """Return a zero-copy frame, and a function that says whether ZeroMQ has released it."""
    frame = zmq.Frame(octets, track=True, copy=False, copy_threshold=0)
    tracker = frame.tracker
    return frame, lambda: bool(tracker.done)


def _shared_frame(octets: bytes) -> zmq.Frame:
    """Return a zero-copy frame: a message to many readers is in memory once, whoever has not read it yet."""
    return zmq.Frame(octets, track=False, copy=False, copy_threshold=0)


class FailureLog(Protocol):
    """Where faults are logged; Twisted's Logger is one."""

    def failure(self, format: str) -> None:  # noqa: A002  # as Twisted names it
        """Log the exception that is being handled."""


class Transfer:
    """The base class of sockets in an event loop.

    It reads whole messages with the function ``receive``, within a budget for each call.

    ``unsent`` is called with each message that could not be sent, and with True if the connection's send queue is full,
    or with False if the connection does not exist any more.
    """

    socket: zmq.Socket[bytes]
    _log: FailureLog
    receive = staticmethod(receive_frames)

    def __init__(
        self,
        received: Callable[[list[bytes]], int | None],
        unsent: Callable[[Sequence[bytes], bool], None] = lambda _frames, _is_full: None,
    ) -> None:
        self._received = received
        self._unsent = unsent
        self._next_read: Timer | None = None
        self._is_reading = False
        self._posted: list[Sequence[bytes] | Take] = []
        self._is_closed = False

    def _soon(self) -> Timer:
        """Let :meth:`doRead` be called soon."""
        raise NotImplementedError

    def doRead(self) -> None:
        """Read messages up to the budget, and send the posted messages."""
        if self._next_read is not None:
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
            if self._is_closed:
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
                _send(socket, last, LAST, False)
            elif len(frames[-1]) <= _LARGE_OCTETS:
                _send(socket, frames[-1], LAST)
            else:
                _send(socket, _shared_frame(frames[-1]), LAST, False)
        except zmq.ZMQError as error:
            if error.errno not in _UNDELIVERABLE:
                self._log.failure("a message could not be sent")
            self._unsent(frames, error.errno == zmq.EAGAIN)
            return False
        return True

    def _read_soon(self) -> None:
        if self._next_read is None and not self._is_closed:
            self._next_read = self._soon()

    def _finish(self) -> None:
        """Send the posted messages, since the socket is about to be closed."""
        self._send_posted()
        if self._next_read is not None:
            self._next_read.cancel()
        self._is_closed = True
