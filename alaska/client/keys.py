"""Keys for CURVE from certificate files."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.logger import Logger

from alaska.authentication import CurveKeys
from alaska.config.certificates import is_readable_by_others, read_pair, read_public_key
from alaska.sockets import curve

_log = Logger()


def load(own: str | os.PathLike[str], server: str | os.PathLike[str]) -> CurveKeys:
    """Return the keys with which a client connects: its own secret certificate, and the public one of the broker.

    The files are those that ``alas keygen``, CZMQ and pyzmq write. ``server`` may also contain only the key. A warning
    is logged if other users of the machine can read the secret key.

    :raises ConfigurationError: a file cannot be read, or is not valid, or ZeroMQ has no CURVE. The text never contains
        a secret key.
    """
    path = Path(own)
    keys = CurveKeys(read_pair(path), read_public_key(Path(server)))
    curve.check_pair(keys.own, str(path))
    if is_readable_by_others(path):
        _log.warn("the secret key in {path} can be read by other users of the machine: chmod 600", path=path)
    return keys
