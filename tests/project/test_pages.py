"""What the pages of the site show is so: their commands are run, and their blocks are complete."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import PROJECT
from tests.project.page_rig import PageFailed, PageRig
from tests.project.pages import Block, blocks, indented_blocks, is_shown, pages, steps

MOST_NOT_RUN = 15
"""Blocks that no test runs, each of which has a reason."""


class ReadingTests(SynchronousTestCase):
    """The reading of pages."""

    def test_blocks(self) -> None:
        """Blocks are found with their marks."""
        page = "text\n<!-- system -->\n\n<!-- file: a.lua -->\n```lua\nreturn 1\n```\n\n```console\n$ a\nb\n```\n"
        self.assertEqual(
            list(blocks(page)),
            [
                Block("system", "", "", "", 2),
                Block("file", "a.lua", "lua", "return 1\n", 5),
                Block("run", "", "console", "$ a\nb\n", 9),
            ],
        )

    def test_indented(self) -> None:
        """A block in a list is read without its indentation; one without a fence is found."""
        self.assertEqual(
            list(blocks("1. text\n\n   <!-- file: a -->\n   ```text\n   x\n     y\n   ```\n")),
            [Block("file", "a", "text", "x\n  y\n", 4)],
        )
        self.assertEqual(indented_blocks("a\n\n    b\n\n```text\n\n    c\n```\n\n    - d\n"), [3])

    def test_tested_language(self) -> None:
        """All blocks of a language may be those of a module of tests."""
        page = "<!-- tested lua: tests.x -->\n\n```lua\n1\n```\n\n<!-- syntax -->\n```lua\n2\n```\n\n```text\n3\n```\n"
        self.assertEqual(
            [(block.kind, block.name) for block in blocks(page)], [("tested", "tests.x"), ("syntax", ""), ("", "")]
        )

    def test_steps(self) -> None:
        """A command may have several lines, and prints those up to the next command."""
        self.assertEqual(steps("$ a \\\n  b\nc\n$ d\n"), [("a \\\n  b", ["c"]), ("d", [])])

    def test_output(self) -> None:
        """Dots stand for any text, varying values are not compared, all else is."""
        self.assertTrue(is_shown("a ... c", "a b c"))
        self.assertTrue(is_shown("a\n...\nd", "a\nb\nc\nd"))
        self.assertTrue(is_shown("a\n...", "a\nb\nc"))
        self.assertTrue(is_shown("in 5 ms", "in 7.25 ms"))
        self.assertTrue(is_shown("for 30s", "for 2m"))
        self.assertFalse(is_shown("a c", "a b c"))
        self.assertFalse(is_shown("a", "a\nb"))


class BlockTests(SynchronousTestCase):
    """The blocks of all pages."""

    def test_each_is_run(self) -> None:
        """Each block is run, written or compared, or says why it is not; few do."""
        left = []
        for path in pages():
            text = path.read_text(encoding="utf-8")
            self.assertEqual(indented_blocks(text), [], f"{path.name} has blocks without a fence")
            for block in blocks(text):
                self.assertTrue(block.kind, f"{path.name}:{block.line} is not run")
                if block.kind == "tested":
                    module = PROJECT.joinpath(*block.name.split(".")).with_suffix(".py")
                    self.assertIn(path.name, module.read_text(encoding="utf-8"), f"{path.name}:{block.line}")
                left += [f"{path.name}:{block.line}"] if block.kind == "not run" else []
        self.assertLess(len(left), MOST_NOT_RUN, left)


class PageTests(SynchronousTestCase):
    """The commands of the pages."""

    def check(self, path: Path) -> None:
        """Run all blocks of a page; a second time if it fails, as a busy machine lets commands time out."""
        try:
            self.run_all(path)
        except PageFailed:
            self.run_all(path)

    def run_all(self, path: Path) -> None:
        """Run all blocks of a page, in a new folder."""
        with tempfile.TemporaryDirectory() as folder, closing(PageRig(Path(folder))) as rig:
            for block in blocks(path.read_text(encoding="utf-8")):
                try:
                    rig.run(block)
                except PageFailed as error:
                    raise PageFailed(f"{path.name}:{block.line}: {error}") from None


def _add_tests() -> None:
    """Add a test for each page, so that each can be run by itself."""
    for path in pages():
        name = path.relative_to(PROJECT).with_suffix("").as_posix()

        def test(self: PageTests, path: Path = path) -> None:
            self.check(path)

        test.__doc__ = f"What {name}.md shows is so."
        setattr(PageTests, "test_" + name.removeprefix("docs/").replace("/", "_").replace("-", "_"), test)


_add_tests()
