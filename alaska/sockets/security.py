"""The security options of sockets, and the sentences about handshakes that fail.

ZeroMQ takes over the security options of a socket for the binds and connects that follow. So one socket can have
endpoints with different mechanisms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import zmq

from alaska.authentication import Bind, CurveKeys, KeyPair, Mechanism
from alaska.errors import CannotBind, Refused
from alaska.sockets.curve import NO_CURVE, is_available

DEFAULT_DOMAIN: Final = "alaska"
_ORDER: Final = (Mechanism.NULL, Mechanism.PLAIN, Mechanism.CURVE)
_MISMATCH: Final = 0x11000002
"""The value of an event for a peer with another mechanism (ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)."""
_OTHERS: Final = {
    Mechanism.NULL: "credentials, a user name and password or keys, and this client has given none",
    Mechanism.PLAIN: "keys (CURVE) or no credentials, and this client has given a user name and password (PLAIN)",
    Mechanism.CURVE: "a user name and password (PLAIN) or no credentials, and this client has given keys (CURVE)",
}
"""What an endpoint may want that refuses a client with a mechanism."""


@dataclass(frozen=True, slots=True)
class ServerSecurity:
    """The security of a broker's socket: its ZAP domain, its keys, and whether an authenticator decides."""

    domain: str | None = None
    keys: KeyPair | None = None
    is_authenticated: bool = False

    @staticmethod
    def in_order(binds: Iterable[Bind]) -> list[Bind]:
        """Return the binds in the order in which they must be made, since PLAIN and CURVE cannot be switched off."""
        return sorted(binds, key=lambda bind: _ORDER.index(bind.mechanism))

    def apply(self, socket: zmq.Socket[bytes], bind: Bind) -> None:
        """Set the options for the next bind.

        With an authenticator, it is asked about all connections, also about those without security: otherwise a peer
        could give itself a user id, by a property of its own with that name.

        :raises CannotBind: this bind needs CURVE, which ZeroMQ does not have, or keys.
        """
        if self.is_authenticated or self.domain is not None:
            socket.set_string(zmq.ZAP_DOMAIN, self.domain or DEFAULT_DOMAIN)
        if bind.mechanism is Mechanism.PLAIN:
            socket.set(zmq.PLAIN_SERVER, 1)
        elif bind.mechanism is Mechanism.CURVE:
            if not is_available() or self.keys is None:
                raise CannotBind(f"cannot serve {bind.endpoint}: {NO_CURVE if self.keys else 'CURVE needs a key'}")
            socket.set(zmq.CURVE_SERVER, 1)
            socket.set_string(zmq.CURVE_SECRETKEY, self.keys.secret)
            # Without this, ZeroMQ accepts all keys while there is no authenticator.
            socket.set_string(zmq.ZAP_DOMAIN, self.domain or DEFAULT_DOMAIN)
            socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)


@dataclass(frozen=True, slots=True)
class ClientSecurity:
    """What a client proves its identity with: user name and password, keys, or nothing."""

    username: str | None = None
    password: str | None = None
    curve: CurveKeys | None = None

    @property
    def mechanism(self) -> Mechanism:
        """The mechanism that the client uses."""
        if self.curve is not None:
            return Mechanism.CURVE
        return Mechanism.NULL if self.username is None or self.password is None else Mechanism.PLAIN

    def apply(self, socket: zmq.Socket[bytes]) -> None:
        """Set the options for the next connect.

        :raises Refused: ZeroMQ does not accept user name, password or keys, or has no CURVE.
        """
        if self.curve is not None:
            self._apply_keys(socket, self.curve)
        elif self.username is not None and self.password is not None:
            try:
                socket.set_string(zmq.PLAIN_USERNAME, self.username)
                socket.set_string(zmq.PLAIN_PASSWORD, self.password)
            except zmq.ZMQError as error:
                raise Refused("user name and password must have 1 to 255 octets each") from error

    @staticmethod
    def _apply_keys(socket: zmq.Socket[bytes], keys: CurveKeys) -> None:
        if not is_available():
            raise Refused(NO_CURVE)
        try:
            socket.set_string(zmq.CURVE_SERVERKEY, keys.server)
            socket.set_string(zmq.CURVE_PUBLICKEY, keys.own.public)
            socket.set_string(zmq.CURVE_SECRETKEY, keys.own.secret)
        except zmq.ZMQError as error:
            raise Refused("a key must have 40 characters of Z85") from error

    def refusal(self, endpoint: str, event: int, value: int) -> str:
        """Return a sentence about a handshake that has failed by this event of ZeroMQ, with its value."""
        if event == zmq.Event.HANDSHAKE_FAILED_PROTOCOL and value == _MISMATCH:
            return f"the broker's endpoint {endpoint} wants {_OTHERS[self.mechanism]}"
        if event != zmq.Event.HANDSHAKE_FAILED_AUTH:
            return (
                f"the broker at {endpoint} ends the connection during the CURVE handshake: perhaps it has another key "
                "than the one that this client was given for it"
                if self.mechanism is Mechanism.CURVE
                else f"the broker at {endpoint} ends the connection during the handshake: perhaps it requires other "
                "security than this client uses"
            )
        if self.curve is not None:
            return f"the broker does not accept this client's key, {self.curve.own.public}"
        return "the broker does not accept this user name and password"
