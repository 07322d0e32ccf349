"""Modules in the scripts directory: which files are valid, and when they are read."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.lua.files import MAX_OCTETS
from alaska.lua.module_files import find_module
from alaska.lua.questions import ERROR, NONE, OK, Frames
from tests.lua.lua_case import SANDBOXED, LuaCase

SOURCE = b"return 'module'"


class FindTests(SynchronousTestCase):
    """Finding the file of a module."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()) / "services"
        self.directory.mkdir(parents=True)
        self.outside = self.directory.parent / "outside.lua"
        self.outside.write_bytes(b"return 'secret'")
        self.path = self.directory / "one.lua"

    def find(self, name: bytes = b"one", known: bytes = b"") -> Frames:
        """Find a module."""
        return find_module(os.fsencode(self.directory), name, known)

    def test_found(self) -> None:
        """A module is the file of its name, or the init.lua of the folder of its name; a dot means a folder."""
        (self.directory / "lib" / "two").mkdir(parents=True)
        for name, place in ((b"one", "one.lua"), (b"lib.one", "lib/one.lua"), (b"lib.two", "lib/two/init.lua")):
            path = self.directory / place
            path.write_bytes(SOURCE)
            word, found, _, source = self.find(name)
            self.assertEqual((word, found, source), (OK, os.fsencode(path), SOURCE))

    def test_known(self) -> None:
        """A known version is not read again; a new one is."""
        self.path.write_bytes(SOURCE)
        _, path, version, _ = self.find()
        self.assertEqual(self.find(known=version), (OK, path, version))
        self.path.write_bytes(b"return 'other'")
        self.assertEqual(self.find(known=version)[-1], b"return 'other'")

    def test_new_file_takes_precedence(self) -> None:
        """A new file that takes precedence over the known one is found."""
        (self.directory / "one").mkdir()
        (self.directory / "one" / "init.lua").write_bytes(SOURCE)
        version = self.find()[2]
        self.path.write_bytes(b"return 'nearer'")
        self.assertEqual(self.find(known=version)[-1], b"return 'nearer'")

    def test_missing(self) -> None:
        """For a missing module, the tried paths are returned."""
        for name in (b"no", b"no.no", b"x" * 300, b"a\0b"):
            word, places, _ = self.find(name)
            self.assertEqual((word, places.count(b"no file '")), (NONE, 2))

    def test_missing_folder(self) -> None:
        """For a missing module, the first word of its name is returned if no folder has that name."""
        (self.directory / "lib").mkdir()
        self.path.write_bytes(SOURCE)
        found = [self.find(name)[2] for name in (b"lib.no", b"lib", b"no.no", b"no", b"one.no", b"a\0b.c")]
        self.assertEqual(found, [b"", b"", b"no", b"no", b"one", b"a\0b"])

    def assert_refused(self, why: bytes) -> None:
        """Expect the module's file to be refused for this reason."""
        word, text = self.find()
        self.assertEqual(word, ERROR)
        self.assertIn(b"error loading module 'one' from file", text)
        self.assertIn(why, text)

    def test_link_that_leads_out(self) -> None:
        """A link of a file or folder cannot lead out of the directory."""
        self.path.symlink_to("../outside.lua")
        self.assert_refused(b"lies outside the scripts directory")
        (self.directory / "up").symlink_to("..")
        self.assertEqual(self.find(b"up.outside")[0], ERROR)

    def test_link_inside(self) -> None:
        """A link to another file of the directory is a module."""
        (self.directory / "other.lua").write_bytes(SOURCE)
        self.path.symlink_to("other.lua")
        self.assertEqual(self.find()[-1], SOURCE)

    def test_no_regular_file(self) -> None:
        """A directory, a pipe and a device are refused without reading them."""
        self.path.mkdir()
        self.assert_refused(b"not a regular file")
        self.path.rmdir()
        os.mkfifo(self.path)
        self.assert_refused(b"not a regular file")
        self.path.unlink()
        self.path.symlink_to("/dev/zero")
        self.assert_refused(b"not a regular file")

    def test_too_large(self) -> None:
        """The maximum size of a module is that of a script."""
        with self.path.open("wb") as file:
            file.truncate(MAX_OCTETS + 1)
        self.assert_refused(b"larger than")


class RequireTests(LuaCase):
    """The same for scripts."""

    options = SANDBOXED

    def test_refused(self) -> None:
        """A file outside the directory is an error, with and without the sandbox."""
        for sandbox in (True, False):
            self.use(sandbox=sandbox)
            (self.directory / "out.lua").symlink_to("/etc/passwd")
            self.assertIn("lies outside the scripts directory", self.error("require 'out'"))
            (self.directory / "out.lua").unlink()

    def test_long_name(self) -> None:
        """A very long name is refused at once."""
        self.assertIn("a module's name", self.error("require(('a.'):rep(500000) .. 'a')"))

    def test_where_lua_cannot_yield(self) -> None:
        """Where Lua cannot yield, requiring a module is an error that says so."""
        self.write("one.lua", "return 'module'")
        source = "table.sort({ 2, 1 }, function() require 'one' end)"
        self.assertIn(
            "module 'one' cannot be loaded within a function that is called by table.sort", self.error(source)
        )

    def test_folder_that_is_missing(self) -> None:
        """A module whose folder was missing is searched elsewhere without a question, within one run."""
        source = """
            local function within() return (('x'):gsub('x', function() return (require 'far.two') end)) end
            local value = setmetatable({}, { __tostring = within })
            print(require 'far.one' .. tostring(value))
        """
        elsewhere = self.directory.absolute() / "elsewhere" / "far"
        elsewhere.mkdir(parents=True)
        for name in ("one", "two"):
            (elsewhere / f"{name}.lua").write_text(f"return '{name}'")
        self.use(path=f"{elsewhere.parent}/?.lua", modules=("far.*",))
        self.assertEqual(self.output(source), "onetwo\n")
        self.write("far/two.lua", "return 'nearer'")
        self.assertEqual(self.output("print(require 'far.one' .. require 'far.two')"), "onenearer\n")

    def test_prefixes_allow_no_c_libraries(self) -> None:
        """A C library must be allowed by its whole name; a prefix allows Lua modules only."""
        (self.directory / "far").mkdir()
        (self.directory / "far" / "c.so").write_bytes(b"no library")
        for modules, is_tried in ((("far.*",), False), (("far.c",), True), (("*",), True)):
            self.use(cpath=f"{self.directory.absolute()}/?.so", modules=modules)
            self.assertEqual("error loading module 'far.c'" in self.error("require 'far.c'"), is_tried, modules)
