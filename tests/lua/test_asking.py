"""alaska.request."""

from __future__ import annotations

from alaska.lua.questions import NONE, OK
from tests.lua.lua_case import LuaCase


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
