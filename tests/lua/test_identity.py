"""What a script could do with values that act: metatables that run when our own code compares, marks or copies them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from alaska.lua.options import LuaOptions
from tests.lua.lua_case import IS_JIT, SANDBOXED, LuaCase, limit_of, only_in_5_4


class MetatableTests(LuaCase):
    """Metamethods in the sandbox."""

    options: ClassVar[LuaOptions] = SANDBOXED

    @only_in_5_4
    def test_finalizers(self) -> None:
        """No value of __gc marks an object, so that none runs in the request of somebody else."""
        for first in ("false", "0", "''", "print"):
            self.output(
                f"local mt = {{ __gc = {first} }} setmetatable({{}}, mt)"
                " mt.__gc = function() local env = load('return _ENV')() print('stolen: ' .. env.alaskaContext) end"
            )
            victim = "local t = {} for i = 1, 100000 do t = { i } end print 'done'"
            self.assertEqual(self.output(victim, b"secret"), "done\n")

    def test_comparisons(self) -> None:
        """What a script yields, returns or raises is compared with nothing that is not its own."""
        probe = """
            local seen = {}
            local probe = setmetatable({}, { __eq = function(one, other) seen[#seen + 1] = other return true end })
        """
        for use in (
            "coroutine.resume(coroutine.create(function() coroutine.yield(probe) end))",
            "coroutine.wrap(function() coroutine.yield(probe) end)()",
            "pcall(error, probe) pcall(coroutine.wrap(function() error(probe) end))",
            "xpcall(function() error(probe) end, function(value) return value end)",
        ):
            self.assertEqual(self.output(f"{probe} {use} print(#seen)"), "0\n", use)

    def test_returned(self) -> None:
        """A value that equals everything asks the worker nothing when it is returned."""
        outcome = self.outcome("return setmetatable({}, { __eq = function() return true end }), 'good.get', 'victim'")
        self.assertEqual((outcome.error, [send.content for send in outcome.sends]), (None, [(b"{}",)]))


class QuestionTests(LuaCase):
    """How scripts are left, and how they ask the worker: by yields, of which scripts see and can forge none."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_nothing_is_seen(self) -> None:
        """A coroutine that asks the worker yields nothing to the script that resumes it."""
        self.kv.set(b"key", b"svalue", 0.0)
        source = """
            local seen = {}
            local thread = coroutine.create(function() return alaska.kv.get('key') end)
            seen[1] = { coroutine.resume(thread) }
            print(#seen[1], seen[1][1], seen[1][2], coroutine.status(thread))
        """
        self.assertEqual(self.output(source), "2\ttrue\tvalue\tdead\n")

    def test_nothing_is_forged(self) -> None:
        """Whatever a script yields, also in vain, asks the worker nothing."""
        words = "'good.get', 'request', 'kv.set', 'told', nil, true, {}, print, (coroutine.running())"
        for first in ("nil", "false", "true", "1", "'request'", "{}", "print"):
            source = f"coroutine.yield({first}, {words})"
            self.assertIn("attempt to yield from outside a coroutine", self.error(source))
            self.assertEqual(self.output(f"print(select('#', coroutine.wrap(function() {source} end)()))"), "10\n")
        self.assertEqual(self.asked, [])

    def test_question_that_cannot_go_up(self) -> None:
        """A question that was caught half-way is answered there, and no later yield is taken for it."""
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

    def test_texts_that_are_none(self) -> None:
        """What a __tostring returns that is no text is not printed, logged or counted."""
        for use in ("print(value)", "print(value, value)", "alaska.log.info(value)", "alaska.log.info(1, value)"):
            source = f"""
                local value = setmetatable({{}}, {{ __tostring = function()
                  return setmetatable({{}}, {{ __concat = function(...) return 'called' end }}) end }})
                return select(2, pcall(function() {use} end))
            """
            outcome = self.outcome(source)
            self.assertIn(b"'__tostring' must return a string", outcome.sends[-1].content[0])
            self.assertEqual((outcome.output, outcome.log), (b"", ()))


class ModuleNameTests(LuaCase):
    """Names of modules that are paths in disguise."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_refused(self) -> None:
        """A name of anything but letters, digits, _, - and single dots is refused before anything is looked for."""
        (self.directory.parent / "secret.lua").write_text("return 'secret'", encoding="utf-8")
        self.use(modules=("*",), path=f"{self.directory.parent}/?.lua")
        for name in ("../secret", "x;/etc/passwd", "/etc/passwd", "a/b", "a..b", ".a", "a.", "", "a b", "a\\0b", "?"):
            self.assertIn("script.lua:1: a module's name is made of", self.error(f"require '{name}'"), name)
            for value in ("false", "true", "1", "{}"):  # which loads nothing, so the name would be looked for
                source = f"package.preload['{name}'] = {value} require '{name}'"
                self.assertIn("script.lua:1: a module's name is made of", self.error(source), source)

    def test_plain(self) -> None:
        """Words with dots between them are names, and so is whatever the script itself has put into package.preload."""
        self.write("a_b/c-d1.lua", "return 'found'")
        self.assertEqual(self.output("print((require 'a_b.c-d1'))"), "found\n")
        source = "package.preload['a b'] = function() return 'mine' end print((require 'a b'))"
        self.assertEqual(self.output(source), "mine\n")


class EndlessTests(LuaCase):
    """Ways to go round, or on, that once passed no check of the time."""

    options: ClassVar[LuaOptions] = replace(SANDBOXED, timeout=200)

    @only_in_5_4
    def test_goto_behind_an_attribute(self) -> None:
        """A jump back ends with the time, whatever stands before it."""
        for source in (
            "::l:: local x <const> goto l",
            "::l:: local x <close> goto l",
            "::l:: do local x <const> = 1; goto l end",
            "::l:: x = {} goto l",
            "::l:: local x = 2 > 1 goto l",
        ):
            self.assertEqual(limit_of(self.outcome(source)), "worker/scripts/timeout", source)

    def test_numbers_as_texts(self) -> None:
        """Functions that would do nothing for ever are told so by a text as well as by a number."""
        self.assertEqual(self.output("print(#(''):rep('9007199254740992'), ('ab'):rep('2'))"), "0\tabab\n")
        if self.output("print(table.move ~= nil)") == "true\n":
            outcome = self.outcome("table.move({}, '1', '9007199254740990', 2)")
            self.assertEqual(limit_of(outcome), "worker/scripts/timeout")

    def test_metatable_of_arrays(self) -> None:
        """What a script puts into the metatable that tells arrays is not asked when an array is made."""
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
        """Text that is made of our own names is read once."""
        self.assertEqual(self.output("print(load('-- alaska_check' .. ('_'):rep(1000000)) ~= nil)"), "true\n")


class RandomTests(LuaCase):
    """Random numbers."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_seeds(self) -> None:
        """Each run has a seed of its own, also one that gets at math by other ways."""
        for source in ("print(math.random(2 ^ 40))", "print(_G['ma' .. 'th'].random(2 ^ 40))"):
            found = {self.output(source) for _ in range(20)}
            self.assertEqual(len(found), 20)


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


class OwnTextTests(LuaCase):
    """What our own code does with texts, while the script has a hand in what texts are."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_texts_that_become_others(self) -> None:
        """A __tostring that strings are given changes no text of ours, and breaks none."""
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

    def test_places(self) -> None:
        """An error of a value that a function does not take has the place of the script, and no place of ours."""
        for call in BAD_CALLS.split("\n") + (BAD_CALLS_JIT.split("\n") if IS_JIT else []):
            with self.subTest(call=call):
                said = self.output(f"local cjson = require 'cjson' print(select(2, pcall(function() {call} end)))")
                self.assertNotIn("[alaska", said)
                self.assertRegex(said, "^(?:[^ ]*script.lua:1: .|bad argument |'__tostring' must|attempt to )", call)

    def test_metatable_of_arrays(self) -> None:
        """What a script puts into the metatable that tells arrays is not asked when an array is made."""
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
        """Names that a script makes up for chunks and functions are cut in what is told of an error."""
        error = self.outcome("load('error()', '@' .. ('x'):rep(1000000))()").error
        assert error is not None
        assert error.file is not None
        self.assertLessEqual(len(error.file), 4096)
        error = self.outcome(f"local {'y' * 100000} = function() error() end {'y' * 100000}()").error
        assert error is not None
        self.assertLess(max(map(len, error.traceback)), 500)

    def test_what_modules_see(self) -> None:
        """The functions that modules of the system see take any value, and show none that is not the script's."""
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

    def test_places_of_callbacks(self) -> None:
        """What C finds wrong with how ours call it is told without a place of ours."""
        for call in (
            "load(string.rep)",
            "load(coroutine.wrap(print))",
            "print(setmetatable({}, { __tostring = type }))",
        ):
            said = self.output(f"print(pcall(function() return {call} end))")
            self.assertNotIn("[alaska", said)

    def test_dates_that_act(self) -> None:
        """A date that calls os.time when it is asked for a field ends where the stack does, in any coroutine."""
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
        """A traceback needs no message."""
        self.assertEqual(self.output("print((debug.traceback():gsub('\\n.*', '')))"), "stack traceback:\n")
        self.assertEqual(self.output("print((debug.traceback('x'):gsub('\\n.*', '')))"), "x\n")
