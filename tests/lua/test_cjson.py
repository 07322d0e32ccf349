"""The module cjson: Alaska's own and the system's lua-cjson behave alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from twisted.trial.unittest import SkipTest

from tests.lua.json_values import JSON, are_alike
from tests.lua.lua_case import TRUSTED, LuaCase, only_in_5_4

# A property that is checked in a test class and in a derived one, each for its own implementation.
TWO_IMPLEMENTATIONS = settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class CjsonTests(LuaCase):
    """Alaska's cjson."""

    module = "cjson"
    unknown = "userdata"

    def setUp(self) -> None:
        super().setUp()
        place = self.output(f"print((select(2, require '{self.module}')))")
        if self.options.system_modules == (place == ":alaska:\n"):
            raise SkipTest(f"no {self.module} is installed for Lua 5.4")

    def check(self, *cases: tuple[str, str]) -> None:
        """Expect each expression to print a text; ``e`` and ``d`` encode and decode, and return errors as text."""
        for expression, expected in cases:
            source = f"""
                local cjson = require 'cjson'
                local function shown(ok, ...) if ok then return ... end return 'error: ' .. ... end
                local function e(...) return shown(pcall(cjson.encode, ...)) end
                local function d(...) return shown(pcall(cjson.decode, ...)) end
                print({expression})
            """
            self.assertEqual(self.output(source), expected + "\n", expression)

    def test_encode_scalars(self) -> None:
        """Numbers have 14 digits, cjson.null and nil become null."""
        self.check(
            ("e(1)", "1"),
            ("e(1.0)", "1"),
            ("e(-1.5)", "-1.5"),
            ("e(1/3)", "0.33333333333333"),
            ("e(1e100)", "1e+100"),
            ("e(true)", "true"),
            ("e(false)", "false"),
            ("e(nil)", "null"),
            ("e(cjson.null)", "null"),
            ("type(cjson.null)", "userdata"),
        )

    def test_encode_strings(self) -> None:
        """Control characters, quotes, backslash, slash and DEL are escaped; all other octets are unchanged."""
        self.check(
            (r"""e('a"b\\c/d')""", r'"a\"b\\c\/d"'),
            (r"e('\b\f\n\r\t')", r'"\b\f\n\r\t"'),
            (r"e('\0\1\31\127')", r'"\u0000\u0001\u001f\u007f"'),
            ("e('é€😀')", '"é€😀"'),
            ("e('')", '""'),
        )

    def test_encode_tables(self) -> None:
        """Tables with positive integer keys are arrays, with null for holes; others and empty tables are objects."""
        self.check(
            ("e({})", "{}"),
            ("e({ 1, 'x', { true } })", '[1,"x",[true]]'),
            ("e({ 1, nil, 3 })", "[1,null,3]"),
            ("e({ [5] = 1 })", "[null,null,null,null,1]"),
            ("e({ a = 1 })", '{"a":1}'),
            ("e({ [0] = 1 })", '{"0":1}'),
            ("e({ [1.5] = 1 })", '{"1.5":1}'),
            ("e({ [-1] = { {} } })", '{"-1":[{}]}'),
            ("e({ ['a\"b'] = 1 })", '{"a\\"b":1}'),
            ("#e({ 1, x = 2 })", str(len('{"1":1,"x":2}'))),
            ("e(setmetatable({}, { __index = { 1 } }))", "{}"),
        )

    def test_encode_errors(self) -> None:
        """Values without a JSON form are errors."""
        self.check(
            ("e(print)", "error: Cannot serialise function: type not supported"),
            ("e({ a = { print } })", "error: Cannot serialise function: type not supported"),
            ("e(coroutine.create(print))", "error: Cannot serialise thread: type not supported"),
            ("io and e(io.stdout) or e(print)", f"error: Cannot serialise {self.unknown}: type not supported"),
            ("e({ [true] = 1 })", "error: Cannot serialise boolean: table key must be a number or string"),
            ("e(0/0)", "error: Cannot serialise number: must not be NaN or Inf"),
            ("e(1/0)", "error: Cannot serialise number: must not be NaN or Inf"),
            ("e({ [11] = 1 })", "error: Cannot serialise table: excessively sparse array"),
            (
                "e((function() local t = {} t.t = t return t end)())",
                "error: Cannot serialise, excessive nesting (1001)",
            ),
            ("(select('#', e(1)))", "1"),
        )

    def test_decode(self) -> None:
        """Every kind of value is decoded."""
        self.check(
            ("d('1') == 1, d('-1.5e2') == -150, d(' [1 , 2 ] ')[2] == 2", "true\ttrue\ttrue"),
            ("d('true'), d('false'), d('null') == cjson.null", "true\tfalse\ttrue"),
            ("""d('{"a":{"b":[{}]}}').a.b[1] ~= nil""", "true"),
            ("""d('{"a":1,"a":2}').a == 2""", "true"),
            ("next(d('{}')), next(d('[]'))", "nil\tnil"),
            ("#d('[1,null,3]'), d('[null]')[1] == cjson.null", "3\ttrue"),
            ("d('9007199254740991') == 9007199254740991, d('1e400') == 1/0", "true\ttrue"),
            ("d(5) == 5", "true"),
            ("d('\\t\\n\\r 1 \\r\\n') == 1", "true"),
        )

    def test_decode_strings(self) -> None:
        """Escapes, including surrogate pairs, are decoded to UTF-8; other octets are unchanged."""
        self.check(
            (r"""d('"\\"\\\\\\/\\b\\f\\n\\r\\t"') == '"\\/\b\f\n\r\t'""", "true"),
            (r"""d('"\\u0041\\u00e9\\u20AC\\uD83D\\ude00"')""", "Aé€😀"),
            (r"""d('"a\\u0000b"') == 'a\0b'""", "true"),
            (r"""d('"\255\1"') == '\255\1'""", "true"),
            ("""d('""') == ''""", "true"),
        )

    def test_decode_lenient_numbers(self) -> None:
        """By default, all numbers that C accepts are decoded."""
        self.check(
            (
                "d('0x1F') == 31, d('-0x1f') == -31, d('[0x1p3]')[1] == 8, d('01') == 1, d('+1') == 1",
                "true\t" * 4 + "true",
            ),
            ("d('1.') == 1, d('1.e2') == 100, d('-0') == 0, d('00') == 0", "true\ttrue\ttrue\ttrue"),
            ("d('Infinity') == 1/0, d('-inf') == -1/0, d('nan') ~= d('NaN')", "true\ttrue\ttrue"),
        )

    def test_decode_errors(self) -> None:
        """Invalid JSON is an error that states what was expected, what was found, and where."""
        expected_value = "error: Expected value but found "
        self.check(
            ("d('')", expected_value + "T_END at character 1"),
            ("d('  ')", expected_value + "T_END at character 3"),
            ("d('[')", expected_value + "T_END at character 2"),
            ("d('[1,]')", expected_value + "T_ARR_END at character 4"),
            ("d('[,]')", expected_value + "T_COMMA at character 2"),
            ("""d('{"a":')""", expected_value + "T_END at character 6"),
            ("d('nul')", expected_value + "invalid token at character 1"),
            ("d('True')", expected_value + "invalid token at character 1"),
            ("d('.5')", expected_value + "invalid token at character 1"),
            ("d('-')", expected_value + "invalid number at character 1"),
            ("d('--1')", expected_value + "invalid number at character 1"),
            ("d(\"'a'\")", expected_value + "invalid token at character 1"),
            ("d('// c')", expected_value + "invalid token at character 1"),
            ("d('\\239\\187\\191{}')", expected_value + "invalid token at character 1"),
            ("""d('"a')""", expected_value + "unexpected end of string at character 3"),
            ("""d('"a\\0b"')""", expected_value + "unexpected end of string at character 3"),
            (r"""d('"\\x"')""", expected_value + "invalid escape code at character 2"),
            (r"""d('"\\u12"')""", expected_value + "invalid unicode escape code at character 2"),
            (r"""d('"\\ud800"')""", expected_value + "invalid unicode escape code at character 2"),
            (r"""d('"\\ud800\\u0041"')""", expected_value + "invalid unicode escape code at character 2"),
            (r"""d('"\\udc00"')""", expected_value + "invalid unicode escape code at character 2"),
            ("d('[1 2]')", "error: Expected comma or array end but found T_NUMBER at character 4"),
            ("d('[1')", "error: Expected comma or array end but found T_END at character 3"),
            ("d('{')", "error: Expected object key string but found T_END at character 2"),
            ("d('{1:1}')", "error: Expected object key string but found T_NUMBER at character 2"),
            ("d('{a:1}')", "error: Expected object key string but found invalid token at character 2"),
            ("""d('{"a":1,}')""", "error: Expected object key string but found T_OBJ_END at character 8"),
            ("""d('{"a" 1}')""", "error: Expected colon but found T_NUMBER at character 6"),
            ("""d('{"a":1')""", "error: Expected comma or object end but found T_END at character 7"),
            ("d('1 2')", "error: Expected the end but found T_NUMBER at character 3"),
            ("d('1e')", "error: Expected the end but found invalid token at character 2"),
            ("d('nulll')", "error: Expected the end but found invalid token at character 5"),
            ("d('[]]')", "error: Expected the end but found T_ARR_END at character 3"),
            ("d('infinit')", "error: Expected the end but found invalid token at character 4"),
            ("d('1\\0')", "error: JSON parser does not support UTF-16 or UTF-32"),
            ("d(('['):rep(1001))", "error: Found too many nested data structures (1001) at character 1001"),
        )

    def test_arguments(self) -> None:
        """Both functions take exactly one argument, and decode takes a string."""
        for source, message in [
            ("cjson.decode()", "(expected 1 argument)"),
            ("cjson.encode(1, 2)", "(expected 1 argument)"),
            ("cjson.decode({})", "(string expected, got table)"),
        ]:
            text = self.error(f"local cjson = require 'cjson'\nlocal x = {source}\n")
            self.assertIn("script.lua:2: bad argument #1 to ", text)
            self.assertIn(message, text)

    def test_position_of_errors(self) -> None:
        """An error has the position of the script's call."""
        for call in ("decode('x')", "encode(print)"):
            self.assertIn("script.lua:2: ", self.error(f"local cjson = require 'cjson'\nlocal x = cjson.{call}\n"))

    def test_nesting(self) -> None:
        """1000 nested levels are encoded and decoded, and the maximum depths can be set."""
        source = "local t = {} for i = 2, 1000 do t = { t } end print(#e(t), #e(d(e(t)))) "
        self.check((f"(function() {source} end)()", "2000\t2000\n"))
        self.check(
            ("cjson.encode_max_depth(1), e({ {} })", "1\terror: Cannot serialise, excessive nesting (2)"),
            (
                "cjson.decode_max_depth(1), d('[[]]')",
                "1\terror: Found too many nested data structures (2) at character 2",
            ),
        )

    def test_sparse_arrays(self) -> None:
        """Arrays with many holes become objects if so configured, or arrays if the ratio is 0."""
        self.check(
            ("cjson.encode_sparse_array()", "false\t2\t10"),
            ("select(4, true, cjson.encode_sparse_array(true)), e({ [100] = 1 })", '10\t{"100":1}'),
            ("select(4, true, cjson.encode_sparse_array(false, 0)), e({ [3] = 1 })", "10\t[null,null,1]"),
            (
                "select(4, true, cjson.encode_sparse_array(nil, nil, 2)), e({ [3] = 1 })",
                "2\terror: Cannot serialise table: excessively sparse array",
            ),
        )

    def test_settings(self) -> None:
        """The same functions get and set the settings; invalid values are errors."""
        self.check(
            ("cjson.encode_number_precision(3), e(1/3)", "3\t0.333"),
            ("cjson.encode_invalid_numbers('null'), e({ 1/0, 0/0 })", "null\t[null,null]"),
            ("cjson.encode_invalid_numbers(true), e({ 1/0, -1/0 })", "true\t[inf,-inf]"),
            ("cjson.encode_invalid_numbers('off'), cjson.encode_keep_buffer('on')", "false\ttrue"),
            (
                "cjson.decode_invalid_numbers(false), d('01')",
                "false\terror: Expected value but found invalid number at character 1",
            ),
            (
                "cjson.decode_invalid_numbers(false), d('0x1')",
                "false\terror: Expected value but found invalid number at character 1",
            ),
            (
                "cjson.decode_invalid_numbers(false), d('+1')",
                "false\terror: Expected value but found invalid token at character 1",
            ),
            (
                "cjson.decode_invalid_numbers(false), d('NaN')",
                "false\terror: Expected value but found invalid token at character 1",
            ),
            ("cjson.decode_invalid_numbers(false), d('-0.5e1') == -5, d('0') == 0", "false\ttrue\ttrue"),
            ("(pcall(cjson.encode_max_depth, 0)), (pcall(cjson.encode_max_depth, 'x'))", "false\tfalse"),
            ("(pcall(cjson.decode_invalid_numbers, 'null')), (pcall(cjson.encode_keep_buffer, 5))", "false\tfalse"),
            ("(pcall(cjson.encode_sparse_array, true, -1)), (pcall(cjson.encode_sparse_array, 1))", "false\tfalse"),
            ("(pcall(cjson.encode_max_depth, 1, 2)), cjson.encode_max_depth()", "false\t1000"),
        )

    def test_new(self) -> None:
        """cjson.new returns a module with its own settings and the same null."""
        source = "(function() local n = cjson.new() n.encode_max_depth(1) return n.null == cjson.null end)()"
        self.check((f"{source}, e({{ {{}} }})", "true\t[{}]"))

    def test_safe(self) -> None:
        """cjson.safe returns nil and the error, and raises only errors about the call itself."""
        source = """
            local safe = require 'cjson.safe'
            print(safe.decode('x')) print(safe.encode(print)) print(safe.encode({ 1 }))
            print(safe.new().decode('[')) print((pcall(safe.decode)))
        """
        self.assertEqual(
            self.output(source),
            "nil\tExpected value but found invalid token at character 1\n"
            "nil\tCannot serialise function: type not supported\n[1]\n"
            "nil\tExpected value but found T_END at character 2\nfalse\n",
        )

    @given(JSON)
    @TWO_IMPLEMENTATIONS
    def test_what_python_writes(self, value: Any) -> None:
        """JSON from Python is decoded and encoded to the same value, except for empty lists and the last digits."""
        source = """
            local cjson = require 'cjson'
            print(cjson.encode(cjson.decode(alaskaContext)))
        """
        again = json.loads(self.output(source, json.dumps(value).encode()))
        self.assertTrue(are_alike(again, value), (again, value))


