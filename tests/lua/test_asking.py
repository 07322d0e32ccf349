"""alaska.request and alaska.request_all."""

from __future__ import annotations

from alaska.lua.questions import NONE, OK
from tests.lua.lua_case import LuaCase, limit_of


class AskTests(LuaCase):
    """Requests whose answer the script waits for."""

    def test_answer(self) -> None:
        """The arguments are passed to the worker, and the frames of the answer are returned."""
        self.answers = [(OK, b"one", b"\0two"), (OK, b"")]
        source = "print(alaska.request('svc', 'job', 'content', 2)) print(#alaska.request('s', 'j', 1))"
        self.assertEqual(self.output(source), "one\t\0two\n0\n")
        self.assertEqual(self.asked, [(b"svc", b"job", b"content", 2.0), (b"s", b"j", b"1", 5.0)])

    def test_no_answer(self) -> None:
        """Without an answer, nil and the reason are returned."""
        self.answers = [(NONE, b"nobody offers the service")]
        self.assertEqual(self.output("print(alaska.request('svc', 'job'))"), "nil\tnobody offers the service\n")

    def test_in_coroutines(self) -> None:
        """A script may ask from nested coroutines, pcall, metamethods and iterators."""
        self.answers = [(OK, b"1"), (OK, b"2"), (OK, b"3")]
        source = """
            local ask = function() return (alaska.request('svc', 'job')) end
            local inner = coroutine.wrap(function() coroutine.yield(select(2, pcall(ask))) end)
            local outer = coroutine.create(function() coroutine.yield(inner()) end)
            print(coroutine.resume(outer))
            print(setmetatable({}, { __index = ask }).x)
            for answer in coroutine.wrap(function() coroutine.yield(ask()) end) do print(answer) end
        """
        self.assertEqual(self.output(source), "true\t1\n2\n3\n")

    def test_where_lua_cannot_yield(self) -> None:
        """Where Lua cannot yield, asking is an error; also in a coroutine that was resumed there."""
        sort = "table.sort({{2, 1}}, function(a, b) {} return a < b end)"
        self.assertIn(
            "script.lua:1: alaska.request cannot wait for an answer here",
            self.error(sort.format("alaska.request('svc', 'job')")),
        )
        inner = "print(coroutine.resume(coroutine.create(function() alaska.kv.get('k') end)))"
        outcome = self.outcome(sort.format(inner))
        self.assertIsNone(outcome.error, str(outcome.error))
        self.assertIn(b"alaska.kv.get: there is no answer", outcome.output)

    def test_bad_arguments(self) -> None:
        """Invalid arguments are errors at the position of the call, and nothing is sent."""
        for call, part in {
            "alaska.request()": "bad argument #1 to 'request' (the service must be",
            "alaska.request('s', 'j', {})": "bad argument #3 to 'request' (the content must be",
            "alaska.request('s', 'j', '', 0)": "bad argument #4 to 'request' (a number of seconds above 0",
            "alaska.request('s', 'j', '', 0/0)": "bad argument #4 to 'request' (a number of seconds above 0",
        }.items():
            self.assertIn(f"script.lua:2: {part}", self.error(f"\n{call}"))
        self.assertEqual(self.asked, [])

    def test_after_os_exit(self) -> None:
        """After os.exit, even if its error was caught, nothing is sent."""
        source = "pcall(table.sort, {2, 1}, function() os.exit() end) alaska.request('svc', 'job')"
        self.assertEqual(self.output(source), "")
        self.assertEqual(self.asked, [])

    def test_next_request_is_unaffected(self) -> None:
        """A script that fails while a coroutine exists that asked does not affect the next one."""
        self.answers = [(OK, b"1")]
        self.error("coroutine.wrap(function() alaska.request('svc', 'job') error('oh no') end)()")
        self.assertEqual(self.output("print('fine')"), "fine\n")


