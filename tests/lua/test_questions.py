"""Questions to the worker: scripts can neither see nor forge them."""

from __future__ import annotations

from typing import ClassVar

from alaska.lua.options import LuaOptions
from tests.lua.lua_case import SANDBOXED, LuaCase


class QuestionTests(LuaCase):
    """Questions are passed to the worker by yields, which scripts can neither see nor forge."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_questions_are_invisible(self) -> None:
        """A coroutine that asks the worker yields nothing to the script that resumes it."""
        self.kv.set(b"key", b"svalue", 0.0)
        source = """
            local seen = {}
            local thread = coroutine.create(function() return alaska.kv.get('key') end)
            seen[1] = { coroutine.resume(thread) }
            print(#seen[1], seen[1][1], seen[1][2], coroutine.status(thread))
        """
        self.assertEqual(self.output(source), "2\ttrue\tvalue\tdead\n")

    def test_yields_are_no_questions(self) -> None:
        """A value that a script yields is never taken for a question."""
        words = "'good.get', 'request', 'kv.set', 'partial', nil, true, {}, print, (coroutine.running())"
        for first in ("nil", "false", "true", "1", "'request'", "{}", "print"):
            source = f"coroutine.yield({first}, {words})"
            self.assertIn("attempt to yield from outside a coroutine", self.error(source))
            self.assertEqual(self.output(f"print(select('#', coroutine.wrap(function() {source} end)()))"), "10\n")
        self.assertEqual(self.asked, [])

    def test_question_that_cannot_be_passed_on(self) -> None:
        """A question that cannot reach the worker is answered with an error, and a later yield is not taken for it."""
        source = """
            local function ask() return pcall(alaska.kv.get, 'key') end
            local ok, why
            table.sort({ 2, 1 }, function() ok, why = coroutine.wrap(ask)() end)
            print(ok, (tostring(why):match '[^:]*$'))
            coroutine.wrap(function() coroutine.yield 'mine' end)()
            print(coroutine.wrap(function() coroutine.yield 'mine' end)())
        """
        ok, mine = self.output(source).splitlines()
        self.assertIn("false\t", ok)
        self.assertEqual(mine, "mine")

    def test_tostring_without_a_string(self) -> None:
        """If __tostring does not return a string, nothing is printed, logged or counted."""
        for use in ("print(value)", "print(value, value)", "alaska.log.info(value)", "alaska.log.info(1, value)"):
            source = f"""
                local value = setmetatable({{}}, {{ __tostring = function()
                  return setmetatable({{}}, {{ __concat = function(...) return 'called' end }}) end }})
                return select(2, pcall(function() {use} end))
            """
            outcome = self.outcome(source)
            self.assertIn(b"'__tostring' must return a string", outcome.sends[-1].content[0])
            self.assertEqual((outcome.output, outcome.log), (b"", ()))
