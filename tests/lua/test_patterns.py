# ruff: noqa: E501 - a script on one line is read as one
"""Patterns in the sandbox: slow matches run in Lua instead of C, with the same results."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import PROJECT, examples
from tests.lua.hostile import TIMEOUT
from tests.lua.lua_case import SANDBOXED, TRUSTED, LuaCase, limit_of, only_in_5_4

PARTS = PROJECT / "alaska" / "lua" / "text"

ITEMS = [
    *(
        "a",
        "a",
        "b",
        ".",
        "%a",
        "%s",
        "%w",
        "%d",
        "%%",
        "%.",
        r"\0",
        "x",
        "$",
        "^",
        "%1",
        "%2",
        "()",
        "(",
        ")",
        "(a)",
        "(.)",
    ),
    *("[ab]", "[^a]", "[%a_]", "[a-c]", "[]]", "[^]]", "[^^x]", "[%]]", "[a%-]", "%b()", "%baa", "%f[%w]", "%f[^a]"),
]
WRONG = ["%", "[", "[^", "[a", "[%", "%b", "%ba", "%f", "%fa", "%0", "%9"]
REPEATS = ["", "", "", "*", "+", "-", "?"]
PATTERNS = st.tuples(
    st.sampled_from(["", "", "", "^"]),
    st.lists(st.tuples(st.sampled_from(ITEMS), st.sampled_from(REPEATS)).map("".join), max_size=6).map("".join),
    st.sampled_from(["", "", "", "", "$", "$", ")", *WRONG]),
).map("".join)
SUBJECTS = st.lists(st.sampled_from([*"aaabb ()x1^]_", r"\0", r"\n", r"\233"]), max_size=10).map("".join)
REPLACEMENTS = st.one_of(
    st.lists(st.sampled_from(["x", "%0", "%1", "%2", "%%", "%", "%z", ""]), max_size=3).map(
        lambda parts: f"'{''.join(parts)}'"
    ),
    st.sampled_from(["values", "call", "wrong", "12", "{}", "string.reverse"]),
)

DIFFER = """
local folder = '%s/'
local function fail(text) error(text, 0) end
local function check_time() end
local patterns = loadfile(folder .. 'patterns.lua')(loadfile(folder .. 'items.lua')(check_time), check_time)
local matcher = loadfile(folder .. 'matching.lua')(patterns, check_time, fail)
local searching = loadfile(folder .. 'searching.lua')(patterns, matcher, check_time, fail)
local unpack = table.unpack

-- In C, from each position in C, in Lua
local tiers = { { once = 2 ^ 50 }, { once = 0, at = 2 ^ 50 }, { once = 0, at = 0 } }

local function known(tier, pattern)
  local found = patterns.analysed(pattern)
  found.once, found.every, found.at = tier.once, tier.once, tier.at
  return found
end

local function all(iterate, ...)
  local out = {}
  for i = 1, 40 do
    local found = table.pack(iterate(...))
    out[i] = found.n > 0 and found[1] ~= nil and table.concat({ unpack(found, 1, found.n) }, ',') or 'nil'
  end
  return table.concat(out, ';')
end

local values = { a = 'A', b = false, [''] = 'e', [1] = 1, [2] = 2.5, ['('] = 7 }
local function call(...)
  local first = ...
  return select('#', ...) .. (first == 'a' and '' or tostring(first)), 1
end
local function wrong(first) return first == 'b' and {} or nil end

local function position_of(s, init)
  init = init < 0 and #s + init + 1 or init
  return init < 1 and 1 or init
end

local function shown(...)
  local out = table.pack(...)
  if not out[1] and type(out[2]) == 'string' then out[2] = out[2]:gsub('^[^\\n]-:%%d+: ', '') end
  for i = 1, out.n do out[i] = ('%%s:%%s'):format(type(out[i]), tostring(out[i])) end
  return table.concat(out, '|')
end

local function compare(what, s, pattern, tier, expected, ...)
  local got = shown(pcall(...))
  if got ~= expected then
    print(('%%s %%q %%q tier %%d: %%s, not %%s'):format(what, s, pattern, tier, got, expected))
  end
end

