"""What scripts in the sandbox can use; what they cannot use is in tests/lua/hostile.py."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from twisted.trial.unittest import SkipTest

from alaska.lua.options import LuaOptions
from alaska.lua.questions import OK
from tests.lua.lua_case import IS_JIT, SANDBOXED, LuaCase
from tests.lua.test_examples import examples

NAMES = {
    "_G": "_VERSION assert collectgarbage error getmetatable ipairs load next pairs pcall print rawequal rawget rawset "
    "require select send sendTo setmetatable tonumber tostring type warn xpcall alaskaContext",
    "string": "byte char find format gmatch gsub len lower match rep reverse sub upper",
    "table": "concat insert move pack remove sort unpack",
    "math": "abs ceil cos exp floor fmod huge log max min modf pi random randomseed sin sqrt tan",
    "utf8": "char charpattern codepoint codes len offset",
    "coroutine": "create isyieldable resume running status wrap yield",
    "os": "clock date difftime exit time",
    "debug": "traceback",
    "package": "config cpath loaded path preload",
}


class SandboxCase(LuaCase):
    """Scripts in the sandbox."""

    options = SANDBOXED


class ContentsTests(SandboxCase):
    """Available functions."""

    def test_names(self) -> None:
        """Lua's own harmless functions are available under the same names in each version of Lua."""
        for library, names in NAMES.items():
            source = f"for name in ('{names}'):gmatch('%S+') do if {library}[name] == nil then print(name) end end"
            self.assertEqual(self.output(source), "", library)

    def test_nothing_else(self) -> None:
        """The libraries debug, os and package contain nothing else."""
        for library in ("debug", "os", "package"):
            source = f"local n = 0 for _ in pairs({library}) do n = n + 1 end print(n)"
            self.assertEqual(self.output(source), f"{len(NAMES[library].split())}\n")

    def test_globals_that_are_named(self) -> None:
        """A script gets the globals that it names, or all of them if it enumerates them."""
        self.assertEqual(self.output("print(type(print), type(send), x)"), "function\tfunction\tnil\n")
        self.assertEqual(self.output("local n = 0 for _ in pairs(_G) do n = n + 1 end print(n > 30)"), "true\n")

    def test_globals_behind_strings(self) -> None:
        """A global is available wherever strings and comments end before its name."""
        for text in (
            "local s = 'it' ",
            "local s = 'it\\'s' ",
            'local s = "\\\\" ',
            "local s = [==[ ]] ' ]==] ",
            "local s = [[ ' ]] ",
            "-- don't\n",
            "--[[ ' ]] ",
            "--[=[ ]] ' ]=] ",
            "local t, i = {1}, {1} local s = t[i[1]] ",
            "local s = 1 - -1 ",
            "#!/usr/bin/lua's\n",
            "\ufeff#!/usr/bin/lua's\n",
            "local s = '\\\n\" ' ",
        ):
            with self.subTest(text=text):
                self.assertEqual(self.output(f"{text}print(type(alaska))"), "table\n")

    def test_collector(self) -> None:
        """A call of collectgarbage returns the memory in use; a collection does nothing."""
        self.assertEqual(
            self.output("print(collectgarbage('count') > 0, collectgarbage(), collectgarbage('step'))"), "true\t0\t0\n"
        )
        self.assertIn("only 'count' is for scripts in the sandbox", self.error("collectgarbage('stop')"))

    def test_exit(self) -> None:
        """os.exit ends the request."""
        self.assertEqual(self.output("print(1) pcall(os.exit) print(2)"), "1\n")

    def test_traceback(self) -> None:
        """debug.traceback shows the script, and no code of Alaska."""
        text = self.output("local function f()\n  print(debug.traceback('here'))\nend\nf()")
        self.assertEqual(text.split("\n")[0], "here")
        self.assertIn("script.lua:2:", text)
        self.assertIn("script.lua:4:", text)
        self.assertNotIn("alaska ", text)
        self.assertEqual(self.output("print(debug.traceback({}) ~= nil, type(debug.traceback({})))"), "true\ttable\n")

    def test_long_texts(self) -> None:
        """The maximum length of text to compile is that of a script, however it is loaded."""
        for text in (
            "(' '):rep(4194305)",
            "coroutine.wrap(function() for i = 1, 5 do coroutine.yield((' '):rep(2^20)) end end)",
        ):
            self.assertEqual(self.output(f"print(load({text}))"), "nil\tthe text has more than 4194304 octets\n")
        self.assertEqual(self.output("print(load('return 5' .. (' '):rep(4194296))())"), "5\n")

    def test_no_finalizers(self) -> None:
        """A __gc has no effect; the rest of its metatable has."""
        source = """
            local m = { __gc = function() print('late') end, __index = { x = 1 } }
            local t = setmetatable({}, m) print(t.x, getmetatable(t) == m, m.__gc ~= nil)
        """
        self.assertEqual(self.output(source), "1\ttrue\ttrue\n")
        self.assertIn("cannot change a protected metatable", self.error(
            "setmetatable(setmetatable({}, { __metatable = 1 }), { __gc = print })"))  # fmt: skip

    def test_string_metatable(self) -> None:
        """Methods and operators that a script gives to strings exist in this script only."""
        self.assertEqual(self.output("function string.twice(s) return s .. s end print(('x'):twice())"), "xx\n")
        self.assertEqual(self.output("getmetatable('').__call = function(s) return s end print(('x')())"), "x\n")
        self.assertEqual(self.output("print(('x').twice, (pcall(function() return ('x')() end)))"), "nil\tfalse\n")

    def test_functions_of_5_1(self) -> None:
        """In LuaJIT, getfenv and setfenv reach the script's own globals only."""
        if not IS_JIT:
            raise SkipTest("Lua 5.4 has no such functions")
        self.assertEqual(self.output("local f = setfenv(function() return x end, { x = 5 }) print(f())"), "5\n")
        self.assertEqual(self.output("setfenv(1, { print = print, y = 2 }) print(y)"), "2\n")
        self.assertEqual(self.output("x = 3 print(getfenv().x, getfenv(1).x, getfenv(print).x)"), "3\t3\t3\n")
        self.assertEqual(self.output("print(loadstring('return 7')(), unpack { 1, 2 })"), "7\t1\t2\n")

    def test_utf8(self) -> None:
        """LuaJIT's utf8 behaves like that of Lua 5.4."""
        source = r"""
            local s = 'aé€😀'
            print(utf8.char(97, 0xe9, 0x20ac, 0x1f600) == s, utf8.len(s), utf8.len('\255'), utf8.len(s, 3))
            print(utf8.codepoint(s, 1, -1)) print(utf8.codepoint(s, -4))
            for p, c in utf8.codes(s) do io_ = (io_ or '') .. p .. ':' .. c .. ' ' end print(io_)
            print(utf8.offset(s, 3), utf8.offset(s, -1), utf8.offset(s, 0, 3), utf8.offset(s, 5), utf8.offset(s, 6))
            for c in s:gmatch(utf8.charpattern) do send(c, '') end
            print((pcall(utf8.codepoint, '\255')), (pcall(utf8.char, -1)), (pcall(utf8.len, s, 99)), utf8.len(''))
            print((pcall(utf8.codepoint, '\xed\xa0\x80')), utf8.codepoint('\xed\xa0\x80', 1, 1, true))
        """
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error, str(outcome.error))
        self.assertEqual(
            outcome.output.decode(),
            "true\t4\tnil\tnil\t3\n97\t233\t8364\t128512\n128512\n1:97 2:233 4:8364 7:128512 \n4\t7\t2\t11\tnil\n"
            "false\tfalse\tfalse\t0\nfalse\t55296\n",
        )
        self.assertEqual([send.subject.decode() for send in outcome.sends], ["a", "é", "€", "😀"])


