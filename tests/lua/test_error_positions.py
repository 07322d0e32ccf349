"""Errors of Alaska's own functions: they have the position of the script and reveal nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from alaska.lua.options import LuaOptions
from tests.lua.lua_case import IS_JIT, SANDBOXED, LuaCase, limit_of

BAD_CALLS = """\
collectgarbage(setmetatable({}, { __tostring = function() return {} end }))
coroutine.resume()
coroutine.resume({})
coroutine.wrap()
debug.traceback('x', 'y')
debug.traceback('x', {})
debug.traceback('x', 0.5)
debug.traceback('x', 2^70)
getmetatable()
setmetatable()
setmetatable('x', {})
setmetatable({}, 5)
setmetatable(setmetatable({}, { __metatable = false }), {})
load()
load({})
load('x', {})
load('x', print)
string.rep()
string.rep('x', {})
string.rep('x', 1e9, {})
string.rep('xx', 2^30)
string.rep('xxx', math.maxinteger or {})
tostring()
tostring(setmetatable({}, { __tostring = 5 }))
tostring(setmetatable({}, { __tostring = select }))
require()
require({})
send()
send({}, '')
sendTo('', '', {})
sendFor(print, '')
alaska.reply()
alaska.reply(print)
alaska.request()
alaska.request('', '', '', 0)
alaska.json.encode()
alaska.json.encode(print)
alaska.json.decode({})
alaska.json.array(5)
alaska.kv.get({})
alaska.kv.set('x', print)
alaska.kv.set('x', 1, {})
alaska.kv.incr('x', {})
cjson.encode()
cjson.encode(print)
cjson.decode({})
cjson.decode('[')
cjson.encode_max_depth({})
cjson.decode_max_depth(1, 2)
cjson.encode_max_depth(0.5)
utf8.char({})
utf8.codes({})
utf8.codepoint({})
utf8.codepoint('x', {})
utf8.len('x', {})
utf8.offset('x', {})
utf8.offset('x')
utf8.offset('x', 1, 0.5)
warn('@on') warn('x', {})
warn('@on') warn({})
utf8.char(1/0)
require('pl.pretty').write({}, {})
require('pl.pretty').write({ [print] = 1, [setmetatable({}, { __tostring = function() return {} end })] = 2 })
require('pl.pretty').write(setmetatable({}, { __index = 5 }))
require('pl.pretty').dump({}, {})
require('pl.pretty').load('x', 5)
require('lua_seen').debug.getinfo({})
require('lua_seen').io.stdout:write({})
require('lua_seen').io.write({})
require('lua_seen').io.lines('/etc/passwd')
require('lua_seen').os.getenv('HOME')
local seen = require('lua_seen') os, debug, require = 5, 5, nil seen.require('x')"""
BAD_CALLS_JIT = """\
getfenv({})
getfenv(500)
getfenv(-1)
setfenv(1, 5)
setfenv({}, {})
load('x', 'x', 't', 5)"""


class ErrorPositionTests(LuaCase):
    """Alaska's own Lua code, called with any arguments."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_tostring_of_strings(self) -> None:
        """A __tostring for strings does not change Alaska's own texts."""
        for value in ("{}", "function() return 'changed' end", "function() error('broken', 0) end", "5"):
            given = f"getmetatable('').__tostring = {value} local function fail() error('mine') end"
            self.assertIn("script.lua:1: mine", self.error(f"{given} fail()"))
            self.assertIn("the subject must be a string", self.error(f"{given} send({{}}, '')"))
            self.assertIn("module 'nothing' not found", self.error(f"{given} require 'nothing'"))
            outcome = self.outcome(f"{given} while true do end", name="endless")
            self.assertEqual(limit_of(outcome), "worker/scripts/timeout")
            self.assertIn("endless.lua:1: the script ran longer", str(outcome.error))

    def setUp(self) -> None:
        super().setUp()
        self.use(timeout=300, path=str(Path(__file__).parent / "?.lua"), modules=("lua_seen",))

    def test_invalid_arguments(self) -> None:
        """Errors for invalid arguments have the position of the script, not one in Alaska's files."""
        for call in BAD_CALLS.split("\n") + (BAD_CALLS_JIT.split("\n") if IS_JIT else []):
            with self.subTest(call=call):
                said = self.output(f"local cjson = require 'cjson' print(select(2, pcall(function() {call} end)))")
                self.assertNotIn("[alaska", said)
                self.assertRegex(said, "^(?:[^ ]*script.lua:1: .|bad argument |'__tostring' must|attempt to )", call)

    def test_metatable_of_arrays(self) -> None:
        """Metamethods in the metatable that marks arrays are not called when an array is created."""
        source = """
            local metatable = getmetatable(alaska.json.array {})
            for _, value in ipairs { print, {}, 'x', 5 } do
              metatable.__newindex, metatable.__index = value, value
              print(alaska.json.encode(alaska.json.decode '[1,[],[2]]'))
            end
            metatable.__metatable = false
            print(alaska.json.encode(alaska.json.decode '[1,[2]]'))
        """
        self.assertEqual(self.output(source), "[1,[],[2]]\n" * 4 + "[1,[2]]\n")

    def test_long_names(self) -> None:
        """Long names of chunks and functions are cut in errors."""
        error = self.outcome("load('error()', '@' .. ('x'):rep(1000000))()").error
        assert error is not None
        assert error.file is not None
        self.assertLessEqual(len(error.file), 4096)
        error = self.outcome(f"local {'y' * 100000} = function() error() end {'y' * 100000}()").error
        assert error is not None
        self.assertLess(max(map(len, error.traceback)), 500)

    def test_debug_functions_of_system_modules(self) -> None:
        """The debug functions for system modules accept any value, and reveal nothing outside the script."""
        source = """
            local seen, shown = require 'lua_seen', 0
            local function show(value) shown = shown + (value and 1 or 0) end
            for _, number in ipairs { 0, -1, 0.5, 1e300, 0/0, '1', {}, print, 300 } do
              for _, name in ipairs { 'getupvalue', 'setupvalue', 'upvaluejoin' } do
                show(seen.debug[name](print, number, {}))
                show(seen.debug[name](number, number, number))
              end
              show(type(number) == 'number' and seen.debug.getinfo(number + 100))
            end
            print(shown, seen.debug.getinfo(1).func ~= nil, seen.debug.getinfo(require).func)
        """
        self.assertEqual(self.output(source), "0\ttrue\tnil\n")

    def test_errors_of_callbacks(self) -> None:
        """Errors of C functions that Alaska's code calls contain no position in Alaska's files."""
        for call in (
            "load(string.rep)",
            "load(coroutine.wrap(print))",
            "print(setmetatable({}, { __tostring = type }))",
        ):
            said = self.output(f"print(pcall(function() return {call} end))")
            self.assertNotIn("[alaska", said)

    def test_dates_with_metamethods(self) -> None:
        """A date whose __index calls os.time again ends with a stack overflow, in any coroutine."""
        source = """
            local metatable, deep = {}, nil
            function deep() return os.time(setmetatable({}, metatable)) end
            function metatable.__index()
              local ok, value = pcall(deep)
              return ok and value or coroutine.wrap(deep)()
            end
            print(pcall(deep))
        """
        outcome = self.outcome(source)
        if outcome.error is not None:
            self.assertEqual(limit_of(outcome), "worker/scripts/timeout")
        date = "setmetatable({ year = 2000, month = 1 }, { __index = { day = 1, hour = 12 } })"
        self.assertEqual(self.output(f"print(os.date('%Y-%m-%d', os.time({date})))"), "2000-01-01\n")
        self.assertIn("script.lua:1: field '", self.error("os.time({})"))
        self.assertNotIn("[alaska", self.error("os.time(setmetatable({}, { __index = 5 }))"))

    def test_traceback(self) -> None:
        """The message of a traceback is optional."""
        self.assertEqual(self.output("print((debug.traceback():gsub('\\n.*', '')))"), "stack traceback:\n")
        self.assertEqual(self.output("print((debug.traceback('x'):gsub('\\n.*', '')))"), "x\n")
