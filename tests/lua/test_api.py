"""The table `alaska`: the request's fields, replies and log lines."""

from __future__ import annotations

from alaska import __version__
from alaska.lua.request import LogLine, Request, Send, SendKind
from tests.lua.lua_case import LuaCase, reply


class RequestTests(LuaCase):
    """The fields of the table."""

    def test_fields(self) -> None:
        """The table has subject, service, sender, tracker and attempt of the request, the worker, and the version."""
        source = "local a = alaska print(a.subject, a.address, a.sender, a.tracker, a.attempt, a.worker, a.version)"
        self.assertEqual(self.output(source), f"script\tdefault\tsender\ttrack-1\t1\tAW::here\t{__version__}\n")

    def test_attempt_is_whole(self) -> None:
        """The attempt is an integer."""
        self.write("script.lua", "print(alaska.attempt)")
        request = Request(b"", b"", b"script", b"", (), attempt=3)
        self.assertEqual(self.runner.run(self.scripts.find(b"script"), request).output, b"3\n")

    def test_tracker_of_the_broker(self) -> None:
        """A tracker that the broker generated, because the sender gave none, is not shown."""
        self.write("script.lua", "print('<' .. alaska.tracker .. '>')")
        request = Request(b"", b"", b"script", b"broker-12-1", ())
        self.assertEqual(self.runner.run(self.scripts.find(b"script"), request).output, b"<>\n")

    def test_frames(self) -> None:
        """All content frames are there, in order and unchanged, whatever their number."""
        frames = [b"%d\0\xff" % number for number in range(1001)]
        source = "io.write(#alaska.frames, '\\n', table.concat(alaska.frames))"
        self.assertEqual(self.outcome(source, *frames).output, b"1001\n" + b"".join(frames))

    def test_no_frames(self) -> None:
        """A request without content has no frames."""
        self.assertEqual(self.output("print(#alaska.frames)"), "0\n")

    def test_reached_without_its_name(self) -> None:
        """The table is available to scripts that reach it without naming it, and to modules."""
        self.write("part.lua", "return alaska.subject")
        self.assertEqual(self.output("print(_G['ala' .. 'ska'].subject, (require 'part'))"), "script\tscript\n")

    def test_changes_do_not_last(self) -> None:
        """Changes to the table and its subtables do not affect the next run."""
        self.use(config=(("deep", (("name", "value"),)),))
        self.output(
            "alaska.subject = 1 alaska.mine = 1 alaska.log.info = 1 alaska.json.encode = 1 alaska.kv.get = 1 "
            "alaska.config.deep.name = 1 alaska.frames[1] = 1"
        )
        checks = "alaska.log.info('x') print(alaska.subject, alaska.mine, alaska.json.encode(1), alaska.kv.get('k'), "
        checks += "alaska.config.deep.name, alaska.frames[1])"
        self.assertEqual(self.output(checks, b"frame"), "script\tnil\t1\tnil\tvalue\tframe\n")

    def test_config(self) -> None:
        """Values and sections of the configuration are strings and tables."""
        self.use(config=(("host", "db"), ("mail", (("port", "25"),))))
        self.assertEqual(self.output("print(alaska.config.host, alaska.config.mail.port + 1)"), "db\t26\n")


class ReplyTests(LuaCase):
    """Replies to the request."""

    def sends(self, source: str) -> tuple[Send, ...]:
        """Return the messages of a script that must succeed."""
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error, str(outcome.error))
        return outcome.sends

    def test_return_value(self) -> None:
        """A returned string is mailed unchanged, a number and a boolean as Lua writes them, a table as JSON."""
        for returned, mailed in {
            "'a\\0\\255'": b"a\0\xff",
            "42": b"42",
            "0.5": b"0.5",
            "true": b"true",
            "false": b"false",
            "{1, 2, {x = 'y'}}": b'[1,2,{"x":"y"}]',
            "alaska.json.null": b"null",
        }.items():
            self.assertEqual(self.sends(f"return {returned}"), (reply(mailed),))

    def test_nothing_returned(self) -> None:
        """A script that returns nothing, or nil first, sends no reply."""
        for source in ("", "return", "return nil, 'why'"):
            self.assertEqual(self.sends(source), ())

    def test_only_the_first(self) -> None:
        """Only the first of several return values is mailed."""
        self.assertEqual(self.sends("return ('abc'):gsub('b', 'x')"), (reply(b"axc"),))

    def test_invalid_return_value(self) -> None:
        """Returning a function, a thread or a table without a JSON form is an error."""
        for returned in ("print", "coroutine.create(print)", "{print}"):
            self.assertRegex(
                self.error(f"return {returned}"), r"script\.lua: what the script returned cannot be mailed: .+"
            )

    def test_cycle(self) -> None:
        """A table that contains itself is an error."""
        self.assertIn("excessive nesting", self.error("local t = {} t[1] = t return t"))

    def test_reply(self) -> None:
        """Each call of alaska.reply mails one reply, with a frame per argument, in order with other messages."""
        self.assertEqual(
            self.sends("alaska.reply('a', 2, {}) sendTo('s', 'c') alaska.reply(true) return 'last'"),
            (
                reply(b"a", b"2", b"{}"),
                Send(SendKind.MAILBOX, b"aw.res", b"s", (b"c",), b"LU"),
                reply(b"true"),
                reply(b"last"),
            ),
        )

    def test_reply_of_many_frames(self) -> None:
        """A reply has 1 to 250 frames."""
        self.assertEqual(len(self.sends("alaska.reply(table.unpack({'x', 'y'}, 1, 2))")[0].content), 2)
        self.assertEqual(
            len(
                self.sends("local t = {} for i = 1, 250 do t[i] = i end alaska.reply((table.unpack or unpack)(t))")[
                    0
                ].content
            ),
            250,
        )
        self.assertIn("script.lua:1: 'reply' needs 1 to 250 arguments", self.error("alaska.reply()"))

    def test_bad_argument(self) -> None:
        """An argument that cannot be a frame is an error at the position of the call."""
        self.assertIn("script.lua:2: bad argument #2 to 'reply' (it must be", self.error("\nalaska.reply('a', nil)"))

    def test_replies_before_a_failure(self) -> None:
        """Replies before a failure are sent."""
        outcome = self.outcome("alaska.reply('half') error('oh no')")
        self.assertEqual(outcome.sends, (reply(b"half"),))
        self.assertIn("oh no", str(outcome.error))


class LogTests(LuaCase):
    """Lines for the worker's log."""

    def test_levels(self) -> None:
        """Lines have their level and are in order; several values are separated by spaces."""
        outcome = self.outcome("alaska.log.info('a', 1, nil, true) alaska.log.error('b') alaska.log.warn()")
        self.assertEqual(outcome.log, (LogLine("info", b"a 1 nil true"), LogLine("error", b"b"), LogLine("warn", b"")))
        self.assertEqual(outcome.sends, ())

    def test_where_lua_cannot_yield(self) -> None:
        """Logging works where Lua cannot yield."""
        source = "table.sort({2, 1}, function(a, b) alaska.log.info('x') return a < b end)"
        self.assertIn(LogLine("info", b"x"), self.outcome(source).log)

    def test_limit(self) -> None:
        """Logged octets have the same limit as printed ones."""
        self.use(output=10)
        self.assertIn(
            "script.lua:2: the script logged more than 10",
            self.error("alaska.log.info(('x'):rep(9))\nalaska.log.info('y')"),
        )
