"""Authentication of connections: a ZAP handler (ZeroMQ RFC 27) that runs in the reactor."""

from __future__ import annotations

from collections.abc import Callable

import zmq
from twisted.internet.interfaces import IDelayedCall
from txzmq import ZmqEndpoint, ZmqEndpointType, ZmqFactory

from alaska.errors import CannotBind
from alaska.interfaces import Entry, Verdict
from alaska.links.sockets import Router

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
MOST_DELAYED = 1000
"""The maximum number of delayed replies, each of which holds a connection; further ones are not delayed."""
_STATUS = {
    Entry.GRANTED: (b"200", b"OK"),
    Entry.LATER: (b"300", b"try again"),
    Entry.REFUSED: (b"400", b"wrong user name or password"),
}


class Authenticator(Router):
    """Replies to authentication requests with the verdict of ``decide(username, password, address)``."""

    def __init__(self, factory: ZmqFactory, decide: Callable[[bytes, bytes, str], Verdict]) -> None:
        super().__init__(factory, self._asked)
        self._decide = decide
        self._reactor = factory.reactor
        self._delayed: set[IDelayedCall] = set()
        try:
            self.addEndpoints([ZmqEndpoint(ZmqEndpointType.bind, ZAP_ENDPOINT)])
        except zmq.ZMQError as error:
            # ZeroMQ closes sockets asynchronously: a handler that was closed just now may still be bound.
            raise CannotBind(f"cannot serve {ZAP_ENDPOINT}: {error.strerror}", is_taken=True) from error

    def _asked(self, frames: list[bytes]) -> None:
        at = frames.index(b"") + 1
        version, request_id, _domain, address, _identity, mechanism, *credentials = frames[at:]
        verdict = Verdict(Entry.GRANTED if mechanism == b"NULL" else Entry.REFUSED)
        if mechanism == b"PLAIN" and len(credentials) == 2:
            verdict = self._decide(credentials[0], credentials[1], address.decode("ascii", "backslashreplace"))
        user = credentials[0] if verdict.entry is Entry.GRANTED and credentials else b""
        self._answer([*frames[:at], version, request_id, *_STATUS[verdict.entry], user, b""], verdict.after)

    def _answer(self, frames: list[bytes], after: float) -> None:
        if not after or len(self._delayed) >= MOST_DELAYED:
            self.transmit(frames)
            return

        def answer() -> None:
            self._delayed.discard(call)
            self.transmit(frames)

        call = self._reactor.callLater(after, answer)
        self._delayed.add(call)

    def shutdown(self) -> None:
        """Cancel the delayed replies and close the socket."""
        for call in self._delayed:
            call.cancel()
        self._delayed.clear()
        super().shutdown()
