"""Documents, shipped files and code: each default has one value, whatever names it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.broker.limits import Limits
from alaska.broker.tap import limits_of
from alaska.commands import send
from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.entries import Entry
from alaska.config.zpl import Item, load
from alaska.lua.options import LuaOptions
from tests import PROJECT

PROGRAMS = (WorkerSettings, BrokerSettings)
ENTRIES: dict[str, Entry] = {entry.path: entry for cls in PROGRAMS for entry in cls.entries().values()}
SECTIONS = {above for path in ENTRIES for above in accumulate(path.split("/"), "{}/{}".format)}
NAMED = re.compile(r"`((?:worker|server|mlm_server)/[a-z/-]+)`")


def documents() -> list[Path]:
    """Return every document of the project."""
    found = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("benchmarks/*.md")]
    if PROJECT / "docs" / "lua.md" not in found:
        raise SkipTest("the documents are not here")
    return found


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a text in Markdown: rows of cells, the header first."""
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        yield [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]


def defaults(text: str) -> Iterator[tuple[str, str]]:
    """Yield each setting that a table with the columns "setting" and "default" names, with what it says there."""
    for header, *rows in tables(text):
        columns = [cell.strip() for cell in header]
        if {"setting", "default"} <= set(columns):
            at, value_at = columns.index("setting"), columns.index("default")
            yield from ((row[at].strip("` "), row[value_at]) for row in rows if row[at].strip().startswith("`"))


class DocumentTests(SynchronousTestCase):
    """What the documents say."""

    def test_defaults(self) -> None:
        """Where a table of a document has a default, it begins with that of the settings, as one would write it."""
        seen = set()
        for path in documents():
            for name, shown in defaults(path.read_text(encoding="utf-8")):
                seen.add((path.name, name))
                default = ENTRIES[name].default
                expected = "" if default is None else f"`{default}`"
                self.assertEqual("".join(re.findall(r"\A`[^`]*`", shown)), expected, f"{path.name}: {name}")
        self.assertIn(("lua.md", "worker/scripts/sends-size"), seen)
        self.assertEqual({name for file, name in seen if file == "README.md"}, set(ENTRIES))

    def test_names(self) -> None:
        """Every setting that a document names is one."""
        for path in documents():
            for name in NAMED.findall(path.read_text(encoding="utf-8")):
                self.assertIn(name.rstrip("/"), ENTRIES.keys() | SECTIONS, path.name)


class ShippedTests(SynchronousTestCase):
    """What the shipped files say."""

    def test_alaska_cfg(self) -> None:
        """Each value of the shipped file is the one of a file that is created."""
        created = WorkerSettings.default_tree("")
        values = dict(self.values(load(PROJECT / "alaska.cfg")))
        self.assertEqual(values, dict(self.values(created)))

    def values(self, item: Item, above: str = "") -> Iterator[tuple[str, str]]:
        """Yield path and value of everything below an item that has no more below it."""
        for child in item.children:
            if child.children:
                yield from self.values(child, f"{above}{child.name}/")
            else:
                yield above + child.name, child.value or ""


class CodeTests(SynchronousTestCase):
    """What the code has where no settings are given."""

    given_by_alas: ClassVar = {
        "endpoint": "worker/broker/endpoint",
        "address": "worker/service/address",
        "timeout": "worker/broker/timeout",
    }

    def test_lua_options(self) -> None:
        """Scripts are limited as the settings' defaults say."""
        self.assertEqual(LuaOptions(), LuaOptions.from_settings(WorkerSettings()))

    def test_limits(self) -> None:
        """A broker is limited as a file that is created says."""
        created = BrokerSettings.from_tree(BrokerSettings.default_tree(""))
        self.assertEqual(Limits(), limits_of(created))

    def test_created(self) -> None:
        """What is created differs from the defaults in nothing but what the README's table says."""
        differing = {path for path, entry in ENTRIES.items() if entry.created not in (None, entry.default)}
        self.assertEqual(differing, {"worker/broker/embedded", "server/timeout"})

    def test_alas(self) -> None:
        """Without options, `alas` asks the service of a worker, where its broker is, as patiently."""
        options = send.parser().parse_args([])
        for name, path in self.given_by_alas.items():
            self.assertEqual(str(getattr(options, name)), ENTRIES[path].default, name)
