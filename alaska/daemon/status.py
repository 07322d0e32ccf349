"""The status with which a program ends (sysexits.h where that has one)."""

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
    """Return the status of a program that an error ends: 77 refused, 78 bad configuration, 69 no broker, else 1."""
    if isinstance(error, errors.ConfigurationError | errors.WrongLua):
        return EX_CONFIG
    if isinstance(error, errors.Refused):
        return EX_REFUSED
    if isinstance(error, errors.ConnectTimeout | errors.NotConnected):
        return EX_UNAVAILABLE
    return EX_FAILED


class ExitStatus:
    """The status of this process at its end. twistd's is 0 whenever the reactor was stopped, so one that is not 0 has
    to be set behind it, when everything that was registered later has been done.
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
