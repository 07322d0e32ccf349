"""Pages of scripts, sorted as they are asked for."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.pages import Turns
from alaska.admin.requests import ScriptQuery
from alaska.admin.script_pages import page_of_scripts
from alaska.admin.snapshots import Script

SCRIPTS = {
    b"a": Script(name="a", calls=10, errors={"error": 1, "limit": 1}, seconds=1.0, memory=5),
    b"b": Script(name="b", calls=2, errors={"error": 3}, seconds=0.5, memory=9),
    b"c": Script(name="c", calls=0, errors={}, seconds=0.0, memory=0),
}


class ScriptPageTests(SynchronousTestCase):
    """The orders."""

    def page(self, **query: Any) -> Any:
        """Return a page."""
        return self.successResultOf(Turns().do(page_of_scripts(SCRIPTS, ScriptQuery(**query))))

    def test_orders(self) -> None:
        """By name they are in order, by a number the largest is first."""
        for sort, names in (("", "abc"), ("calls", "abc"), ("errors", "bac"), ("mean", "bac"), ("memory", "bac"),
                            ("seconds", "abc")):  # fmt: skip
            self.assertEqual("".join(each.name for each in self.page(sort=sort).items), names, sort)

    def test_next(self) -> None:
        """Pages follow each other in each order."""
        for sort in ("", "errors", "mean"):
            found, after = "", ""
            for _ in SCRIPTS:
                page = self.page(sort=sort, limit=1, after=after)
                found += page.items[0].name
                after = page.next or ""
            self.assertEqual(found, "".join(each.name for each in self.page(sort=sort).items))
            self.assertEqual(after, "")
