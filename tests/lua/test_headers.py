"""Headers: of the messages that scripts send, and of the request that they serve."""

from __future__ import annotations

import time

from alaska.lua.request import Outcome, Request, Send, SendKind
from tests.lua.lua_case import LuaCase


class SendTests(LuaCase):
    """The headers argument of send, sendTo and sendFor."""

    def sends(self, source: str) -> tuple[Send, ...]:
        """Return the messages of a script, which must not fail."""
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error)
        return outcome.sends

    def refused(self, headers: str) -> str:
        """Return the error of a script that sends with these headers."""
        outcome = self.outcome(f"sendTo('a', 'b', nil, nil, nil, {headers})")
        assert outcome.error is not None
        self.assertEqual(outcome.sends, ())
        return outcome.error.message

    def test_all_kinds(self) -> None:
        """Each function sends headers, with and without an attachment."""
        sends = self.sends(
            "send('a', 'b', nil, nil, nil, { n = 'v' })"
            "sendTo('a', 'b', nil, 'x', nil, { n = 'v' })"
            "sendFor('a', 'b', 'svc', nil, 'ME', { n = 1 })"
        )
        self.assertEqual(
            sends,
            (
                Send(SendKind.STREAM, b"aw.res", b"a", (b"b",), b"LU", ((b"n", b"v"),)),
                Send(SendKind.MAILBOX, b"aw.res", b"a", (b"b", b"x"), b"LU", ((b"n", b"v"),)),
                Send(SendKind.SERVICE, b"svc", b"a", (b"b",), b"ME", ((b"n", b"1"),)),
            ),
        )

    def test_several(self) -> None:
        """A message may have 24 headers; their names may be empty, and their values any octets."""
        (sent,) = self.sends("local h = { [''] = '\\0\\255' } for i = 1, 23 do h['n' .. i] = i end "
                             "send('a', 'b', nil, nil, nil, h)")  # fmt: skip
        expected = {b"": b"\0\xff", **{b"n%d" % number: b"%d" % number for number in range(1, 24)}}
        self.assertEqual((dict(sent.headers), len(sent.headers)), (expected, 24))

    def test_none(self) -> None:
        """Nil and an empty table are no headers."""
        without, empty = self.sends("send('a', 'b', nil, nil, nil, nil) send('a', 'b', nil, nil, nil, {})")
        self.assertEqual((without.headers, empty), ((), without))

    def test_no_table(self) -> None:
        """A sixth argument that is not a table is ignored, as in version 1.0."""
        (sent,) = self.sends("sendTo('a', 'b', nil, nil, nil, 'x')")
        self.assertEqual(sent.headers, ())

    def test_bad_names_and_values(self) -> None:
        """A name must be a string of at most 253 octets, and a value a string or a number."""
        self.assertIn("the name of a header must be a string, not a number", self.refused("{ 'x' }"))
        self.assertIn("the name of a header has 254 octets", self.refused("{ [('x'):rep(254)] = '' }"))
        self.assertIn("the value of a header must be a string or a number, not a table", self.refused("{ a = {} }"))

    def test_limits(self) -> None:
        """More than 24 headers, and more than 32 KiB, are errors."""
        many = "(function() local h = {} for i = 1, 25 do h['n' .. i] = i end return h end)()"
        self.assertIn("more than 24 headers", self.refused(many))
        self.assertIn("32768 is the limit", self.refused("{ a = ('x'):rep(20000), b = ('x'):rep(20000) }"))

    def test_metamethods_are_not_called(self) -> None:
        """Headers are read without the metamethods of the table."""
        (sent,) = self.sends(
            "local h = setmetatable({ a = 1 }, { __index = error, __pairs = error, __len = error, __call = error })"
            "send('a', 'b', nil, nil, nil, h)"
        )
        self.assertEqual(sent.headers, ((b"a", b"1"),))

    def test_count_for_the_size_of_sends(self) -> None:
        """The octets of headers count for worker/scripts/sends-size."""
        self.use(sends_size=100)
        outcome = self.outcome("send('a', '', nil, nil, nil, { n = ('x'):rep(99) }) send('a', 'b')")
        assert outcome.error is not None
        self.assertIn("sends more than 100 octets", outcome.error.message)


class RequestTests(LuaCase):
    """alaska.headers, alaska.age and alaska.attempt."""

    def served(self, source: str, request: Request) -> Outcome:
        """Run a script for a request."""
        self.write("script.lua", source)
        return self.runner.run(self.scripts.find(b"script"), request)

    def request(self, **values: object) -> Request:
        """Return a request with these values."""
        return Request(b"me", b"default", b"script", b"t", (b"x",))._replace(**values)  # type: ignore[arg-type]

    def test_headers(self) -> None:
        """The headers of the request are a table of strings, which the script may change."""
        outcome = self.served(
            "alaska.headers.c = 'd' print(alaska.headers.a, alaska.headers.b, alaska.headers.c)",
            self.request(headers=((b"a", b"1"), (b"b", b"\xff"))),
        )
        self.assertEqual(outcome.output, b"1\t\xff\td\n")

    def test_headers_of_the_next_request(self) -> None:
        """Headers are those of the script's own request alone."""
        self.served("alaska.headers.c = 'd'", self.request(headers=((b"a", b"1"),)))
        self.assertEqual(self.served("print(next(alaska.headers))", self.request()).output, b"nil\n")

    def test_age(self) -> None:
        """The age is in milliseconds since the broker received the request, and at least 0."""
        now = round(time.time() * 1000)
        outcome = self.served("print(alaska.age)", self.request(since=now - 60_000))
        self.assertTrue(60_000 <= int(outcome.output) < 120_000, outcome.output)
        self.assertEqual(self.served("print(alaska.age)", self.request(since=now + 60_000)).output, b"0\n")

    def test_unknown_age(self) -> None:
        """The age is nil if the broker does not tell when it received the request."""
        self.assertEqual(self.served("print(alaska.age)", self.request()).output, b"nil\n")
