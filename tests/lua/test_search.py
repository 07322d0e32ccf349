"""Searches for harmful scripts with random programs; ``ALASKA_SEARCH`` multiplies their number."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from dataclasses import replace

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.lua.lua_versions import MODULES
from tests import SEARCH, examples
from tests.lua import search as lua_search
from tests.lua.search import ProgramRunner, finding, search

PROGRAMS = 100
SEED = 1


class SearchTests(SynchronousTestCase):
    """Random programs, in separate processes with small limits."""

    def setUp(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("processes for scripts are there on Linux only")

    def check(self, version: str) -> None:
        """Expect no finding; ``python -m tests.lua.search`` runs the programs of a finding again."""
        if importlib.util.find_spec(MODULES[version]) is None:
            raise SkipTest(f"this lupa has no {MODULES[version]}")
        seed = secrets.randbits(32) if SEARCH else SEED
        found = [f"-- {why}\n{source}" for why, source in search(version, examples(PROGRAMS), seed)]
        self.assertEqual(found, [], "\n".join([f"the seed was {seed}", *found]))

    def test_5_4(self) -> None:
        """In Lua 5.4, no program reaches data of others, breaks Alaska's code or exceeds its time."""
        self.check("5.4")

    def test_luajit(self) -> None:
        """The same holds for LuaJIT."""
        self.check("luajit")

    def test_detects_forbidden_effects(self) -> None:
        """Forbidden effects are detected."""
        runner = ProgramRunner("5.4", False)
        self.addCleanup(runner.close)
        self.assertIsNone(finding(runner, "return 1"))
        for source, why in (
            ("print('CANARY of somebody')", "CANARY shows"),
            ("sendTo('x', '[alaska limits]:5: bad')", "[alaska  shows"),
            ("error('ValueError')", "ValueError shows"),
        ):
            self.assertIn(why, finding(runner, source) or "nothing", source)
        self.assertIsNone(runner.changed())

    def test_detects_endless_programs(self) -> None:
        """A program that Lua does not end is detected: a slow pattern in a trusted script."""
        self.patch(lua_search, "SMALL", replace(lua_search.SMALL, sandbox=False))
        runner = ProgramRunner("5.4", False)
        self.addCleanup(runner.close)
        source = "return ('a'):rep(100000):find(('.-'):rep(10) .. 'b')"
        self.assertIn("its process was killed", finding(runner, source) or "nothing")
