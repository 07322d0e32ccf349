"""Authentication of connections: a ZAP handler (ZeroMQ RFC 27) that runs in the reactor."""

from __future__ import annotations

import struct
from typing import Final

import zmq
import zmq.utils.z85
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from txzmq import ZmqEndpoint, ZmqEndpointType, ZmqFactory

from alaska.authentication import Attempt, Decide, Entry, Mechanism, Verdict
from alaska.errors import CannotBind
from alaska.links.sockets import Router

ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
MOST_DELAYED: Final = 1000
"""The maximum number of delayed replies, each of which holds a connection; further ones are not delayed."""
LOGIN_PROPERTY: Final = "Alaska-Login"
"""The property of a connection with the ``login`` of its verdict."""
_STATUS: Final = {
    Entry.GRANTED: (b"200", b"OK"),
    Entry.LATER: (b"300", b"try again"),
    Entry.REFUSED: (b"400", b"refused"),
}
_REFUSED: Final = Verdict(Entry.REFUSED)


def attempt_of(address: bytes, mechanism: bytes, credentials: list[bytes]) -> Attempt | None:
    """Return what a connection gives to be accepted, or None if it is not of a known form."""
    text = address.decode("ascii", "backslashreplace")
    match mechanism, credentials:
        case b"NULL", []:
            return Attempt(Mechanism.NULL, text)
        case b"PLAIN", [username, password]:
            return Attempt(Mechanism.PLAIN, text, username, password)
        case b"CURVE", [key] if len(key) == 32:  # the length of every key
            return Attempt(Mechanism.CURVE, text, key=zmq.utils.z85.encode(key).decode())
    return None


class Authenticator(Router):
    """Replies to authentication requests with the verdicts of ``decide``."""

    _log = Logger()

    def __init__(self, factory: ZmqFactory, decide: Decide) -> None:
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
        envelope = [*frames[:at], version, request_id]
        attempt = attempt_of(address, mechanism, credentials)
        if attempt is None:
            self._answer(envelope, _REFUSED)
            return
        try:
            self._decide(attempt, lambda verdict: self._answer(envelope, verdict))
        except Exception:  # Without an answer, the peer would wait until its handshake times out.
            self._log.failure("a connection could not be authenticated")
            self._answer(envelope, _REFUSED)

    def _answer(self, envelope: list[bytes], verdict: Verdict) -> None:
        frames = [*envelope, *_STATUS[verdict.entry], verdict.user, _metadata(LOGIN_PROPERTY, verdict.login)]
        if not verdict.after or len(self._delayed) >= MOST_DELAYED:
            self._transmit(frames)
            return

        def answer() -> None:
            self._delayed.discard(call)
            self._transmit(frames)

        call = self._reactor.callLater(verdict.after, answer)
        self._delayed.add(call)

    def _transmit(self, frames: list[bytes]) -> None:
        # A verdict may arrive after the network was closed.
        if self.factory is not None:
            self.transmit(frames)

    def shutdown(self) -> None:
        """Cancel the delayed replies and close the socket."""
        for call in self._delayed:
            call.cancel()
        self._delayed.clear()
        super().shutdown()


def _metadata(name: str, value: str) -> bytes:
    """Return a property as ZeroMQ's metadata (RFC 23). It is also written if it is empty: a peer cannot replace it."""
    octets = value.encode()
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!I", len(octets)) + octets
