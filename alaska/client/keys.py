"""Keys for CURVE from certificate files."""

from __future__ import annotations

import os

from twisted.logger import Logger

from alaska.authentication import CurveKeys
from alaska.sockets.keys import read

_log = Logger()


def load(own: str | os.PathLike[str], server: str | os.PathLike[str]) -> CurveKeys:
    """Return the keys with which a client connects: its own secret certificate, and the public one of the broker.

    The files are those that ``alas keygen``, CZMQ and pyzmq write. ``server`` may also contain only the key. A warning
    is logged if other users of the machine can read the secret key.

    :raises ConfigurationError: a file cannot be read, or is not valid, or ZeroMQ has no CURVE. The text never contains
        a secret key.
    """
    keys, warning = read(own, server)
    if warning:
        _log.warn("{sentence}", sentence=warning)
    return keys
