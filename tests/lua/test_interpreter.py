"""Running scripts: what a script is given, what is kept of what it does, and how it fails."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from alaska.errors import ScriptError
from alaska.lua.paths import module_paths
from alaska.lua.questions import OK
from alaska.lua.request import Send, SendKind
from alaska.lua.scripts import Scripts
from tests import PROJECT
from tests.lua.lua_case import IS_JIT, LuaCase, limit_of, only_in_5_4

SERVICES = PROJECT / "services"
DOCUMENT = PROJECT / "docs" / "lua.md"
RULE = "-" * 80


class ContextTests(LuaCase):
    """What a script gets to know of its request."""

    def test_first_frame(self) -> None:
        """The context is the first content frame; further frames are not part of it."""
        self.assertEqual(self.output("print(alaskaContext)", b"one", b"two"), "one\n")

    def test_no_frame(self) -> None:
        """A request without content has an empty context."""
        self.assertEqual(self.output("print(type(alaskaContext), #alaskaContext)"), "string\t0\n")

    @given(st.binary())
    @settings(deadline=None)
    def test_any_octets(self, content: bytes) -> None:
        """The context holds any octets, and they come back as they are by print, send and an attachment."""
        source = "io.write(alaskaContext) send('s', alaskaContext, 't', alaskaContext)"
        outcome = self.outcome(source, content)
        self.assertEqual(outcome.output, content)
        self.assertEqual(outcome.sends[0].content, (content, content))


class SendTests(LuaCase):
    """send and sendTo."""

    def sends(self, source: str) -> list[Send]:
        """Return what a script sends, which must come to its end."""
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error, str(outcome.error))
        return list(outcome.sends)

    def test_defaults(self) -> None:
        """Subject and content are enough: the rest is aw.res, no attachment, LU."""
        self.assertEqual(
            self.sends("send('a', 'b') sendTo('c', 'd')"),
            [
                Send(SendKind.STREAM, b"aw.res", b"a", (b"b",), b"LU"),
                Send(SendKind.MAILBOX, b"aw.res", b"c", (b"d",), b"LU"),
            ],
        )

    def test_all_arguments(self) -> None:
        """Stream or mailbox, attachment and sender may be given; an attachment is a second frame."""
        self.assertEqual(
            self.sends("send('a', 'b', 's', 'x', 'ME') sendTo('c', 'd', 'm', 'y', 'YOU')"),
            [
                Send(SendKind.STREAM, b"s", b"a", (b"b", b"x"), b"ME"),
                Send(SendKind.MAILBOX, b"m", b"c", (b"d", b"y"), b"YOU"),
            ],
        )

    def test_nil_is_the_default(self) -> None:
        """An optional argument that is nil counts as not given."""
        self.assertEqual(
            self.sends("send('a', 'b', nil, nil, 'ME') sendTo('c', 'd', nil, 'x', nil)"),
            [
                Send(SendKind.STREAM, b"aw.res", b"a", (b"b",), b"ME"),
                Send(SendKind.MAILBOX, b"aw.res", b"c", (b"d", b"x"), b"LU"),
            ],
        )

    def test_empty_strings(self) -> None:
        """An empty string is a value: it is no default, and an empty attachment is a frame."""
        self.assertEqual(self.sends("send('', '', '', '', '')"), [Send(SendKind.STREAM, b"", b"", (b"", b""), b"")])

    def test_results(self) -> None:
        """Both return 0 and nothing else."""
        self.assertEqual(self.output("print(send('a', 'b')) print(sendTo('a', 'b'))"), "0\n0\n")

    def test_numbers(self) -> None:
        """A number is sent as Lua writes it."""
        sent = self.sends("for _, n in ipairs { 1, 1.0, 1.5, 3.14158241824767, -7, 1e100, 2^53 } do send(n, n) end")
        texts = [b"1", b"1" if IS_JIT else b"1.0", b"1.5", b"3.1415824182477", b"-7", b"1e+100", b"9.007199254741e+15"]
        self.assertEqual([send.content for send in sent], [(text,) for text in texts])
        self.assertEqual([send.subject for send in sent], texts)

    def test_extra_arguments(self) -> None:
        """Arguments after the fifth are ignored."""
        self.assertEqual(len(self.sends("send('a', 'b', 'c', 'd', 'e', 'f')")), 1)

    def test_too_few_arguments(self) -> None:
        """Fewer than two arguments are an error that says how the function is called, and where it was."""
        for source, call in [
            ("send()", "send(subject, content, [stream], [attachment], [sender])"),
            ("send('a')", "send(subject, content, [stream], [attachment], [sender])"),
            ("sendTo('a')", "sendTo(subject, content, [mailbox], [attachment], [sender])"),
        ]:
            message = self.error(f"\n{source}\n")
            self.assertIn("script.lua:2: ", message)
            self.assertIn(call, message)

    def test_wrong_types(self) -> None:
        """What is neither string nor number is an error that names the argument and the type."""
        for source, message in [
            ("send(nil, 'b')", "#1 to 'send' (the subject must be a string or a number, not nil)"),
            ("send('a', nil)", "#2 to 'send' (the content must be a string or a number, not nil)"),
            ("send('a', true)", "#2 to 'send' (the content must be a string or a number, not a boolean)"),
            ("send('a', {})", "#2 to 'send' (the content must be a string or a number, not a table)"),
            ("send('a', print)", "#2 to 'send' (the content must be a string or a number, not a function)"),
            ("send('a', 'b', {})", "#3 to 'send' (the stream must be a string or a number, not a table)"),
            ("sendTo('a', 'b', false)", "#3 to 'sendTo' (the mailbox must be a string or a number, not a boolean)"),
            ("send('a', 'b', 'c', {})", "#4 to 'send' (the attachment must be a string or a number, not a table)"),
            ("send('a', 'b', 'c', 'd', {})", "#5 to 'send' (the sender must be a string or a number, not a table)"),
        ]:
            text = self.error(f"\n{source}\n")
            self.assertIn("script.lua:2: bad argument " + message, text)

    def test_table_with_tostring(self) -> None:
        """A table is an error even if it could be made text."""
        self.error("send('a', setmetatable({}, { __tostring = function() return 'x' end }))")

    def test_longest_strings(self) -> None:
        """Names of 255 octets fit the wire; contents have no such limit."""
        sent = self.sends("local n = ('x'):rep(255) send(n, ('y'):rep(100000), n, ('z'):rep(100000), n)")
        self.assertEqual(sent[0].subject, b"x" * 255)
        self.assertEqual([len(frame) for frame in sent[0].content], [100000, 100000])

    def test_too_long_strings(self) -> None:
        """Names of 256 octets are an error that names the limit."""
        for arguments, what in [("n, 'b'", "subject"), ("'a', 'b', n", "stream"), ("'a', 'b', nil, nil, n", "sender")]:
            message = self.error(f"local n = ('x'):rep(256) send({arguments})")
            self.assertIn(f"the {what} has 256 octets, and 255 is the limit", message)

    def test_many(self) -> None:
        """Any number of messages is kept, in order."""
        self.use(sends=0)
        sent = self.sends("for i = 1, 20000 do send('n', i, nil, i % 2 == 0 and 'even' or nil) end")
        self.assertEqual([int(send.content[0]) for send in sent], list(range(1, 20001)))
        self.assertEqual([len(send.content) for send in sent[:4]], [1, 2, 1, 2])

    def test_batch_edges(self) -> None:
        """No message is lost or doubled, whatever their number."""
        for number in (0, 1, 49, 50, 51, 99, 100, 101):
            self.assertEqual(len(self.sends(f"for i = 1, {number} do send('n', i) end")), number)

    def test_kept_by_failure(self) -> None:
        """What was sent before a script failed is still sent."""
        outcome = self.outcome("send('a', 'b') error('no more') send('c', 'd')")
        self.assertEqual([send.subject for send in outcome.sends], [b"a"])
        self.assertIn("no more", str(outcome.error))

    def test_error_can_be_caught(self) -> None:
        """A script may go on after a send that failed, and nothing of that one is sent."""
        self.assertEqual(self.sends("pcall(send, 'a', {})  send('c', 'd')")[0].subject, b"c")

    def test_in_a_coroutine(self) -> None:
        """A script may send from anywhere in it."""
        self.assertEqual(len(self.sends("coroutine.wrap(function() send('a', 'b') end)()")), 1)


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


class ErrorTests(LuaCase):
    """Scripts that fail."""

    def test_place(self) -> None:
        """An error tells file and line first, then the traceback with the script's own lines."""
        lines = self.error(
            "local function deep()\n  error('broken')\nend\nlocal function f()\n  deep()\n  return 1\nend\nf()\n"
        ).split("\n")
        self.assertTrue(lines[0].endswith("/temp/script.lua:2: broken"), lines[0])
        self.assertEqual(lines[1], "stack traceback:")
        self.assertEqual([line.split(": in ")[0].split(".lua:")[1] for line in lines[2:]], ["2", "5", "8"])

    def test_error_type(self) -> None:
        """A failed script is a ScriptError."""
        self.assertIsInstance(self.outcome("error('x')").error, ScriptError)

    def test_syntax(self) -> None:
        """A script that does not compile tells file and line."""
        self.assertIn("script.lua:2: unexpected symbol near '='", self.error("\n= 1"))

    def test_values(self) -> None:
        """An error may be any value; it is shown as well as can be."""
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
        """An error that is no UTF-8 is shown with escapes."""
        self.assertTrue(self.error("error('\\255\\0é', 0)").startswith("\\xff\0é"))

    def test_in_library(self) -> None:
        """An error in a library function is placed where the script called it."""
        self.assertIn("script.lua:2: bad argument #1 to 'rep'", self.error("\nstring.rep()\n"))

    def test_in_coroutine(self) -> None:
        """An error in a coroutine reaches the script, as ever."""
        self.assertIn("inner", self.error("coroutine.wrap(function() error('inner') end)()"))

    def test_stack_overflow(self) -> None:
        """Endless recursion is an error like any other."""
        self.assertIn("stack overflow", self.error("local function f() return 1 + f() end f()"))

    def test_yield(self) -> None:
        """A script that yields to nobody fails, as it does without Alaska."""
        self.assertIn("attempt to yield from outside a coroutine", self.error("coroutine.yield()"))

    @only_in_5_4
    def test_pending_close(self) -> None:
        """Variables to be closed are closed when the script fails, and what that sends is sent."""
        outcome = self.outcome(
            "local x <close> = setmetatable({}, { __close = function() send('closed', '') end }) error('x')"
        )
        self.assertEqual([send.subject for send in outcome.sends], [b"closed"])

    def test_next_script_runs(self) -> None:
        """After a failure of any kind the next script runs."""
        for source in ("error('x')", "= 1", "coroutine.yield()", "os.exit(1)", "local function f() f() end f()"):
            self.outcome(source)
            self.assertEqual(self.output("print('fine')"), "fine\n")

    def test_precompiled(self) -> None:
        """A precompiled script is refused: Lua trusts such octets blindly."""
        self.assertIn("attempt to load a binary chunk", self.error(b"\x1bLua\x54\x00"))

    def test_first_line_comment(self) -> None:
        """A first line for Unix is ignored, and so is a byte order mark."""
        self.assertEqual(self.output("#!/usr/bin/lua\nprint(debug.getinfo(1).currentline)"), "2\n")
        self.assertEqual(self.output(b"\xef\xbb\xbfprint('bom')"), "bom\n")

    def test_edited(self) -> None:
        """A script that was changed runs as it is now, also after a version that did not compile."""
        self.assertEqual(self.output("print(1)"), "1\n")
        self.error("print(")
        self.assertEqual(self.output("print(2)"), "2\n")


