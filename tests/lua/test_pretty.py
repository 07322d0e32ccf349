"""The module pl.pretty: Alaska's own and Penlight's behave alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from twisted.trial.unittest import SkipTest

from tests.lua.json_values import JSON, are_alike
from tests.lua.lua_case import IS_JIT, TRUSTED, LuaCase

NULL = "userdata: NULL" if IS_JIT else "userdata: (nil)"
EOF = "'<eof>'" if IS_JIT else "<eof>"
CALLS_PRINT = 'nil\t[string "tbl"]:1: attempt to call ' + (
    "global 'print' (a nil value)" if IS_JIT else "a nil value (global 'print')"
)


class PrettyTests(LuaCase):
    """Alaska's pl.pretty."""

    def setUp(self) -> None:
        super().setUp()
        place = self.output("print((select(2, require 'pl.pretty')))")
        if self.options.system_modules == (place == ":alaska:\n"):
            raise SkipTest("no Penlight is installed for Lua 5.4")

    def check(self, *cases: tuple[str, str]) -> None:
        """Expect each expression to print a text; ``w`` writes without spaces."""
        for expression, expected in cases:
            source = f"""
                local pretty = require 'pl.pretty'
                local function w(value, ...) return (pretty.write(value, '', ...)) end
                print({expression})
            """
            self.assertEqual(self.output(source), expected + "\n", expression)

    def test_layout(self) -> None:
        """Each value has its own line, indented by two spaces per level."""
        self.check(
            ("pretty.write({})", "{\n}"),
            ("pretty.write({ 1, 'x', true })", '{\n  1,\n  "x",\n  true\n}'),
            ("pretty.write({ a = { b = {} } })", "{\n  a = {\n    b = {\n    }\n  }\n}"),
            ("pretty.write({ 1, { 2 }, x = 3 }, '    ')", "{\n    1,\n    {\n        2\n    },\n    x = 3\n}"),
            ("w({ 1, { 2 }, x = { y = 3 } })", "{1,{2},x={y=3}}"),
            ("w({ {}, {} })", "{{},{}}"),
        )

    def test_order(self) -> None:
        """The list comes first, then other keys by type and name, then other numbers."""
        self.check(
            (
                "w({ b = 1, a = 2, C = 3, ['10'] = 4, ['9'] = 5, aa = 6, _ = 7 })",
                '{["10"]=4,["9"]=5,C=3,_=7,a=2,aa=6,b=1}',
            ),
            ("w({ 1, 2, x = 3, [10] = 4, [true] = 5 })", '{1,2,["true"]=5,x=3,[10]=4}'),
            ("w({ 1, nil, 3 })", "{1,[3]=3}"),
            ("w({ [0] = 0, 1 })", "{1,[0]=0}"),
            ("w({ [1.5] = 1 }), w({ [-1] = 1 })", "{[1.5]=1}\t{[-1]=1}"),
        )

    def test_keys(self) -> None:
        """Keys that are names are written as they are, all others in brackets."""
        self.check(
            ("w({ a_1 = 1, self = 2 })", "{a_1=1,self=2}"),
            ("w({ ['end'] = 1, ['nil'] = 2 })", '{["end"]=1,["nil"]=2}'),
            ("w({ ['a b'] = 1 }), w({ [''] = 1 }), w({ ['1a'] = 1 })", '{["a b"]=1}\t{[""]=1}\t{["1a"]=1}'),
            ("w({ ['a\\nb'] = 1 })", "{[ [[a\nb]] ]=1}"),
            ("w({ [print] = 1 }):gsub('0x%x+', 'P')", '{["function: P"]=1}\t1'),
        )

    def test_numbers(self) -> None:
        """Numbers with an integer value have no fraction, others have 14 digits."""
        self.check(
            ("w({ 1, 1.0, -0.0, 0.1, 1/3 })", "{1,1,0,0.1,0.33333333333333}"),
            ("w({ 2^53, 1e15, 2^62 })", "{9007199254740992,1000000000000000,4611686018427387904}"),
            ("w({ 1/0, -1/0, 0/0 })", "{Inf,-Inf,NaN}"),
        )

    def test_strings(self) -> None:
        """Strings are quoted; those with line breaks or brackets are written in long brackets."""
        self.check(
            (r"""w({ 'a"b', "a'b", '\\' })""", r"""{"a\"b","a'b","\\"}"""),
            (r"w({ 'a\nb' }), w({ '\nb' })", "{[[a\nb]]}\t{[[\n\nb]]}"),
            (r"w({ 'a\0b', '\t', '\r', '\1', '\127' })", r'{"a\0b","\9","\13","\1","\127"}'),
            ("w({ ']]' }), w({ '[[' }), w({ ']' }), w({ ']=]' })", "{[=[]]]=]}\t{[=[[[]=]}\t{[=[]]=]}\t{[==[]=]]==]}"),
            ("w({ '[' }), w({ 'a[b' })", '{"["}\t{"a[b"}'),
            (r"w({ 'a\r\nb' })", '{"a\\13\\\nb"}'),
            ("w({ 'é' })", '{"é"}'),
        )

    def test_other_values(self) -> None:
        """Functions and similar values are shown by name, cycles as <cycle>; a value need not be a table."""
        self.check(
            ("w({ print }):gsub('0x%x+', 'P')", '{"function: P"}\t1'),
            ("w((function() local t = {} t.t = { t } return t end)())", "{t={<cycle>}}"),
            ("w((function() local t = {} return { t, t } end)())", "{{},{}}"),
            ("w({ require('cjson').null })", f'{{"{NULL}"}}'),
            ("w({ a = false })", "{a=false}"),
            ("pretty.write('x')", '"x"'),
            ("pretty.write(1.0)", "1\tnot a table"),
            ("pretty.write(nil)", "nil\tnot a table"),
            ("pretty.write(true)", "true\tnot a table"),
            ("w(setmetatable({ 1 }, { __tostring = error }))", "{1}"),
            ("w(setmetatable({}, { __index = function(_, i) return i < 3 and i or nil end }))", "{1,2}"),
        )

    def test_not_clever(self) -> None:
        """With not_clever, every key is in brackets and numbers come last."""
        self.check(("w({ 1, a = 2, [true] = 3 }, true)", '{["true"]=3,["a"]=2,[1]=1}'))

    def test_dump(self) -> None:
        """Dump prints, or writes a file."""
        path = self.directory / "dumped"
        self.check(("pretty.dump({ 1 })", "{\n  1\n}\ntrue"), ("pretty.dump(1)", "1\tnot a table\ntrue"))
        self.check((f"pretty.dump({{ 1 }}, '{path}')", "true"))
        self.assertEqual(path.read_text(), "{\n  1\n}")
        self.check(("pretty.dump({ 1 }, '/nowhere/x')", "nil\t/nowhere/x: No such file or directory"))

    def test_read(self) -> None:
        """Read accepts a table constructor only, which cannot call functions."""
        self.check(
            ("w(pretty.read('{ 1, a = { 2 } }')), w(pretty.read(' -- c\\n {1}'))", "{1,a={2}}\t{1}"),
            ("w(pretty.read('{a = os, b = 1 + 2}')), w(pretty.read('{function_x = 1}'))", "{b=3}\t{function_x=1}"),
            ("""w(pretty.read('{"function", [[function]]}'))""", '{"function","function"}'),
            ("pretty.read('1')", "nil\tnot a Lua table"),
            ("pretty.read('')", "nil\tnot a Lua table"),
            ("pretty.read('return {1}')", "nil\tnot a Lua table"),
            ("pretty.read('{f = function() end}')", "nil\tcannot have functions in table definition"),
            ("pretty.read('{print()}')", CALLS_PRINT),
            ("pretty.read('{1,2')", f"nil\t[string \"tbl\"]:1: '}}' expected near {EOF}"),
            ("""pretty.read('{("x"):rep(3)}') == nil, ('x'):rep(3)""", "true\txxx"),
            ("(pcall(pretty.read, nil))", "false"),
        )

    def test_load(self) -> None:
        """Load runs source with the given globals; in paranoid mode without loops and functions."""
        self.check(
            ("w(pretty.load('a = 1; b = { 2 }')), w(pretty.load('a = x', { x = 3 }))", "{a=1,b={2}}\t{a=3,x=3}"),
            ("w(pretty.load('for i = 1, 2 do x = i end'))", "{x=2}"),
            ("pretty.load('for i = 1, 2 do x = i end', nil, true)", "nil\tlooping not allowed"),
            ("pretty.load('x = function() end', nil, true)", "nil\tlooping not allowed"),
            (
                """w(pretty.load('a = "while"', nil, true)), w(pretty.load('a = 1 -- while', nil, true))""",
                '{a="while"}\t{a=1}',
            ),
            ("pretty.load('print(1)')", CALLS_PRINT),
            ("pretty.load('a =')", f'nil\t[string "tbl"]:1: unexpected symbol near {EOF}'),
            ("""pretty.load('a = ("x"):rep(3)', nil, true) == nil, ('x'):rep(3)""", "true\txxx"),
        )


