"""The log on a terminal, compared with what Twisted's own observer writes."""

from __future__ import annotations

import io
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
from zope.interface.verify import verifyObject

from alaska.lines import LineObserver


class Named:
    """Something with an attribute and a method."""

    name = "the name"

    def told(self) -> str:
        """Return what an event may call."""
        return "the answer"


EVENTS: list[dict[str, Any]] = [
    {"log_format": "plain"},
    {"log_format": "{subject} of {each.name!r}, {count:>5}", "subject": "s", "each": Named(), "count": 3},
    {"log_format": "called {each.told()}", "each": Named()},
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
    """Return an event with all that a logger puts into it."""
    return {"log_time": 1_700_000_000.5, "log_level": LogLevel.info, "log_namespace": "test", **event}


def written_by(observe: ILogObserver, stream: io.StringIO, event: dict[str, Any]) -> str:
    """Return what an observer writes of an event, the second time that it sees one like it."""
    observe(dict(event))
    stream.truncate(0)
    stream.seek(0)
    observe(dict(event))
    return stream.getvalue()


class LineObserverTests(SynchronousTestCase):
    """The observer that worker and broker log by."""

    def test_interface(self) -> None:
        """It is an observer."""
        verifyObject(ILogObserver, LineObserver(io.StringIO()))

    def test_lines_are_those_of_twisted(self) -> None:
        """Whatever the event, a verbose observer writes what Twisted's writes."""
        ours, theirs = io.StringIO(), io.StringIO()
        observer, other = LineObserver(ours, is_verbose=True), textFileLogObserver(theirs)
        for event in map(full, EVENTS):
            self.assertEqual(written_by(observer, ours, event), written_by(other, theirs, event), event)

    def test_what_is_left_out(self) -> None:
        """One that is not verbose leaves out what Twisted's filter leaves out at the level of information."""
        ours, theirs = io.StringIO(), io.StringIO()
        filtered = FilteringLogObserver(
            textFileLogObserver(theirs), [LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)]
        )
        observer = LineObserver(ours)
        for event in map(full, EVENTS):
            self.assertEqual(written_by(observer, ours, event), written_by(filtered, theirs, event), event)

    def test_time_goes_on(self) -> None:
        """Each line has the time of its own event."""
        stream = io.StringIO()
        observer = LineObserver(stream)
        for second in (0, 0.9, 1, 60):
            observer(full({"log_format": "x", "log_time": 1_700_000_000 + second}))
        times = [line.split()[0] for line in stream.getvalue().splitlines()]
        self.assertEqual([times[0] == time for time in times], [True, True, False, False])

    def test_made_up_texts_are_forgotten(self) -> None:
        """A program that makes up texts and places does not make the observer grow."""
        stream = io.StringIO()
        observer = LineObserver(stream, most_known=3)
        for number in range(10):
            Logger(f"place{number}", observer=observer).info(f"text {number}")
        self.assertEqual(len(stream.getvalue().splitlines()), 10)
        self.assertLessEqual(max(len(observer._is_plain), len(observer._places)), 3)
