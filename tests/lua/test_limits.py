"""Limits of a request: each error names the setting of its limit."""

from __future__ import annotations

import pickle
import time

from alaska.errors import ScriptBroken
from alaska.lua import interpreter as lua
from alaska.lua.request import Outcome
from alaska.system.memory import MemoryReturner
from tests.lua import hostile
from tests.lua.lua_case import IS_JIT, SANDBOXED, LuaCase, limit_of, only_in_5_4

MEGABYTE = 1024 * 1024


class LimitCase(LuaCase):
    """Scripts in the sandbox."""

    options = SANDBOXED


class TimeoutTests(LimitCase):
    """worker/scripts/timeout."""

    def test_long_source(self) -> None:
        """Compilation of a long source is aborted at the time limit, and the next script has its full time."""
        self.use(timeout=30)
        outcome = self.outcome("x = 1 + 2 * 3\n" * 150_000)
        self.assertIsInstance(outcome.error, ScriptBroken)
        self.assertEqual(outcome.error and outcome.error.limit, hostile.TIMEOUT)
        self.assertEqual(self.output("print(1)"), "1\n")

    def test_error_text(self) -> None:
        """The error contains the limit, its setting, and the position in the script."""
        self.use(timeout=30)
        outcome = self.outcome("local function f()\n  while true do\n  end\nend\nf()")
        assert outcome.error is not None
        self.assertRegex(
            outcome.error.message,
            r"script\.lua:2: the script ran longer than 30 ms, the limit that worker/scripts/timeout sets$",
        )
        self.assertEqual((outcome.error.line, outcome.error.limit), (2, hostile.TIMEOUT))
        self.assertEqual([frame.split(": in ")[1] for frame in outcome.error.traceback], ["local 'f'", "main chunk"])

    def test_caught_timeout(self) -> None:
        """A script that catches the timeout error does not continue, and its earlier messages are kept."""
        self.use(timeout=30)
        outcome = self.outcome("send('a', '') print('before') pcall(function() while true do end end) print('after')")
        self.assertEqual((outcome.output, len(outcome.sends)), (b"before\n", 1))
        self.assertEqual(limit_of(outcome), hostile.TIMEOUT)

    def test_nothing_happens_after_the_timeout(self) -> None:
        """Where the timeout is an error that can be caught, nothing more is printed or sent."""
        self.use(timeout=30)
        inner = "pcall(function() while true do end end) pcall(print, 'late') pcall(send, 'late', '')"
        outcome = self.outcome(f"('x'):gsub('x', function() {inner} end) print('after')")
        self.assertEqual((outcome.output, outcome.sends, limit_of(outcome)), (b"", (), hostile.TIMEOUT))

    def test_new_limit_for_each_request(self) -> None:
        """Each request has its own time limit."""
        self.use(timeout=30)
        self.outcome("while true do end")
        self.assertEqual(self.output("for i = 1, 1000 do end print('fine')"), "fine\n")

    def test_no_limit(self) -> None:
        """0 means no limit, and no time checks."""
        self.use(timeout=0)
        self.assertEqual(self.output("local n = 0 for i = 1, 1e6 do n = n + 1 end print(n == 1e6)"), "true\n")


