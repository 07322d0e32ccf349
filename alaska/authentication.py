"""How connections are authenticated: mechanisms and keys, what a connection gives, and the verdict on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias


class Mechanism(Enum):
    """How an endpoint authenticates its clients (docs/security.md); the values are those of the settings."""

    NULL = "null"
    """Not at all."""
    PLAIN = "plain"
    """By user name and password."""
    CURVE = "curve"
    """By keys; everything is encrypted."""


class Bind(NamedTuple):
    """An endpoint to serve, and how clients that connect to it are authenticated."""

    endpoint: str
    mechanism: Mechanism = Mechanism.NULL


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public and a secret key for CURVE, each as 40 characters of Z85."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """What a client needs to connect with CURVE: its own keys, and the public key of the broker."""

    own: KeyPair
    server: str


class Entry(Enum):
    """The result of authentication."""

    GRANTED = "granted"
    REFUSED = "refused"
    LATER = "later"
    """The credentials were not checked; the peer's ZeroMQ retries, soon or when the handshake times out."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a connection gives to be accepted: user name and password (PLAIN), a public key in Z85 (CURVE), or nothing.

    The address is a numeric IP address; for ipc it begins with ``localhost:`` and the user id.
    """

    mechanism: Mechanism
    address: str
    username: bytes = b""
    password: bytes = field(default=b"", repr=False)
    key: str = ""


class Verdict(NamedTuple):
    """The result of authentication, and the delay in seconds before it is sent to the peer.

    ``user`` is the user id that the messages of the connection have from then on, of at most 255 octets. ``login``
    identifies the password or key that was accepted, so that it can be found out later whether it is still valid.
    """

    entry: Entry
    after: float = 0.0
    user: bytes = b""
    login: str = ""


Decide: TypeAlias = Callable[[Attempt, Callable[[Verdict], None]], None]
"""Decides about an attempt, and calls the given function with the verdict, once: now or later."""
