"""The log on a terminal, a line for each event, as Twisted's own observer writes it.

That one works out the time, the place and the text of each event anew, by code that bears any event. A worker logs
each request, so most of its events are of one sort: a level, a namespace, and a text with plain fields. Those are
written here, in a fifth of the time; whatever else an event is, Twisted's own function makes its text. And what is
logged in one turn of the reactor can leave the program together, since a system call takes as long as all of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEventAsClassicLogText, formatTime
from zope.interface import implementer

MOST_KNOWN = 1000
"""Programs have few texts and places to log from; a program that makes them up must not be remembered for ever."""
_CALL = re.compile(r"\{[^{}]*\(")
# Levels are known by their identity: their own hash is written in Python, and there are five of them for ever.
FROM_INFO_ON = frozenset(map(id, (LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical)))
_CAN_WAIT = frozenset(map(id, (LogLevel.debug, LogLevel.info)))


def escaped(text: str) -> str:
    """Return a text without anything that a terminal would obey but tabs and ends of lines, and without surrogates."""
    if text.isprintable():
        return text
    # As in alaska.names.printable; a return, of which none is left, stands for a backslash until the end.
    shown = repr('"' + text)[2:-1].replace(r"\\", "\r").replace(r"\'", "'")
    return shown.replace(r"\n", "\n").replace(r"\t", "\t").replace("\r", "\\")


class Stream(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object:
        """Take a text, to be written at the next flush at the latest."""

    def flush(self) -> object:
        """Write what was taken, or as much of it as goes without waiting."""


def _at_once(flush: Callable[[], bool]) -> None:
    flush()


@implementer(ILogObserver)
class LineObserver:
    """Writes events to a text stream; unless it is verbose, those for developers are left out.

    Of at most ``most_known`` texts and places it remembers what it has found out. The stream is flushed by ``when``,
    which is given :meth:`flush` and calls it, at once or soon, until it returns False; from the level of warnings on it
    always is at once.
    Events may come from any thread.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        is_verbose: bool = False,
        most_known: int = MOST_KNOWN,
        when: Callable[[Callable[[], bool]], None] = _at_once,
    ) -> None:
        self._stream = stream
        self._when = when
        self._is_due = False
        self._levels = None if is_verbose else FROM_INFO_ON
        self._most_known = most_known
        self._second = -1
        self._time = ""
        self._places: dict[tuple[object, int], str] = {}
        self._is_plain: dict[str, bool] = {}

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        level = id(event.get("log_level"))
        if self._levels is not None and level not in self._levels:
            return
        line = self._line(event) or escaped(formatEventAsClassicLogText(event) or "")
        if not line:
            return
        self._stream.write(line)
        if self._is_due:
            if level not in _CAN_WAIT:
                self.flush()
        elif level in _CAN_WAIT or self.flush():
            self._is_due = True
            self._when(self.flush)

    def flush(self) -> bool:
        """Let what was written leave the program; return whether the stream has not taken all of it.

        Where the stream is closed, nobody is there to miss it.
        """
        # Lowered first: what another thread writes behind this is flushed again.
        self._is_due = False
        with suppress(OSError, ValueError):
            self._stream.flush()
            self._is_due = getattr(self._stream, "is_blocked", False)
        return self._is_due

    def _line(self, event: LogEvent) -> str | None:
        """Return the line of an event, or None if it is none of the frequent sort."""
        if "log_system" in event or "log_failure" in event or "log_flattened" in event:
            return None
        try:
            words: str = event["log_format"]
            if not (self._is_plain.get(words) or self._notes_plain(words)):
                return None
            second = int(event["log_time"])
            if second != self._second:
                self._time, self._second = formatTime(event["log_time"]), second
            place = self._places.get((event["log_namespace"], id(event["log_level"]))) or self._place(event)
            text = words.format_map(event)
        except Exception:  # Twisted's own function has words for each fault of an event.
            return None
        if not text:
            return None
        if not text.isprintable():
            text = escaped(text).replace("\n", "\n\t")
        return f"{self._time} {place} {text}\n"

    def _notes_plain(self, words: str) -> bool:
        """Return whether a text calls nothing, as Twisted lets it do; note it."""
        if len(self._is_plain) >= self._most_known:
            self._is_plain.clear()
        self._is_plain[words] = isinstance(words, str) and _CALL.search(words) is None
        return self._is_plain[words]

    def _place(self, event: LogEvent) -> str:
        """Return where an event is from, with its level; note it."""
        if len(self._places) >= self._most_known:
            self._places.clear()
        namespace, level = event["log_namespace"], event["log_level"]
        place = self._places[namespace, id(level)] = f"[{namespace}#{level.name}]"
        return place
