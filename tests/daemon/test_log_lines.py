"""The fast log observer, compared with Twisted's own observer."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from alaska.daemon.log_formats import TextFormat, escaped
from alaska.daemon.log_lines import LineObserver
from alaska.system.frequent import Kind, Records


class Named:
    """Something with an attribute and a method."""

    name = "the name"

    def call(self) -> str:
        """Return a text; formats of events may contain calls."""
        return "the answer"


EVENTS: list[dict[str, Any]] = [
    {"log_format": "plain"},
    {"log_format": "{subject} of {each.name!r}, {count:>5}", "subject": "s", "each": Named(), "count": 3},
    {"log_format": "called {each.call()}", "each": Named()},
    {"log_format": "[SREQ]( address: {address} )", "address": "a(b)"},
    {"log_format": "two\nlines, {more}", "more": "three\nand four"},
    {"log_format": "{missing}"},
    {"log_format": "{broken"},
    {"log_format": b"octets"},
    {"log_format": None},
    {"log_format": ""},
    {"log_format": "{nothing}", "nothing": ""},
    {"log_format": "elsewhere", "log_namespace": "other"},
    {"log_format": "later", "log_time": 1_700_000_001.9},
    {"log_format": "no time", "log_time": None},
    {"log_format": "a system", "log_system": "mine"},
    {"log_format": "a fault", "log_failure": Failure(ValueError("bad"))},
    {"log_format": "worse", "log_level": LogLevel.critical},
    {"log_format": "for developers", "log_level": LogLevel.debug},
    {"log_format": "without level", "log_level": None},
    {"log_text": "of an older sort"},
]


def full(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with all fields that a logger adds."""
    return {"log_time": 1_700_000_000.5, "log_level": LogLevel.info, "log_namespace": "test", **event}


def written_by(observe: ILogObserver, stream: io.StringIO, event: dict[str, Any]) -> str:
    """Return what an observer writes for an event, after it has seen an equal one."""
    observe(dict(event))
    stream.truncate(0)
    stream.seek(0)
    observe(dict(event))
    return stream.getvalue()


def timeless(line: str) -> str:
    """Return a line without its time."""
    return line.partition(" ")[2]


class LineObserverTests(SynchronousTestCase):
    """The lines of the observer."""

    def test_interface(self) -> None:
        """The observer implements ILogObserver."""
        verifyObject(ILogObserver, LineObserver(io.StringIO()))

    def test_lines_are_those_of_twisted(self) -> None:
        """For any event, a verbose observer writes the same line as Twisted's observer, except for the time."""
        ours, theirs = io.StringIO(), io.StringIO()
        observer, other = LineObserver(ours, is_verbose=True), textFileLogObserver(theirs)
        for event in map(full, EVENTS):
            self.assertEqual(
                timeless(written_by(observer, ours, event)), timeless(written_by(other, theirs, event)), event
            )

    def test_what_is_left_out(self) -> None:
        """An observer that is not verbose leaves out the same events as Twisted's filter at level info."""
        ours, theirs = io.StringIO(), io.StringIO()
        filtered = FilteringLogObserver(
            textFileLogObserver(theirs), [LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)]
        )
        observer = LineObserver(ours)
        for event in map(full, EVENTS):
            self.assertEqual(
                timeless(written_by(observer, ours, event)), timeless(written_by(filtered, theirs, event)), event
            )

    def test_time_goes_on(self) -> None:
        """Each line has the time of its event."""
        stream = io.StringIO()
        observer = LineObserver(stream)
        for second in (0, 0.9, 1, 60):
            observer(full({"log_format": "x", "log_time": 1_700_000_000 + second}))
        times = [line.split()[0] for line in stream.getvalue().splitlines()]
        self.assertEqual(
            times,
            [
                "2023-11-14T22:13:20.000Z",
                "2023-11-14T22:13:20.900Z",
                "2023-11-14T22:13:21.000Z",
                "2023-11-14T22:14:20.000Z",
            ],
        )

    def test_cache_size(self) -> None:
        """The caches of formats and namespaces have a limited size."""
        stream = io.StringIO()
        style = TextFormat(cache_size=3)
        observer = LineObserver(stream, style=style)
        for number in range(10):
            Logger(f"place{number}", observer=observer).info(f"text {number}")
        self.assertEqual(len(stream.getvalue().splitlines()), 10)
        self.assertLessEqual(max(len(style._is_plain), len(style._places)), 3)


class Flushed(io.StringIO):
    """A stream that records its content at each flush."""

    def __init__(self) -> None:
        super().__init__()
        self.flushes: list[str] = []
        self.is_blocked = False

    def flush(self) -> None:
        """Record the content."""
        self.flushes.append(self.getvalue())


