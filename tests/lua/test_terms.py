"""The terms of messages, and alaska.later."""

from __future__ import annotations

from alaska.lua.request import Outcome, Send, SendKind
from alaska.lua.values import OUTCOMES
from tests.lua.lua_case import SANDBOXED, LuaCase

ALL = (
    "{ delay = 1.5, priority = 9, id = 'x', unique_for = 0, unique_mode = 'replace', ttl = 60, attempts = 3, "
    "backoff = { 1, 60 } }"
)


class TermsCase(LuaCase):
    """Scripts in the sandbox that send one message."""

    options = SANDBOXED

    def sent(self, source: str) -> Send:
        """Return the message that a script sends."""
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error, str(outcome.error))
        (send,) = outcome.sends
        return send


class TermsTests(TermsCase):
    """A table of terms as the last argument of sendTo and sendFor."""

    def test_all(self) -> None:
        """Each term is passed on as text."""
        terms = {
            "delay": b"1.500000", "priority": b"9", "id": b"x", "unique_for": b"0.000000", "unique_mode": b"replace",
            "ttl": b"60.000000", "attempts": b"3", "backoff": b"1.000000 60.000000",
        }  # fmt: skip
        self.assertEqual(dict(self.sent(f"sendFor('a', 'b', {ALL})").terms), terms)
        at = self.sent("sendTo('a', 'b', { at = 1780000000.25 })").terms
        self.assertEqual(at, (("at", b"1780000000.250000"),))

    def test_places(self) -> None:
        """The table may be the last argument before the headers, or after them; the others have their meaning."""
        terms = (("delay", b"5.000000"),)
        mail = SendKind.MAILBOX
        for arguments, send in [
            ("'a', 'b', T", Send(mail, b"aw.res", b"a", (b"b",), b"LU", (), terms)),
            ("'a', 'b', 'box', T", Send(mail, b"box", b"a", (b"b",), b"LU", (), terms)),
            ("'a', 'b', 'box', 'c', T", Send(mail, b"box", b"a", (b"b", b"c"), b"LU", (), terms)),
            ("'a', 'b', nil, nil, T", Send(mail, b"aw.res", b"a", (b"b",), b"LU", (), terms)),
            ("'a', 'b', nil, 'c', 'ME', { h = 'v' }, T",
             Send(mail, b"aw.res", b"a", (b"b", b"c"), b"ME", ((b"h", b"v"),), terms)),
            ("'a', 'b', nil, nil, nil, nil, T", Send(mail, b"aw.res", b"a", (b"b",), b"LU", (), terms)),
        ]:  # fmt: skip
            self.assertEqual(self.sent(f"local T = {{ delay = 5 }} sendTo({arguments})"), send, arguments)

    def test_headers(self) -> None:
        """A table as the sixth argument is headers, also if its names are those of terms."""
        send = self.sent("sendTo('a', 'b', nil, nil, nil, { delay = '5' })")
        self.assertEqual((send.headers, send.terms), (((b"delay", b"5"),), ()))

    def test_empty(self) -> None:
        """An empty table has no effect after the headers; elsewhere it is no table of terms, and an error."""
        send = Send(SendKind.SERVICE, b"", b"a", (b"b",), b"LU")
        self.assertEqual(self.sent("sendFor('a', 'b', nil, nil, nil, nil, {})"), send)
        self.assertIn("#3 to 'sendFor' (the service must be", self.error("sendFor('a', 'b', {})"))

    def test_not_for_streams(self) -> None:
        """Messages of streams have no terms."""
        self.assertIn("#3 to 'send' (the stream must be", self.error("send('a', 'b', { delay = 5 })"))

    def test_not_valid(self) -> None:
        """A term that is not valid is an error that names it, at the place of the script; nothing is sent."""
        seconds = "must be a number of seconds, 0 or more"
        for terms, message in [
            ("{ dely = 5 }", "there is no term 'dely'"),
            ("{ 5 }", "there is no term whose name is a number"),
            ("{ delay = '5' }", f"the term delay {seconds}"),
            ("{ delay = -1 }", f"the term delay {seconds}"),
            ("{ ttl = 0/0 }", f"the term ttl {seconds}"),
            ("{ unique_for = math.huge }", f"the term unique_for {seconds}"),
            ("{ at = '2026-12-01' }", "the term at must be a time in seconds since 1970"),
            ("{ priority = 10 }", "the term priority must be a whole number from 0 to 9"),
            ("{ priority = 1.5 }", "the term priority must be a whole number from 0 to 9"),
            ("{ attempts = 0 }", "the term attempts must be a whole number from 1 to 1001"),
            ("{ backoff = { 1 } }", "the term backoff must be a table of two numbers"),
            ("{ backoff = 5 }", "the term backoff must be a table of two numbers"),
            ("{ backoff = { 2, 1 } }", "the term backoff must be a table of two numbers of seconds from 0.001 to"),
            ("{ backoff = { 0, 1 } }", "the term backoff must be a table of two numbers"),
            ("{ backoff = { 1, 2592001 } }", "the term backoff must be a table of two numbers"),
            ("{ backoff = { 0/0, 1 } }", "the term backoff must be a table of two numbers"),
            ("{ backoff = { 1, 2, 3 } }", "the term backoff must be a table of two numbers"),
            ("{ id = '' }", "the term id must be a string of 1 to 255 octets"),
            ("{ id = ('x'):rep(256) }", "the term id must be a string of 1 to 255 octets"),
            ("{ id = {} }", "the term id must be a string of 1 to 255 octets"),
            ("{ unique_mode = 'drop' }", "the term unique_mode must be 'keep' or 'replace'"),
            ("{ unique_for = 5 }", "the terms unique_for and unique_mode need the term id"),
            ("{ delay = 1, at = 2 }", "a message has either the term delay or at"),
        ]:
            outcome = self.outcome(f"\nsendFor('a', 'b', 'svc', {terms})")
            self.assertEqual(outcome.sends, ())
            self.assertIn(f"script.lua:2: bad argument #4 to 'sendFor' ({message}", str(outcome.error))

    def test_no_table(self) -> None:
        """The seventh argument is a table, or nothing."""
        message = self.error("sendFor('a', 'b', nil, nil, nil, nil, 5)")
        self.assertIn("bad argument #7 to 'sendFor' (a table of terms is expected, got number)", message)
        self.assertEqual(self.sent("sendFor('a', 'b', nil, nil, nil, nil, nil)").terms, ())

    def test_metamethods(self) -> None:
        """Metamethods of the table are not called."""
        table = "setmetatable({ priority = 1 }, { __index = error, __pairs = error, __len = error })"
        self.assertEqual(self.sent(f"sendFor('a', 'b', {table})").terms, (("priority", b"1"),))

    def test_size(self) -> None:
        """Terms count for the size of what a script sends."""
        self.use(sends_size=100)
        self.assertIn("sends-size", self.error("sendFor('a', 'b', { id = ('x'):rep(200) })"))

    def test_coded(self) -> None:
        """Terms pass from a child process to the worker."""
        outcome = Outcome((self.sent(f"sendFor('a', 'b', {ALL})"),))
        self.assertEqual(OUTCOMES.decode(OUTCOMES.encode(outcome)), outcome)


