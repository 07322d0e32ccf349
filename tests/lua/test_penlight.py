"""Penlight's modules in the sandbox, if installed: each works, or is refused with a sentence."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SkipTest

from alaska.lua.options import LuaOptions
from tests import PROJECT
from tests.lua.lua_case import SANDBOXED, LuaCase

REFUSED = ("app", "dir", "file", "path", "test")
WORKS = {
    "array2d": "return #m.new(2, 3, 0)",
    "class": "m.Animal() function Animal:_init(n) self.n = n end return Animal('x').n .. Animal._name",
    "compat": "return m.getfenv(function() return print end).print == print",
    "comprehension": "return #m.new()('x*x for x')({1, 2, 3})",
    "config": "return m.read(require('pl.stringio').open('a = 1')).a",
    "data": "return #m.read(require('pl.stringio').open('x,y\\n1,2\\n'))",
    "Date": "return m(2026, 1, 2):year()",
    "func": "return m.I(m._1 + 1)(2)",
    "import_into": "return m({}).List ~= nil",
    "input": "local n = 0 for _ in m.numbers(require('pl.stringio').open('1 2 3')) do n = n + 1 end return n",
    "lapp": "local o = m('-n (default 2)\\n-i (default stdin)\\n', {'-n', '3'}) return o.n .. o.i:read('*a') .. #m('')",
    "lexer": "local n = 0 for _ in m.lua('a = 1') do n = n + 1 end return n",
    "List": "return m({1, 2}):append(3):len()",
    "luabalanced": "return m.match_expression('1 + 2')",
    "Map": "return m({a = 1}):get('a')",
    "MultiMap": "local found = m() found:set('a', 1) return #found:get('a')",
    "operator": "return m.add(1, 2)",
    "OrderedMap": "local found = m() found:set('a', 1) return found:keys()[1]",
    "permute": "local n = 0 for _ in m.order_iter({1, 2, 3}) do n = n + 1 end return n",
    "pretty": "return m.read('{a = {2}}').a[1] + m.load('a = 1', {}, true).a .. m.number(1234, 'N', 1)",
    "seq": "return m.sum({1, 2}) .. #m.lines('STDIN'):copy()",
    "Set": "return m.len(m({1, 2, 2}))",
    "sip": "local found = {} m.match('$i{n}', '5', found) return found.n",
    "strict": "return pcall(function() return undeclared end)",
    "stringio": "return m.open('a\\nb'):read('*l')",
    "stringx": "return m.strip(' a ')",
    "tablex": "return #m.keys({a = 1})",
    "template": "return m.substitute('# for i = 1, 2 do\\n$(i)\\n# end\\n', {})",
    "text": "return m.indent('a', 2)",
    "types": "return m.type({}) .. m.type(5)",
    "url": "return m.quote('a b')",
    "utils": "return m.split('a b')[2]",
    "xml": "return m.parse('<a><b/></a>'):get_elements_with_name('b')[1].tag",
}


class PenlightTests(LuaCase):
    """Modules that the sandbox allows."""

    options: ClassVar[LuaOptions] = replace(SANDBOXED, system_modules=True)

    def setUp(self) -> None:
        super().setUp()
        if self.outcome("require 'pl.utils'").error is not None:
            raise SkipTest("Penlight is not installed for this Lua (Debian: lua-penlight)")

    def test_works(self) -> None:
        """Each module can be required, and works as without the sandbox."""
        for name, use in WORKS.items():
            source = f"local function use(m) {use} end print(use(require 'pl.{name}'))"
            found = self.output(source)
            self.use(sandbox=False)
            self.assertEqual(found, self.output(source), name)
            self.use()

    def test_lists_are_complete(self) -> None:
        """Each installed module is in one of the lists above."""
        self.use(sandbox=False)
        place = self.output("print(package.searchpath('pl.utils', package.path))")
        names = {path.stem for path in Path(place.strip()).parent.glob("*.lua")} - {"init"}
        self.assertEqual(names - WORKS.keys() - set(REFUSED), set())

    def test_document(self) -> None:
        """docs/modules.md states for each module whether it works."""
        document = (PROJECT / "docs" / "modules.md").read_text()
        for word, listed in (("work", WORKS), ("refused", REFUSED)):
            for name in listed:
                rows = re.findall(rf"^\|.*`pl\.{name}`.*\| ({word}|)", document, re.MULTILINE)
                self.assertEqual(rows, [word], name)

    def test_input(self) -> None:
        """Standard input is empty, as for trusted scripts."""
        for call in ("pl.input'.numbers()()", "pl.data'.read('stdin')"):
            source = f"print(require '{call})"
            found = self.output(source)
            self.use(sandbox=False)
            self.assertEqual(found, self.output(source), call)
            self.use()

    def test_lazy_modules(self) -> None:
        """Modules that others load on demand are loaded in functions called from C, too."""
        source = "print((('a'):gsub('a', function() return tostring(require 'pl.Set' { 1 }) end)))"
        self.assertEqual(self.output("require 'pl.utils' " + source), "[1]\n")

    def test_pl(self) -> None:
        """Requiring all of Penlight sets its names as globals, in this script only."""
        self.assertEqual(self.output("require 'pl' print(stringx.strip ' a ', List {1, 2})"), "a\t{1,2}\n")
        self.assertEqual(self.output("require 'pl.utils' print(List, stringx)"), "nil\tnil\n")
        self.assertIn("the module 'pl.path' works with files", self.error("require 'pl' print(path.join('a', 'b'))"))

    def test_refused(self) -> None:
        """Modules for files are refused, unless the script provides its own."""
        for name in REFUSED:
            text = self.error(f"\nrequire 'pl.{name}'")
            self.assertIn(f"script.lua:2: the module 'pl.{name}' works with files, and there are none", text)
        self.write("pl/path.lua", "return 'mine'")
        self.assertEqual(self.output("print((require 'pl.path'))"), "mine\n")

    def test_functions_for_files(self) -> None:
        """Functions of other modules that would reach a file or program are refused."""
        for call in (
            "require('pl.utils').readfile('/etc/passwd')",
            "require('pl.utils').readlines('/etc/passwd')",
            "require('pl.utils').writefile('x', 'y')",
            "require('pl.utils').execute('true')",
            "require('pl.utils').executeex('true')",
            "require('pl.seq').lines('/etc/passwd')",
            "require('pl.config').read('/etc/passwd')",
            "require('pl.data').read('/etc/passwd')",
            "require('pl.sip').read('/etc/passwd')",
            "require('pl.xml').parse('/etc/passwd', true)",
            "require('pl.pretty').dump({}, 'x')",
            "require('pl.lapp')('--in (default stdin)\\n', { '--in', '/etc/passwd' })",
        ):
            text = self.error(call)
            self.assertRegex(text, r"(io|os)\.\w+ is not available in the sandbox.*worker/scripts/sandbox", call)
        self.assertIn("for strings only in the sandbox (worker", self.error("require('pl.seq').import()"))

    def test_strict(self) -> None:
        """Strict mode applies to one run."""
        self.assertIn("variable 'nothing' is not declared", self.error("require 'pl.strict'\nprint(nothing)"))
        self.assertEqual(self.output("print(nothing)"), "nil\n")

    def test_methods_of_strings(self) -> None:
        """String methods that pl.pretty removes while it reads are restored, whatever it reads."""
        source = "print(require('pl.pretty').load('return (1)()', {}, true), ('x'):rep(2))"
        self.assertIn("\txx\n", self.output(source))
        self.assertEqual(self.output("print(('x'):rep(2))"), "xx\n")
        source = "require('pl.pretty').load('require \\'pl.Set\\'', { require = require }, true) print(('x'):rep(2))"
        self.assertEqual(self.output(source), "xx\n")


class DebugTests(LuaCase):
    """The debug functions for system modules, called by a script."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def setUp(self) -> None:
        super().setUp()
        folder = self.directory / "system"
        folder.mkdir()
        (folder / "look.lua").write_text("return require 'debug'", encoding="utf-8")
        self.use(path=f"{folder}/?.lua", modules=("look",))

    def test_own_functions_are_hidden(self) -> None:
        """Alaska's own functions are hidden and cannot be changed."""
        source = """
            local debug = require 'look'
            local ours = { print, require, sendTo, alaska.kv.get, load, setmetatable, debug.getinfo, string.rep }
            for i, value in ipairs(ours) do
              assert(debug.getinfo(value).func == nil)
              assert(debug.getupvalue(value, 1) == nil)
              assert(debug.setupvalue(value, 1, {}) == nil)
              assert(debug.upvaluejoin(value, 1, value, 1) == nil)
            end
            for level = 1, 20 do
              local at = debug.getinfo(level)
              assert(not at or at.func == nil or at.source:sub(1, 1) == '@')
            end
            print(pcall(debug.setmetatable, {}, {}))
        """
        self.assertIn("for strings only in the sandbox", self.output(source))

    def test_variables_are_hidden(self) -> None:
        """Of the upvalues of a script's functions, only the globals are visible; those of the time checks are not."""
        source = """
            local debug = require 'look'
            local secret = {}
            local function f() for i = 1, 2 do print(secret) end end
            local i, name, value = 0
            repeat
              i = i + 1
              name, value = debug.getupvalue(f, i)
              assert(name == nil or value == nil or name == '_ENV')
            until not name
            print 'done'
        """
        self.assertEqual(self.output(source), "done\n")

    def test_standard_files(self) -> None:
        """The standard files cannot be closed, have no visible metatable, and lead to no other file."""
        (self.directory / "system" / "look.lua").write_text("return require 'io'", encoding="utf-8")
        source = """
            local io = require 'look'
            for _, file in ipairs { io.stdin, io.stdout, io.stderr } do
              assert(getmetatable(file) == nil and file:close() == nil and io.type(file) == 'file')
            end
            assert(io.read 'a' == '' and io.read() == nil and io.stdin:write 'x' == nil and io.lines()() == nil)
            print(pcall(io.lines, '/etc/passwd'))
        """
        self.assertIn("false\tio.lines is not available in the sandbox", self.output(source))

    def test_methods_of_the_next_run(self) -> None:
        """Methods that one run added to strings are not restored in the next."""
        self.output("string.mine = 'left' getmetatable '' require('look').setmetatable('', nil)")
        source = "require('look').setmetatable('', nil) print(pcall(function() return ('x'):rep(2) end))"
        self.assertRegex(self.output(source), "^false")
        source = "local look = require 'look' look.setmetatable('', nil) look.setmetatable('', {}) print(('x').mine)"
        self.assertEqual(self.output(source), "nil\n")

    def test_methods_are_reset(self) -> None:
        """Removing the methods of strings affects one run only."""
        self.output("require('look').setmetatable('', nil)")
        self.assertEqual(self.output("print(('x'):rep(2))"), "xx\n")
        self.assertEqual(self.output("getmetatable '' require('look').setmetatable('', nil)"), "")
        self.assertEqual(self.output("print(('x'):rep(2), getmetatable('').__index.rep ~= nil)"), "xx\ttrue\n")
