"""Keys for CURVE (ZeroMQ RFC 26): whether this installation of ZeroMQ has it, new pairs, and checks of pairs."""

from __future__ import annotations

from typing import Final

import zmq

from alaska.authentication import KeyPair
from alaska.errors import ConfigurationError

NO_CURVE: Final = "this installation of ZeroMQ has no CURVE: install pyzmq from PyPI, or a libzmq with libsodium"


def is_available() -> bool:
    """Return whether ZeroMQ was built with CURVE."""
    return zmq.has("curve")


def require() -> None:
    """Do nothing if CURVE is available.

    :raises ConfigurationError: it is not; the text says what to install.
    """
    if not is_available():
        raise ConfigurationError(NO_CURVE)


def new_pair() -> KeyPair:
    """Return a new key pair from the random numbers of the operating system.

    :raises ConfigurationError: CURVE is not available.
    """
    require()
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def check_pair(pair: KeyPair, source: str) -> None:
    """Check that the public key of a pair is that of its secret key; ``source`` is named in the error.

    :raises ConfigurationError: it is not, or CURVE is not available.
    """
    require()
    if zmq.curve_public(pair.secret.encode()).decode() != pair.public:
        raise ConfigurationError(f"{source}: the public key does not belong to the secret key")
