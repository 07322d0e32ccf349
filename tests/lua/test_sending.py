"""send, sendTo and sendFor."""

from __future__ import annotations

from alaska.lua.request import Send, SendKind
from tests.lua.lua_case import IS_JIT, LuaCase


class SendTests(LuaCase):
    """send and sendTo."""

    def sends(self, source: str) -> list[Send]:
        """Return the messages of a script that must succeed."""
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error, str(outcome.error))
        return list(outcome.sends)

    def test_defaults(self) -> None:
        """Subject and content are sufficient; the defaults are aw.res, no attachment, and LU."""
        self.assertEqual(
            self.sends("send('a', 'b') sendTo('c', 'd')"),
            [
                Send(SendKind.STREAM, b"aw.res", b"a", (b"b",), b"LU"),
                Send(SendKind.MAILBOX, b"aw.res", b"c", (b"d",), b"LU"),
            ],
        )

    def test_all_arguments(self) -> None:
        """Stream or mailbox, attachment and sender can be given; an attachment is a second frame."""
        self.assertEqual(
            self.sends("send('a', 'b', 's', 'x', 'ME') sendTo('c', 'd', 'm', 'y', 'YOU')"),
            [
                Send(SendKind.STREAM, b"s", b"a", (b"b", b"x"), b"ME"),
                Send(SendKind.MAILBOX, b"m", b"c", (b"d", b"y"), b"YOU"),
            ],
        )

    def test_nil_is_the_default(self) -> None:
        """An optional argument that is nil has its default."""
        self.assertEqual(
            self.sends("send('a', 'b', nil, nil, 'ME') sendTo('c', 'd', nil, 'x', nil)"),
            [
                Send(SendKind.STREAM, b"aw.res", b"a", (b"b",), b"ME"),
                Send(SendKind.MAILBOX, b"aw.res", b"c", (b"d", b"x"), b"LU"),
            ],
        )

    def test_empty_strings(self) -> None:
        """An empty string is not replaced by a default, and an empty attachment is a frame."""
        self.assertEqual(self.sends("send('', '', '', '', '')"), [Send(SendKind.STREAM, b"", b"", (b"", b""), b"")])

    def test_results(self) -> None:
        """Both functions return 0."""
        self.assertEqual(self.output("print(send('a', 'b')) print(sendTo('a', 'b'))"), "0\n0\n")

    def test_numbers(self) -> None:
        """A number is sent as Lua converts it to text."""
        sent = self.sends("for _, n in ipairs { 1, 1.0, 1.5, 3.14158241824767, -7, 1e100, 2^53 } do send(n, n) end")
        texts = [b"1", b"1" if IS_JIT else b"1.0", b"1.5", b"3.1415824182477", b"-7", b"1e+100", b"9.007199254741e+15"]
        self.assertEqual([send.content for send in sent], [(text,) for text in texts])
        self.assertEqual([send.subject for send in sent], texts)

    def test_extra_arguments(self) -> None:
        """Arguments after the fifth are ignored."""
        self.assertEqual(len(self.sends("send('a', 'b', 'c', 'd', 'e', 'f')")), 1)

    def test_too_few_arguments(self) -> None:
        """Fewer than two arguments are an error with the function's signature and the position of the call."""
        for source, call in [
            ("send()", "send(subject, content, [stream], [attachment], [sender], [headers])"),
            ("send('a')", "send(subject, content, [stream], [attachment], [sender], [headers])"),
            ("sendTo('a')", "sendTo(subject, content, [mailbox], [attachment], [sender], [headers])"),
        ]:
            message = self.error(f"\n{source}\n")
            self.assertIn("script.lua:2: ", message)
            self.assertIn(call, message)

    def test_wrong_types(self) -> None:
        """A value that is neither a string nor a number is an error that names the argument and the type."""
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
        """A table is an error even if it has a __tostring."""
        self.error("send('a', setmetatable({}, { __tostring = function() return 'x' end }))")

    def test_longest_strings(self) -> None:
        """Names may have 255 octets; contents have no such limit."""
        sent = self.sends("local n = ('x'):rep(255) send(n, ('y'):rep(100000), n, ('z'):rep(100000), n)")
        self.assertEqual(sent[0].subject, b"x" * 255)
        self.assertEqual([len(frame) for frame in sent[0].content], [100000, 100000])

    def test_too_long_strings(self) -> None:
        """Names of 256 octets are an error that names the limit."""
        for arguments, what in [("n, 'b'", "subject"), ("'a', 'b', n", "stream"), ("'a', 'b', nil, nil, n", "sender")]:
            message = self.error(f"local n = ('x'):rep(256) send({arguments})")
            self.assertIn(f"the {what} has 256 octets, and 255 is the limit", message)

    def test_many(self) -> None:
        """Any number of messages is sent, in order."""
        self.use(sends=0)
        sent = self.sends("for i = 1, 20000 do send('n', i, nil, i % 2 == 0 and 'even' or nil) end")
        self.assertEqual([int(send.content[0]) for send in sent], list(range(1, 20001)))
        self.assertEqual([len(send.content) for send in sent[:4]], [1, 2, 1, 2])

    def test_batch_edges(self) -> None:
        """No message is lost or duplicated at the size of a batch."""
        for number in (0, 1, 49, 50, 51, 99, 100, 101):
            self.assertEqual(len(self.sends(f"for i = 1, {number} do send('n', i) end")), number)

    def test_kept_by_failure(self) -> None:
        """Messages sent before a script failed are sent."""
        outcome = self.outcome("send('a', 'b') error('no more') send('c', 'd')")
        self.assertEqual([send.subject for send in outcome.sends], [b"a"])
        self.assertIn("no more", str(outcome.error))

    def test_error_can_be_caught(self) -> None:
        """A script may continue after a send that failed, which sends nothing."""
        self.assertEqual(self.sends("pcall(send, 'a', {})  send('c', 'd')")[0].subject, b"c")

    def test_in_a_coroutine(self) -> None:
        """A script can send from a coroutine."""
        self.assertEqual(len(self.sends("coroutine.wrap(function() send('a', 'b') end)()")), 1)


class SendForTests(LuaCase):
    """Requests without an answer."""

    def test_send_for(self) -> None:
        """The arguments of sendFor are those of send; the default service is that of the request."""
        outcome = self.outcome("sendFor('a', 'b') sendFor('c', 1, 'svc', 'x', 'ME')")
        self.assertEqual(
            outcome.sends,
            (
                Send(SendKind.SERVICE, b"", b"a", (b"b",), b"LU"),
                Send(SendKind.SERVICE, b"svc", b"c", (b"1", b"x"), b"ME"),
            ),
        )

    def test_bad_arguments(self) -> None:
        """Errors name sendFor and have the position of the script."""
        self.assertIn("script.lua:1: sendFor needs at least 2 arguments", self.error("sendFor('a')"))
        self.assertIn(
            "script.lua:2: bad argument #3 to 'sendFor' (the service must be", self.error("\nsendFor('a', 'b', {})")
        )
