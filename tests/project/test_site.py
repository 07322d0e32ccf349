"""The documentation site: each page is in it, links lead somewhere, and the reference of alas has every command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.commands.alas import SECTIONS, alas
from docs.alas_pages import man_pages, write_alas_pages
from docs.generated_pages import COPIES, write_pages
from tests import PROJECT
from tests.project.pages import DOCS, blocks, pages

FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def documents() -> list[Path]:
    """Return the documents that are read by people."""
    found = [*PROJECT.glob("*.md"), *PROJECT.glob("benchmarks/*.md"), *DOCS.glob("*.md")]
    return [*found, *DOCS.glob("howto/*.md"), *DOCS.glob("python/*.md")]


def anchors(text: str) -> set[str]:
    """Return the anchors of a document: those of its headings, as GitHub and the site make them, and written ones."""
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def listed(path: Path) -> Iterator[str]:
    """Yield the pages in the tables of contents of a page, and of the pages below it."""
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in filter(None, (each.strip() for each in block.splitlines() if not each.startswith(":"))):
            page = (path.parent / f"{line}.md").relative_to(DOCS).as_posix()
            yield page
            if (DOCS / page).exists():
                yield from listed(DOCS / page)


class PageTests(SynchronousTestCase):
    """The pages of the site."""

    def test_each_is_listed(self) -> None:
        """Each page is in one table of contents."""
        expected = {path.relative_to(DOCS).as_posix() for path in documents() if DOCS in path.parents} - {"index.md"}
        found = [each for each in listed(DOCS / "index.md") if not each.startswith("generated/")]
        self.assertEqual(sorted(found), sorted(expected))

    def test_links(self) -> None:
        """Each link in a document leads to a file, and to a heading of it."""
        for path in documents():
            text = re.sub(r"^    .*$", "", FENCE.sub("", path.read_text(encoding="utf-8")), flags=re.MULTILINE)
            for target, anchor in LINK.findall(re.sub(r"`[^`\n]+`", "", text)):
                file = (path.parent / target).resolve() if target else path
                if "generated" in file.parts:
                    continue
                self.assertTrue(file.exists(), f"{path.name}: {target}")
                if anchor and file.suffix == ".md":
                    self.assertIn(anchor, anchors(file.read_text(encoding="utf-8")), f"{path.name}: {target}")

    def test_python(self) -> None:
        """Each program in Python can be compiled, also those that are not run."""
        for path in pages():
            for block in blocks(path.read_text(encoding="utf-8")):
                if block.language == "python":
                    compile(block.text, f"{path.name}:{block.line}", "exec")


class CommandTests(SynchronousTestCase):
    """The commands of alas in the text of the documents."""

    def test_options(self) -> None:
        """Each command exists, and has the options that the text gives it."""
        context, found = click.Context(alas, info_name="alas"), 0
        for path in documents():
            for name, rest in re.findall(r"`alas ([a-z][a-z-]*)\b([^`\n]*)`", path.read_text(encoding="utf-8")):
                command = alas.get_command(context, name)
                assert command is not None, f"{path.name}: alas {name}"
                if not isinstance(command, click.Group):
                    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
                    given = set(re.findall(r"(?<=\s)--[a-z-]+", rest))
                    self.assertEqual(given - known - {"--help"}, set(), f"{path.name}: alas {name}{rest}")
                    found += 1
        self.assertGreater(found, 50)


class GeneratedTests(SynchronousTestCase):
    """The pages that are made of code."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def test_each_command(self) -> None:
        """Each command has a page with all its options, and a man page."""
        write_alas_pages(self.folder)
        context = click.Context(alas, info_name="alas")
        named = {name for _, name, *_ in man_pages()}
        for name in (name for entries in SECTIONS.values() for name in entries):
            command = alas.get_command(context, name)
            assert command is not None
            page = self.folder.joinpath(f"{name}.md").read_text(encoding="utf-8")
            for option in (each for each in command.params if isinstance(each, click.Option)):
                self.assertIn(option.opts[-1], page)
            self.assertIn(f"alas-{name}", named)

    def test_removed_command(self) -> None:
        """The page of a command that does not exist any more is deleted."""
        self.folder.mkdir(parents=True)
        old = self.folder / "gone.md"
        old.write_text("", encoding="utf-8")
        write_alas_pages(self.folder)
        self.assertFalse(old.exists())

    def test_copies(self) -> None:
        """Documents outside of the folder are copied with links that lead to pages of the site."""
        write_pages(self.folder)
        for name in COPIES.values():
            text = self.folder.joinpath(name).read_text(encoding="utf-8")
            self.assertNotRegex(text, r"\]\((docs|benchmarks)/")


class BuildTests(SynchronousTestCase):
    """The whole site."""

    timeout = 300

    def test_builds(self) -> None:
        """It is built without a warning."""
        if not all(find_spec(name) for name in ("sphinx", "furo", "myst_parser")):
            raise SkipTest("there is no Sphinx (pip install '.[docs]')")
        folder = Path(self.mktemp())
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        ended = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", folder / "trees", DOCS, folder / "html"],
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
