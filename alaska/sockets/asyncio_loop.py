"""An event loop of asyncio, and Python's log, as sockets and clients need them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from alaska.names import printable


class AsyncioLoop:
    """An event loop of asyncio, as :class:`alaska.sockets.loop.Loop` and :class:`alaska.messaging.waiting.Clock`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def seconds(self) -> float:
        """Return the time in seconds."""
        return self._loop.time()

    def later(self, seconds: float, call: Callable[[], object], /) -> asyncio.TimerHandle:
        """Make a call after so many seconds."""
        return self._loop.call_later(seconds, call)

    def from_thread(self, call: Callable[[], object], /) -> None:
        """Make a call in the loop's thread, unless the loop is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)


class StandardLog:
    """Writes to a logger of Python's module :mod:`logging`; the formats have the fields in braces."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def info(self, format: str, **fields: object) -> None:  # noqa: A002  # as Twisted names it
        """Log what is of interest to operators."""
        self._write(logging.INFO, format, fields)

    def warn(self, format: str, **fields: object) -> None:  # noqa: A002
        """Log what may be a fault."""
        self._write(logging.WARNING, format, fields)

    def error(self, format: str, **fields: object) -> None:  # noqa: A002
        """Log a fault."""
        self._write(logging.ERROR, format, fields)

    def failure(self, format: str) -> None:  # noqa: A002
        """Log the exception that is being handled."""
        self._logger.exception("%s", format)

    def _write(self, level: int, words: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            # Names and reasons of others must not look like further lines, or control a terminal.
            self._logger.log(level, "%s", printable(words.format(**fields)))