class MemoryTests(LimitCase):
    """worker/scripts/memory."""

    def test_error_text(self) -> None:
        """The error contains the limit, its setting, and the position in the script; earlier messages are kept."""
        self.use(memory=8)
        outcome = self.outcome("send('a', '') print('before')\nlocal t = {}\nwhile true do t[#t + 1] = { 1, 2, 3 } end")
        assert outcome.error is not None
        self.assertRegex(
            outcome.error.message,
            r"not enough memory: the script needs more than 8 MB, the limit that worker/scripts/memory "
            r"sets$",
        )
        self.assertEqual(outcome.error.limit, hostile.MEMORY)
        self.assertEqual(outcome.error.file, str(self.directory / "script.lua"))
        if not IS_JIT:  # LuaJIT does not keep the line
            self.assertEqual(outcome.error.line, 3)
        self.assertEqual((outcome.output, len(outcome.sends)), (b"before\n", 1))

    def test_caught(self) -> None:
        """A script may catch a lack of memory, and continue with the memory that it released."""
        self.use(memory=8)
        self.assertEqual(self.output("print((pcall(string.rep, 'x', 1e8))) print(#('x'):rep(1e6))"), "false\n1000000\n")

    def test_garbage(self) -> None:
        """Garbage does not count: a script may allocate and release much more than its limit."""
        self.use(memory=16)
        self.assertEqual(self.output("for i = 1, 300 do local s = ('x'):rep(1e6 + i) end print('fine')"), "fine\n")
        self.assertEqual(
            self.output("local keep = ('x'):rep(5e6) for i = 1, 3e5 do local t = { i, i } end print('fine')"), "fine\n"
        )

    def test_long_context(self) -> None:
        """The context counts; a context longer than the memory limit fails its request."""
        self.use(memory=4)
        self.assertEqual(self.output("print(#alaskaContext)", b"x" * MEGABYTE), f"{MEGABYTE}\n")
        outcome = self.outcome("local t = {} for i = 1, 1000 do t[i] = { i } end", b"x" * (8 * MEGABYTE))
        self.assertEqual(limit_of(outcome), hostile.MEMORY)
        self.assertEqual(self.output("print(#alaskaContext)", b"xyz"), "3\n")

    def test_script_with_long_context(self) -> None:
        """If a context leaves no memory to start its script, the error names the script and the limit."""
        for size in (2, 3):
            self.use(memory=1)
            for name in ("one", "other"):
                outcome = self.outcome("print(alaskaContext)", b"x" * (size * MEGABYTE), name=name)
                assert outcome.error is not None
                self.assertEqual(outcome.error.file, str(self.directory / f"{name}.lua"))
                self.assertEqual(limit_of(outcome), hostile.MEMORY)

    def test_small(self) -> None:
        """A limit of one megabyte is enough for a small script, for many requests in a row."""
        self.use(memory=1)
        for number in range(200):
            context = b"%d" % number * 10_000
            self.assertEqual(self.output("local s = alaskaContext .. '!' print(#s)", context[:60_000]).strip(),
                             str(len(context[:60_000]) + 1))  # fmt: skip

    def test_no_limit(self) -> None:
        """0 means no limit."""
        self.use(memory=0)
        self.assertEqual(self.output("print(#('x'):rep(2e8))"), "200000000\n")


class MemoryInUseTests(LuaCase):
    """The memory of an interpreter, as it is measured; that of a child process is measured from outside."""

    def test_memory(self) -> None:
        """The memory is known from the first script on, and contains what the script left behind."""
        self.assertEqual(self.runner.memory, 0)
        self.output("x = 1")
        before = self.runner.memory
        self.assertGreater(before, 0)
        self.outcome("kept = string.rep('x', 1000000) error('over')")
        self.assertGreater(self.runner.memory, before)


class LinesTests(LimitCase):
    """worker/scripts/lines."""

    def test_printed(self) -> None:
        """Exactly the permitted number of lines can be printed; text without a line end does not count."""
        self.use(lines=3, sandbox=False)
        for source in ("for i = 1, %d do print(i) end", "io.write(('x\\n'):rep(%d))", "print(('\\n'):rep(%d - 1))"):
            self.assertIsNone(self.outcome(source % 3 + " io.write('x', 'y')").error, source)
            outcome = self.outcome(source % 4)
            self.assertEqual(limit_of(outcome), "worker/scripts/lines")
            self.assertIn("script.lua:1: the script prints and logs more than 3 lines", str(outcome.error))

    def test_logged(self) -> None:
        """Log lines count as well, including empty and multi-line ones."""
        self.use(lines=3)
        self.assertEqual(len(self.outcome("print() alaska.log.info('') alaska.log.warn()").log), 2)
        for source in ("for i = 1, 9 do alaska.log.info('') end", "alaska.log.info('\\n\\n\\n')"):
            self.assertEqual(limit_of(self.outcome(source)), "worker/scripts/lines")
        self.use(lines=0)
        self.assertEqual(len(self.outcome("for i = 1, 20000 do alaska.log.info('') end").log), 20000)