class FlushTests(SynchronousTestCase):
    """The flushes of the observer."""

    def setUp(self) -> None:
        """Make an observer whose scheduled flushes are made by the test."""
        self.stream = Flushed()
        self.due: list[Callable[[], bool]] = []
        self.observe = LineObserver(self.stream, is_verbose=True, when=self.due.append)

    def log(self, level: Any, text: str = "x") -> None:
        """Log a text."""
        self.observe(full({"log_level": level, "log_format": text}))

    def test_at_once(self) -> None:
        """By default, each line is flushed at once."""
        observe = LineObserver(self.stream)
        for _ in range(2):
            observe(full({"log_format": "x"}))
        self.assertEqual([text.count("\n") for text in self.stream.flushes], [1, 2])

    def test_together(self) -> None:
        """An observer schedules one flush for all lines until then."""
        for _ in range(2):
            for level in (LogLevel.info, LogLevel.debug):
                self.log(level)
            self.assertEqual(len(self.due), 1)
            self.due.pop()()
        self.assertEqual([text.count("\n") for text in self.stream.flushes], [2, 4])

    def test_urgent(self) -> None:
        """A warning, an error or an event without level is flushed at once, with all lines before it."""
        for number, level in enumerate((LogLevel.warn, LogLevel.error, LogLevel.critical, None), 1):
            self.log(LogLevel.info)
            self.log(level)
            self.assertEqual([text.count("\n") for text in self.stream.flushes], [2 * n for n in range(1, number + 1)])

    def test_blocked(self) -> None:
        """While the stream is blocked, the observer schedules only one further flush."""
        self.stream.is_blocked = True
        self.log(LogLevel.warn)
        self.log(LogLevel.info)
        self.assertEqual(len(self.due), 1)
        again = self.due.pop()
        self.assertTrue(again())
        self.log(LogLevel.info)
        self.assertEqual(self.due, [])
        self.stream.is_blocked = False
        self.assertFalse(again())
        self.log(LogLevel.info)
        self.assertEqual(len(self.due), 1)

    def test_closed_stream(self) -> None:
        """Flushing a closed or broken stream raises nothing."""
        reading, writing = os.pipe()
        os.close(reading)
        broken = os.fdopen(writing, "w", encoding="utf-8")
        closed = io.StringIO()
        self.observe = LineObserver(broken)
        self.log(LogLevel.info)
        closed.close()
        LineObserver(closed).flush()
        self.assertRaises(BrokenPipeError, broken.close)


class RecordsTests(SynchronousTestCase):
    """Records of frequent events."""

    def setUp(self) -> None:
        self.stream = Flushed()
        self.due: list[Callable[[], bool]] = []
        self.records = Records()
        self.observe = LineObserver(self.stream, records=self.records, when=self.due.append)
        self.kind = Kind(Logger("place"), lambda number: f"number {number}", lambda number: {"number": number})

    def test_together(self) -> None:
        """All records of a turn are formatted and written by one flush."""
        for number in range(3):
            self.records.add(self.kind, number)
        self.assertEqual((self.stream.getvalue(), len(self.due)), ("", 1))
        self.due.pop()()
        lines = self.stream.getvalue().splitlines()
        self.assertEqual([timeless(line) for line in lines], [f"[place#info] number {number}" for number in range(3)])
        self.records.add(self.kind, 3)
        self.assertEqual(len(self.due), 1)

    def test_order(self) -> None:
        """A record is written before all later events."""
        self.records.add(self.kind, 1)
        self.observe(full({"log_format": "later"}))
        self.records.add(self.kind, 2)
        self.observe(full({"log_format": "urgent", "log_level": LogLevel.warn}))
        words = [line.rpartition(" ")[2] for line in self.stream.getvalue().splitlines()]
        self.assertEqual(words, ["1", "later", "2", "urgent"])

    def test_no_observer(self) -> None:
        """Without an observer that takes records, each is an event of its logger at once."""
        events: list[dict[str, Any]] = []

        @implementer(ILogObserver)
        def observe(event: dict[str, Any]) -> None:
            events.append(event)

        kind = self.kind._replace(log=Logger("place", observer=observe))
        Records().add(kind, 7)
        self.assertEqual([(event["text"], event["number"]) for event in events], [("number 7", 7)])


class EscapeTests(SynchronousTestCase):
    """Escaping of control characters and surrogates."""

    def test_escaped(self) -> None:
        """Control characters and surrogates are escaped; tabs and line feeds stay."""
        self.assertEqual(escaped("plain \u00fc"), "plain \u00fc")
        self.assertEqual(escaped("\x1b[31m\tred\x07\n\u2028\udc80"), "\\x1b[31m\tred\\x07\n\\u2028\\udc80")

    def test_in_lines(self) -> None:
        """Control characters are escaped in the lines of all kinds of events."""
        for event in (
            {"log_format": "{a}", "a": "x\x1b[2Jy"},
            {"log_format": "{a!r:>3}{b}", "a": 1, "b": "\x1b"},
            {"log_system": "\x1b", "log_format": "x"},
            {"log_text": "of an older sort \x1b"},
        ):
            stream = io.StringIO()
            LineObserver(stream)(full(event))
            self.assertNotIn("\x1b", stream.getvalue())
            self.assertIn("\\x1b" if "log_text" not in event else "", stream.getvalue())