class AskAllTests(LuaCase):
    """Several requests whose answers the script waits for together."""

    def test_results(self) -> None:
        """The results are in the order of the requests: the frames of an answer, or the reason why there is none."""
        self.answers = [(OK, b"one", b"\0two"), (NONE, b"nobody offers the service"), (OK, b"")]
        source = """
            local results = alaska.request_all {
              { service = 'a', subject = 'job', content = 'x\\0:' },
              { service = 'b', subject = 7, timeout = 2 },
              { service = 'c', subject = 'job', content = 1, 'y', 2 },
              timeout = 9,
            }
            local one = results[1]
            print(#results, one.reply, #one.frames, one.frames[2], one.error)
            print(results[2].reply, results[2].frames, results[2].error)
            print('<' .. results[3].reply .. '>', #results[3].frames)
        """
        expected = "3\tone\t2\t\0two\tnil\nnil\tnil\tnobody offers the service\n<>\t1\n"
        self.assertEqual(self.output(source), expected)
        asked = [(b"a", b"job", b"x\0:", 9.0), (b"b", b"7", b"", 2.0), (b"c", b"job", b"1y2", 9.0)]
        self.assertEqual(self.asked, asked)

    def test_without_timeouts(self) -> None:
        """Without a timeout, each request has that of alaska.request; an empty list is answered at once."""
        self.answers = [(OK, b"")]
        self.assertEqual(self.output("print(#alaska.request_all { { service = 'a', subject = 'b' } })"), "1\n")
        self.assertEqual(self.output("print(#alaska.request_all {})"), "0\n")
        self.assertEqual(self.asked, [(b"a", b"b", b"", 5.0)])

    def test_most(self) -> None:
        """A hundred requests can be sent at once, and no more."""
        self.answers = [(OK, b"%d" % number) for number in range(100)]
        source = """
            local list = {}
            for i = 1, tonumber(alaskaContext) do list[i] = { service = 'a', subject = i } end
            print(alaska.request_all(list)[100].reply)
        """
        self.assertEqual(self.output(source, b"100"), "99\n")
        outcome = self.outcome(source, b"101")
        self.assertIn("script.lua:4: bad argument #1 to 'request_all' (more than 100 requests)", str(outcome.error))
        self.assertEqual(len(self.asked), 100)

    def test_bad_arguments(self) -> None:
        """Invalid arguments are errors at the position of the call, and nothing is sent."""
        for argument, part in {
            "nil": "(table expected, got nil)",
            "{ 7 }": "(item 1 must be a table, not a number)",
            "{ service = 'a', subject = 'b' }": "(a list of tables is expected, one for each request)",
            "{ { service = 'a' } }": "(the subject of item 1 must be a string or a number, not nil)",
            "{ { service = 'a', subject = ('x'):rep(256) } }": "(the subject of item 1 has 256 octets, and 255 is",
            "{ { service = 'a', subject = 'b', content = {} } }": "(the content of item 1 must be a string or a",
            "{ { service = 'a', subject = 'b', timeout = 0 } }": "(the timeout of item 1 must be a number of seconds",
            "{ { service = 'a', subject = 'b' }, timeout = 'x' }": "(the timeout must be a number of seconds above 0)",
        }.items():
            text = self.error(f"\nalaska.request_all({argument})")
            self.assertIn(f"script.lua:2: bad argument #1 to 'request_all' {part}", text)
        self.assertEqual(self.asked, [])

    def test_limits(self) -> None:
        """Each request counts as a message of the script."""
        self.use(sends=2)
        one = "{ service = 'a', subject = 'b' }"
        outcome = self.outcome(f"alaska.request_all {{ {one}, {one}, {one} }}")
        self.assertEqual((limit_of(outcome), self.asked), ("worker/scripts/sends", []))

    def test_values_of_the_script(self) -> None:
        """Metatables of the list and its items are not used."""
        self.answers = [(OK, b"")]
        source = """
            local trap = { __index = function() error('index') end, __len = function() error('length') end }
            print(#alaska.request_all(setmetatable({ setmetatable({ service = 'a', subject = 'b' }, trap) }, trap)))
        """
        self.assertEqual(self.output(source), "1\n")