class SendsTests(LimitCase):
    """worker/scripts/sends and worker/scripts/sends-size."""

    def test_number(self) -> None:
        """Exactly the permitted number of messages can be sent."""
        self.use(sends=3)
        self.assertEqual(len(self.outcome("for i = 1, 3 do send('a', i) end").sends), 3)
        outcome = self.outcome("for i = 1, 4 do pcall(send, 'a', i) end")
        self.assertEqual((len(outcome.sends), limit_of(outcome)), (3, hostile.SENDS))
        self.assertIn("script.lua:1: the script sends more than 3 messages", str(outcome.error))

    def test_size(self) -> None:
        """Contents and attachments count together."""
        self.use(sends_size=10)
        self.assertEqual(len(self.outcome("send('a', '12345', nil, '12345')").sends), 1)
        outcome = self.outcome("send('a', '12345', nil, '1234') send('a', '12')")
        self.assertEqual((len(outcome.sends), limit_of(outcome)), (1, hostile.SENDS_SIZE))

    def test_names(self) -> None:
        """Exactly the permitted number of sender names can be used besides the default; each counts once."""
        self.use(senders=2)
        source = "for i = 1, 9 do for n = 1, %d do sendTo('a', i, 'box', nil, 'N' .. n) send('a', i) end end"
        self.assertEqual(len(self.outcome(source % 2).sends), 36)
        outcome = self.outcome(source % 3)
        self.assertEqual((len(outcome.sends), limit_of(outcome)), (4, "worker/scripts/senders"))
        self.assertIn("script.lua:1: the script uses more than 2 sender names", str(outcome.error))
        self.use(senders=0)
        self.assertEqual(len(self.outcome(source % 200).sends), 3600)

    def test_questions(self) -> None:
        """A request by a script counts as a message, in number and size."""
        self.use(sends=2)
        self.answers = [(b"ok", b"x")] * 9
        outcome = self.outcome("send('a', 1) for i = 1, 5 do alaska.request('s', 'x') end")
        self.assertEqual((len(self.asked), limit_of(outcome)), (1, hostile.SENDS))
        self.use(sends_size=10)
        outcome = self.outcome("for i = 1, 5 do alaska.request('s', 'x', '12345') end")
        self.assertEqual((len(self.asked), limit_of(outcome)), (3, hostile.SENDS_SIZE))

    def test_new_limit_for_each_request(self) -> None:
        """Messages of one request do not count for the next."""
        self.use(sends=1, sends_size=5)
        for _ in range(3):
            self.assertIsNone(self.outcome("send('a', '12345')").error)

    def test_new_limit_for_each_question(self) -> None:
        """Requests by the script of one request do not count for the next, even without a time limit."""
        self.use(sends=1, timeout=0)
        self.answers = [(b"ok", b"x")] * 3
        for _ in range(3):
            self.assertIsNone(self.outcome("alaska.request('s', 'x')").error)