local function differ(s, pattern, init, replacement, most)
  local is_out = init > #s + 1
  local expected = {
    find = shown(pcall(string.find, s, pattern, init)), match = shown(pcall(string.match, s, pattern, init)),
    gmatch = shown(pcall(function() return all(string.gmatch(s, pattern)) end)),
    gsub = shown(pcall(string.gsub, s, pattern, replacement, most)),
  }
  for number, tier in ipairs(tiers) do
    local position = position_of(s, init)
    if not is_out and not patterns.is_plain(pattern) then
      compare('find', s, pattern, number, expected.find, function() return searching.find(known(tier, pattern), s, position) end)
    end
    if not is_out then
      compare('match', s, pattern, number, expected.match, function() return searching.match(known(tier, pattern), s, position) end)
    end
    compare('gmatch', s, pattern, number, expected.gmatch, function()
      local without_anchor = pattern:sub(1, 1) == '^' and '%%' .. pattern or pattern
      return all(searching.gmatch(known(tier, without_anchor), s, 1))
    end)
    compare('gsub ' .. tostring(replacement), s, pattern, number, expected.gsub, function()
      local value = type(replacement) == 'number' and tostring(replacement) or replacement
      return searching.gsub(known(tier, pattern), s, value, most)
    end)
  end
end
"""


class SameTests(LuaCase):
    """The matcher in Lua returns the same as the one in C."""

    options = replace(TRUSTED, timeout=20_000)

    @settings(max_examples=examples(60))
    @given(
        st.lists(
            st.tuples(SUBJECTS, PATTERNS, st.integers(-4, 8), REPLACEMENTS, st.sampled_from([0, 1, 2, 99])),
            min_size=5,
            max_size=5,
        )
    )
    def test_same(self, cases: list[tuple[str, str, int, str, int]]) -> None:
        """All four functions return and raise the same in all implementations."""
        lines = [f"differ('{s}', '{pattern}', {init}, {value}, {most})" for s, pattern, init, value, most in cases]
        self.assertEqual(self.output(DIFFER % PARTS + "\n".join(lines)), "")

    def test_limits_of_the_matcher(self) -> None:
        """Too many captures or levels are the same errors."""
        for pattern in ("('()'):rep(32)", "('()'):rep(33)", "('x?'):rep(198)", "('x?'):rep(205)", "('x*'):rep(205)"):
            self.assertEqual(self.output(DIFFER % PARTS + f"differ(('x'):rep(300), {pattern}, 1, 'y', 1)"), "", pattern)


class SandboxCase(LuaCase):
    """Scripts that run with and without the sandbox."""

    options = SANDBOXED

    def assert_same(self, source: str) -> None:
        """Expect the same output with and without the sandbox."""
        self.use(sandbox=True)
        inside = self.output(source)
        self.use(sandbox=False)
        self.assertEqual(inside, self.output(source), source)


CALLS = """
('x'):find(nil) | ('x'):find({}) | ('x').find({}) | ('x'):find('x', {}) | ('x'):find('x', 1.5) | ('x'):find('x', 'a')
('x'):find('[') | ('x'):match('%') | ('x'):match('(x') | ('x'):gmatch('(x')() | ('x'):gmatch(nil) | ('x'):gmatch('x', {})
('x'):gsub('(x', 'y') | ('x'):gsub('x', true) | ('x'):gsub('x', '%2') | ('x'):gsub('x', '%y') | ('x'):gsub('x', 'y', 'z')
('x'):gsub('x', function() error('mine') end) | ('x'):rep(2000):gsub('x', function() error('mine') end)
('x'):rep(20000):find('x*x*[') | ('x'):rep(20000):gsub('x*x*', '%3') | string.upper(nil) | ('x').upper({})
('x'):format() | ('%d'):format('x') | string.format() | string.format('%y', 1)
string.format('%s', setmetatable({}, { __tostring = function() error('inner') end }))
os.date({}) | os.date('*t', 'x') | utf8.len({}) | utf8.len('abc', 7) | utf8.codepoint('abc', 7) | utf8.codepoint('\\255')
utf8.offset('abc', 1, 9) | pcall(string.find, nil) | pcall(string.find, 'x', '[') | pcall(utf8.len, {})
string.find('x', 'x', '1') | string.find(5, 5) | string.gsub(5, 5, 6) | ('x'):rep(3):gsub('x', 5) | ('x'):find('x', 9)
('x'):find('', 2) | ('x'):find('', 3) | ('x'):match('', 3) | ('a.b'):find('.', 1, true) | ('a.b'):find('.', -1)
"""


class SandboxStringTests(SandboxCase):
    """The string functions of the sandbox."""

    def test_errors(self) -> None:
        """Errors have the same text as in C, and the position of the script."""
        for call in CALLS.strip().replace("\n", " | ").split(" | "):
            self.assert_same(f"print(pcall(function()\n local a, b, c = {call}\n return a, b, c end))")

    @only_in_5_4
    def test_errors_of_replacements(self) -> None:
        """An error of a C function called by a long search has no position, as in C."""
        for call in (
            "coroutine.wrap(function() error('own', 0) end)",
            "setmetatable({}, { __index = string.rep })",
            "setmetatable({}, { __index = function() error('own', 0) end })",
            "string.rep",
        ):
            said = self.output(f"print(select(2, pcall(string.gsub, ('x'):rep(100000), 'x', {call})))")
            self.assertRegex(said, "^(own|bad argument #|cannot resume)", call)
        self.assertRegex(self.error("string.gsub(('x'):rep(100000), '()', os.exit)"), r"^os\.exit\(1\) was called")

    def test_invalid_replacement_values(self) -> None:
        """An invalid replacement value is an error at the script's line."""
        for times in (1, 2000):
            for value in ("{ x = {} }", "function() return {} end"):
                said = self.error(f"local s = ('x'):rep({times}):gsub('x', {value})")
                self.assertIn("script.lua:1: invalid replacement value (a table)", said)

    def test_long_texts(self) -> None:
        """On long texts, all functions return the same."""
        for source in (
            "local s = (' ab '):rep(5000) print(#s:match('^%s*(.-)%s*$'), s:match('^.-()%s*$'))",
            "local s = ('key=value, '):rep(20000) for k, v in s:gmatch('(%w+)=(%w+)') do assert(k .. v == 'keyvalue') end",
            "local s = ('one two '):rep(5000) print(#s:gsub('(%S+)%s+(%S+)', '%2 %1'), select(2, s:gsub('%w+', string.upper)))",
            "local s = ('one two '):rep(5000) local n = 0 print(#s:gsub('%w+', function(w) n = n + 1 return n % 3 == 0 and n end))",
            "print(('a'):rep(20000):find('a*b'), ('a'):rep(20000):gsub('a*b', ''), (('a'):rep(20000) .. 'b'):find('a*b'))",
            "print((('('):rep(9000) .. (')'):rep(9000)):find('%b()'), ('x'):rep(9000):find('(x*)%1$'))",
            "local s, p = ('a'):rep(20000), ('a'):rep(9000) print(s:find(p, 1, true), s:find(p .. 'b', 1, true), (s .. 'b'):find(p .. 'b', 1, true))",
            r"local s = '\0' .. ('\0001\n\r\\\"x'):rep(30000) print(load('return ' .. ('%q'):format(s))() == s, #('%q|%5s|%q'):format(s, 'x', s))",
            "print(#os.date('%H:%M ', 0):rep(9), utf8.len(('ä'):rep(50000)), #debug.traceback(('x'):rep(90000)) > 90000)",
            "local n = 0 for p, c in utf8.codes(('ä€x'):rep(9000)) do n = n + c end print(n)",
        ):
            self.assert_same(source)


