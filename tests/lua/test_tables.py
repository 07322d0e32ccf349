"""The library `table`, for tables with metatables and for slow calls."""

from __future__ import annotations

from dataclasses import replace

from tests.lua.lua_case import IS_JIT, SANDBOXED, LuaCase, only_in_5_4

PROXY = """
    local function proxy(backing)
      return setmetatable({}, {
        __len = function() return #backing end,
        __index = function(_, key) return backing[key] end,
        __newindex = function(_, key, value) backing[key] = value end,
      })
    end
    local function shown(...)
      local texts = { n = select('#', ...), ... }
      for i = 1, texts.n do
        texts[i] = type(texts[i]) == 'table' and 'table' or tostring(texts[i])
      end
      return texts.n .. ':' .. table.concat(texts, ' ')
    end
    local function check(call, ...)
      local plain, backing = { 5, 'b', 7, 2.5 }, { 5, 'b', 7, 2.5 }
      local expected, found = shown(pcall(call, plain, ...)), shown(pcall(call, proxy(backing), ...))
      assert(expected == found, expected .. ' but ' .. found)
      assert(#plain == #backing)
      for i = -20, 20 do
        assert(rawequal(plain[i], backing[i]), i)
      end
    end
"""


class MetatableTests(LuaCase):
    """For tables with metatables, the versions in Lua return the same as the C functions."""

    options = SANDBOXED

    def check(self, *calls: str) -> None:
        """Expect the same result for a plain table and a proxy of it."""
        self.output(PROXY + "".join(f"check(table.{call})\n" for call in calls))

    @only_in_5_4
    def test_insert(self) -> None:
        """A call of insert appends, or inserts at a position, which may be a numeric string."""
        self.check("insert, 1", "insert, nil", *(f"insert, {place}, 'x'" for place in range(-1, 8)))
        self.check("insert, '2', 'x'", "insert, 2.0, 'x'", "insert, 2.5, 'x'", "insert, 'x', 1", "insert, 1, 2, 3")
        self.check("insert, nil, 1", "insert, {}, 1", "insert")

    @only_in_5_4
    def test_remove(self) -> None:
        """A call of remove removes the last item, or the one at a position."""
        self.check("remove", "remove, nil", *(f"remove, {place}" for place in range(-1, 8)))
        self.check("remove, '2'", "remove, 2.5", "remove, {}", "remove, 1, 2")

    @only_in_5_4
    def test_concat(self) -> None:
        """A call of concat joins strings and numbers only."""
        self.check("concat", "concat, ', '", "concat, 5", "concat, '-', 2", "concat, '-', 2, 3", "concat, '-', 3, 2")
        self.check("concat, '-', 0", "concat, '-', 2, 6", "concat, {}", "concat, '', 'x'", "concat, '', '2', 3.0")
        self.check("concat, '', 1, {}", "concat, nil, nil, nil")

    @only_in_5_4
    def test_unpack(self) -> None:
        """A call of unpack returns the items, with nil for missing ones."""
        self.check(
            "unpack", "unpack, 2", "unpack, 2, 3", "unpack, -1, 7", "unpack, 3, 2", "unpack, 'x'", "unpack, 1, 1e8"
        )
        self.check("unpack, 1, 10000000", "unpack, math.mininteger, math.maxinteger", "unpack, nil, nil")

    def test_move(self) -> None:
        """A call of move copies items, within a table or into another one."""
        if self.output("print(table.move ~= nil)") == "true\n":
            self.check(*(f"move, {numbers}" for numbers in ("1, 4, 2", "2, 4, 1", "1, 2, 8", "4, 1, 2", "2, 3, 1, {}")))
            self.check("move, '1', '4', '2'", "move, 1, {}, 2", "move, 1, 2, 'x'", "move", "move, 1, 4, 1, {}")

    @only_in_5_4
    def test_overflow_in_move(self) -> None:
        """Integer overflow is an error of move."""
        self.check("move, 0, math.maxinteger, 2", "move, 1, math.maxinteger, 2", "move, -1, 1, math.maxinteger")
        self.check("move, 1, 2, 3, 4", "move, 1.5, 2, 3")

    def test_length(self) -> None:
        """A length that is not an integer is an error."""
        if self.output("print(#setmetatable({}, { __len = function() return 7 end }))") == "7\n":
            source = "table.insert(setmetatable({}, { __len = function() return 'x' end }), 1)"
            self.assertIn("script.lua:1: object length is not an integer", self.error(source))

    def test_position_of_errors(self) -> None:
        """Errors have the position of the script's call, for every table."""
        for call in (
            "concat({ {} })",
            "concat(setmetatable({ {} }, {}))",
            "sort(5)",
            "sort({ 1, 2 }, 5)",
            "unpack({}, {})",
        ):
            self.assertRegex(self.error(f"table.{call}"), r"script\.lua:1: (bad argument #|invalid value)", call)
        self.assertRegex(
            self.error("table.sort({ 1, {} }, function(a, b) return a < b end)"), r"script\.lua:1: attempt to"
        )
        self.assertRegex(self.error("table.sort({ {}, 2, {} })"), r"^attempt to compare")

    def test_positions_in_luajit(self) -> None:
        """In LuaJIT, positions far out of range are refused, because they would take long."""
        if IS_JIT:
            for place in ("-2^31", "'nan'", "1e15", "0/0", "-1e9"):
                self.assertRegex(
                    self.error(f"table.insert({{}}, {place}, 0)"), r"script\.lua:1: .*out of bounds", place
                )
            self.assertRegex(
                self.error("local t = 1 table.insert(t, 0)"), r"script\.lua:1: bad argument #1 to 'insert'"
            )
            self.assertEqual(
                self.output("local t = {} table.insert(t, 5, 1) table.insert(t, 2) print(t[5], t[1])"), "1\t2\n"
            )

    def test_sorted(self) -> None:
        """Sorting with time checks has the same result."""
        source = """
            local made, n = {}, 0
            for i = 1, 300 do
              made[i] = ('x'):rep(300) .. (i * 7919 % 1009)
            end
            table.sort(made)
            for i = 2, #made do
              assert(made[i - 1] <= made[i])
            end
            local numbers = { 3, 1, 2 }
            table.sort(numbers, math.max and function(a, b) return a > b end)
            print(table.concat(numbers, ' '))
        """
        self.assertEqual(self.output(source), "3 2 1\n")