class ErrorValueTests(LimitCase):
    """The attributes of an error besides its text."""

    def test_parts(self) -> None:
        """File, line and traceback are separate attributes; an error without a limit has none."""
        error = self.outcome("local function f()\n  error('oh no')\nend\nf()").error
        assert error is not None
        self.assertTrue(error.message.endswith("script.lua:2: oh no"), error.message)
        self.assertEqual((error.file, error.line, error.limit), (str(self.directory / "script.lua"), 2, None))
        self.assertEqual(len(error.traceback), 2)
        self.assertTrue(error.traceback[1].endswith("script.lua:4: in main chunk"), error.traceback)

    def test_without_a_place(self) -> None:
        """An error text without a position gets the position of the innermost frame."""
        error = self.outcome("\nlocal function f() error('oh no', 0) end\nf() return 1").error
        assert error is not None
        self.assertEqual((error.message, error.line), ("oh no", 2))

    def test_syntax(self) -> None:
        """A script that does not compile has a file and a line too."""
        error = self.outcome("\n\n= 1").error
        assert error is not None
        self.assertEqual((error.file, error.line), (str(self.directory / "script.lua"), 3))

    def test_module(self) -> None:
        """An error in a module has the module's file."""
        self.write("module.lua", "local m = {}\nfunction m.f() error('inside') end\nreturn m")
        error = self.outcome("require('module').f()").error
        assert error is not None
        self.assertEqual((error.file, error.line), (str(self.directory / "module.lua"), 2))

    def test_pickle(self) -> None:
        """An error can be pickled."""
        error = self.outcome("error('oh no')").error
        again = pickle.loads(pickle.dumps(error))
        for name in ("message", "file", "line", "traceback", "limit"):
            self.assertEqual(getattr(again, name), getattr(error, name))
        self.assertEqual(str(again), str(error))

    def test_tables(self) -> None:
        """A table is shown in a format similar to JSON: sorted, of limited depth, and without calling metamethods."""
        for source, shown in [
            ("{ code = 5, why = 'no' }", '{"code":5,"why":"no"}'),
            ("{ 1, 'two', true }", '[1,"two",true]'),
            ("{ { {} } }", "[[{}]]"),
            ("{ { { { { 1 } } } } }", "[[[[{...}]]]]"),
            ("{ [1] = 1, x = 2 }", '{"1":1,"x":2}'),
            ("{ print }", "[<function>]"),
            (r"{ 'a\"b\n\0' }", r'["a\"b\n\u0000"]'),
            ("{ x = ('x'):rep(300) }", '{"x":"' + "x" * 200 + '..."}'),
            ("(function() local t = {} t.t = t return t end)()", '{"t":<cycle>}'),
            ("setmetatable({ x = 1 }, { __index = error, __pairs = error, __len = error })", '{"x":1}'),
        ]:
            message = self.error(f"error({source})").split("\n")[0]
            self.assertEqual(message, f"(error object is a table value) {shown}")

    def test_large_table(self) -> None:
        """A large table is cut to a readable length."""
        message = self.error("local t = {} for i = 1, 1e5 do t['k' .. i] = ('x'):rep(100) end error(t)").split("\n")[0]
        self.assertLess(len(message), 4000)
        self.assertTrue(message.endswith(",...}"), message[-20:])

    def test_many_keys(self) -> None:
        """Only part of a very large table is examined, because no time limit applies then."""
        started = time.monotonic()
        message = self.error("""
            local inner, middle, outer = {}, {}, {}
            for _ = 1, 2e5 do inner[{}] = true end
            for i = 1, 50 do middle[i], outer[i] = inner, middle end
            error(outer)
        """)
        self.assertIn("[[{...},", message)
        self.assertLess(time.monotonic() - started, 2)

    def test_tostring_that_never_ends(self) -> None:
        """A __tostring that does not return exceeds the time limit."""
        self.use(timeout=30)
        outcome = self.outcome("error(setmetatable({}, { __tostring = function() while true do end end }))")
        self.assertEqual(limit_of(outcome), hostile.TIMEOUT)

    def test_deep_traceback(self) -> None:
        """Of a deep stack, only the innermost and outermost frames are shown."""
        error = self.outcome("local function f(n) if n == 0 then error('deep') end f(n - 1) return 1 end f(1000)").error
        assert error is not None
        self.assertLess(len(error.traceback), 30)
        self.assertTrue(error.traceback[-1].endswith("in main chunk"), error.traceback[-1])
        self.assertEqual(len([frame for frame in error.traceback if "skipping" in frame]), 1)

    def test_in_a_coroutine(self) -> None:
        """An error that coroutine.wrap raises again has the frames of the coroutine too."""
        source = "local f = coroutine.wrap(function()\n  local x = nil\n  return x.y\nend)\nf()"
        error = self.outcome(source).error
        assert error is not None
        self.assertEqual([int(frame.split(":")[1]) for frame in error.traceback], [3, 5])

    def test_through_many_coroutines(self) -> None:
        """An error that is raised again by one coroutine after the other has a traceback of limited length."""
        error = self.outcome("""
            local text = 'x'
            local function deep(n, call) if n == 0 then call() else deep(n - 1, call) end return nil end
            local function again() coroutine.wrap(function() error(text, 0) end)() end
            for _ = 1, 200 do
              local _
              _, text = pcall(deep, 30, again)
            end
            error(text, 0)
        """).error
        assert error is not None
        self.assertLess(len(error.traceback), 130)

    @only_in_5_4
    def test_endless_close(self) -> None:
        """A __close that does not return, after the script has failed, exceeds the time limit."""
        self.use(timeout=30)
        outcome = self.outcome(
            "local x <close> = setmetatable({}, { __close = function() while true do end end }) error('x')"
        )
        self.assertEqual(limit_of(outcome), hostile.TIMEOUT)

    def test_recursion(self) -> None:
        """Endless recursion, also through C functions, is an error like any other."""
        self.assertIn("stack overflow", self.error("local function f() return 1 + f() end f()"))
        self.assertIn("stack overflow", self.error("local function f() ('x'):gsub('x', f) end f()"))
        self.assertIn("overflow", self.error("local function f() coroutine.wrap(f)() end f()"))


