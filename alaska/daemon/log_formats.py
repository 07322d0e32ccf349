"""The formats of the log: text, or JSON with one object a line; with priorities under the journal of systemd.

A text may come from a script or a peer. So control characters are escaped, long lines are shortened, and the second and
further lines of a text begin with a tab: nothing that is logged can look like another line of the program.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any, Protocol

import msgspec
from twisted.logger import LogEvent, LogLevel, eventAsText, formatEvent

from alaska.system.frequent import Record

CACHE_SIZE = 1000
"""Programs normally have few formats and namespaces; this limits the cache for those that generate them."""
MOST_CHARACTERS = 8192
"""The maximum length of a line, below the 48 KiB of UTF-8 at which the journal begins a new entry."""
MOST_VALUE_CHARACTERS = 1024
MOST_FIELDS = 20
PRIORITIES = {LogLevel.debug: 7, LogLevel.info: 6, LogLevel.warn: 4, LogLevel.error: 3, LogLevel.critical: 2}
"""The priorities of syslog(3) and sd-daemon(3)."""
_CALL = re.compile(r"\{[^{}]*\(")
_OWN_FIELDS = frozenset({"ts", "level", "logger", "msg", "traceback"})
_OLD_FIELDS = frozenset({"isError", "system", "time", "message", "format", "failure", "why"})


def escaped(text: str) -> str:
    """Return a text with control characters and surrogates escaped, except for tabs and line feeds."""
    if text.isprintable():
        return text
    # As in alaska.names.printable. "\r" stands for a backslash meanwhile, since repr leaves no "\r" in the text.
    shown = repr('"' + text)[2:-1].replace(r"\\", "\r").replace(r"\'", "'")
    return shown.replace(r"\n", "\n").replace(r"\t", "\t").replace("\r", "\\")


def shortened(line: str, most: int = MOST_CHARACTERS) -> str:
    """Return a line, shortened to a maximum length."""
    return line if len(line) <= most else f"{line[:most]} ({len(line) - most} more characters)"


class Format(Protocol):
    """A format of the log. Both methods return text that ends with a line feed, or nothing."""

    def event(self, event: LogEvent) -> str:
        """Return an event as text; "" if it has no text."""

    def records(self, records: Iterable[Record]) -> str:
        """Return frequent events as text."""


class Times:
    """Times in UTC, as in RFC 3339, with milliseconds."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def shown(self, seconds: float) -> str:
        """Return a time in seconds since 1970 as text."""
        second = int(seconds)
        if second != self._second:
            self._text, self._second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)), second
        return f"{self._text}.{int((seconds - second) * 1000):03d}Z"


