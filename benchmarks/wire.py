"""A blocking client of an MLM broker: our codec over a plain socket, for work that the peers in C cannot do."""

from __future__ import annotations

from types import TracebackType

import zmq

from alaska.mlm import commands as mlm
from alaska.mlm.codec import decode, encode
from benchmarks.workspace import Unavailable

TIMEOUT_MS = 60_000
MAX_SOCKETS = 10_000


def new_context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return a ZeroMQ context with room for all clients."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
    return context


class Peer:
    """One client; with a credit, even 0, it receives confirmations."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, credit: int | None = None) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 1000)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.RCVHWM, 0)
        self.socket.set(zmq.RCVTIMEO, TIMEOUT_MS)
        self.socket.connect(endpoint)
        self.send(mlm.ConnectionOpen(b""))
        if credit is not None:
            self.send(mlm.Credit(credit))

    def __enter__(self) -> Peer:
        self.await_type(mlm.Ok)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, command: mlm.Command) -> None:
        """Send a command."""
        self.socket.send_multipart(encode(command))

    def receive(self) -> mlm.Command:
        """Return the next command of the broker.

        :raises Unavailable: none arrives in time.
        """
        try:
            return decode(self.socket.recv_multipart())
        except zmq.Again:
            raise Unavailable("a broker is silent") from None

    def await_type(self, kind: type[mlm.Command], count: int = 1) -> None:
        """Wait for ``count`` commands of a type, and ignore others."""
        while count:
            count -= isinstance(self.receive(), kind)

    def await_final(self, count: int) -> None:
        """Wait until ``count`` requests have their final confirmation."""
        while count:
            command = self.receive()
            count -= isinstance(command, mlm.Confirm) and command.status_code == 200