class SystemPrettyTests(PrettyTests):
    """The system's Penlight, where it is installed."""

    options = replace(TRUSTED, system_modules=True)

    @given(JSON)
    @settings(deadline=None)
    def test_same_as_ours(self, value: Any) -> None:
        """Penlight and Alaska's own print the same, except for numbers that Penlight cannot print."""
        self.write("dump.lua", "require('pl.pretty').dump((require('cjson').decode(alaskaContext)))")
        content = json.dumps(value).encode()
        theirs = self.outcome_of("dump", content)
        assume(theirs.error is None)
        assume(b"-9223372036854775808" not in theirs.output)  # Penlight writes all large numbers like this in LuaJIT
        self.use(system_modules=False)
        ours = self.outcome_of("dump", content)
        self.use(system_modules=True)
        self.assertEqual(ours.output.decode(), theirs.output.decode())


class OwnPrettyTests(LuaCase):
    """Where Alaska's pl.pretty differs from Penlight's."""

    @given(JSON)
    @settings(deadline=None)
    def test_reads_what_it_writes(self, value: Any) -> None:
        """Read accepts every table that write returned, including numbers that Penlight cannot write."""
        source = """
            local cjson, pretty = require 'cjson', require 'pl.pretty'
            local text = pretty.write({ (cjson.decode(alaskaContext)) })
            io.write(cjson.encode(assert(pretty.read(text))))
        """
        content = json.dumps(value).replace("null", "7")  # null would become a string
        again = json.loads(self.output(source, content.encode()))
        self.assertTrue(are_alike(again, [json.loads(content)]), (again, content))
