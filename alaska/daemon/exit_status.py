"""Exit statuses, from sysexits.h where possible."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

from alaska import errors

EX_FAILED = 1
EX_UNAVAILABLE = 69
EX_REFUSED = 77
EX_CONFIG = 78


def status_of(error: errors.AlaskaError) -> int:
    """Return the exit status for an error: 77 refused, 78 bad configuration, 69 no broker, else 1."""
    if isinstance(error, errors.ConfigurationError | errors.WrongLua):
        return EX_CONFIG
    if isinstance(error, errors.Refused):
        return EX_REFUSED
    if isinstance(error, errors.ConnectTimeout | errors.NotConnected):
        return EX_UNAVAILABLE
    return EX_FAILED


class ExitStatus:
    """The exit status of this process.

    twistd exits with 0 whenever the reactor was stopped. So any other status is set by an exit handler, which runs
    after all handlers that were registered later.
    """

    def __init__(self) -> None:
        self.value = 0
        atexit.register(self._end)

    def _end(self) -> None:
        if self.value:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(self.value)
