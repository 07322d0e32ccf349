"""print, io and warn."""

from __future__ import annotations

from tests.lua.lua_case import IS_JIT, LuaCase, limit_of


class OutputTests(LuaCase):
    """print and io.write."""

    def test_print(self) -> None:
        """The arguments of print are separated by tabs, with a line end added."""
        source = "print('a', 1, 1.0, nil, true) print() print(nil) print('\\0')"
        whole = "1" if IS_JIT else "1.0"
        self.assertEqual(self.output(source), f"a\t1\t{whole}\tnil\ttrue\n\nnil\n\0\n")

    def test_print_tostring(self) -> None:
        """A value with __tostring is printed as that returns."""
        self.assertEqual(self.output("print(setmetatable({}, { __tostring = function() return 'me' end }))"), "me\n")

    def test_write(self) -> None:
        """io.write, io.stdout, io.stderr and enabled warnings are captured with printed text, in order."""
        source = """
            io.write('a', 1, 1.5) print('b') io.stdout:write('c', 2):write('d') io.stderr:write('e\\n')
            warn('off') warn('@on') warn('f', 'g') warn('@off') warn('off')
        """
        self.assertEqual(self.output(source), "a11.5b\nc2de\nLua warning: fg\n")

    def test_write_wrong_type(self) -> None:
        """io.write takes strings and numbers only; the error has the position of the call."""
        self.assertIn("script.lua:2: bad argument #2 to 'write'", self.error("\nio.write('a', {})\n"))
        self.assertIn("script.lua:2: bad argument #1 to 'write'", self.error("\nio.stdout:write(nil)\n"))

    def test_limit(self) -> None:
        """A script that exceeds the output limit fails; earlier output is kept and the limit is named."""
        self.use(output=100)
        outcome = self.outcome("while true do print('123456789') end")
        self.assertEqual(outcome.output, b"123456789\n" * 10)
        self.assertIn("script.lua:1: the script printed more than 100 octets", str(outcome.error))
        self.assertEqual(limit_of(outcome), "worker/scripts/output")

    def test_limit_is_for_each_request(self) -> None:
        """Each request has its own limit."""
        self.use(output=10)
        for _ in range(3):
            self.assertEqual(self.output("print('123456789')"), "123456789\n")

    def test_limit_caught(self) -> None:
        """Catching the error neither allows more output nor saves the request."""
        self.use(output=10)
        outcome = self.outcome("pcall(print, ('x'):rep(10)) for i = 1, 10 do pcall(io.write, 'y') end")
        self.assertEqual(outcome.output, b"")
        self.assertEqual(limit_of(outcome), "worker/scripts/output")

    def test_default_limit(self) -> None:
        """The default limit is one megabyte."""
        self.assertEqual(len(self.output("io.write(('x'):rep(1048576))")), 1048576)
        self.assertIn("1048576", self.error("io.write(('x'):rep(1048576), 'y')"))

    def test_kept_by_failure(self) -> None:
        """Output before a failure is kept."""
        self.assertEqual(self.outcome("print('before') error()").output, b"before\n")


class FilesTests(LuaCase):
    """Files and the standard input."""

    def test_input_is_empty(self) -> None:
        """Standard input is empty, and reading it never blocks."""
        source = "print(io.read(), io.read('n'), io.read('a'), io.stdin:read('L'), io.stdin:read(5))"
        self.assertEqual(self.output(source), "nil\tnil\t\tnil\tnil\n")
        self.assertEqual(self.output("for line in io.lines() do print(line) end print('end')"), "end\n")
        self.assertEqual(self.output("for line in io.stdin:lines() do print(line) end print('end')"), "end\n")
        self.assertEqual(self.output("print(loadfile())"), "nil\tcannot read stdin\n")

    def test_standard_files_look_like_files(self) -> None:
        """The standard files behave like other files."""
        source = "print(io.type(io.stdout), type(io.stdin), io.stderr, io.type(1), io.stdout:close())"
        self.assertEqual(self.output(source), "file\tuserdata\tfile (stderr)\tnil\tnil\tcannot close standard file\n")
        self.assertEqual(self.output("print(getmetatable(io.stdout) == getmetatable(io.tmpfile()))"), "true\n")
        self.assertEqual(self.output("print(io.stdout:flush() == io.stdout, io.stdout:setvbuf('no'))"), "true\ttrue\n")

    def test_read_and_write(self) -> None:
        """Other files are read and written as in plain Lua."""
        source = f"""
            local path = {str(self.directory / "data.txt")!r}
            local file = assert(io.open(path, 'w')) file:write('one\\ntwo\\n') file:close()
            for line in io.lines(path) do print(line) end
            io.output(path) io.write('three') io.close() io.output(io.stdout)
            io.input(path) print(io.read('a'))
            print(io.type(file), (select(2, io.open('/nowhere/x'))))
        """
        self.assertEqual(self.output(source), "one\ntwo\nthree\nclosed file\t/nowhere/x: No such file or directory\n")

    def test_position_of_errors(self) -> None:
        """Errors of the io library have the position of the script's call."""
        self.assertIn("script.lua:2: /nowhere/x: No such file", self.error("\nio.lines('/nowhere/x')\n"))
        self.assertIn("script.lua:2: cannot open file '/nowhere/x'", self.error("\nio.output('/nowhere/x')\n"))

    def test_files_left_open(self) -> None:
        """Files that a script leaves open are closed and written when it has ended."""
        path = self.directory / "data.txt"
        self.output(f"io.open({str(path)!r}, 'w'):write('kept')")
        self.assertEqual(path.read_bytes(), b"kept")

    def test_some_left_open(self) -> None:
        """One of many files that is left open is closed and written when its script has ended, in each run."""
        path = self.directory / "data.txt"
        for run in range(20):
            source = f"for n = 1, 3 do local file = io.open({str(path)!r}, 'w') file:write({run}, n)"
            self.output(source + " if n < 3 then file:close() end end")
            self.assertEqual(path.read_text(), f"{run}3")

    def test_closed_twice(self) -> None:
        """A file that is closed twice is an error, and so is something that is no file."""
        path = self.mktemp()
        twice = f"local file = io.open({path!r}, 'w') file:close() file:close()"
        self.assertIn("attempt to use a closed file", self.error(twice))
        self.assertIn("bad argument #1 to 'close'", self.error(f"io.open({path!r}).close(1)"))

    def test_default_files_are_reset(self) -> None:
        """The default files are reset for the next script."""
        self.output("io.output(io.tmpfile()) io.write('lost')")
        self.assertEqual(self.output("io.write('shown')"), "shown")
