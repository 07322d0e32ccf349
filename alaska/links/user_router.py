"""A router for connections of different users, which never sends to one of them what is for another.

A client may choose its routing id, and when it disconnects, the next connection that chose the same one gets it.
ZeroMQ does not say to which of them a message goes. So this router notes from which descriptor the messages of such a
routing id come, and reads from ZeroMQ's monitor when that is closed. From then on it sends nothing to the routing id,
as if nobody had it, until it receives a message from it again; the broker compares the user of that message.

ZeroMQ's thread reports that a connection has ended before it lets the router forget the routing id. So whoever reads
all reports before a message is sent cannot be late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import zmq
from txzmq import ZmqEndpoint, ZmqEndpointType, ZmqFactory
from zmq.utils.monitor import parse_monitor_message

from alaska.links.sockets import DESCRIPTOR, Pair, Router
from alaska.sockets.dealer import numbers
from alaska.sockets.transfer import receive_frames

_OWN_OCTETS: Final = 5
"""The length of the routing ids that ZeroMQ gives to clients that have chosen none: a zero, and 32 bits."""


def is_chosen(routing_id: bytes) -> bool:
    """Return whether a client has chosen this routing id; ZeroMQ gives each of its own to one connection only."""
    return len(routing_id) != _OWN_OCTETS or routing_id[0] != 0


class UserRouter(Router):
    """See the module; connections within the process are not affected, since they choose random routing ids.

    ``received`` gets the routing id and the other frames. Sending takes no longer than with :class:`Router` until there
    is a client that has chosen its routing id.
    """

    def __init__(
        self,
        factory: ZmqFactory,
        received: Callable[[bytes, list[bytes]], int | None],
        unsent: Callable[[Sequence[bytes], bool], None],
    ) -> None:
        self._descriptors: dict[bytes, int | None] = {}
        self._peers: dict[int, bytes] = {}
        # Those that were closed since all messages had been read: a message from one of them may be that of the ended
        # connection, or of a new one.
        self._closed: set[int] = set()

        def heard(frames: list[bytes]) -> int | None:
            peer = frames.pop(0)
            if is_chosen(peer):
                self._note(peer)
            return received(peer, frames)

        super().__init__(factory, heard, unsent)
        self._send_now = self._send
        at = f"inproc://ended-{next(numbers)}"
        self.socket.monitor(at, zmq.Event.DISCONNECTED)
        self._ended = Pair(factory, self._note_ended)
        # Without a limit, since ZeroMQ's thread would wait while it is reached.
        self._ended.socket.set(zmq.RCVHWM, 0)
        self._ended.addEndpoints([ZmqEndpoint(ZmqEndpointType.connect, at)])

    def _read(self) -> bool:
        is_dry = super()._read()
        if is_dry:
            self._closed.clear()
        return is_dry

    def _note(self, peer: bytes) -> None:
        """Note the connection of the message that is being received, which has the chosen routing id ``peer``."""
        self._send = self._send_if_present  # type: ignore[method-assign]  # from the first chosen routing id on
        assert self._header is not None
        before = self._descriptors.get(peer, -1)
        if before is None:
            return
        try:
            descriptor = int(self._header.get(DESCRIPTOR))
        except zmq.ZMQError:
            # It is within the process, and its routing id is random.
            self._descriptors[peer] = None
            return
        if descriptor == before:
            return
        if descriptor in self._peers:
            # It had another peer, whose end has not been read yet.
            self._read_reports()
        if descriptor not in self._closed:
            self._forget(before)
            self._descriptors[peer] = descriptor
            self._peers[descriptor] = peer

    def _forget(self, descriptor: int) -> None:
        peer = self._peers.pop(descriptor, None)
        if peer is not None:
            del self._descriptors[peer]

    def _note_ended(self, frames: list[bytes]) -> None:
        descriptor = parse_monitor_message(frames)["value"]
        self._forget(descriptor)
        self._closed.add(descriptor)
        # Nothing may be left to read, which ends the doubt about this descriptor.
        self._read_soon()

    def _read_reports(self) -> None:
        while True:
            try:
                frames = receive_frames(self._ended.socket)
            except zmq.Again:
                return
            self._note_ended(frames)

    def _send_if_present(self, frames: Sequence[bytes], last: zmq.Frame | None = None) -> bool:
        peer = frames[0]
        if is_chosen(peer):
            self._read_reports()
            if peer not in self._descriptors:
                self._unsent(frames, False)
                return False
        return self._send_now(frames, last)

    def shutdown(self) -> None:
        """See :class:`Router`."""
        super().shutdown()
        self._ended.shutdown()
