"""alaska.json."""

from __future__ import annotations

import json

from tests.lua.lua_case import LuaCase, reply


class JsonTests(LuaCase):
    """alaska.json.encode, decode, array and null."""

    def test_round_trip(self) -> None:
        """Numbers keep all digits, and null is a value."""
        text = '[0.1,1e+300,9007199254740991,"\\\\u00e9",null,true]'
        source = f"local j = alaska.json local t = j.decode('{text}') print(j.encode(t), t[5] == j.null)"
        self.assertEqual(self.output(source), '[0.1,1e+300,9007199254740991,"é",null,true]\ttrue\n')

    def test_whole_numbers(self) -> None:
        """A number with an integer value is written without a fraction."""
        source = "print(alaska.json.encode({3, 3.0, 6 / 2, 1e15, -7.0, 0.5, 1e300}))"
        self.assertEqual(self.output(source), "[3,3,3,1e+15,-7,0.5,1e+300]\n")

    def test_null_of_lua_cjson(self) -> None:
        """The null of lua-cjson is null in replies, JSON and the key-value store, like Alaska's own."""
        source = """
            local null = require('cjson').null
            alaska.kv.set('table', { null })
            alaska.kv.set('null', null)
            print(alaska.json.encode { null, alaska.json.null })
            print(alaska.kv.get('table')[1] == alaska.json.null, alaska.kv.get 'null' == alaska.json.null)
            return null
        """
        for system_modules in (False, True):
            self.use(system_modules=system_modules)
            outcome = self.outcome(source)
            self.assertEqual((outcome.error, outcome.sends), (None, (reply(b"null"),)))
            self.assertEqual(outcome.output, b"[null,null]\ntrue\ttrue\n")

    def test_empty_arrays(self) -> None:
        """A decoded empty array is encoded as an array until it has other keys; an empty table is an object."""
        for source, text in {
            """alaska.json.decode '{"a":[],"b":{},"c":[[]]}'""": None,
            "alaska.json.array {}": "[]",
            "alaska.json.array()": "[]",
            "{}": "{}",
            "(function() local t = alaska.json.decode '[1]' t[1] = nil return t end)()": "[]",
            "(function() local t = alaska.json.decode '[]' t.a = 1 return t end)()": '{"a":1}',
            "(function() local t = alaska.json.decode '[]' t[1] = 1 return t end)()": "[1]",
        }.items():
            found = self.output(f"print(alaska.json.encode({source}))")[:-1]
            if text is None:
                self.assertEqual(json.loads(found), {"a": [], "b": {}, "c": [[]]})
            else:
                self.assertEqual(found, text, source)

    def test_array_of_another(self) -> None:
        """A table with a metatable cannot be marked as an array, and changes to the mark do not affect other runs."""
        self.assertIn("the table has a metatable", self.error("alaska.json.array(setmetatable({}, {}))"))
        self.assertIn("table expected, got number", self.error("alaska.json.array(1)"))
        self.output("local mark = getmetatable(alaska.json.array {}) mark.__gc = print mark.__index = print")
        self.assertEqual(self.output("print(getmetatable(alaska.json.array {}).__index)"), "nil\n")
        hostile = "getmetatable(alaska.json.array {}).__gc = false print(getmetatable(alaska.json.array {}).__gc)"
        self.assertEqual(self.output(hostile), "nil\n")

    def test_no_json(self) -> None:
        """Everything outside RFC 8259 is refused."""
        for text in (
            *("01", "-01", "1.", "2.e3", ".5", "+1", "0x1", "1e", "1e+", "-", "1a", "1.5.5", "NaN", "Infinity"),
            *('"a\tb"', '"a\nb"', '"\\x41"', '"\\u00"', "'a'", "[1,]", "[,1]", '{"a":1,}'),
            *("{a:1}", "[1", "1 2", "", " ", "-Infinity"),
            *("True", "nul", "[1]x", "\ufeff1", "\f1", "// c\n1", '{"a" 1}', "{1:1}", '"\\ud800"'),
        ):
            found = self.output("print((pcall(alaska.json.decode, alaskaContext)))", text.encode())
            self.assertEqual(found, "false\n", text)

    def test_json(self) -> None:
        """Valid JSON is accepted."""
        for text in (
            *('"\x7f"', '" \\u0000\\/"', "-0", "1E5", "0.10e-1", "1e-400"),
            *(" [ 1 ,\r\n\t2 ] ", '"\\ud83d\\ude00"', '{"":0}'),
        ):
            found = self.output("print((pcall(alaska.json.decode, alaskaContext)))", text.encode())
            self.assertEqual(found, "true\n", text)

    def test_many_digits(self) -> None:
        """Long numbers take linear time."""
        for text in (b"1" * 300_000, b"-" + b"1" * 300_000 + b"x", b"1." + b"1" * 300_000, b"1e" + b"1" * 300_000):
            source = "print((pcall(alaska.json.decode, alaskaContext)))"
            self.assertIn(self.output(source, text), ("true\n", "false\n"))

    def test_errors(self) -> None:
        """Invalid JSON and values without a JSON form are errors at the position of the call."""
        self.assertIn("script.lua:2: Expected", self.error("\nalaska.json.decode('{')"))
        self.assertIn("script.lua:2: Cannot serialise function", self.error("\nalaska.json.encode(print)"))
        self.assertIn("script.lua:2: Cannot serialise number", self.error("\nalaska.json.encode(0/0)"))
        self.assertIn("script.lua:1: bad argument #1 to 'decode'", self.error("alaska.json.decode()"))
        self.assertIn("script.lua:1: bad argument #1 to 'encode'", self.error("alaska.json.encode()"))
