"""What is drawn on a terminal, with colours or without, and what is printed elsewhere."""

from __future__ import annotations

import io
import json
import os
import sys

from twisted.trial.unittest import SynchronousTestCase

from alaska.commands import shown


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


class LineTests(SynchronousTestCase):
    """Lines of JSON."""

    def test_odd_names(self) -> None:
        """The name of a file that is not UTF-8 does not keep a line from being JSON."""
        line = shown.lines([{"file": os.fsdecode(b"a\xff\n")}])
        self.assertEqual((json.loads(line)["file"], "\n" in line), ("a\udcff\n", False))

    def test_content(self) -> None:
        """Content is its text, or has escapes if it is not UTF-8."""
        self.assertEqual((shown.content("é\n".encode()), shown.content(b"\xff")), ("é\n", "\\xff"))
