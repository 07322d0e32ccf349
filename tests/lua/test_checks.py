# ruff: noqa: E501 - a script on one line is read as one
"""Time checks inserted into scripts: they are complete, and do not change what a script does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from alaska.lua.options import LuaOptions
from tests import PROJECT, examples
from tests.lua.lua_case import IS_JIT, SANDBOXED, TRUSTED, LuaCase, limit_of, only_in_5_4

LUA = PROJECT / "alaska" / "lua"

SAME = {
    "loops": "for i = 1, 3 do print(i) end local n = 0 while n < 2 do n = n + 1 print(n) end repeat n = n - 1 until n < 0",
    "functions": "local t = {} function t.a.b(x) end",
    "methods": "local t = { a = {} } function t.a:b(x, ...) return self, x, ... end print(t.a:b(1, 2) == t.a)",
    "parameters": "print((function(a, --[[ ) ]] b, -- )\n ...) return b, ... end)(1, 2, 3))",
    "goto": "for i = 1, 3 do if i == 2 then goto next end print(i) ::next:: end",
    "goto at the end of a block": "do local x = 1 goto done local y ::done:: end print 'done'",
    "call after do": "local f = print for i = 1, 2 do (f or g)(i) end",
    "call after repeat": "local f = print repeat (f or g)('x') until true",
    "table after do": "do local t = { 'do' } print(t[1]) end",
    "strings": r"""print('do', "repeat", 'it\'s \\', "a\"do", 'a\
b do', 'end\\')""",
    "long strings": "print([[ do\nrepeat ]], [==[ ]] function () ]=] ]==])",
    "long strings in brackets": "local t = { ['x'] = 1 } print(t[ [[x]] ])",
    "comments": "-- do\n--[[ repeat\n do ]] print(1) --[==[ function( ]] ]==] print(2) --[ do\n--[=x do\nprint(3) --",
    "numbers": "print(0x1p4, 1e5, 1e+2, 1E-2, .5, 3., 0xep1, 0xA, 0xe+1, 1 ..2, 1- -1)",
    "names with keywords in them": "local done, repeated, functional, dodo, do_ = 1, 2, 3, 4, 5 print(done + repeated + dodo + do_)",
    "varargs": "print(select('#', ...), ...)",
    "value": "return 1, 2",
    "only a comment": "-- nothing",
    "nothing": "",
    "first line": "#!/usr/bin/lua\nprint(1)",
    "error": "\n\nlocal t = nil\n\nprint(t.x)",
    "error in a loop": "for i = 1, 3 do\n  if i == 2 then\n    error('two')\n  end\nend",
    "error in a function": "local function f()\n\n  error('x')\nend\n\nprint(pcall(f))\nf()",
    "syntax error": "for i = 1, 3 do\n  = 1\nend",
    "unfinished": "while true do",
    "too many ends": "print(1) end",
    "end of our own": "end print(1) do",
    "recursion": "local function f(n) if n == 0 then return 0 end return n + f(n - 1) end print(f(100))",
    "line numbers": "\nprint(debug.getinfo(1, 'l').currentline) for i = 1, 1 do\nprint(debug.getinfo(1, 'l').currentline) end",
    "traceback": "local function f() return (debug.traceback('x', 1):gsub('[^\\n]*alaska[^\\n]*\\n?', '')) end\nprint((f():gsub('in [^\\n]*', '')))",
    "load": "print(load('for i = 1, 3 do print(i) end return 7')()) print(load('for'))",
    "load with a name": "print(load('error(1)', '=name') and pcall(load('error(\"x\")', '=name')))",
    "close": "local a <const> = 1 local b <close> = nil print(a)",
    "operators": "print(7 // 2, 7 & 3, 7 | 8, 7 ~ 2, ~0, 1 << 4, 16 >> 2, 3 % 2)",
    "goto as a name": "local goto = 1 local t = { goto = goto } print(goto, t.goto) goto = 2 print(goto) local a = goto goto = 3 print(a)",
    "method goto": "local t = { goto = function(self, x) return x end } print(t:goto(1), t:goto 'x')",
    "octets": "local é = 1 print(é, 'ü', [[ß]]) local doé = 2 print(doé)",
    "utf8": r"print('\u{20ac}', '\z   x')",
}
UNBALANCED = {"syntax error", "unfinished", "too many ends", "end of our own"}
WORDS = "do end repeat until function goto while for in if then local return break true nil x"
SIGNS = "( ) { } [ ] , ; : . = == :: .. ... - -- --[[ ]] [[ [=[ ]=] ' \" \\ 1 0x1p4 1e5 + * # ~= é"
VARIABLE = re.compile(r" \(\w+ '\w+'\)")
TOKENS = st.sampled_from([*f"{WORDS} {SIGNS}".split(), "\n"])


class SameTests(LuaCase):
    """A script does the same with and without checks."""

    def shown(self, source: str | bytes, timeout: int) -> tuple[bytes, str]:
        """Return the output and the error of a script."""
        self.use(timeout=timeout)
        outcome = self.outcome(source)
        return outcome.output, str(outcome.error)

    def without_variables(self, source: str, timeout: int) -> tuple[bytes, str]:
        """Return what :meth:`shown` does, without the names of variables, which Lua 5.4 does not find in all errors."""
        output, error = self.shown(source, timeout)
        return output, VARIABLE.sub("", error)

    def test_same(self) -> None:
        """Output, errors and line numbers are the same."""
        for name, source in SAME.items():
            self.assertEqual(self.shown(source, 10_000), self.shown(source, 0), name)

    def test_sources(self) -> None:
        """Alaska's Lua files, and those of the system, compile with checks and keep their lines."""
        files = [*LUA.rglob("*.lua"), *Path("/usr/share/lua/5.1" if IS_JIT else "/usr/share/lua/5.4").rglob("*.lua")]
        self.assertGreater(len(files), 20)
        for file in files:
            self.write("file.lua", file.read_bytes())
            outcome = self.outcome(f"print(loadfile('{self.directory / 'file.lua'}') ~= nil)")
            self.assertEqual(outcome.output, b"true\n", str(file))

    @given(st.lists(st.sampled_from(sorted(SAME.keys() - UNBALANCED)), max_size=4))
    @settings(deadline=None, max_examples=examples(50))
    def test_several_scripts(self, names: list[str]) -> None:
        """The same for several scripts in a row, each in a block."""
        source = "\n".join(f"do {SAME[name]}\nend" for name in names if SAME[name][:1] != "#")
        self.assertEqual(self.without_variables(source, 10_000), self.without_variables(source, 0), source)

    @given(st.lists(TOKENS, max_size=12))
    @settings(deadline=None, max_examples=examples(300))
    def test_any_source(self, tokens: list[str]) -> None:
        """Any source compiles, or fails to compile for the same reason, with and without checks."""
        source = "if true then return end " + " ".join(tokens)
        with_checks, without = self.shown(source, 10_000), self.shown(source, 0)
        self.assertEqual(with_checks, without, source)


