"""load, loadfile and dofile."""

from __future__ import annotations

from tests.lua.lua_case import LuaCase, only_in_5_4


class LoadTests(LuaCase):
    """load, loadfile and dofile use the globals of the script."""

    def test_load(self) -> None:
        """Loaded code shares the script's globals, unless it is given others."""
        self.assertEqual(self.output("x = 1 load('x = x + 1 print(x)')() print(x)"), "2\n2\n")
        self.assertEqual(self.output("print(load('return x', 'n', 't', { x = 5 })())"), "5\n")

    @only_in_5_4
    def test_load_without_globals(self) -> None:
        """Loaded code may be given nil as its globals."""
        self.assertEqual(self.output("print(pcall(load('return x', 'n', 't', nil)))")[:5], "false")
        self.assertEqual(
            self.output("local t = { 'return ', '7' } local i = 0 print(load(function() i = i + 1 return t[i] end)())"),
            "7\n",
        )

    def test_load_errors(self) -> None:
        """For code that does not compile, load returns nil and a message."""
        self.assertEqual(self.output("print(load('=', '=n'))"), "nil\tn:1: unexpected symbol near '='\n")

    def test_binary(self) -> None:
        """Precompiled code is always refused."""
        self.assertIn("attempt to load a binary chunk", self.output("print(load('return 1', 'n', 'b'))"))
        self.assertIn("attempt to load a binary chunk", self.output("print(load(string.dump(function() end)))"))
        self.assertIn(
            "attempt to load a binary chunk",
            self.output("print(load(string.dump(print == 1 and print or function() end), 'n', 'b'))"),
        )
        self.assertIn(
            "attempt to load a binary chunk", self.output("print(load(string.dump(function() end), 'n', 'bt', {}))")
        )

    def test_files(self) -> None:
        """Files run by dofile and loadfile have the script's globals."""
        self.write("part.txt", "#!shebang\ny = (x or 0) + 1 return y, alaskaContext")
        path = str(self.directory / "part.txt")
        self.assertEqual(
            self.output(f"x = 1 print(dofile({path!r})) print(y, loadfile({path!r})())", b"c"), "2\tc\n2\t2\tc\n"
        )
        self.assertIn("cannot open /nowhere.lua", self.error("dofile('/nowhere.lua')"))
