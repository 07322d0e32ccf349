"""The log on a terminal, a line for each event, as Twisted's own observer writes it.

That one works out the time, the place and the text of each event anew, by code that bears any event. A worker logs
each request, so most of its events are of one sort: a level, a namespace, and a text with plain fields. Those are
written here, in a fifth of the time; whatever else an event is, Twisted's own function makes its text.
"""

from __future__ import annotations

import re
from typing import TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEventAsClassicLogText, formatTime
from zope.interface import implementer

MOST_KNOWN = 1000
"""Programs have few texts and places to log from; a program that makes them up must not be remembered for ever."""
_CALL = re.compile(r"\{[^{}]*\(")
# Levels are known by their identity: their own hash is written in Python, and there are five of them for ever.
_FROM_INFO_ON = frozenset(map(id, (LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical)))


@implementer(ILogObserver)
class LineObserver:
    """Writes events to a text stream; unless it is verbose, those for developers are left out.

    Of at most ``most_known`` texts and places it remembers what it has found out.
    """

    def __init__(self, stream: TextIO, *, is_verbose: bool = False, most_known: int = MOST_KNOWN) -> None:
        self._stream = stream
        self._levels = None if is_verbose else _FROM_INFO_ON
        self._most_known = most_known
        self._second = -1
        self._time = ""
        self._places: dict[tuple[object, int], str] = {}
        self._is_plain: dict[str, bool] = {}

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        if self._levels is not None and id(event.get("log_level")) not in self._levels:
            return
        line = self._line(event) or formatEventAsClassicLogText(event)
        if line:
            self._stream.write(line)
            self._stream.flush()

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
        if "\n" in text:
            text = text.replace("\n", "\n\t")
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