class ExitTests(LuaCase):
    """os.exit."""

    def test_success(self) -> None:
        """os.exit, os.exit(true) and os.exit(0) end the request well; what comes after is not run."""
        for arguments in ("", "true", "0", "nil", "0.0"):
            self.assertEqual(self.output(f"print('a') os.exit({arguments}) print('b')"), "a\n")

    def test_failure(self) -> None:
        """Any other code is an error that shows it."""
        self.assertIn("script.lua:1: os.exit(3) was called", self.error("os.exit(3)"))
        self.assertIn("os.exit(1) was called", self.error("os.exit(false)"))
        self.assertIn("bad argument #1 to 'exit'", self.error("os.exit({})"))

    def test_cannot_be_caught(self) -> None:
        """Neither pcall nor xpcall nor a coroutine keeps os.exit from ending the request."""
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

    def test_below_c_code(self) -> None:
        """Below a library function os.exit is raised; if a script catches that, it still can do no more."""
        self.assertEqual(self.output("print('a') table.sort({ 1, 2 }, function() os.exit() end) print('b')"), "a\n")
        outcome = self.outcome(
            "pcall(string.gsub, 'x', 'x', function() os.exit(4) end) pcall(print, 'b') pcall(send, 'a', 'b')"
        )
        self.assertEqual((outcome.sends, outcome.output), ((), b""))
        self.assertIn("os.exit(4) was called", str(outcome.error))

    def test_coroutines_are_as_ever(self) -> None:
        """What os.exit needs of coroutines changes nothing else about them."""
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


