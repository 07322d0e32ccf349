"""The formats of the log."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from alaska.daemon.log_formats import Format, JsonFormat, TextFormat
from alaska.system.frequent import Kind

LEVELS = (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical, None)
VALUES = st.text() | st.integers() | st.floats() | st.binary() | st.none() | st.lists(st.text(), max_size=2)


def event(words: str, **fields: Any) -> dict[str, Any]:
    """Return an event as a logger makes it."""
    return {
        "log_time": 1_700_000_000.25,
        "log_level": LogLevel.info,
        "log_namespace": "place",
        "log_format": words,
        **fields,
    }


def line_of(style: Format, words: str, **fields: Any) -> Any:
    """Return the JSON object that an event is written as."""
    line = style.event(event(words, **fields))
    assert line.endswith("\n")
    return json.loads(line)


class JsonTests(SynchronousTestCase):
    """One JSON object a line."""

    def test_fields(self) -> None:
        """An event has time, level, logger, text and its own fields."""
        found = line_of(JsonFormat(), "{a} of {b}", a=1, b="two", log_level=LogLevel.warn)
        expected = {"ts": "2023-11-14T22:13:20.250Z", "level": "warn", "logger": "place", "msg": "1 of two"}
        self.assertEqual(found, {**expected, "a": 1, "b": "two"})

    def test_own_fields(self) -> None:
        """A field of an event cannot replace the time, the level, the logger or the text."""
        found = line_of(JsonFormat(), "{msg}", ts="now", level="none", logger="other", msg="text")
        self.assertEqual(
            (found["ts"][:4], found["level"], found["logger"], found["msg"]), ("2023", "info", "place", "text")
        )

    def test_objects(self) -> None:
        """Objects are written as text, long texts are shortened, and large numbers are texts."""
        found = line_of(JsonFormat(), "x", error=ValueError("bad"), long="y" * 5000, huge=10**30)
        self.assertEqual((found["error"], found["huge"]), ("bad", str(10**30)))
        self.assertLess(len(found["long"]), 1100)

    def test_failure(self) -> None:
        """The traceback of a failure is a field."""
        found = line_of(JsonFormat(), "a fault", log_failure=Failure(ValueError("bad")))
        self.assertEqual(found["msg"], "a fault")
        self.assertIn("ValueError: bad", found["traceback"])

    def test_nothing(self) -> None:
        """An event without text is left out."""
        self.assertEqual(JsonFormat().event(event("")), "")

    def test_record(self) -> None:
        """A frequent event has its fields, too."""
        kind = Kind(Logger("place"), lambda ms: f"took {ms}", lambda ms: {"ms": ms})
        text = JsonFormat().records([(1_700_000_000.5, kind, (1.5,)), (1_700_000_001, kind, (2,))])
        first, second = map(json.loads, text.splitlines())
        self.assertEqual((first["msg"], first["ms"], first["ts"]), ("took 1.5", 1.5, "2023-11-14T22:13:20.500Z"))
        self.assertEqual((second["ms"], second["level"], second["logger"]), (2, "info", "place"))


class HostileTests(SynchronousTestCase):
    """Texts from scripts and peers."""

    @given(st.text(), VALUES, st.sampled_from(LEVELS), st.booleans())
    def test_json_lines(self, text: str, value: object, level: Any, is_for_journal: bool) -> None:
        """Any event is one line of valid, printable JSON."""
        line = JsonFormat(is_for_journal=is_for_journal).event(event("{text}", text=text, value=value, log_level=level))
        if line:
            self.assertEqual(line.count("\n"), 1)
            self.assertTrue(line[:-1].isprintable(), line)
            json.loads(line[3:] if is_for_journal else line)

    @given(st.text(), st.sampled_from(LEVELS), st.booleans())
    def test_text_lines(self, text: str, level: Any, is_for_journal: bool) -> None:
        """Each further line of any event begins with a tab, after the priority if there is one."""
        whole = TextFormat(is_for_journal=is_for_journal).event(event("{text}", text=text, log_level=level))
        first, *others = whole.removesuffix("\n").split("\n")
        self.assertTrue(whole.replace("\n", "").replace("\t", "").isprintable(), whole)
        for other in others:
            self.assertTrue(other.startswith(f"{first[:3]}\t" if is_for_journal else "\t"), whole)

    def test_long(self) -> None:
        """A long line is shortened, so that the journal does not begin another entry in it."""
        for style in (TextFormat(is_for_journal=True), JsonFormat(is_for_journal=True)):
            line = style.event(event("{text}", text="\U0001f600" * 100_000))
            self.assertLess(len(line.encode()), 48 * 1024)
            self.assertIn(" more characters)", line)


class JournalTests(SynchronousTestCase):
    """Lines for the journal of systemd."""

    def test_priorities(self) -> None:
        """Each line begins with the priority of its level, and has no time."""
        style = TextFormat(is_for_journal=True)
        lines = [style.event(event("x", log_level=level)) for level in LEVELS[:-1]]
        self.assertEqual(
            lines,
            [f"<{number}>[place#{level.name}] x\n" for number, level in zip((7, 6, 4, 3, 2), LEVELS[:-1], strict=True)],
        )

    def test_several_lines(self) -> None:
        """Each line of an event has the priority, since the journal makes an entry of each."""
        line = TextFormat(is_for_journal=True).event(event("a\n<0>b", log_level=LogLevel.error))
        self.assertEqual(line, "<3>[place#error] a\n<3>\t<0>b\n")

    def test_record(self) -> None:
        """Frequent events have the priority of information."""
        kind = Kind(Logger("place"), lambda: "x", dict)
        self.assertEqual(TextFormat(is_for_journal=True).records([(0, kind, ())]), "<6>[place#info] x\n")

    def test_json(self) -> None:
        """JSON lines have a priority, too."""
        self.assertTrue(JsonFormat(is_for_journal=True).event(event("x")).startswith('<6>{"ts":'))
