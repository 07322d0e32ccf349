"""Running scripts: the context, errors and os.exit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alaska.errors import ScriptError
from tests.lua.lua_case import LuaCase, only_in_5_4


class ContextTests(LuaCase):
    """The context of a script."""

    def test_first_frame(self) -> None:
        """The context is the first content frame only."""
        self.assertEqual(self.output("print(alaskaContext)", b"one", b"two"), "one\n")

    def test_no_frame(self) -> None:
        """A request without content has an empty context."""
        self.assertEqual(self.output("print(type(alaskaContext), #alaskaContext)"), "string\t0\n")

    @given(st.binary())
    @settings(deadline=None)
    def test_any_octets(self, content: bytes) -> None:
        """The context may contain any octets, which print, send and attachments return unchanged."""
        source = "io.write(alaskaContext) send('s', alaskaContext, 't', alaskaContext)"
        outcome = self.outcome(source, content)
        self.assertEqual(outcome.output, content)
        self.assertEqual(outcome.sends[0].content, (content, content))


class ErrorTests(LuaCase):
    """Scripts that fail."""

    def test_position(self) -> None:
        """An error starts with file and line, followed by the stack trace of the script."""
        lines = self.error(
            "local function deep()\n  error('broken')\nend\nlocal function f()\n  deep()\n  return 1\nend\nf()\n"
        ).split("\n")
        self.assertTrue(lines[0].endswith("/temp/script.lua:2: broken"), lines[0])
        self.assertEqual(lines[1], "stack traceback:")
        self.assertEqual([line.split(": in ")[0].split(".lua:")[1] for line in lines[2:]], ["2", "5", "8"])

    def test_error_type(self) -> None:
        """The error of a failed script is a ScriptError."""
        self.assertIsInstance(self.outcome("error('x')").error, ScriptError)

    def test_syntax(self) -> None:
        """A script that does not compile is an error with file and line."""
        self.assertIn("script.lua:2: unexpected symbol near '='", self.error("\n= 1"))

    def test_values(self) -> None:
        """An error may be any value, and is converted to text."""
        for source, text in [
            ("error('text', 0)", "text"),
            ("error('')", "script.lua:1: "),
            ("error(12)", "12"),
            ("error(1.5)", "1.5"),
            ("error()", "(error object is a nil value)"),
            ("error(false)", "(error object is a boolean value)"),
            ("error({})", "(error object is a table value) {}"),
            ("error(print)", "(error object is a function value)"),
            ("error(setmetatable({}, { __tostring = function() return 'an object' end }))", "an object"),
            ("error(setmetatable({}, { __tostring = function() return {} end }))", "(error object is a table value)"),
            ("error(setmetatable({}, { __tostring = error }))", "(error object is a table value)"),
            ("error(setmetatable({}, { __tostring = os.exit }))", "(error object is a table value)"),
            ("error(setmetatable({}, { __tostring = coroutine.yield }))", "(error object is a table value)"),
            ("error(setmetatable({}, setmetatable({}, { __index = error })))", "(error object is a table value)"),
        ]:
            self.assertIn(text, self.error(source).split("\n")[0])

    def test_octets(self) -> None:
        """An error that is not valid UTF-8 is shown with escapes."""
        self.assertTrue(self.error("error('\\255\\0é', 0)").startswith("\\xff\0é"))

    def test_in_library(self) -> None:
        """An error in a library function has the position of the script's call."""
        self.assertIn("script.lua:2: bad argument #1 to 'rep'", self.error("\nstring.rep()\n"))

    def test_in_coroutine(self) -> None:
        """An error in a coroutine reaches the script."""
        self.assertIn("inner", self.error("coroutine.wrap(function() error('inner') end)()"))

    def test_stack_overflow(self) -> None:
        """Endless recursion is an error like any other."""
        self.assertIn("stack overflow", self.error("local function f() return 1 + f() end f()"))

    def test_yield(self) -> None:
        """A script that yields outside a coroutine fails, as in plain Lua."""
        self.assertIn("attempt to yield from outside a coroutine", self.error("coroutine.yield()"))

    @only_in_5_4
    def test_pending_close(self) -> None:
        """To-be-closed variables are closed when the script fails, and messages sent by their __close are sent."""
        outcome = self.outcome(
            "local x <close> = setmetatable({}, { __close = function() send('closed', '') end }) error('x')"
        )
        self.assertEqual([send.subject for send in outcome.sends], [b"closed"])

    def test_next_script_runs(self) -> None:
        """After any failure the next script runs."""
        for source in ("error('x')", "= 1", "coroutine.yield()", "os.exit(1)", "local function f() f() end f()"):
            self.outcome(source)
            self.assertEqual(self.output("print('fine')"), "fine\n")

    def test_precompiled(self) -> None:
        """A precompiled script is refused, because Lua does not verify it."""
        self.assertIn("attempt to load a binary chunk", self.error(b"\x1bLua\x54\x00"))

    def test_first_line_comment(self) -> None:
        """A "#!" line and a byte order mark are ignored."""
        self.assertEqual(self.output("#!/usr/bin/lua\nprint(debug.getinfo(1).currentline)"), "2\n")
        self.assertEqual(self.output(b"\xef\xbb\xbfprint('bom')"), "bom\n")

    def test_edited(self) -> None:
        """A changed script runs in its new version, also after a version that did not compile."""
        self.assertEqual(self.output("print(1)"), "1\n")
        self.error("print(")
        self.assertEqual(self.output("print(2)"), "2\n")

    def test_long_message(self) -> None:
        """A very long error message is cut, and its length is given."""
        text = self.error("error(('x'):rep(1000000), 0)")
        self.assertRegex(text.split("\n")[0], r"^x{65536}\.\.\. \(1000000 octets\)$")