class ResultTests(LimitCase):
    """The results of a script come with its end, in one call, unless they are large."""

    def calls(self, source: str) -> int:
        """Return the number of additional calls to Lua that release the results of a script."""
        self.output("print('x')")
        interpreter = self.runner._lua
        assert interpreter is not None
        release = interpreter._release
        calls: list[None] = []

        def count_and_release() -> None:
            calls.append(None)
            release()

        interpreter._release = count_and_release
        self.outcome(source)
        interpreter._release = release
        return len(calls)

    def test_small_results(self) -> None:
        """Small results need no additional call."""
        for source in ("print('x')", "send('a', 'b')", "for i = 1, 50 do send('a', 'b') end", "return 'x'"):
            self.assertEqual(self.calls(source), 0, source)

    def test_large_results(self) -> None:
        """Large results, and those of a failed script, are released as soon as they are read."""
        for source in ("print(('x'):rep(2^18))", "send('a', ('x'):rep(2^18 + 1))", "print('x') error('y')"):
            self.assertEqual(self.calls(source), 1, source)
        self.assertEqual(self.calls("for i = 1, 51 do send('a', 'b') end"), 1)

    def test_no_results(self) -> None:
        """A script without messages, output and errors has an empty outcome."""
        for source in ("-- nothing", "setmetatable({}, {})", "math.randomseed(1)", "pcall(error, {})"):
            self.assertEqual((self.outcome(source), self.outcome(source).memory), (Outcome(), 0), source)
        self.assertGreater(self.outcome("print('x')").memory, 0)

    def test_garbage(self) -> None:
        """After a run with much garbage, memory is returned to the system."""
        self.use(memory=64)
        self.output("print('x')")
        waste = MemoryReturner()
        self.patch(lua, "_waste", waste)
        self.outcome("local t = {} for i = 1, 1e5 do t[i] = {} end print('x')")
        self.assertGreater(waste.rounds, 0)

    @only_in_5_4
    def test_finalizer(self) -> None:
        """A limit that only a finalizer exceeds, after the script has ended, is an error."""
        self.use(sandbox=False, output=100)
        outcome = self.outcome("setmetatable({}, { __gc = function() print(('x'):rep(100)) end })")
        self.assertEqual(limit_of(outcome), "worker/scripts/output")
