"""Keys for CURVE from certificate files."""

from __future__ import annotations

import os
from pathlib import Path

from alaska.authentication import CurveKeys
from alaska.config.certificates import is_readable_by_others, read_pair, read_public_key
from alaska.sockets import curve


def read(own: str | os.PathLike[str], server: str | os.PathLike[str]) -> tuple[CurveKeys, str]:
    """Return the keys with which a client connects, and a warning if others can read its secret key, or nothing.

    :raises ConfigurationError: a file cannot be read, or is not valid, or ZeroMQ has no CURVE. The text never contains
        a secret key.
    """
    path = Path(own)
    keys = CurveKeys(read_pair(path), read_public_key(Path(server)))
    curve.check_pair(keys.own, str(path))
    if is_readable_by_others(path):
        return keys, f"the secret key in {path} can be read by other users of the machine: chmod 600"
    return keys, ""
