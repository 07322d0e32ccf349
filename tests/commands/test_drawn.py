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
        """With less room, long texts and titles of two words take several lines, and no number does."""
        found = lines(48)
        self.assertEqual(found[1], " N DIED            QUEUE   FLIGHT REASON        ")
        self.assertEqual(found[3], " 8 2026-11-28      default   1200 there is no   ")
        self.assertEqual(found[4], "   07:42:23+00:00                 price for sofa")

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