class LoadTests(LuaCase):
    """load and its kin see the globals of the script."""

    def test_load(self) -> None:
        """Loaded code shares the script's globals, unless it is given others."""
        self.assertEqual(self.output("x = 1 load('x = x + 1 print(x)')() print(x)"), "2\n2\n")
        self.assertEqual(self.output("print(load('return x', 'n', 't', { x = 5 })())"), "5\n")

    @only_in_5_4
    def test_load_without_globals(self) -> None:
        """Loaded code may be given no globals at all."""
        self.assertEqual(self.output("print(pcall(load('return x', 'n', 't', nil)))")[:5], "false")
        self.assertEqual(
            self.output("local t = { 'return ', '7' } local i = 0 print(load(function() i = i + 1 return t[i] end)())"),
            "7\n",
        )

    def test_load_errors(self) -> None:
        """Code that does not compile is nil and a message."""
        self.assertEqual(self.output("print(load('=', '=n'))"), "nil\tn:1: unexpected symbol near '='\n")

    def test_binary(self) -> None:
        """Precompiled code is refused, however it is loaded."""
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
        """Dofile and loadfile run files with the script's globals."""
        self.write("part.txt", "#!shebang\ny = (x or 0) + 1 return y, alaskaContext")
        path = str(self.directory / "part.txt")
        self.assertEqual(
            self.output(f"x = 1 print(dofile({path!r})) print(y, loadfile({path!r})())", b"c"), "2\tc\n2\t2\tc\n"
        )
        self.assertIn("cannot open /nowhere.lua", self.error("dofile('/nowhere.lua')"))


