"""Tables on terminals of all widths."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from alaska.commands.drawn import draw

COLUMNS = (">N", "DIED", "QUEUE", ">IN FLIGHT", "REASON")
ROWS = (
    ("8", "2026-11-28 07:42:23+00:00", "default", "1200", "there is no price for sofa"),
    ("12", "2026-11-28 07:42:24+00:00", "default", "1", "price.lua:5: attempt to perform arithmetic on a nil value"),
)


def lines(width: int) -> list[str]:
    """Return the lines of the table, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", draw(COLUMNS, ROWS, width, is_colored=False)).splitlines()


class DrawnTests(SynchronousTestCase):
    """Tables as wide as the terminal."""

    def test_wide(self) -> None:
        """With room, each row is a line."""
        self.assertEqual(len(lines(140)), 2 + len(ROWS))

    def test_folded(self) -> None:
        """With less room, long texts take some lines, and no number does."""
        found = lines(62)
        self.assertEqual(found[2], " 8 2026-11-28           default      1200 there is no price   ")
        self.assertEqual(found[3], "   07:42:23+00:00                         for sofa            ")

    def test_titles(self) -> None:
        """A title of two words may take two lines."""
        text = draw((">IN FLIGHT", "NAME"), [("1200", "a")], 11, is_colored=False)
        self.assertEqual(len(text.splitlines()), 4)

    def test_long(self) -> None:
        """A text that would take many lines in a small column is shown in a paragraph, where it has the whole width."""
        self.assertIn("N 12  DIED 2026-11-28 07:42:24+00:00  QUEUE default", lines(58))

    def test_narrow(self) -> None:
        """Without room for that, each row is a paragraph, whose later lines are indented."""
        found = lines(40)
        self.assertTrue(found[0].startswith("N 8  DIED "), found)
        self.assertEqual(found[1], "  QUEUE default  IN FLIGHT 1200")

    def test_everything(self) -> None:
        """Whatever the width, nothing is wider, and no column is missing."""
        for width in range(36, 150):
            found = lines(width)
            self.assertLessEqual(max(map(len, found)), width)
            for name in COLUMNS:
                self.assertIn(name.lstrip(">").split()[-1], "\n".join(found), width)
            text = re.sub(r"\s", "", "".join(found))
            for number in ("8", "12", "1200"):
                self.assertIn(number, text)

    def test_no_rows_with_cells(self) -> None:
        """Empty cells and wide characters take the room that they need."""
        found = draw(("NAME", ">COUNT"), [("", "1"), ("\u9b5a\u9b5a\u9b5a", "")], 12, is_colored=False)
        self.assertIn("\u9b5a\u9b5a\u9b5a", found)
