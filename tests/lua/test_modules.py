"""require: which modules a script finds, and where."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from alaska.lua.files import Version
from alaska.lua.options import LuaOptions
from alaska.lua.request import Request
from alaska.lua.scripts import Script
from tests.lua.lua_case import SANDBOXED, LuaCase


class RequireTests(LuaCase):
    """require, and the package library."""

    def test_next_to_the_script(self) -> None:
        """A module is a file in the scripts directory; a dot in its name means a folder, which may have an init.lua."""
        self.write("one.lua", "return { name = ... }")
        self.write("lib/two.lua", "return (...)")
        self.write("three/init.lua", "return 'init'")
        source = "print(require('one').name, require('lib.two'), (require('three')))"
        self.assertEqual(self.output(source), "one\tlib.two\tinit\n")

    def test_loaded_once(self) -> None:
        """A module runs once per run of a script, whatever it returns."""
        self.write("once.lua", "print('loading') return {}")
        self.write("nothing.lua", "print('loading')")
        self.write("no.lua", "return false")
        self.assertEqual(self.output("print(require('once') == require('once'))"), "loading\ntrue\n")
        self.assertEqual(self.output("print((require('nothing')), (require('nothing')))"), "loading\ntrue\ttrue\n")
        self.assertEqual(self.output("print((require('no')), package.loaded.no)"), "false\tfalse\n")

    def test_globals_are_the_scripts(self) -> None:
        """A module shares its globals with the script."""
        self.write("shared.lua", "answer = question .. alaskaContext send('from', 'module')")
        outcome = self.outcome("question = 'q' require 'shared' print(answer)", b"c")
        self.assertEqual(outcome.output, b"qc\n")
        self.assertEqual(len(outcome.sends), 1)

    def test_edited(self) -> None:
        """A changed module is loaded in its new version."""
        for text in ("one", "two"):
            self.write("changing.lua", f"return '{text}'")
            self.assertEqual(self.output("print((require('changing')))"), f"{text}\n")

    def test_missing(self) -> None:
        """A missing module is an error at the position of the require, and lists the paths that were tried."""
        message = self.error("\nrequire 'no.such'\n")
        self.assertIn("script.lua:2: module 'no.such' not found:", message)
        for place in ("package.preload['no.such']", "no/such.lua'", "no/such/init.lua'", "no module of Alaska's own"):
            self.assertIn(place, message)

    def test_directory_is_the_working_directory(self) -> None:
        """A script in the working directory finds modules there, not in the root directory."""
        script = Script(b"x", Path("x.lua"), b"require 'no.such'", Version(0, 0, 0, 0))
        error = self.runner.run(script, Request(b"", b"", b"x", b"", ())).error
        self.assertIn("'./no/such.lua'", str(error))

    def test_broken(self) -> None:
        """A module that does not compile, or fails, is an error with its position."""
        self.write("broken.lua", "\n=")
        self.assertIn("broken.lua:2: unexpected symbol", self.error("require 'broken'"))
        self.write("failing.lua", "\nerror('inside')")
        lines = self.error("\nrequire 'failing'").split("\n")
        self.assertIn("failing.lua:2: inside", lines[0])
        self.assertEqual([line.split(":")[-2] for line in lines[2:]], ["2", "2"])

    def test_exit(self) -> None:
        """os.exit in a module ends the request."""
        self.write("leaving.lua", "os.exit()")
        self.assertEqual(self.output("require 'leaving' print('after')"), "")

    def test_no_way_out_of_the_directory(self) -> None:
        """The name of a module cannot lead out of the scripts directory."""
        (self.directory.parent / "outside.lua").write_text("return 'out'")
        for name in ("../outside", "..outside", "...outside", "/../outside", ".outside"):
            self.assertIn("not found", self.error(f"require {name!r}"))

    def test_libraries(self) -> None:
        """The libraries can be required, and are those of the script."""
        self.assertEqual(self.output("print(require('string') == string, require('_G') == _G)"), "true\ttrue\n")
        self.assertEqual(self.output("print(package.loaded.package == package, package.config:sub(1, 1))"), "true\t/\n")

    def test_preload(self) -> None:
        """A script can add modules to package.preload."""
        source = "package.preload.mine = function(...) return { ... } end print(table.concat(require('mine'), ' '))"
        self.assertEqual(self.output(source), "mine :preload:\n")

    def test_path(self) -> None:
        """A script can change package.path; the scripts directory comes first."""
        self.write("other/far.lua", "return 'far'")
        self.write("other/near.lua", "return 'far'")
        self.write("near.lua", "return 'near'")
        source = f"package.path = '{self.directory}/other/?.lua' print((require('far')), (require('near')))"
        self.assertEqual(self.output(source), "far\tnear\n")
        self.assertIn("'package.path' must be a string", self.error("package.path = nil require('far')"))
        self.assertIn("'package.searchers' must be a table", self.error("package.searchers = 1 require('far')"))

    def test_searchers(self) -> None:
        """A script can add a searcher."""
        searcher = "function(n) return function() return n .. '!' end end"
        source = f"table.insert(package.searchers or package.loaders, 1, {searcher})"
        self.assertEqual(self.output(f"{source} print((require('any')))"), "any!\n")

    def test_searchpath(self) -> None:
        """package.searchpath works as in plain Lua."""
        self.write("found.lua", "")
        source = f"print(package.searchpath('found', '{self.directory}/?.lua') ~= nil, (package.searchpath('x', '?')))"
        self.assertEqual(self.output(source), "true\tnil\n")

    def test_wrong_type(self) -> None:
        """The name of a module must be a string."""
        self.assertIn("script.lua:1: bad argument #1 to 'require' (string expected, got nil)", self.error("require()"))

    def test_module_replaces_built_in(self) -> None:
        """A module cjson in the scripts directory takes precedence over Alaska's."""
        self.write("cjson.lua", "return 'mine'")
        self.assertEqual(self.output("print((require('cjson')))"), "mine\n")

    def test_c_module_that_does_not_load(self) -> None:
        """A C module that cannot be loaded is replaced by Alaska's own, or is an error if there is none."""
        (self.directory / "cjson.so").write_bytes(b"no library")
        (self.directory / "other.so").write_bytes(b"no library")
        self.use(cpath=f"{self.directory.absolute()}/?.so")
        self.assertEqual(
            self.output("print(select(2, require 'cjson'), require('cjson').encode({ 1 }))"), ":alaska:\t[1]\n"
        )
        self.assertIn("error loading module 'other'", self.error("require 'other'"))


