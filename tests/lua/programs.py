"""Random Lua programs, for a search for harmful scripts. Each is a complete script.

The programs call the functions that are reachable from the sandbox with unusual values: tables with every metamethod,
extreme numbers, numeric strings, long and malformed texts, coroutines in every state, and callbacks that raise, yield,
exit or do not return. They also write to their globals and to tables that they share with the called code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

Make = Callable[[int], str]
"""Creates an expression or a statement, nested at this depth."""

PRELUDE = (Path(__file__).parent / "programs.lua").read_text(encoding="utf-8")
CANARY = b"CANARY"
"""Start of the secrets of other requests; no program contains it."""

NUMBERS = (
    *(
        "0",
        "1",
        "2",
        "3",
        "-1",
        "-2",
        "0.5",
        "-0.0",
        "255",
        "1e15",
        "2^31",
        "2^31 - 1",
        "-2^31",
        "2^53",
        "2^63",
        "-2^63",
    ),
    *("1e308", "-1e308", "1/0", "-1/0", "0/0", "64", "1000", "100000", "5e-324", "1e100"),
)
NUMBERS_5_4 = ("math.maxinteger", "math.mininteger", "1 << 62", "9007199254740993")
NUMBERS_JIT = ("1LL", "0ULL", "2i")
TEXTS = (
    *(
        "''",
        "'x'",
        "'\\0'",
        "'a\\0b'",
        "' 5 '",
        "'1'",
        "'-1'",
        "'2'",
        "'0x10'",
        "'1e15'",
        "'9007199254740992'",
        "'nan'",
    ),
    *("'inf'", "'1e308'", "'%'", "'%s'", "'%d%d'", "'%99.99f'", "'%q'", "'['", "'(()'", "'%b'", "'%f'", "'\\255\\254'"),
    *(
        "'{\"a\":[1,2,{}]}'",
        "'[[['",
        "'\"\\\\ud800\"'",
        "'-'",
        "'1e999'",
        "'null'",
        "'return 1'",
        "'return ...'",
        "'x = 1'",
    ),
    *(
        "'goto x ::x::'",
        "'\\27Lua'",
        "'while true do end'",
        "'error(...)'",
        "'cjson'",
        "'pl.pretty'",
        "'../x'",
        "'x;y'",
    ),
    *(
        "'*t'",
        "'@on'",
        "'!*t'",
        "'%c'",
        "'%Ez'",
        "'count'",
        "'collect'",
        "'step'",
        "'k'",
        "'kv'",
        "'n'",
        "'__index'",
        "'__gc'",
    ),
    *(
        "('x'):rep(300)",
        "('x'):rep(100000)",
        "('9'):rep(1000)",
        "('['):rep(3000)",
        "('{\"\":'):rep(3000)",
        "('%s'):rep(300)",
    ),
    *("('a,'):rep(20000)", "'\\u{0}'", "'#!x\\n'", "'<b4'", "'i17'", "'z'", "'s8'", "'!16Xi16'"),
)
NAMES = (
    *(
        "'x'",
        "1",
        "2",
        "0",
        "-1",
        "'n'",
        "'__index'",
        "'__newindex'",
        "'__tostring'",
        "'__name'",
        "'__metatable'",
        "'__gc'",
    ),
    *("'__mode'", "'__eq'", "'__concat'", "'__len'", "'string'", "'table'", "'os'", "'arg'", "'require'", "'print'"),
    *(
        "'cjson'",
        "'pl.pretty'",
        "'pl.x;/etc/passwd'",
        "'year'",
        "'day'",
        "'find'",
        "'format'",
        "'gsub'",
        "'rep'",
        "'traceback'",
    ),
)
PLACES = (
    *(
        "G",
        "G.string",
        "G.table",
        "G.math",
        "G.os",
        "G.debug",
        "G.coroutine",
        "G.package",
        "G.package.loaded",
        "alaska",
    ),
    *("G.package.preload", "alaska.kv", "alaska.json", "alaska.log", "alaska.frames", "alaska.config", "cjson", "safe"),
    *("getmetatable('')", "own(getmetatable(alaska.json.array {}))", "getmetatable('').__index"),
)
BEHAVIOURS = (
    ("value",) * 4 + ("raise",) * 3 + ("yield",) * 3 + ("all", "first", "pcall", "set", "exit", "memory", "loop")
)
OPERATIONS = (
    *(
        "return a == b",
        "return a .. b",
        "return a[b]",
        "a[b] = a",
        "return #a",
        "return a < b",
        "return a <= b",
        "return a + b",
    ),
    *("return a(b)", "return -a", "return a.x", "return a:x(b)", "return a ^ b", "for _ in a, b do break end"),
    *("for k, v in pairs(a) do b = v break end", "for i = a, b do break end", "return a and b", "return tostring(a)"),
)
OPERATIONS_5_4 = ("return a // b", "return a & b", "return ~a", "local c <close> = a", "return a << b")
CONSTANTS = ("nil", "true", "false", "alaska.json.null", "cjson.null", "seen.io.stdout", "seen.io.stdin")
TABLES = (
    *("{}", "{ 1, 2, 3 }", "{ 'a', 'b', x = 1 }", "{ n = 1e15 }", "{ [1e9] = 1 }", "{ [-1] = 1, [0.5] = 2, [1] = 3 }"),
    *("{ nil, nil, 3 }", "{ year = 2000, month = 1, day = '1' }", "{ own {}, own {} }", "{ [2^53] = 1 }"),
)
DEPTHS = ("3", "150", "250", "1100", "5000")
DEEPEST = 4
COUNTS = (0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5)
PATTERNS = (
    *("'.-.-y'", "'x*x*y'", "'(x*)%1y'"),
    "'x-'",
    "'.-x'",
    "'(x*)'",
    "'%a+'",
    "'[%w_]*'",
    "'^.'",
    "'()'",
    "'%f[%w]'",
    "'%1'",
    "'(.)%1'",
    "'%b()'",
    "'x?y'",
)
SUBJECTS = (
    *("'x'", "''", "('x'):rep(50)", "'(x)(y) x_1 \\0'", "5", "('xy '):rep(20)", "('x'):rep(100000)"),
    *("('ab (c) '):rep(20000)", "('['):rep(5000)"),
)


class Programs:
    """Creates programs, reproducibly for the same random numbers.

    ``functions`` are the names of the functions that they call, such as ``string.rep``.
    """

    def __init__(self, random: Random, functions: Sequence[str], is_jit: bool) -> None:
        self._random = random
        self._functions = functions
        self._numbers = NUMBERS + (NUMBERS_JIT if is_jit else NUMBERS_5_4)
        self._operations = OPERATIONS + (() if is_jit else OPERATIONS_5_4)
        self._prelude = f"local NAMES = '{' '.join(functions)}'\n{PRELUDE}"
        # The weights of the choices; deeply nested values are of the first three kinds.
        self._values = self._repeated((3, self._number), (4, self._text), (2, self._result)) + self._repeated(
            (5, self._table), (2, self._function), (2, self._callback), (2, self._thread)
        )
        self._statements = self._repeated(
            (12, self._call), (2, self._operation), (1, self._assignment), (1, self._metatable), (1, self._of_strings),
            (1, self._in_coroutine), (1, self._in_sort), (1, self._in_gsub),
        )  # fmt: skip

    @staticmethod
    def _repeated(*choices: tuple[int, Make]) -> list[Make]:
        return [make for count, make in choices for _ in range(count)]

    def program(self) -> str:
        """Return the next program."""
        body = [self._random.choice(self._statements)(0) for _ in range(self._random.randrange(5, 40))]
        return self._prelude + "\n".join([*body, self._end()]) + "\n"

    def _pick(self, choices: Sequence[str]) -> str:
        return self._random.choice(choices)

    # Expressions, nested at this depth

    def _value(self, depth: int = 0) -> str:
        return self._random.choice(self._values if depth < DEEPEST else self._values[:9])(depth)

    def _number(self, _depth: int) -> str:
        return self._pick(self._numbers)

    def _text(self, _depth: int) -> str:
        return self._pick(TEXTS) if self._random.random() < 0.8 else self._pick(CONSTANTS)

    def _result(self, _depth: int) -> str:
        return f"R[{self._random.randrange(1, 41)}]"

    def _function(self, _depth: int = 0) -> str:
        return f"F['{self._pick(self._functions)}']"

    def _callback(self, depth: int) -> str:
        behaviour = self._pick(BEHAVIOURS)
        if behaviour in {"loop", "memory"} and self._random.random() < 0.8:  # these use up the time limit
            behaviour = "value"
        value = self._function() if behaviour == "pcall" else self._value(depth + 1)
        return f"callback('{behaviour}', {value})"

    def _table(self, depth: int) -> str:
        kind = self._random.randrange(12)
        if kind < 5:
            usual = self._function() if self._random.random() < 0.3 else self._callback(depth)
            odd, first = self._value(depth + 1), self._random.randrange(12)
            return f"full({self._pick(TABLES)}, {usual}, {odd}, {first})"
        if kind == 5:
            return f"deep({self._pick(DEPTHS)}, {self._value(depth + 1)})"
        if kind == 6:
            return f"own {{ [{self._pick(NAMES)}] = {self._value(depth + 1)} }}"
        return self._pick((*PLACES, "cyclic()")) if kind < 9 else f"own {self._pick(TABLES)}"

    def _thread(self, depth: int) -> str:
        body = self._function() if self._random.random() < 0.5 else self._callback(depth)
        is_begun = self._pick(("true", "false"))
        return self._pick((f"thread({body}, {is_begun})", "own((coroutine.running()))", f"own(wrap({body}))"))

    # Statements

    def _call(self, _depth: int = 0) -> str:
        name = self._pick(self._functions)
        call = f"try('{name}', F['{name}']"
        if name.rpartition(".")[2] in {"find", "match", "gmatch", "gsub"} and self._random.random() < 0.5:
            more = f", {self._value()}" if name.endswith("gsub") else ""
            return f"{call}, {self._pick(SUBJECTS)}, {self._pick(PATTERNS)}{more})"
        return ", ".join([call, *(self._value() for _ in range(self._random.choice(COUNTS)))]) + ")"

    def _operation(self, _depth: int) -> str:
        operation = self._pick(self._operations)
        return f"try('operation', own(function(a, b) {operation} end), {self._value()}, {self._value()})"

    def _assignment(self, _depth: int) -> str:
        return f"pcall(function() ({self._pick(PLACES)})[{self._pick(NAMES)}] = {self._value()} end)"

    def _metatable(self, _depth: int) -> str:
        return f"pcall(function() setmetatable({self._pick(PLACES)}, {self._table(0)}) end)"

    def _of_strings(self, _depth: int) -> str:
        return f"pcall(function() getmetatable('')[{self._pick(NAMES)}] = {self._value()} end)"

    def _in_coroutine(self, _depth: int) -> str:
        return f"try('wrap', wrap(own(function() {self._call()} {self._call()} end)))"

    def _in_sort(self, _depth: int) -> str:
        return f"try('sort', own(function() table.sort({{ 2, 1 }}, own(function() {self._call()} end)) end))"

    def _in_gsub(self, _depth: int) -> str:
        return f"try('gsub', own(function() return ('x'):gsub('x', own(function() {self._call()} end)) end))"

    def _end(self) -> str:
        value = self._value()
        return self._pick((
            f"return {value}", f"return {value}", f"error({value})", f"coroutine.yield({value})", f"os.exit({value})",
            f"local a = {value} return a()", "",
        ))  # fmt: skip