class DocumentTests(SandboxCase):
    """docs/lua.md and docs/modules.md."""

    def test_examples(self) -> None:
        """The examples run in the sandbox, with a worker that answers."""
        for example in examples():
            self.answers = [(OK, b'{"price":12.5}')] * 2
            self.output(example, b'{"item":"lamp"}')


class ModuleTests(SandboxCase):
    """require in the sandbox."""

    def test_next_to_the_script(self) -> None:
        """Modules in the scripts directory run in the sandbox."""
        self.write("lib/one.lua", "return { io, os.execute, x }")
        self.assertEqual(self.output("x = 1 print(#require('lib.one'), require('lib.one')[3])"), "3\t1\n")

    def test_our_own(self) -> None:
        """Alaska's own cjson and pl.pretty are available."""
        source = "print(require('cjson').encode({ 1 }), require('pl.pretty').write({ 1 }, ''))"
        self.assertEqual(self.output(source), "[1]\t{1}\n")
        self.assertEqual(
            self.output("print(require('pl.pretty').dump({}, 'x'))"), "nil\tx: there are no files in the sandbox\n"
        )

    def test_changed_module(self) -> None:
        """Changes to a module do not affect the next request."""
        self.write("shared.lua", "return { n = 0, t = {} }")
        for _ in range(2):
            self.assertEqual(self.output("local s = require 'shared' s.n = s.n + 1 s.t.x = 1 print(s.n)"), "1\n")
        self.output("local c = require 'cjson' c.encode_max_depth(1) c.encode_sparse_array(true) c.encode = nil")
        self.assertEqual(self.output("print(require('cjson').encode({ { { 1 } } }))"), "[[[1]]]\n")


