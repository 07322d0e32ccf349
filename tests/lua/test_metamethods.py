"""Metamethods: Alaska's own code does not call those of a script's values unintentionally."""

from __future__ import annotations

from typing import ClassVar

from alaska.lua.options import LuaOptions
from tests.lua.lua_case import SANDBOXED, LuaCase, only_in_5_4


class MetatableTests(LuaCase):
    """Metamethods in the sandbox."""

    options: ClassVar[LuaOptions] = SANDBOXED

    @only_in_5_4
    def test_finalizers(self) -> None:
        """No __gc takes effect, so that no finalizer runs during another request."""
        for first in ("false", "0", "''", "print"):
            self.output(
                f"local mt = {{ __gc = {first} }} setmetatable({{}}, mt)"
                " mt.__gc = function() local env = load('return _ENV')() print('stolen: ' .. env.alaskaContext) end"
            )
            victim = "local t = {} for i = 1, 100000 do t = { i } end print 'done'"
            self.assertEqual(self.output(victim, b"secret"), "done\n")

    def test_comparisons(self) -> None:
        """Alaska does not call __eq of values that a script yields, returns or raises."""
        probe = """
            local seen = {}
            local probe = setmetatable({}, { __eq = function(one, other) seen[#seen + 1] = other return true end })
        """
        for use in (
            "coroutine.resume(coroutine.create(function() coroutine.yield(probe) end))",
            "coroutine.wrap(function() coroutine.yield(probe) end)()",
            "pcall(error, probe) pcall(coroutine.wrap(function() error(probe) end))",
            "xpcall(function() error(probe) end, function(value) return value end)",
        ):
            self.assertEqual(self.output(f"{probe} {use} print(#seen)"), "0\n", use)

    def test_returned(self) -> None:
        """Returning a value that equals everything sends no question."""
        outcome = self.outcome("return setmetatable({}, { __eq = function() return true end }), 'good.get', 'victim'")
        self.assertEqual((outcome.error, [send.content for send in outcome.sends]), (None, [(b"{}",)]))
