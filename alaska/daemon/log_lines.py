"""A fast log observer: it formats simple events itself, and writes the lines of one turn of the reactor in one batch.

Twisted's observer formats the time, namespace and text of each event by code that handles any event. A worker logs each
request, so most of its events are simple, or records (:mod:`alaska.system.frequent`). Lines that are logged in one turn
of the reactor are written together, since a system call takes as long as formatting.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from alaska.daemon.log_formats import Format, TextFormat
from alaska.system.frequent import Records

# Levels are compared by id, which is faster: their hash function is written in Python, and the levels are constants.
FROM_INFO_ON = frozenset(map(id, (LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical)))
_CAN_WAIT = frozenset(map(id, (LogLevel.debug, LogLevel.info)))


class Stream(Protocol):
    """The destination of lines."""

    def write(self, text: str, /) -> object:
        """Buffer or write a text."""

    def flush(self) -> object:
        """Write the buffered text, or as much of it as can be written without blocking."""


def _at_once(flush: Callable[[], bool]) -> None:
    flush()


@implementer(ILogObserver)
class LineObserver:
    """Writes events to a text stream; unless it is verbose, debug events are left out. Thread-safe.

    ``when`` schedules flushes: it gets :meth:`flush` and calls it, at once or soon, until it returns False. Warnings
    and errors are always flushed at once. The ``records`` are written as well, each before all later events.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        is_verbose: bool = False,
        style: Format | None = None,
        records: Records | None = None,
        when: Callable[[Callable[[], bool]], None] = _at_once,
    ) -> None:
        self._stream = stream
        self._when = when
        self._is_due = False
        self.configure(TextFormat() if style is None else style, is_verbose)
        self._records = Records() if records is None else records
        self._records.wake = self._flush_soon

    def configure(self, style: Format, is_verbose: bool) -> None:
        """Change the format, and whether debug events are written."""
        self._format = style
        self._levels = None if is_verbose else FROM_INFO_ON

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        level = id(event.get("log_level"))
        if self._levels is not None and level not in self._levels:
            return
        text = self._format.event(event)
        if not text:
            return
        if self._records:
            self._write_records()
        self._stream.write(text)
        if self._is_due:
            if level not in _CAN_WAIT:
                self.flush()
        elif level in _CAN_WAIT or self.flush():
            self._is_due = True
            self._when(self.flush)

    def _flush_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._when(self.flush)

    def flush(self) -> bool:
        """Flush the stream; return whether it is blocked and must be flushed again. A closed stream is no error."""
        # Cleared first, so that a line of another thread schedules another flush.
        self._is_due = False
        with suppress(OSError, ValueError):
            self._write_records()
            self._stream.flush()
            self._is_due = getattr(self._stream, "is_blocked", False)
        return self._is_due

    def _write_records(self) -> None:
        taken = self._records.take()
        if taken:
            self._stream.write(self._format.records(taken))