LOOPS = {
    "while": "while true do {} end",
    "while with a call": "while type(1) == 'number' do {} end",
    "repeat": "repeat {} until false",
    "repeat with a function": "repeat {} until (function() return false end)()",
    "for": "for i = 1, math.huge do {} end",
    "for in": "for _ in function() return 1 end do {} end",
    "goto": "do ::again{depth}:: do {} end goto again{depth} end",
    "goto behind a value": "do ::again{depth}:: do {} end local x = nil goto again{depth} end",
    "goto behind a call": "do ::again{depth}:: do {} end type(1) goto again{depth} end",
    "goto in a branch": "do ::again{depth}:: do {} end if true then goto again{depth} end end",
    "goto at the end": "do ::again{depth}:: do {} end do goto again{depth} end end",
    "goto to the next": "while true do do {} end if true then goto next{depth} end ::next{depth}:: end",
    "tail calls": "local function f() do {} end return f() end f()",
    "methods": "local o = {{}} function o:f() do {} end return self:f() end o:f()",
    "handlers": "while true do pcall(function() do {} end error 'x' end) end",
    "coroutines": "while true do coroutine.wrap(function() do {} end end)() end",
    "load": "while true do load 'local x = 1 for i = 1, 10 do x = x + i end'() do {} end end",
    "sort": "local t = {{ 3, 2, 1 }} while true do table.sort(t, function(a, b) return a < b end) do {} end end",
    "gsub": "while true do string.gsub('abc', '.', function() do {} end end) end",
}
FILLINGS = [
    "",
    "local a, b = 1, 2",
    "local t = { 'do', [1] = 2, x = { 'end' }; 3 }",
    "local function g(...) return ... end",
    "if not 1 then elseif nil then else end",
    "for i = 1, 2 do local x = i * -2 end",
    "local s = 'while' .. \"do\" .. [[ end ]] .. #'x'",
    "-- do ::again::\n",
    "--[==[ goto ]] again ]==]",
    "local n = 0x1p4 + 1e+2 - .5 ^ -3.",
    "local t = {} t.x, t['goto again'] = 1, -#t",
    "local f = function(a, b) return function() return a, b end end f(1)()",
    "repeat local y = 1 until y == 1",
    "local r = type(type) == type 'x' and not (1 > 2) or nil",
    "do local x = 1 end",
]
ONLY_5_4 = [
    ";",
    "local c <const>, d <close> = 1, nil",
    "local c <const> = 5 // 2 << 1 ~= ~3",
    "local goto_ = 1 ::unused::",
]


