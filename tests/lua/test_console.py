"""print, io and warn."""

from __future__ import annotations

from tests.lua.lua_case import IS_JIT, LuaCase, limit_of


class OutputTests(LuaCase):
    """print and io.write."""

    def test_print(self) -> None:
        """Print writes its arguments as Lua does: separated by tabs, with a line end."""
        source = "print('a', 1, 1.0, nil, true) print() print(nil) print('\\0')"
        whole = "1" if IS_JIT else "1.0"
        self.assertEqual(self.output(source), f"a\t1\t{whole}\tnil\ttrue\n\nnil\n\0\n")

    def test_print_tostring(self) -> None:
        """Print shows an object as its __tostring says."""
        self.assertEqual(self.output("print(setmetatable({}, { __tostring = function() return 'me' end }))"), "me\n")

    def test_write(self) -> None:
        """io.write and io.stdout:write go where print goes, in order; so do stderr and warnings that are on."""
        source = """
            io.write('a', 1, 1.5) print('b') io.stdout:write('c', 2):write('d') io.stderr:write('e\\n')
            warn('off') warn('@on') warn('f', 'g') warn('@off') warn('off')
        """
        self.assertEqual(self.output(source), "a11.5b\nc2de\nLua warning: fg\n")

    def test_write_wrong_type(self) -> None:
        """io.write takes strings and numbers only, and says where it was called."""
        self.assertIn("script.lua:2: bad argument #2 to 'write'", self.error("\nio.write('a', {})\n"))
        self.assertIn("script.lua:2: bad argument #1 to 'write'", self.error("\nio.stdout:write(nil)\n"))

    def test_limit(self) -> None:
        """A script that prints more than the limit fails, with what fitted kept and the limit named."""
        self.use(output=100)
        outcome = self.outcome("while true do print('123456789') end")
        self.assertEqual(outcome.output, b"123456789\n" * 10)
        self.assertIn("script.lua:1: the script printed more than 100 octets", str(outcome.error))
        self.assertEqual(limit_of(outcome), "worker/scripts/output")

    def test_limit_is_for_each_request(self) -> None:
        """What one request printed leaves the next its whole limit."""
        self.use(output=10)
        for _ in range(3):
            self.assertEqual(self.output("print('123456789')"), "123456789\n")

    def test_limit_caught(self) -> None:
        """Catching that error does not let more through, and does not save the request."""
        self.use(output=10)
        outcome = self.outcome("pcall(print, ('x'):rep(10)) for i = 1, 10 do pcall(io.write, 'y') end")
        self.assertEqual(outcome.output, b"")
        self.assertEqual(limit_of(outcome), "worker/scripts/output")

    def test_default_limit(self) -> None:
        """A megabyte may be printed, and no more."""
        self.assertEqual(len(self.output("io.write(('x'):rep(1048576))")), 1048576)
        self.assertIn("1048576", self.error("io.write(('x'):rep(1048576), 'y')"))

    def test_kept_by_failure(self) -> None:
        """What was printed before a script failed is kept."""
        self.assertEqual(self.outcome("print('before') error()").output, b"before\n")


class FilesTests(LuaCase):
    """Files and the standard input."""

    def test_input_is_empty(self) -> None:
        """A script that reads its input finds the end of it, and never waits for a terminal."""
        source = "print(io.read(), io.read('n'), io.read('a'), io.stdin:read('L'), io.stdin:read(5))"
        self.assertEqual(self.output(source), "nil\tnil\t\tnil\tnil\n")
        self.assertEqual(self.output("for line in io.lines() do print(line) end print('end')"), "end\n")
        self.assertEqual(self.output("for line in io.stdin:lines() do print(line) end print('end')"), "end\n")
        self.assertEqual(self.output("print(loadfile())"), "nil\tcannot read stdin\n")

    def test_standard_files_look_like_files(self) -> None:
        """The standard files are files to a script."""
        source = "print(io.type(io.stdout), type(io.stdin), io.stderr, io.type(1), io.stdout:close())"
        self.assertEqual(self.output(source), "file\tuserdata\tfile (stderr)\tnil\tnil\tcannot close standard file\n")
        self.assertEqual(self.output("print(getmetatable(io.stdout) == getmetatable(io.tmpfile()))"), "true\n")
        self.assertEqual(self.output("print(io.stdout:flush() == io.stdout, io.stdout:setvbuf('no'))"), "true\ttrue\n")

    def test_read_and_write(self) -> None:
        """Other files are read and written as ever."""
        source = f"""
            local path = {str(self.directory / "data.txt")!r}
            local file = assert(io.open(path, 'w')) file:write('one\\ntwo\\n') file:close()
            for line in io.lines(path) do print(line) end
            io.output(path) io.write('three') io.close() io.output(io.stdout)
            io.input(path) print(io.read('a'))
            print(io.type(file), (select(2, io.open('/nowhere/x'))))
        """
        self.assertEqual(self.output(source), "one\ntwo\nthree\nclosed file\t/nowhere/x: No such file or directory\n")

    def test_errors_are_placed(self) -> None:
        """An error of a library function says where in the script it was called."""
        self.assertIn("script.lua:2: /nowhere/x: No such file", self.error("\nio.lines('/nowhere/x')\n"))
        self.assertIn("script.lua:2: cannot open file '/nowhere/x'", self.error("\nio.output('/nowhere/x')\n"))

    def test_left_open(self) -> None:
        """Files that a script leaves open are closed when it has ended, so what it wrote is there."""
        path = self.directory / "data.txt"
        self.output(f"io.open({str(path)!r}, 'w'):write('kept')")
        self.assertEqual(path.read_bytes(), b"kept")

    def test_default_files_are_back(self) -> None:
        """The default files of one script are not those of the next."""
        self.output("io.output(io.tmpfile()) io.write('lost')")
        self.assertEqual(self.output("io.write('shown')"), "shown")