class LaterTests(TermsCase):
    """alaska.later."""

    def test_later(self) -> None:
        """It sends a request with a delay; nil is the own service, and no content an empty one."""
        delay = ("delay", b"90.000000")
        for arguments, send in [
            ("90, 'svc', 'job', 'c'", Send(SendKind.SERVICE, b"svc", b"job", (b"c",), b"LU", (), (delay,))),
            ("90, nil, 'job'", Send(SendKind.SERVICE, b"", b"job", (b"",), b"LU", (), (delay,))),
            ("90, 'svc', 'job', nil", Send(SendKind.SERVICE, b"svc", b"job", (b"",), b"LU", (), (delay,))),
            (
                "90, 'svc', 'job', 'c', 5, { priority = 9 }",
                Send(SendKind.SERVICE, b"svc", b"job", (b"c", b"5"), b"LU", (), (("priority", b"9"), delay)),
            ),
        ]:
            self.assertEqual(self.sent(f"alaska.later({arguments})"), send, arguments)

    def test_many_frames(self) -> None:
        """The content may have many frames, but not too many."""
        many = "local t = {{}} for i = 1, {0} do t[i] = i end alaska.later(1, 's', 'j', table.unpack(t))"
        self.assertEqual(len(self.sent(many.format(200)).content), 200)
        self.assertIn("'later' was given 201 frames of content, and 200 is the limit", self.error(many.format(201)))

    def test_not_valid(self) -> None:
        """Errors name the argument, and the place of the script."""
        for arguments, message in [
            ("", "later needs at least 3 arguments"),
            ("1, 'svc'", "later needs at least 3 arguments"),
            ("'1', 'svc', 'job'", "bad argument #1 to 'later' (it must be a number of seconds, 0 or more)"),
            ("-1, 'svc', 'job'", "bad argument #1 to 'later' (it must be a number of seconds, 0 or more)"),
            ("1, {}, 'job'", "bad argument #2 to 'later' (the service must be"),
            ("1, 'svc', nil", "bad argument #3 to 'later' (the subject must be"),
            ("1, 'svc', 'job', true", "bad argument #4 to 'later' (the content must be"),
            ("1, 'svc', 'job', {}, 'c'", "bad argument #4 to 'later' (the content must be"),
            ("1, 'svc', 'job', 'c', { at = 5 }", "bad argument #5 to 'later' (the first argument says when"),
            ("1, 'svc', 'job', 'c', { prio = 5 }", "bad argument #5 to 'later' (there is no term 'prio')"),
        ]:
            self.assertIn(f"script.lua:2: {message}", self.error(f"\nalaska.later({arguments})"))

    def test_in_order(self) -> None:
        """It is sent in order with the other messages."""
        outcome = self.outcome("sendFor('1', '') alaska.later(1, 'svc', '2') sendFor('3', '')")
        self.assertEqual([send.subject for send in outcome.sends], [b"1", b"2", b"3"])