class SystemCjsonTests(CjsonTests):
    """The system's lua-cjson, where it is installed."""

    options = replace(TRUSTED, system_modules=True)


class BoundedCjsonTests(SystemCjsonTests):
    """The system's lua-cjson in the sandbox, where it is bounded."""

    options = replace(TRUSTED, system_modules=True, sandbox=True, memory=64, timeout=5000)
    unknown = "function"

    def test_depth(self) -> None:
        """No depth above lua-cjson's default can be set, in any notation."""
        for value in ("1001", "'5000'", "1e300", "0/0", "'0x7fffffff'", "math.huge"):
            for call in ("cjson.decode_max_depth", "cjson.encode_max_depth", "cjson.new().encode_max_depth"):
                error = self.error(f"local cjson = require 'cjson' {call}({value})")
                self.assertIn("expected integer between 1 and 1000", error, (call, value))
        self.check(("cjson.encode_max_depth(1000)", "1000"), ("cjson.decode_max_depth('7')", "7"))

    def test_buffers(self) -> None:
        """The memory for an encoded document counts towards the limit before it is allocated."""
        for made in (
            "{} for i = 1, 1500 do t[i] = s end",
            "{ ('\\0'):rep(1e7) }",
            "{} for i = 1, 60 do t = { t, t } end",
            "{ [2^30] = 1 } cjson.encode_sparse_array(false, 0)",
            "{} for i = 1, 40 do t[s .. i] = i end",
        ):
            error = self.error(f"local cjson, s = require 'cjson', ('x'):rep(1000000) local t = {made} cjson.encode(t)")
            self.assertIn("the limit that worker/scripts/memory sets", error, made)

    def test_large_documents(self) -> None:
        """A document whose values exceed the memory limit is not decoded; others are."""
        source = "local cjson = require 'cjson' print(#cjson.decode('[' .. ('%s,'):rep(%d) .. '1]'))"
        self.assertIn("the limit that worker/scripts/memory sets", self.error(source % ("{}", 5_000_000)))
        self.assertEqual(self.output(source % ("12", 500_000)), "500001\n")
        source = "local cjson = require 'cjson' print(#cjson.encode(('x'):rep(%d)))"
        self.assertEqual(self.output(source % 8_000_000), "8000002\n")

    def test_errors(self) -> None:
        """Errors are those of lua-cjson, with the position of the script; cjson.safe returns them."""
        error = self.error("require('cjson').encode({ print })")
        self.assertRegex(error, r"\.lua:1: Cannot serialise function: type not supported")
        self.assertRegex(self.error("require('cjson').decode('{')"), r"\.lua:1: Expected object key string")
        source = "local t = {} t[1] = t print(require('cjson.safe').encode(t)) print(require('cjson.safe').decode('{'))"
        self.assertRegex(self.output(source), r"excessive nesting \(1001\)\nnil\tExpected object key")

    def test_holes(self) -> None:
        """A sparse array that is refused or becomes an object needs no memory for its holes."""
        source = "local cjson = require 'cjson' print(pcall(cjson.encode, { [2^30] = 1 }))"
        self.assertEqual(self.output(source), "false\tCannot serialise table: excessively sparse array\n")
        source = "local cjson = require 'cjson' cjson.encode_sparse_array(true) print(cjson.encode { [2^30] = 1 })"
        self.assertEqual(self.output(source), '{"1073741824":1}\n')

    def test_keys(self) -> None:
        """No metamethod of a key is called."""
        source = """
            local key = setmetatable({}, { __lt = function() print 'called' end, __le = print, __eq = print })
            print(pcall(require('cjson').encode, { 2, [key] = 1 }))
        """
        self.assertEqual(self.output(source), "false\tCannot serialise table: table key must be a number or string\n")


class OwnCjsonTests(LuaCase):
    """Where Alaska's cjson differs from lua-cjson."""

    @only_in_5_4
    def test_integers(self) -> None:
        """Integers keep all digits when encoded and decoded."""
        source = "local c = require 'cjson' print(c.encode(c.decode(alaskaContext)), math.type(c.decode('1')))"
        for text in ("9223372036854775807", "-9223372036854775808", "9007199254740993", "0"):
            self.assertEqual(self.output(source, text.encode()), f"{text}\tinteger\n")

    @only_in_5_4
    def test_floats(self) -> None:
        """A number with a fraction or an exponent, or too large for an integer, is a float."""
        source = "print(math.type(require('cjson').decode(alaskaContext)))"
        for text in ("1.0", "1e2", "9223372036854775808", "-0"):
            self.assertEqual(self.output(source, text.encode()), "float\n")