class EndlessLoopTests(LuaCase):
    """Every endless loop is ended by the time limit."""

    options = replace(SANDBOXED, timeout=50)

    @given(
        st.lists(st.sampled_from(sorted(LOOPS)), min_size=1, max_size=3),
        st.lists(st.sampled_from(FILLINGS if IS_JIT else FILLINGS + ONLY_5_4), max_size=4),
    )
    @settings(deadline=None, max_examples=examples(40))
    def test_loops(self, loops: list[str], fillings: list[str]) -> None:
        """Every kind of loop ends, nested and around any code."""
        source = " ".join(f"do {filling} end" for filling in fillings)
        for depth, loop in enumerate(loops):
            source = LOOPS[loop].format(source, depth=depth)
        error = self.outcome(source).error
        self.assertIsNotNone(error, source)
        self.assertEqual(error and error.limit, "worker/scripts/timeout", source)

    @given(st.sampled_from(sorted(LOOPS)), st.sampled_from(sorted(LOOPS)))
    @settings(deadline=None, max_examples=examples(10))
    def test_errors(self, loop: str, around: str) -> None:
        """Catching the error does not keep the script running."""
        source = LOOPS[around].format("pcall(function() " + LOOPS[loop].format("", depth=1) + " end)", depth=0)
        error = self.outcome(source).error
        self.assertEqual(error and error.limit, "worker/scripts/timeout", source)

    def test_long_sequences(self) -> None:
        """Long sequences of slow operations without a loop end too."""
        made = "local s, x = ('x'):rep(8e6), nil "
        for body in (
            "x = s .. s " * 1000,
            "x = { " + "#(s .. s), " * 1000 + "} ",
            "x = { " + "a = #(s .. s), " * 1000 + "} ",
            "x = 0 " + "+ #(s .. s) " * 1000,
            "x = nil " + "or (s .. s) == nil " * 1000,
            "x = s:len() " + "+ s:rep(2):len() " * 1000,
            "if s then " + "x = s .. s " * 1000 + "end ",
        ):
            outcome = self.outcome(made + body + "send('end', '')")
            self.assertEqual(outcome.error and outcome.error.limit, "worker/scripts/timeout", body[:40])
            self.assertEqual(outcome.sends, (), body[:40])


class CheckTests(LuaCase):
    """Position of the checks."""

    options = TRUSTED

    def test_names_of_checks(self) -> None:
        """A script may use any names, including those of the checks."""
        names = ["alaska_check", "alaska_check0", "alaska_check0left", "alaska_check00", "alaska_check1"]
        for name in names:
            source = f"{name} = 7 local function f() {name} = {name} + 1 end for i = 1, 1000 do f() end print({name})"
            self.assertEqual(self.output(source), "1007\n")

    def test_short_names(self) -> None:
        """The names of the checks are short, whatever names the source contains, so that many checks need little memory."""
        names = (
            f"alaska_check{'_' * 50_000} alaska_check{'0' * 50_000} {' '.join(f'alaska_check{i}' for i in range(99))}"
        )
        source = f"local a = [[ {names} ]] do return #a end {'while x do end ' * 3000}"
        self.use(memory=16)
        self.assertEqual(self.output(f"print(load([=[{source}]=])())"), f"{len(names) + 2}\n")

    def test_first_lines(self) -> None:
        """LuaJIT ignores a first line that starts with '#' in any text, Lua 5.4 only in files."""
        source = r"local f, g = load '# do\nreturn 1', load '\239\187\191# end\nreturn 1' print(f and f(), g and g())"
        self.assertEqual(self.output("#!/usr/bin/lua\n" + source), "1\t1\n" if IS_JIT else "nil\tnil\n")

    def test_too_many(self) -> None:
        """A text with very many checks is refused before Lua compiles them, because that would need much memory."""
        self.assertIn("too many loops, functions and gotos", self.error("do return end " + "while x do end " * 200_000))

    def test_none_without_timeout(self) -> None:
        """Without a time limit there are no checks, so functions have no additional upvalues."""
        source = (
            "local x local function f() while x do end end print((debug.getupvalue(f, 1)), (debug.getupvalue(f, 2)))"
        )
        self.use(timeout=0)
        self.assertEqual(self.output(source), "x\tnil\n")


class FormerEndlessLoopTests(LuaCase):
    """Loops that earlier versions did not end."""

    options: ClassVar[LuaOptions] = replace(SANDBOXED, timeout=200)

    @only_in_5_4
    def test_goto_behind_an_attribute(self) -> None:
        """A backward goto ends at the time limit, whatever precedes it."""
        for source in (
            "::l:: local x <const> goto l",
            "::l:: local x <close> goto l",
            "::l:: do local x <const> = 1; goto l end",
            "::l:: x = {} goto l",
            "::l:: local x = 2 > 1 goto l",
        ):
            self.assertEqual(limit_of(self.outcome(source)), "worker/scripts/timeout", source)

    def test_numbers_as_texts(self) -> None:
        """C functions that loop without effect are bounded, for numeric strings as well."""
        self.assertEqual(self.output("print(#(''):rep('9007199254740992'), ('ab'):rep('2'))"), "0\tabab\n")
        if self.output("print(table.move ~= nil)") == "true\n":
            outcome = self.outcome("table.move({}, '1', '9007199254740990', 2)")
            self.assertEqual(limit_of(outcome), "worker/scripts/timeout")

    def test_long_names(self) -> None:
        """A source that consists of the names of checks is processed in linear time."""
        self.assertEqual(self.output("print(load('-- alaska_check' .. ('_'):rep(1000000)) ~= nil)"), "true\n")
