"""The requests of ``alas send --lines`` and ``--json-lines``: one for each line of a file or pipe."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any, BinaryIO, NamedTuple

import msgspec
from twisted.internet.defer import Deferred

from alaska.client.terms import SendTerms, to_terms
from alaska.commands.values import DURATION, TIME
from alaska.errors import BadTerm
from alaska.interfaces import Reactor

MOST_OCTETS = 64 * 2**20
"""The maximum size of a line."""
AHEAD = 1000
"""The number of lines that are read before they are sent."""


class Line(NamedTuple):
    """A line: its number, what it says, or what is wrong with it; ``octets`` is what was read of the file so far."""

    number: int
    octets: int
    content: bytes = b""
    service: str | None = None
    subject: str | None = None
    headers: dict[str, str] | None = None
    terms: SendTerms = {}  # noqa: RUF012  # nobody changes it
    fault: str = ""


class _Object(msgspec.Struct, forbid_unknown_fields=True):
    """What a line of JSON may have. The content is text, or any other JSON, which is sent as it is written.

    ``delay`` and ``ttl`` are seconds or texts such as ``90s``; ``at`` is seconds since 1970, or a text of ISO 8601.
    """

    content: msgspec.Raw = msgspec.Raw(b'""')
    service: str | None = None
    subject: str | None = None
    headers: dict[str, str] | None = None
    id: str | None = None
    delay: float | str | None = None
    at: float | str | None = None
    priority: int | None = None
    ttl: float | str | None = None
    attempts: int | None = None


FIELDS = ", ".join(_Object.__struct_fields__)
_TEXTS = {"delay": DURATION.parse, "at": TIME.parse, "ttl": DURATION.parse}
_TERMS = ("id", "delay", "at", "priority", "ttl", "attempts")


def plain_line(number: int, octets: int, text: bytes) -> Line:
    """Return a line whose content is its text."""
    return Line(number, octets, text)


def json_line(number: int, octets: int, text: bytes) -> Line:
    """Return a line that is a JSON object."""
    try:
        found = msgspec.json.decode(text, type=_Object)
        raw = bytes(found.content)
        content = msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw
        given = {name: getattr(found, name) for name in _TERMS if getattr(found, name) is not None}
        terms: Any = {name: _term(name, value) for name, value in given.items()}
        to_terms(terms)
    except msgspec.ValidationError as error:
        return Line(number, octets, fault=f"{error}; a line may have {FIELDS}")
    except (msgspec.MsgspecError, RecursionError, ValueError, TypeError, BadTerm) as error:
        return Line(number, octets, fault=str(error))
    return Line(number, octets, content, found.service, found.subject, found.headers, terms)


def _term(name: str, value: object) -> object:
    """Return the value of a term, which may be a text, as an option has it.

    :raises ValueError: it is not valid.
    """
    if not isinstance(value, str) or name not in _TEXTS:
        return value
    try:
        return _TEXTS[name](value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


Parse = Callable[[int, int, bytes], Line]


def lines_of(file: BinaryIO, parse: Parse) -> Iterator[Line]:
    """Yield the lines of a file, without their ends; empty ones are left out."""
    octets = 0
    number = 0
    while text := file.readline(MOST_OCTETS + 2):
        octets += len(text)
        number += 1
        text = text.rstrip(b"\r\n")
        if len(text) > MOST_OCTETS:
            yield Line(number, octets, fault=f"it has more than {MOST_OCTETS} octets; nothing after it is sent")
            return
        if text:
            yield parse(number, octets, text)


def size_of(file: BinaryIO) -> int | None:
    """Return the size of a regular file; None for a pipe or terminal."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def opened(path: str) -> BinaryIO:
    """Open a file.

    :raises OSError: it cannot be opened.
    """
    return Path(path).open("rb")


class Reading:
    """Reads lines in a thread, since a pipe may have none for a long time; at most :data:`AHEAD` are read ahead."""

    def __init__(self, reactor: Reactor, lines: Iterator[Line]) -> None:
        self._reactor = reactor
        self._lines = lines
        self._read: deque[Line | OSError | None] = deque()
        self._room = Semaphore(AHEAD)
        self._is_woken = False
        self._waiting: Deferred[Line | None] | None = None
        # A daemon, since reading from a terminal or pipe may last until the end of the program.
        self._thread = Thread(target=self._run, daemon=True)

    def next(self) -> Deferred[Line | None]:
        """Return a Deferred that fires with the next line, or None at the end.

        It fails with OSError if the file cannot be read.
        """
        if self._thread.ident is None:
            self._thread.start()
        found: Deferred[Line | None] = Deferred()
        self._waiting = found
        self._give()
        return found

    def _run(self) -> None:
        """Read, in the thread."""
        end: OSError | None = None
        try:
            for line in self._lines:
                self._room.acquire()
                self._add(line)
        except OSError as error:
            end = error
        self._add(end)

    def _add(self, found: Line | OSError | None) -> None:
        self._read.append(found)
        if not self._is_woken:
            self._is_woken = True
            self._reactor.callFromThread(self._give)

    def _give(self) -> None:
        # Before the look, so that a line that is added after it wakes the reactor again.
        self._is_woken = False
        if self._waiting is None or not self._read:
            return
        waiting, self._waiting = self._waiting, None
        found = self._read.popleft()
        if isinstance(found, OSError):
            waiting.errback(found)
            return
        if found is not None:
            self._room.release()
        waiting.callback(found)