class ModuleNameTests(LuaCase):
    """Module names that could contain paths, in the sandbox."""

    options: ClassVar[LuaOptions] = SANDBOXED

    def test_refused(self) -> None:
        """A name with characters other than letters, digits, _, - and single dots is refused before any search."""
        (self.directory.parent / "secret.lua").write_text("return 'secret'", encoding="utf-8")
        self.use(modules=("*",), path=f"{self.directory.parent}/?.lua")
        for name in ("../secret", "x;/etc/passwd", "/etc/passwd", "a/b", "a..b", ".a", "a.", "", "a b", "a\\0b", "?"):
            self.assertIn("script.lua:1: a module's name is made of", self.error(f"require '{name}'"), name)
            for value in ("false", "true", "1", "{}"):  # not loaders, so the module would be searched
                source = f"package.preload['{name}'] = {value} require '{name}'"
                self.assertIn("script.lua:1: a module's name is made of", self.error(source), source)

    def test_plain(self) -> None:
        """Words with dots between them are valid names, and so are all names in package.preload."""
        self.write("a_b/c-d1.lua", "return 'found'")
        self.assertEqual(self.output("print((require 'a_b.c-d1'))"), "found\n")
        source = "package.preload['a b'] = function() return 'mine' end print((require 'a b'))"
        self.assertEqual(self.output(source), "mine\n")
