"""Malicious scripts: each affects only its own request."""

from __future__ import annotations

import gc
import os
import re
from dataclasses import replace
from pathlib import Path

from alaska.lua import interpreter as lua
from alaska.system.memory import MemoryReturner
from tests.lua import hostile
from tests.lua.lua_case import IS_JIT, SANDBOXED, TRUSTED, LuaCase, limit_of

MEGABYTE = 1024 * 1024
MOST_GROWTH = 20 * MEGABYTE


class HostileCase(LuaCase):
    """Small limits, and a module that does not end."""

    options = replace(SANDBOXED, timeout=50, memory=32, sends=1000, sends_size=10 * MEGABYTE)

    def setUp(self) -> None:
        super().setUp()
        self.write("endless.lua", "while true do end")
        self.write("normal.lua", "sendTo('answer', alaskaContext) print(('x'):rep(3), 2 + 2)")

    def assert_normal(self, after: str) -> None:
        """Expect the next request to be served normally."""
        outcome = self.outcome_of("normal", b"question")
        self.assertIsNone(outcome.error, after)
        self.assertEqual((outcome.output, len(outcome.sends)), (b"xxx\t4\n", 1), after)


class EndlessTests(HostileCase):
    """Scripts that do not end by themselves."""

    def check(self, scripts: dict[str, str]) -> None:
        for name, source in scripts.items():
            outcome = self.outcome(source)
            self.assertIn(limit_of(outcome), (hostile.TIMEOUT, hostile.MEMORY), (name, outcome))
            self.assert_normal(name)

    def test_ended(self) -> None:
        """Each is ended by the time or memory limit, and the next request is served."""
        self.check(hostile.ENDLESS)
        if not IS_JIT:
            self.check(hostile.ENDLESS_5_4)

    def test_trusted_scripts_end_too(self) -> None:
        """Trusted scripts have the same time limit."""
        self.use(sandbox=False)
        self.check(hostile.ENDLESS)
        if not IS_JIT:
            self.check(hostile.ENDLESS_5_4)


class GreedyTests(HostileCase):
    """Scripts that exceed the limits of memory, output or messages."""

    def test_memory(self) -> None:
        """Each is ended by the memory or time limit."""
        self.use(timeout=5000)
        for name, source in hostile.BOMBS.items():
            outcome = self.outcome(source)
            self.assertIn(limit_of(outcome), (hostile.MEMORY, hostile.TIMEOUT), (name, outcome))
            self.assert_normal(name)

    def test_floods(self) -> None:
        """Output and messages have limits, which the error names."""
        self.use(timeout=5000)
        for name, (source, limit) in hostile.FLOODS.items():
            self.assertEqual(limit_of(self.outcome(source)), limit, name)
            self.assert_normal(name)

    def test_memory_is_returned(self) -> None:
        """After two rounds of all scripts, the process has not grown by more than 20 MB."""
        self.patch(lua, "_waste", MemoryReturner(pause=0.0))  # a pause is needed only with several threads
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
    """Attempts to escape from the sandbox."""

    options = replace(HostileCase.options, timeout=5000)

    def test_refused(self) -> None:
        """No attempt succeeds."""
        for name, source in hostile.ESCAPES.items():
            output = self.output(f"local found = (function() {source} end)() print(found and 'escaped' or 'refused')")
            self.assertEqual(output, "refused\n", name)
            self.assert_normal(name)

    def test_refused_with_system_modules(self) -> None:
        """No attempt succeeds with the system's modules either."""
        self.use(system_modules=True)
        self.test_refused()

    def test_no_dangerous_functions(self) -> None:
        """No dangerous function is reachable through tables and metatables."""
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

    def test_trusted_scripts_cannot_reach_python(self) -> None:
        """Trusted scripts cannot reach Python either."""
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
    """Return the resident memory of the process, in octets."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
