"""What is drawn on a terminal, with colours or without, and what is printed elsewhere."""

from __future__ import annotations

import io
import json
import os
import sys

from twisted.trial.unittest import SynchronousTestCase

from alaska.commands import shown, streams


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class TableTests(SynchronousTestCase):
    """Tables."""

    def table(self, stream: io.StringIO, **environ: str) -> str:
        """Return a table for an output and an environment."""
        self.patch(sys, "stdout", stream)
        self.patch(os, "environ", environ)
        return shown.table(("NAME", ">COUNT"), [("a", "1")])

    def test_piped(self) -> None:
        """A pipe gets plain lines, whatever the environment says."""
        plain = "NAME  COUNT\na     1"
        self.assertEqual(self.table(io.StringIO(), TERM="xterm-256color", FORCE_COLOR="1"), plain)
        self.assertEqual(self.table(Terminal(), TERM="dumb"), plain)

    def test_colors(self) -> None:
        """A terminal gets a drawn table, without colours if NO_COLOR is set and not empty."""
        color = "\x1b[3"
        drawn = self.table(Terminal(), TERM="xterm-256color", NO_COLOR="")
        self.assertIn("─", drawn)
        self.assertTrue(shown.is_colored())
        self.assertNotIn(color, self.table(Terminal(), TERM="xterm-256color", NO_COLOR="1"))
        self.assertFalse(shown.is_colored())

    def test_control_characters(self) -> None:
        """A cell has no control characters, on a terminal or not: they could make it do what a client wants."""
        for stream in (io.StringIO(), Terminal()):
            self.patch(sys, "stdout", stream)
            text = shown.table(("NAME",), [("a\x1b]0;x\x07\x9b2J",)])
            self.assertIn(r"a\x1b]0;x\x07\x9b2J", text)


class TimeTests(SynchronousTestCase):
    """Times."""

    def test_nearest(self) -> None:
        """A time is shown as the nearest second, as it was given, however little of it was lost on the way."""
        for value in (2111731199.9999995, 2111731200.0, 2111731200.4):
            self.assertEqual(shown.time(value), "2036-12-01T08:00:00Z")
        self.assertEqual((shown.time(None), shown.time(1e15)), ("-", "after the year 9999"))


class SafeTests(SynchronousTestCase):
    """Texts of others on a terminal."""

    def test_escaped(self) -> None:
        """Control characters are escaped, but line ends, tabs and colours stay."""
        self.assertEqual(streams.safe("a\x1b[2J\r\x9b1m\nb\tc\x1b[31m"), "a\\x1b[2J\\r\\x9b1m\nb\tc\x1b[31m")

    def test_errors(self) -> None:
        """What a broker says in an error cannot control the terminal."""
        errors = io.TextIOWrapper(io.BytesIO(), "utf-8")
        self.patch(sys, "stderr", errors)
        streams.write_line("alas: no \x1b[2J\u202e", sys.stderr)
        self.assertEqual(errors.buffer.getvalue(), b"alas: no \\x1b[2J\\u202e\n")


class LineTests(SynchronousTestCase):
    """Lines of JSON."""

    def test_odd_names(self) -> None:
        """The name of a file that is not UTF-8 does not keep a line from being JSON."""
        line = shown.lines([{"file": os.fsdecode(b"a\xff\n")}])
        self.assertEqual((json.loads(line)["file"], "\n" in line), ("a\udcff\n", False))

    def test_control_characters(self) -> None:
        """Control characters above ASCII, which JSON may have, are escaped as others are; the value is the same."""
        line = shown.lines([{"name": "é\x7f\x9b\u202e\U000e0001"}])
        self.assertTrue(line.isprintable())
        self.assertIn("é", line)
        self.assertEqual(json.loads(line)["name"], "é\x7f\x9b\u202e\U000e0001")

    def test_content(self) -> None:
        """Content is its text, or has escapes if it is not UTF-8."""
        self.assertEqual((shown.content("é\n".encode()), shown.content(b"\xff")), ("é\n", "\\xff"))


class NumberTests(SynchronousTestCase):
    """Numbers."""

    def test_durations(self) -> None:
        """A duration has its largest unit; one that is none, which a hostile broker can cause, is a dash."""
        found = [shown.duration(each) for each in (59.9, 60.0, 90_000.0, None, float("inf"), float("nan"), -1e308)]
        self.assertEqual(found, ["59s", "1m", "1d", "-", "-", "-", "-"])