class TimeTests(LuaCase):
    """All functions end at the time limit."""

    options = replace(SANDBOXED, timeout=100, memory=64)

    def check(self, *sources: str) -> None:
        """Expect each script to exceed the time limit."""
        for source in sources:
            self.assertIn("the limit that worker/scripts/timeout sets", self.error(source), source)

    @only_in_5_4
    def test_huge_lengths(self) -> None:
        """A table that reports a huge length does not block."""
        liar = "setmetatable({}, { __len = function() return 1 << 30 end, __index = type, __newindex = rawequal })"
        for call in ("insert(%s, 1, 'x')", "remove(%s, 1)", "sort(%s)", "move(%s, 1, '1000000000', 2)"):
            self.check("table." + call % liar)
        self.assertRegex(self.error(f"table.unpack({liar})"), "too many results|worker/scripts/timeout")
        self.assertRegex(self.error(f"table.concat({liar})"), "not enough memory|worker/scripts/timeout")

    def test_moves(self) -> None:
        """Moving huge ranges does not block."""
        if self.output("print(table.move ~= nil)") == "true\n":
            self.check("table.move({}, 1, 1e12, 2)", "table.move({}, '1', '1000000000000', 2, {})")

    def test_sorts(self) -> None:
        """Sorting with slow comparisons or many items does not block."""
        self.check(
            "local t, s = {}, ('x'):rep(1e6) for i = 1, 1e5 do t[i] = s end table.sort(t)",
            "local t, s = {}, ('x'):rep(1e6) for i = 1, 1e5 do t[i] = s end table.sort(t, string.find)",
            "local t = {} for i = 1, 1e6 do t[i] = (i * 7919) % 1000003 end while true do table.sort(t) end",
        )