class ExitTests(LuaCase):
    """os.exit."""

    def test_success(self) -> None:
        """os.exit, os.exit(true) and os.exit(0) end the request successfully and at once."""
        for arguments in ("", "true", "0", "nil", "0.0"):
            self.assertEqual(self.output(f"print('a') os.exit({arguments}) print('b')"), "a\n")

    def test_failure(self) -> None:
        """Any other exit code is an error that contains it."""
        self.assertIn("script.lua:1: os.exit(3) was called", self.error("os.exit(3)"))
        self.assertIn("os.exit(1) was called", self.error("os.exit(false)"))
        self.assertIn("bad argument #1 to 'exit'", self.error("os.exit({})"))

    def test_cannot_be_caught(self) -> None:
        """Neither pcall nor xpcall nor a coroutine prevents os.exit from ending the request."""
        marker = self.directory / "marker"
        for source in (
            "pcall(os.exit, true)",
            "pcall(pcall, function() os.exit() end)",
            "xpcall(os.exit, function() end, true)",
            "coroutine.wrap(function() os.exit() end)()",
            "coroutine.resume(coroutine.create(function() pcall(os.exit) end))",
            "coroutine.wrap(function() coroutine.wrap(os.exit)() end)()",
            "load('os.exit()')()",
            "for _ in os.exit do end",
            "local x = setmetatable({}, { __index = function() os.exit() end }).x",
        ):
            self.assertEqual(self.output(f"print('a') {source} io.open('{marker}', 'w')"), "a\n", source)
            self.assertFalse(marker.exists(), source)

    def test_inside_c_functions(self) -> None:
        """Inside a C function os.exit raises an error; a script that catches it can do nothing more."""
        self.assertEqual(self.output("print('a') table.sort({ 1, 2 }, function() os.exit() end) print('b')"), "a\n")
        outcome = self.outcome(
            "pcall(string.gsub, 'x', 'x', function() os.exit(4) end) pcall(print, 'b') pcall(send, 'a', 'b')"
        )
        self.assertEqual((outcome.sends, outcome.output), ((), b""))
        self.assertIn("os.exit(4) was called", str(outcome.error))

    def test_coroutines_are_unchanged(self) -> None:
        """Coroutines behave as in plain Lua otherwise."""
        source = """
            print(coroutine.resume(coroutine.create(function() end)))
            print(coroutine.resume(coroutine.create(function(...) return ... end), nil, nil))
            print(coroutine.resume(coroutine.create(function() error('x', 0) end)))
            local co = coroutine.wrap(function(a) local b = coroutine.yield(a) coroutine.yield(b, nil) end)
            print(co(1)) print(co(2)) print(co()) print(pcall(co)) print(select('#', coroutine.wrap(function() end)()))
        """
        self.assertEqual(
            self.output(source), "true\ntrue\tnil\tnil\nfalse\tx\n1\n2\tnil\n\nfalse\tcannot resume dead coroutine\n0\n"
        )