FOREVER = [
    "('a'):rep(3000):find('.-.-.-.-b')",
    "('a'):rep(4e6):match('.-b.-c.-d$')",
    "for _ in ('a'):rep(1e6):gmatch('a-b') do end",
    "('('):rep(4e6):find('%b()')",
    "('a b '):rep(1e6):find('%f[a].-%f[c]')",
    "('a'):rep(1e6):find('(.-)%1b')",
    "('a'):rep(2e6):find(('a'):rep(1e6) .. 'b', 1, true)",
    "('a'):rep(2e6):match(('a'):rep(1e6) .. 'b*c')",
    "('a'):rep(50):find(('a?'):rep(50) .. 'b')",
    "('x'):rep(1e6):gsub('(y*)x', ('%1'):rep(1e6))",
    "('x'):rep(5e6):gsub('x', setmetatable({}, { __index = setmetatable({}, { __index = type }) }))",
    "(('a'):rep(200) .. ' .-.-.-b '):rep(1e5):gsub('(a+) (%S+) ', string.find)",
    "table.sort({ 1, 2, 3 }, function() ('a'):rep(4e6):find('.-.-b') end)",
    "pcall(string.find, ('a'):rep(4e6), '.-.-b')",
    "coroutine.wrap(function() ('a'):rep(4e6):find('.-.-b') end)()",
]
LONG = [
    "('x'):gsub('x', ('%%'):rep(15e6))",
    "pcall(string.find, 'x', '[' .. ('%a'):rep(10e6) .. ']')",
]
SLOW = [
    "s:find('[^x]')",
    "s:match('[^x]')",
    "s:gsub('[^x]', '')",
    "s:gmatch('[^x]')()",
    "('%q'):format(s)",
    "s:upper()",
    "s:reverse()",
    "utf8.len(s)",
    "utf8.offset(s, 2e6)",
    "debug.traceback(s)",
    "os.date(('%c'):rep(2000))",
]


