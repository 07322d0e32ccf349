"""Code that is slow within Lua itself: compilation, operators, and work after deep calls end with the time limit."""

from __future__ import annotations

import time

from tests.lua import hostile
from tests.lua.lua_case import SANDBOXED, LuaCase, limit_of, only_in_5_4


class SlowCodeTests(LuaCase):
    """worker/scripts/timeout."""

    options = SANDBOXED

    def test_slow_source(self) -> None:
        """Compilation that takes longer than linear time is aborted at the time limit."""
        self.use(timeout=100)
        alternatives = f"x = {'a or ' * 300_000} a"
        started = time.monotonic()
        self.assertEqual(limit_of(self.outcome(alternatives)), hostile.TIMEOUT)
        self.assertEqual(limit_of(self.outcome("load('x = ' .. ('a or '):rep(300000) .. 'a')")), hostile.TIMEOUT)
        self.assertLess(time.monotonic() - started, 5)
        self.use()
        self.assertEqual(self.output("print(load(('x = 1 '):rep(20000) .. 'return x')())"), "1\n")

    @only_in_5_4
    def test_slow_operators(self) -> None:
        """Operators that take milliseconds end with the time limit, also after a fast loop."""
        self.use(timeout=100)
        for name, source in hostile.SLOW_OPERATORS.items():
            started = time.monotonic()
            outcome = self.outcome(f"for _ = 1, 1e5 do end {source}")
            self.assertEqual(limit_of(outcome), hostile.TIMEOUT, name)
            self.assertLess(time.monotonic() - started, 5, name)

    @only_in_5_4
    def test_work_after_calls(self) -> None:
        """What functions do after their calls return ends with the time limit."""
        self.use(timeout=300)
        for name, source in hostile.AFTER_CALLS.items():
            started = time.monotonic()
            self.assertEqual(limit_of(self.outcome(source)), hostile.TIMEOUT, name)
            self.assertLess(time.monotonic() - started, 5, name)

    @only_in_5_4
    def test_depth(self) -> None:
        """In each coroutine, calls can be nested about 20 000 deep."""
        deep = "local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end "
        self.assertEqual(self.output(f"{deep} print(f(19000), coroutine.wrap(f)(19000))"), "19000\t19000\n")
        self.assertIn("script.lua:1: stack overflow\n", self.error(f"{deep} f(50000)"))
        self.assertEqual(self.output(f"{deep} print(pcall(f, 50000)) print(f(19000))")[-6:], "19000\n")

    @only_in_5_4
    def test_output_in_deep_calls(self) -> None:
        """Messages and lines that functions send or print after deep calls return are complete and in order."""
        outcome = self.outcome("""
            local function f(n) if n > 0 then f(n - 1) if n % 3 == 0 then send('a', n .. '') print(n) end end end
            f(15000)""")
        self.assertIsNone(outcome.error)
        numbers = [f"{number}" for number in range(3, 15_001, 3)]
        self.assertEqual(outcome.output.decode().split(), numbers)
        self.assertEqual(len(outcome.sends), len(numbers))

    @only_in_5_4
    def test_arithmetic_on_texts(self) -> None:
        """Arithmetic on texts has the results and errors of Lua."""
        self.assertEqual(self.output("print('10' + 5, 2 * '3', -'4', '7' // '2', 2 ^ '3')"), "15\t6\t-4\t3\t8.0\n")
        self.assertIn("script.lua:1: attempt to add a 'string' with a 'table'\n", self.error("return 'x' + {}"))
        self.assertIn("script.lua:1: attempt to unm a 'string' with a 'string'\n", self.error("return -'x'"))
        of_other = "{ __add = function(one, other) return one, other end, __sub = function() error('no', 0) end }"
        self.assertEqual(self.output(f"print('x' + setmetatable({{}}, {of_other}))"), "x\n")
        self.assertTrue(self.error(f"return 'x' - setmetatable({{}}, {of_other})").startswith("no\n"))
