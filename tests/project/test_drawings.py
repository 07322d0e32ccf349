"""The pictures in docs/ are those that their programs draw from the current code."""

from __future__ import annotations

from runpy import run_path

from twisted.trial.unittest import SynchronousTestCase

from tests import PROJECT

DOCS = PROJECT / "docs"


class DrawingTests(SynchronousTestCase):
    """The pictures of docs/architecture.md and docs/concepts.md."""

    def test_current(self) -> None:
        """Each picture is up to date; `python docs/drawings.py` and `docs/concept_drawings.py` update them."""
        for program in ("drawings.py", "concept_drawings.py"):
            for name, draw in run_path(str(DOCS / program))["DRAWINGS"].items():
                self.assertEqual(DOCS.joinpath(name).read_text(encoding="utf-8"), draw(), name)

    def test_no_circle(self) -> None:
        """No imports between folders form a cycle, directly or through others."""
        drawings = run_path(str(DOCS / "drawings.py"))
        levels = drawings["levels"](drawings["imports"]())
        self.assertEqual((levels["errors"], max(levels, key=levels.__getitem__)), (0, "commands"))
