"""Keys for CURVE from certificate files, for programs that use asyncio or block."""

from __future__ import annotations

import logging
import os

from alaska.authentication import CurveKeys
from alaska.sockets.keys import read


def load(own: str | os.PathLike[str], server: str | os.PathLike[str]) -> CurveKeys:
    """Return the keys with which a client connects; see :func:`alaska.client.keys.load`, which logs for Twisted."""
    keys, warning = read(own, server)
    if warning:
        logging.getLogger("alaska.aio").warning("%s", warning)
    return keys