class TextFormat:
    """Lines of time, ``[namespace#level]`` and text; under the journal, a priority takes the place of the time."""

    def __init__(self, *, is_for_journal: bool = False, cache_size: int = CACHE_SIZE) -> None:
        self._is_for_journal = is_for_journal
        self._cache_size = cache_size
        self._times = Times()
        self._places: dict[tuple[object, int], str] = {}
        self._is_plain: dict[str, bool] = {}

    def event(self, event: LogEvent) -> str:
        """See :class:`Format`."""
        line = self._plain(event)
        if line is None:
            text = eventAsText(event, includeTimestamp=False) or ""
            line = self._continued(text, event.get("log_level")) if text else ""
        return f"{self._start(event.get('log_time'), event.get('log_level'))}{line}\n" if line else ""

    def records(self, records: Iterable[Record]) -> str:
        """See :class:`Format`."""
        lines = []
        latest, start = -1, "<6>"
        for at, kind, values in records:
            if not self._is_for_journal and (millisecond := int(at * 1000)) != latest:
                latest, start = millisecond, f"{self._times.shown(at)} "
            text = kind.text(*values)
            if len(text) > MOST_CHARACTERS:
                text = shortened(text)
            lines.append(f"{start}[{kind.log.namespace}#info] {text}\n")
        return "".join(lines)

    def _start(self, at: float | None, level: Any) -> str:  # noqa: ANN401  # LogLevel or None
        if self._is_for_journal:
            return f"<{PRIORITIES.get(level, 6)}>"
        return "- " if at is None else f"{self._times.shown(at)} "

    def _continued(self, text: str, level: Any) -> str:  # noqa: ANN401  # LogLevel or None
        """Return a text with further lines that cannot be taken for others."""
        start = f"<{PRIORITIES.get(level, 6)}>" if self._is_for_journal else ""
        return f"\n{start}\t".join(map(shortened, escaped(text).split("\n")))

    def _plain(self, event: LogEvent) -> str | None:
        """Return a simple event as text, or None for any other event: in a fifth of the time of Twisted's function."""
        if "log_system" in event or "log_failure" in event or "log_flattened" in event:
            return None
        try:
            words: str = event["log_format"]
            if not (self._is_plain.get(words) or self._check_plain(words)):
                return None
            place = self._places.get((event["log_namespace"], id(event["log_level"]))) or self._place(
                event["log_namespace"], event["log_level"]
            )
            text = words.format_map(event)
        except Exception:  # Twisted's function describes the fault of the event.
            return None
        if not text:
            return None
        if len(text) > MOST_CHARACTERS or not text.isprintable():
            text = self._continued(text, event["log_level"])
        return f"{place} {text}"

    def _check_plain(self, words: str) -> bool:
        """Return whether a format has no calls, which Twisted allows; cache the result."""
        if len(self._is_plain) >= self._cache_size:
            self._is_plain.clear()
        self._is_plain[words] = isinstance(words, str) and _CALL.search(words) is None
        return self._is_plain[words]

    def _place(self, namespace: str, level: Any) -> str:  # noqa: ANN401  # LogLevel
        """Return the namespace and level of an event as text; cache it."""
        if len(self._places) >= self._cache_size:
            self._places.clear()
        place = self._places[namespace, id(level)] = f"[{namespace}#{level.name}]"
        return place


class JsonFormat:
    """One JSON object a line: ``ts``, ``level``, ``logger``, ``msg``, and the fields of the event."""

    def __init__(self, *, is_for_journal: bool = False) -> None:
        self._is_for_journal = is_for_journal
        self._times = Times()
        self._encode = msgspec.json.Encoder().encode

    def event(self, event: LogEvent) -> str:
        """See :class:`Format`."""
        text = formatEvent(event)
        failure = event.get("log_failure")
        if not text and failure is None:
            return ""
        level = event.get("log_level")
        found = {
            "ts": self._times.shown(event.get("log_time") or time.time()),
            "level": level.name if level is not None and level in PRIORITIES else "info",
            "logger": _value(event.get("log_system") or event.get("log_namespace") or "-"),
            "msg": shortened(escaped(text or "a failure")),
        }
        names = (name for name in event if not name.startswith("log_") and name not in _OWN_FIELDS | _OLD_FIELDS)
        for name in islice(names, MOST_FIELDS):
            found[name] = _value(event[name])
        if failure is not None:
            whole = eventAsText(event, includeTimestamp=False, includeSystem=False) or ""
            found["traceback"] = shortened(escaped(whole.removeprefix(text or "").strip("\n")))
        return self._line(found, PRIORITIES.get(level, 6))

    def records(self, records: Iterable[Record]) -> str:
        """See :class:`Format`."""
        lines = []
        for at, kind, values in records:
            found: dict[str, object] = {
                "ts": self._times.shown(at),
                "level": "info",
                "logger": kind.log.namespace,
                "msg": shortened(kind.text(*values)),
                **kind.fields(*values),
            }
            lines.append(self._line(found, 6))
        return "".join(lines)

    def _line(self, found: dict[str, object], priority: int) -> str:
        start = f"<{priority}>" if self._is_for_journal else ""
        return f"{start}{self._encode(found).decode()}\n"


def _value(value: object) -> str | int | float | bool | None:
    """Return the value of a field: a number as it is, anything else as a text of limited length."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    try:
        return escaped(shortened(str(value), MOST_VALUE_CHARACTERS))
    except Exception as error:  # The text of an object may be computed by any code.
        return f"({type(error).__name__})"