class SystemModuleTests(SandboxCase):
    """System modules."""

    options = replace(SANDBOXED, system_modules=True)

    def need(self, *modules: str) -> None:
        """Skip the test unless these modules are installed."""
        self.use(modules=("*",))
        for module in modules:
            if self.outcome(f"require '{module}'").error is not None:
                raise SkipTest(f"{module} is not installed for this Lua")
            if self.output(f"print((select(2, require '{module}')))") == ":alaska:\n":
                raise SkipTest(f"{module} is not installed for this Lua")
        self.use()

    def test_allowed(self) -> None:
        """Modules named by the setting are found; a star stands for all names with the prefix."""
        self.need("cjson", "pl.List")
        source = "print(require('cjson').encode({ 1 }), require('pl.List')({ 1, 2 }):map('+', 1))"
        self.assertEqual(self.output(source), "[1]\t{2,3}\n")

    def test_not_allowed(self) -> None:
        """Modules that the setting does not name are not found, even if installed."""
        self.need("pl.List")
        self.use(modules=("cjson", "pl.pretty"))
        self.assertIn("the sandbox does not allow the system's module 'pl.List'", self.error("require 'pl.List'"))
        self.use(modules=())
        self.assertEqual(self.output("print((select(2, require 'cjson')))"), ":alaska:\n")

    def test_settings_of_a_c_module(self) -> None:
        """Settings of a C module do not affect the next request."""
        self.need("cjson")
        self.output("require('cjson').encode_max_depth(1)")
        self.assertEqual(self.output("print(require('cjson').encode_max_depth())"), "1000\n")

    def test_no_files(self) -> None:
        """A system module can write to the output, but not reach files."""
        self.need("pl.utils")
        self.assertEqual(self.output("print(pcall(require('pl.utils').readfile, '/etc/passwd'))")[:5], "false")

    def test_penlight(self) -> None:
        """Penlight's modules that need no files work in the sandbox."""
        self.need("pl.List")
        names = "List Map Set OrderedMap MultiMap stringx tablex types class comprehension data func lexer operator "
        names += "permute pretty seq sip strict template text url utils xml luabalanced array2d input template"
        failed = []
        for name in names.split():
            outcome = self.outcome(f"require 'pl.{name}'")
            if outcome.error is not None:
                failed.append(f"{name}: {outcome.error.message}")
        self.assertEqual(failed, [])


class RandomTests(LuaCase):
    """Random numbers."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_seeds(self) -> None:
        """Each run has its own seed, however it reaches math."""
        for source in ("print(math.random(2 ^ 40))", "print(_G['ma' .. 'th'].random(2 ^ 40))"):
            found = {self.output(source) for _ in range(20)}
            self.assertEqual(len(found), 20)
