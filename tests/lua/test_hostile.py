"""Scripts that mean harm: each costs its own request and nothing more."""

from __future__ import annotations

import gc
import os
import re
from dataclasses import replace
from pathlib import Path

from alaska.lua import interpreter as lua
from alaska.system.memory import Waste
from tests.lua import hostile
from tests.lua.lua_case import IS_JIT, SANDBOXED, TRUSTED, LuaCase, limit_of

MEGABYTE = 1024 * 1024
MOST_GROWTH = 20 * MEGABYTE


class HostileCase(LuaCase):
    """Small limits, and a module that never ends."""

    options = replace(SANDBOXED, timeout=50, memory=32, sends=1000, sends_size=10 * MEGABYTE)

    def setUp(self) -> None:
        super().setUp()
        self.write("endless.lua", "while true do end")
        self.write("normal.lua", "sendTo('answer', alaskaContext) print(('x'):rep(3), 2 + 2)")

    def assert_normal(self, after: str) -> None:
        """Expect that another request is served as ever."""
        outcome = self.outcome_of("normal", b"question")
        self.assertIsNone(outcome.error, after)
        self.assertEqual((outcome.output, len(outcome.sends)), (b"xxx\t4\n", 1), after)


class EndlessTests(HostileCase):
    """Scripts that never end by themselves."""

    def check(self, scripts: dict[str, str]) -> None:
        for name, source in scripts.items():
            outcome = self.outcome(source)
            self.assertIn(limit_of(outcome), (hostile.TIMEOUT, hostile.MEMORY), (name, outcome))
            self.assert_normal(name)

    def test_ended(self) -> None:
        """Each is ended at its time, or for what it piles up meanwhile, and the next request is served."""
        self.check(hostile.ENDLESS)
        if not IS_JIT:
            self.check(hostile.ENDLESS_5_4)

    def test_ended_though_trusted(self) -> None:
        """A script that is trusted has no more time than others."""
        self.use(sandbox=False)
        self.check(hostile.ENDLESS)
        if not IS_JIT:
            self.check(hostile.ENDLESS_5_4)


class GreedyTests(HostileCase):
    """Scripts that want more memory, print more or send more than they may."""

    def test_memory(self) -> None:
        """Each is ended when memory is short, or at its time if that comes first."""
        self.use(timeout=5000)
        for name, source in hostile.BOMBS.items():
            outcome = self.outcome(source)
            self.assertIn(limit_of(outcome), (hostile.MEMORY, hostile.TIMEOUT), (name, outcome))
            self.assert_normal(name)

    def test_floods(self) -> None:
        """What is printed and sent has a limit each, which is named."""
        self.use(timeout=5000)
        for name, (source, limit) in hostile.FLOODS.items():
            self.assertEqual(limit_of(self.outcome(source)), limit, name)
            self.assert_normal(name)

    def test_memory_is_given_back(self) -> None:
        """After all of them, and again after all of them, the process has not grown by more than 20 MB."""
        self.patch(lua, "_waste", Waste(pause=0.0))  # the moment between is for threads, of which there is one here
        everything = [*hostile.BOMBS.values(), *(source for source, _ in hostile.FLOODS.values())]
        self.assert_normal("the first")
        before = resident_octets()
        for source in everything * 2:
            self.outcome(source)
            self.assert_normal(source)
        gc.collect()
        self.assert_normal("the last")
        self.assertLess(resident_octets() - before, MOST_GROWTH)


class EscapeTests(HostileCase):
    """Ways out of the sandbox."""

    options = replace(HostileCase.options, timeout=5000)

    def test_refused(self) -> None:
        """None leads anywhere."""
        for name, source in hostile.ESCAPES.items():
            output = self.output(f"local found = (function() {source} end)() print(found and 'escaped' or 'refused')")
            self.assertEqual(output, "refused\n", name)
            self.assert_normal(name)

    def test_refused_with_modules_of_the_system(self) -> None:
        """Neither does any way through what is installed."""
        self.use(system_modules=True)
        self.test_refused()

    def test_nothing_else_is_there(self) -> None:
        """Whoever follows every table and metatable finds functions of these names alone."""
        self.write("walk.lua", WALK)
        outcome = self.outcome_of("walk")
        self.assertIsNone(outcome.error, str(outcome.error))
        found = set(outcome.output.decode().split())
        forbidden = re.compile(
            r"python|registry|upvalue|local|hook|open|popen|execute|rename|tmpname|getenv|setlocale|loadlib|"
            r"searchpath|loadfile|dofile|dump|newproxy|module|ffi|getinfo|setuservalue|seeall|flush|attach"
        )
        self.assertEqual([name for name in found if forbidden.fullmatch(name)], [])
        self.assertLess({"print", "pcall", "string", "rep", "insert", "traceback", "time", "wrap"}, found)

    def test_trusted_are_not_told_either(self) -> None:
        """A trusted script may use files and programs, but not Python."""
        self.runner = type(self.runner)(TRUSTED)
        names = ("python", "python in _G", "python by require", "python loaded", "registry", "ffi", "loadlib")
        for name in names:
            source = hostile.ESCAPES[name]
            self.assertEqual(
                self.output(f"local found = (function() {source} end)() print(found ~= nil and found ~= false)"),
                "true\n" if name == "loadlib" else "false\n",
                name,
            )


WALK = """
local seen = {}
local function walk(value)
  if type(value) ~= 'table' or seen[value] then return end
  seen[value] = true
  for key, item in next, value do
    print(key)
    walk(item)
  end
  walk(getmetatable(value))
end
walk(_G)
walk(getmetatable(''))
"""


def resident_octets() -> int:
    """Return how much memory the process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