class TimeTests(LuaCase):
    """No call blocks its thread."""

    options = replace(SANDBOXED, timeout=50)

    def test_slow_patterns(self) -> None:
        """A call that would take hours ends at the time limit, and the next script runs."""
        for source in FOREVER:
            self.assertEqual(limit_of(self.outcome(source)), TIMEOUT, source)
            self.assertEqual(self.output("print(('a b'):gsub('%w', '%0%0'))"), "aa bb\t2\n")

    def test_long_arguments(self) -> None:
        """Parsing a pattern or replacement of many megabytes ends with the time limit."""
        for source in LONG:
            started = time.monotonic()
            self.assertEqual(limit_of(self.outcome(source)), TIMEOUT, source)
            self.assertLess(time.monotonic() - started, 1, source)

    def test_many_in_a_row(self) -> None:
        """Calls that take milliseconds check the time, also in a script without loops."""
        for call in SLOW:
            source = "local s = ('x'):rep(4e6) " + f"_ = {call} " * 500
            outcome = self.outcome(source)
            self.assertIsNotNone(outcome.error, call)
            self.assertEqual(limit_of(outcome), TIMEOUT, f"{call}: {outcome.error}")

    def test_long_date(self) -> None:
        """The format of os.date has a maximum length, because each of its letters may become a long text."""
        self.assertIn(
            "script.lua:1: bad argument #1 to 'date' (the format is too long)",
            self.error("local s = os.date(('%c'):rep(1e6))"),
        )

    def test_without_limit(self) -> None:
        """Without a time limit, scripts get the C functions."""
        self.use(timeout=0)
        self.assertEqual(self.output("print(('a'):rep(20000):find('a*b'))"), "nil\n")


USUAL = {
    r"^(%w+)%s*=%s*(.-)%s*$": (200, "once"),
    r"^%s*(.-)%s*$": (3000, "once"),
    r"^(.-)%s*$": (3000, "once"),
    r"%s+$": (3000, "once"),
    r"^%s+": (1_000_000, "once"),
    r"[^\n]+": (1_000_000, "every"),
    r"%w+": (1_000_000, "every"),
    r"%s+": (1_000_000, "every"),
    r"[%w_]+": (1_000_000, "every"),
    r"([^,]*),?": (1_000_000, "every"),
    r"%%(%x%x)": (1_000_000, "every"),
    r"[&<>]": (1_000_000, "every"),
    r"^(.-)\r\n\r\n(.*)$": (1_000_000, "once"),
    r"^.*/": (1_000_000, "once"),
    r"^([^:]+):%s*(.*)$": (1_000_000, "once"),
    r"%f[%w]%w+": (1_000_000, "every"),
    r"(%S+)%s+(%S+)": (1_000_000, "at"),  # in C, but from each position anew
    r"(%w+)=(%w+)": (1_000_000, "at"),
}
ANALYSIS = """
local function check_time() end
local patterns = loadfile('%s/patterns.lua')(loadfile('%s/items.lua')(check_time), check_time)
local known = patterns.analysed('%s')
print(known.once, known.every, known.at, known.is_valid)
"""


class CostTests(LuaCase):
    """The cost analysis of patterns."""

    def known(self, pattern: str) -> dict[str, float]:
        """Return the longest subjects that are left to C."""
        once, every, at, is_right = self.output(ANALYSIS % (PARTS, PARTS, pattern)).split()
        return {"once": float(once), "every": float(every), "at": float(at), "is_right": is_right == "true"}

    def test_common_patterns(self) -> None:
        """Common patterns on common subjects are left to C."""
        for pattern, (length, what) in USUAL.items():
            known = self.known(pattern)
            self.assertTrue(known["is_right"])
            self.assertGreaterEqual(known[what], length, pattern)

    def test_slow_patterns(self) -> None:
        """Slow patterns are not left to C."""
        for pattern, length in (
            ("a*b", 10_000),
            (".-.-.-.-b", 200),
            ("%b()", 20_000),
            ("(a*)%1b", 5000),
            ("x.*z", 10_000),
        ):
            self.assertLess(self.known(pattern)["once" if pattern != "x.*z" else "every"], length, pattern)
        self.assertLess(self.known("a?" * 50 + "b")["once"], 50)

    def test_malformed_patterns(self) -> None:
        """Patterns that may raise an error are detected."""
        for pattern in ("[a", "%", "(a", "a)", "%1", "%f", "%b", "()" * 33, "a?" * 200):
            self.assertFalse(self.known(pattern)["is_right"], pattern)