class ServicesTests(LuaCase):
    """The services that come with Alaska."""

    def setUp(self) -> None:
        super().setUp()
        self.scripts = Scripts(SERVICES)

    def test_pi(self) -> None:
        """Pi goes to its mailbox and to its stream."""
        outcome = self.outcome_of("pi", b"")
        content = (b"3.1415824182477",)
        self.assertEqual(
            outcome.sends,
            (
                Send(SendKind.MAILBOX, b"aw.res.pi", b"pi.28", content, b"LU"),
                Send(SendKind.STREAM, b"numbers", b"pi.28", content, b"LU"),
            ),
        )
        self.assertIsNone(outcome.error)

    def test_dump(self) -> None:
        """Dump shows the request's JSON between two rules."""
        outcome = self.outcome_of("dump", b'{"c":1,"list":[true,"x"]}')
        body = '{\n  c = 1,\n  list = {\n    true,\n    "x"\n  }\n}'
        self.assertEqual(outcome.output.decode(), f"{RULE}\nContext dump from Lua:\n{body}\n{RULE}\n")
        self.assertIsNone(outcome.error)

    def test_dump_of_no_json(self) -> None:
        """What is no JSON is an error that says so, and shows nothing."""
        outcome = self.outcome_of("dump", b"{")
        self.assertEqual(outcome.output, b"")
        self.assertIn("dump.lua:12: Expected object key string but found T_END at character 2", str(outcome.error))


class PathsTests(LuaCase):
    """Where modules of the system are looked for."""

    def test_usual_places(self) -> None:
        """Lua's own places, Debian's and the user's LuaRocks are looked at, the working directory is not."""
        lua, c = module_paths({"HOME": "/home/me"})
        for place in (
            "/usr/local/share/lua/5.4/?.lua",
            "/usr/share/lua/5.4/?/init.lua",
            "/home/me/.luarocks/share/lua/5.4/?.lua",
        ):
            self.assertIn(place, lua.split(";"))
        for place in ("/usr/local/lib/lua/5.4/?.so", "/home/me/.luarocks/lib/lua/5.4/?.so"):
            self.assertIn(place, c.split(";"))
        self.assertTrue(any("-linux-gnu/lua/5.4/?.so" in place for place in c.split(";")))
        self.assertTrue(all(place.startswith("/") for place in f"{lua};{c}".split(";")))

    def test_variables(self) -> None:
        """The environment replaces the places, or adds to them by two semicolons; the variable for 5.4 wins."""
        self.assertEqual(module_paths({"LUA_PATH": "/a/?.lua", "LUA_CPATH": "/a/?.so"}), ("/a/?.lua", "/a/?.so"))
        lua, _ = module_paths({"LUA_PATH": "/a/?.lua", "LUA_PATH_5_4": "/b/?.lua;;"})
        self.assertTrue(lua.startswith("/b/?.lua;/usr/local/share/"))
        self.assertNotIn("/a/", lua)
        self.assertNotIn(";;", lua)


class DocumentedTests(LuaCase):
    """The examples of docs/lua.md."""

    def test_examples_run(self) -> None:
        """Every Lua example comes to its end."""
        examples = re.findall(r"^```lua\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
        self.assertGreater(len(examples), 3)
        for example in examples:
            self.answers = [(OK, b'{"price":12.5}')]
            self.output(example, b'{"item":"lamp"}')

    def test_example_prints(self) -> None:
        """The example of the modules prints what the text says."""
        source, printed = re.findall(
            r"^```lua\n(local cjson = require 'cjson'\n.*?)^```\n\nprints\n\n```\n(.*?)^```",
            DOCUMENT.read_text(),
            re.DOTALL | re.MULTILINE,
        )[0]
        self.assertEqual(self.output(source), printed)

    def test_error_looks_as_documented(self) -> None:
        """A failing script tells its error and its lines as the text shows them."""
        source = (
            "\nlocal function check(order)\n  if not order.item then\n    error('no item')\n  end\nend\ncheck({})\n"
        )
        lines = self.error(source).split("\n")
        shown = [re.sub(r"^(\t?).*/script", r"\1services/order", line) for line in lines]
        self.assertIn("\n".join(shown), DOCUMENT.read_text())
