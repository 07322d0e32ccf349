"""Documents, shipped files and code agree about the settings and their defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska import __version__
from alaska.broker.limits import Limits
from alaska.broker.tap import limits_of
from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.entries import Entry
from alaska.config.zpl import Item, load
from alaska.lua.options import LuaOptions
from tests import PROJECT
from tests.commands.command_lines import connection_of, sent_of

PROGRAMS = (WorkerSettings, BrokerSettings)
ENTRIES: dict[str, Entry] = {entry.path: entry for cls in PROGRAMS for entry in cls.entries().values()}
SECTIONS = {above for path in ENTRIES for above in accumulate(path.split("/"), "{}/{}".format)}
NAMED = re.compile(r"`((?:worker|server|mlm_server)/[a-z/-]+)`")


def documents() -> list[Path]:
    """Return every document of the project."""
    found = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("benchmarks/*.md")]
    if PROJECT / "docs" / "lua.md" not in found:
        raise SkipTest("the documents are missing")
    return found


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a Markdown text as rows of cells, starting with the header."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        yield [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]


def defaults(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings and defaults of all tables with the columns "setting" and "default"."""
    for header, *rows in tables(text):
        columns = [cell.strip() for cell in header]
        if {"setting", "default"} <= set(columns):
            at, value_at = columns.index("setting"), columns.index("default")
            yield from ((row[at].strip("` "), row[value_at]) for row in rows if row[at].strip().startswith("`"))


class VersionTests(SynchronousTestCase):
    """The version."""

    def test_changes(self) -> None:
        """It is the newest one in CHANGELOG.md, as a development version as long as that is not released."""
        changes = PROJECT / "CHANGELOG.md"
        if not changes.exists():
            raise SkipTest("the documents are missing")
        found = re.search(r"^## ([\d.]+)( \(unreleased\))?$", changes.read_text(encoding="utf-8"), re.MULTILINE)
        assert found is not None
        self.assertEqual(__version__, found[1] + (".dev0" if found[2] else ""))


class DocumentTests(SynchronousTestCase):
    """Settings in the documents."""

    def test_defaults(self) -> None:
        """Each default in a table of a document is the default of the setting."""
        seen = set()
        for path in documents():
            for name, shown in defaults(path.read_text(encoding="utf-8")):
                seen.add((path.name, name))
                default = ENTRIES[name].default
                expected = "" if default is None else f"`{default}`"
                self.assertEqual("".join(re.findall(r"\A`[^`]*`", shown)), expected, f"{path.name}: {name}")
        self.assertIn(("sandbox.md", "worker/scripts/sends-size"), seen)
        self.assertEqual({name for file, name in seen if file == "settings.md"}, set(ENTRIES))

    def test_names(self) -> None:
        """Each setting that a document names exists."""
        for path in documents():
            for name in NAMED.findall(path.read_text(encoding="utf-8")):
                self.assertIn(name.rstrip("/"), ENTRIES.keys() | SECTIONS, path.name)


class MakeTests(SynchronousTestCase):
    """The targets of the Makefile in the documents."""

    def test_targets(self) -> None:
        """Each target that a document names exists."""
        targets = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        found = {
            (path.name, target)
            for path in documents()
            for target in re.findall(r"(?:`|\$ )make ([a-z]+)\b", path.read_text(encoding="utf-8"))
        }
        self.assertEqual([each for each in found if each[1] not in targets], [])
        self.assertIn(("CONTRIBUTING.md", "trial"), found)


class ShippedTests(SynchronousTestCase):
    """Settings in the shipped files."""

    def test_alaska_cfg(self) -> None:
        """The values of the shipped file are those of a created file."""
        created = WorkerSettings.default_tree("")
        values = dict(self.values(load(PROJECT / "alaska.cfg")))
        self.assertEqual(values, dict(self.values(created)))

    def values(self, item: Item, above: str = "") -> Iterator[tuple[str, str]]:
        """Yield path and value of all items without children below an item."""
        for child in item.children:
            if child.children:
                yield from self.values(child, f"{above}{child.name}/")
            else:
                yield above + child.name, child.value or ""


class CodeTests(SynchronousTestCase):
    """Defaults in the code."""

    given_by_alas: ClassVar = {
        "address": "worker/service/address",
        "timeout": "worker/broker/timeout",
    }

    def test_lua_options(self) -> None:
        """The default options of Lua are the defaults of the settings."""
        self.assertEqual(LuaOptions(), LuaOptions.from_settings(WorkerSettings()))

    def test_limits(self) -> None:
        """The default limits of a broker are those of a created file."""
        created = BrokerSettings.from_tree(BrokerSettings.default_tree(""))
        self.assertEqual(Limits(), limits_of(created))

    def test_created(self) -> None:
        """A created file differs from the defaults only in the embedded broker, the client timeout and HTTP."""
        differing = {path for path, entry in ENTRIES.items() if entry.created not in (None, entry.default)}
        self.assertEqual(differing, {"worker/broker/embedded", "server/timeout", "http/endpoint"})

    def test_alas(self) -> None:
        """The defaults of `alas` are those of the worker's settings."""
        sent = sent_of()
        for name, path in self.given_by_alas.items():
            self.assertEqual(str(getattr(sent, name)), ENTRIES[path].default, name)
        self.assertEqual(connection_of().endpoint, ENTRIES["worker/broker/endpoint"].default)
