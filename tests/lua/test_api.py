"""The table ``alaska``, the return value and sendFor: what scripts have beside Lua's own."""

from __future__ import annotations

import json

from alaska import __version__
from alaska.lua.questions import NONE, OK
from alaska.lua.request import LogLine, Request, Send, SendKind
from tests.lua.lua_case import LuaCase


def reply(*frames: bytes) -> Send:
    """Return a reply as scripts send it."""
    return Send(SendKind.REPLY, b"", b"", frames, b"LU")


class RequestTests(LuaCase):
    """What a script gets to know of its request and its worker."""

    def test_fields(self) -> None:
        """The table has the request's subject, service, sender, tracker and attempt, the worker, and the version."""
        source = "local a = alaska print(a.subject, a.address, a.sender, a.tracker, a.attempt, a.worker, a.version)"
        self.assertEqual(self.output(source), f"script\tdefault\tsender\ttrack-1\t1\tAW::here\t{__version__}\n")

    def test_attempt_is_whole(self) -> None:
        """The number of the attempt is a whole number."""
        self.write("script.lua", "print(alaska.attempt)")
        request = Request(b"", b"", b"script", b"", (), attempt=3)
        self.assertEqual(self.runner.run(self.scripts.find(b"script"), request).output, b"3\n")

    def test_tracker_of_the_broker(self) -> None:
        """A tracker that the broker made up, because the sender gave none, is not shown."""
        self.write("script.lua", "print('<' .. alaska.tracker .. '>')")
        request = Request(b"", b"", b"script", b"broker-12-1", ())
        self.assertEqual(self.runner.run(self.scripts.find(b"script"), request).output, b"<>\n")

    def test_frames(self) -> None:
        """The content frames are all there, in order and octet by octet, however many they are."""
        frames = [b"%d\0\xff" % number for number in range(1001)]
        source = "io.write(#alaska.frames, '\\n', table.concat(alaska.frames))"
        self.assertEqual(self.outcome(source, *frames).output, b"1001\n" + b"".join(frames))

    def test_no_frames(self) -> None:
        """A request without content has no frames."""
        self.assertEqual(self.output("print(#alaska.frames)"), "0\n")

    def test_found_by_any_way(self) -> None:
        """The table is there for a script that gets at globals without naming it, and for its modules."""
        self.write("part.lua", "return alaska.subject")
        self.assertEqual(self.output("print(_G['ala' .. 'ska'].subject, (require 'part'))"), "script\tscript\n")

    def test_nothing_is_kept(self) -> None:
        """What a script changes in the table, or in the tables in it, the next one does not find."""
        self.use(config=(("deep", (("name", "value"),)),))
        self.output(
            "alaska.subject = 1 alaska.mine = 1 alaska.log.info = 1 alaska.json.encode = 1 alaska.kv.get = 1 "
            "alaska.config.deep.name = 1 alaska.frames[1] = 1"
        )
        checks = "alaska.log.info('x') print(alaska.subject, alaska.mine, alaska.json.encode(1), alaska.kv.get('k'), "
        checks += "alaska.config.deep.name, alaska.frames[1])"
        self.assertEqual(self.output(checks, b"frame"), "script\tnil\t1\tnil\tvalue\tframe\n")

    def test_config(self) -> None:
        """Values and sections of the configuration are texts and tables."""
        self.use(config=(("host", "db"), ("mail", (("port", "25"),))))
        self.assertEqual(self.output("print(alaska.config.host, alaska.config.mail.port + 1)"), "db\t26\n")


class ReplyTests(LuaCase):
    """Answers to the request."""

    def sends(self, source: str) -> tuple[Send, ...]:
        """Return what a script sends, which must come to its end."""
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error, str(outcome.error))
        return outcome.sends

    def test_return_value(self) -> None:
        """A string is mailed as it is, a number and a boolean as Lua writes them, a table as JSON."""
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
        """A script that returns nothing, or nil first, mails no answer."""
        for source in ("", "return", "return nil, 'why'"):
            self.assertEqual(self.sends(source), ())

    def test_only_the_first(self) -> None:
        """Of several return values only the first is mailed: many functions return more than is meant."""
        self.assertEqual(self.sends("return ('abc'):gsub('b', 'x')"), (reply(b"axc"),))

    def test_what_cannot_be_mailed(self) -> None:
        """A function, a thread or a table without a JSON form makes the request fail, with a text that says so."""
        for returned in ("print", "coroutine.create(print)", "{print}"):
            self.assertRegex(
                self.error(f"return {returned}"), r"script\.lua: what the script returned cannot be mailed: .+"
            )

    def test_cycle(self) -> None:
        """A table that holds itself fails as well."""
        self.assertIn("excessive nesting", self.error("local t = {} t[1] = t return t"))

    def test_reply(self) -> None:
        """Reply mails one answer each time it is called, with a frame for each argument, in order with other mail."""
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
        """A reply may have 250 frames, and more are an error of the script."""
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
        """What cannot be a frame is an error at its place."""
        self.assertIn("script.lua:2: bad argument #2 to 'reply' (it must be", self.error("\nalaska.reply('a', nil)"))

    def test_failed_script_has_replied(self) -> None:
        """What a script replied before it failed is kept, as all that it sent."""
        outcome = self.outcome("alaska.reply('half') error('oh no')")
        self.assertEqual(outcome.sends, (reply(b"half"),))
        self.assertIn("oh no", str(outcome.error))


class SendForTests(LuaCase):
    """Requests that nobody waits for."""

    def test_send_for(self) -> None:
        """SendFor takes what send takes; without a service it is for the one that was asked."""
        outcome = self.outcome("sendFor('a', 'b') sendFor('c', 1, 'svc', 'x', 'ME')")
        self.assertEqual(
            outcome.sends,
            (
                Send(SendKind.SERVICE, b"", b"a", (b"b",), b"LU"),
                Send(SendKind.SERVICE, b"svc", b"c", (b"1", b"x"), b"ME"),
            ),
        )

    def test_bad_arguments(self) -> None:
        """Its errors name it, and the place of the script."""
        self.assertIn("script.lua:1: sendFor needs at least 2 arguments", self.error("sendFor('a')"))
        self.assertIn(
            "script.lua:2: bad argument #3 to 'sendFor' (the service must be", self.error("\nsendFor('a', 'b', {})")
        )


class ErrorTests(LuaCase):
    """Errors of scripts."""

    def test_long_message(self) -> None:
        """Of a message without end the beginning is kept, and how long it is."""
        text = self.error("error(('x'):rep(1000000), 0)")
        self.assertRegex(text.split("\n")[0], r"^x{65536}\.\.\. \(1000000 octets\)$")


class LogTests(LuaCase):
    """Lines for the worker's log."""

    def test_levels(self) -> None:
        """Each level has its lines, in order; several values stand with a space between them."""
        outcome = self.outcome("alaska.log.info('a', 1, nil, true) alaska.log.error('b') alaska.log.warn()")
        self.assertEqual(outcome.log, (LogLine("info", b"a 1 nil true"), LogLine("error", b"b"), LogLine("warn", b"")))
        self.assertEqual(outcome.sends, ())

    def test_where_lua_cannot_yield(self) -> None:
        """Logging works everywhere."""
        source = "table.sort({2, 1}, function(a, b) alaska.log.info('x') return a < b end)"
        self.assertIn(LogLine("info", b"x"), self.outcome(source).log)

    def test_limit(self) -> None:
        """What a script logs has the limit of what it prints."""
        self.use(output=10)
        self.assertIn(
            "script.lua:2: the script logged more than 10",
            self.error("alaska.log.info(('x'):rep(9))\nalaska.log.info('y')"),
        )


class JsonTests(LuaCase):
    """Alaska's own JSON."""

    def test_round_trip(self) -> None:
        """Numbers keep all their digits, null is a value of its own."""
        text = '[0.1,1e+300,9007199254740991,"\\\\u00e9",null,true]'
        source = f"local j = alaska.json local t = j.decode('{text}') print(j.encode(t), t[5] == j.null)"
        self.assertEqual(self.output(source), '[0.1,1e+300,9007199254740991,"é",null,true]\ttrue\n')

    def test_whole_numbers(self) -> None:
        """A whole number is written without a fraction, whatever it has come through."""
        source = "print(alaska.json.encode({3, 3.0, 6 / 2, 1e15, -7.0, 0.5, 1e300}))"
        self.assertEqual(self.output(source), "[3,3,3,1e+15,-7,0.5,1e+300]\n")

    def test_null_of_lua_cjson(self) -> None:
        """The null of lua-cjson is null for answers, JSON and the key-value store, as Alaska's own is."""
        source = """
            local null = require('cjson').null
            alaska.kv.set('table', { null })
            alaska.kv.set('null', null)
            print(alaska.json.encode { null, alaska.json.null })
            print(alaska.kv.get('table')[1] == alaska.json.null, alaska.kv.get 'null' == alaska.json.null)
            return null
        """
        for system_modules in (False, True):
            self.use(system_modules=system_modules)
            outcome = self.outcome(source)
            self.assertEqual((outcome.error, outcome.sends), (None, (reply(b"null"),)))
            self.assertEqual(outcome.output, b"[null,null]\ntrue\ttrue\n")

    def test_empty_arrays(self) -> None:
        """What was an empty array is one again, until it has other keys; an empty table is an object."""
        for source, text in {
            """alaska.json.decode '{"a":[],"b":{},"c":[[]]}'""": None,
            "alaska.json.array {}": "[]",
            "alaska.json.array()": "[]",
            "{}": "{}",
            "(function() local t = alaska.json.decode '[1]' t[1] = nil return t end)()": "[]",
            "(function() local t = alaska.json.decode '[]' t.a = 1 return t end)()": '{"a":1}',
            "(function() local t = alaska.json.decode '[]' t[1] = 1 return t end)()": "[1]",
        }.items():
            found = self.output(f"print(alaska.json.encode({source}))")[:-1]
            if text is None:
                self.assertEqual(json.loads(found), {"a": [], "b": {}, "c": [[]]})
            else:
                self.assertEqual(found, text, source)

    def test_array_of_another(self) -> None:
        """A table that has a metatable is not made an array, and what a script does to the mark stays with it."""
        self.assertIn("the table has a metatable", self.error("alaska.json.array(setmetatable({}, {}))"))
        self.assertIn("table expected, got number", self.error("alaska.json.array(1)"))
        self.output("local mark = getmetatable(alaska.json.array {}) mark.__gc = print mark.__index = print")
        self.assertEqual(self.output("print(getmetatable(alaska.json.array {}).__index)"), "nil\n")
        hostile = "getmetatable(alaska.json.array {}).__gc = false print(getmetatable(alaska.json.array {}).__gc)"
        self.assertEqual(self.output(hostile), "nil\n")

    def test_no_json(self) -> None:
        """What RFC 8259 does not know is refused."""
        for text in (
            *("01", "-01", "1.", "2.e3", ".5", "+1", "0x1", "1e", "1e+", "-", "1a", "1.5.5", "NaN", "Infinity"),
            *('"a\tb"', '"a\nb"', '"\\x41"', '"\\u00"', "'a'", "[1,]", "[,1]", '{"a":1,}'),
            *("{a:1}", "[1", "1 2", "", " ", "-Infinity"),
            *("True", "nul", "[1]x", "\ufeff1", "\f1", "// c\n1", '{"a" 1}', "{1:1}", '"\\ud800"'),
        ):
            found = self.output("print((pcall(alaska.json.decode, alaskaContext)))", text.encode())
            self.assertEqual(found, "false\n", text)

    def test_json(self) -> None:
        """What it does know is taken."""
        for text in (
            *('"\x7f"', '" \\u0000\\/"', "-0", "1E5", "0.10e-1", "1e-400"),
            *(" [ 1 ,\r\n\t2 ] ", '"\\ud83d\\ude00"', '{"":0}'),
        ):
            found = self.output("print((pcall(alaska.json.decode, alaskaContext)))", text.encode())
            self.assertEqual(found, "true\n", text)

    def test_many_digits(self) -> None:
        """Digits without end take as long as other text of that length."""
        for text in (b"1" * 300_000, b"-" + b"1" * 300_000 + b"x", b"1." + b"1" * 300_000, b"1e" + b"1" * 300_000):
            source = "print((pcall(alaska.json.decode, alaskaContext)))"
            self.assertIn(self.output(source, text), ("true\n", "false\n"))

    def test_errors(self) -> None:
        """What is no JSON, or has no JSON form, is an error at the place of the script."""
        self.assertIn("script.lua:2: Expected", self.error("\nalaska.json.decode('{')"))
        self.assertIn("script.lua:2: Cannot serialise function", self.error("\nalaska.json.encode(print)"))
        self.assertIn("script.lua:2: Cannot serialise number", self.error("\nalaska.json.encode(0/0)"))
        self.assertIn("script.lua:1: bad argument #1 to 'decode'", self.error("alaska.json.decode()"))
        self.assertIn("script.lua:1: bad argument #1 to 'encode'", self.error("alaska.json.encode()"))


class AskTests(LuaCase):
    """Requests that a script waits for."""

    def test_answer(self) -> None:
        """A script gets the frames of the answer, and its service, subject, content and timeout are what is asked."""
        self.answers = [(OK, b"one", b"\0two"), (OK, b"")]
        source = "print(alaska.request('svc', 'job', 'content', 2)) print(#alaska.request('s', 'j', 1))"
        self.assertEqual(self.output(source), "one\t\0two\n0\n")
        self.assertEqual(self.asked, [(b"svc", b"job", b"content", 2.0), (b"s", b"j", b"1", 5.0)])

    def test_no_answer(self) -> None:
        """Without an answer a script gets nil and why."""
        self.answers = [(NONE, b"nobody offers the service")]
        self.assertEqual(self.output("print(alaska.request('svc', 'job'))"), "nil\tnobody offers the service\n")

    def test_in_coroutines(self) -> None:
        """A script may ask from within coroutines in coroutines, pcall, metamethods and iterators."""
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
        """Where Lua cannot wait, asking is an error that says so; in a coroutine that was resumed there, too."""
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
        """Bad arguments are errors at the place of the script, and nobody is asked."""
        for call, part in {
            "alaska.request()": "bad argument #1 to 'request' (the service must be",
            "alaska.request('s', 'j', {})": "bad argument #3 to 'request' (the content must be",
            "alaska.request('s', 'j', '', 0)": "bad argument #4 to 'request' (a number of seconds above 0",
            "alaska.request('s', 'j', '', 0/0)": "bad argument #4 to 'request' (a number of seconds above 0",
        }.items():
            self.assertIn(f"script.lua:2: {part}", self.error(f"\n{call}"))
        self.assertEqual(self.asked, [])

    def test_after_exit(self) -> None:
        """A script that has called os.exit and caught it asks nobody any more."""
        source = "pcall(table.sort, {2, 1}, function() os.exit() end) alaska.request('svc', 'job')"
        self.assertEqual(self.output(source), "")
        self.assertEqual(self.asked, [])

    def test_next_request_is_not_disturbed(self) -> None:
        """A script that failed while a coroutine waited for an answer leaves nothing behind."""
        self.answers = [(OK, b"1")]
        self.error("coroutine.wrap(function() alaska.request('svc', 'job') error('oh no') end)()")
        self.assertEqual(self.output("print('fine')"), "fine\n")


class KeyValueTests(LuaCase):
    """The small store that scripts share."""

    def test_values(self) -> None:
        """Strings of any octets, numbers, booleans and tables come back as they went."""
        source = """
            local kv = alaska.kv
            for _, value in ipairs { 'a\\0\\255', '', 7, -0.5, 1e300, true, false } do
              kv.set('key', value)
              assert(kv.get('key') == value, tostring(value))
            end
            kv.set('key', { 1, { x = 'y' } })
            print(kv.get('key')[2].x, kv.get('nothing'))
        """
        self.assertEqual(self.output(source), "y\tnil\n")

    def test_shared(self) -> None:
        """What one script sets, another finds, in whatever runner."""
        self.output("alaska.kv.set('key', 'value')")
        self.use()
        self.assertEqual(self.output("print(alaska.kv.get('key'))"), "value\n")

    def test_incr(self) -> None:
        """Incr adds to a number, by 1 unless it is told by how much, and begins at 0."""
        source = "local incr = alaska.kv.incr print(incr('n'), incr('n', 10), incr('n', -1), incr('f', 0.5))"
        self.assertEqual(self.output(source), "1\t11\t10\t0.5\n")

    def test_incr_of_text(self) -> None:
        """What is no number cannot be added to."""
        source = "alaska.kv.set('k', 'text')\nalaska.kv.incr('k')"
        self.assertIn("script.lua:2: alaska.kv.incr: what the key has is no number", self.error(source))

    def test_ttl(self) -> None:
        """A value with a time to live is there as long, and its time is told; infinity for one without."""
        source = "local kv = alaska.kv kv.set('a', 1, 10) kv.set('b', 1) "
        source += "print(kv.ttl('a'), kv.ttl('b') == math.huge, kv.ttl('c'))"
        self.assertRegex(self.output(source), r"^10(\.0)?\ttrue\tnil\n$")
        self.now += 9.5
        self.assertEqual(self.output("print(alaska.kv.get('a'), alaska.kv.ttl('a'))"), "1\t0.5\n")
        self.now += 0.5
        self.assertEqual(
            self.output("print(alaska.kv.get('a'), alaska.kv.ttl('a'), alaska.kv.get('b'))"), "nil\tnil\t1\n"
        )

    def test_delete(self) -> None:
        """Deleting says whether there was a value; set with nil does the same and says nothing."""
        source = "local kv = alaska.kv kv.set('a', 1) print(kv.delete('a'), kv.delete('a')) "
        source += "kv.set('a', 1) kv.set('a', nil) print(kv.get('a'))"
        self.assertEqual(self.output(source), "true\tfalse\nnil\n")

    def test_bad_arguments(self) -> None:
        """Bad arguments are errors at the place of the script."""
        for call, part in {
            "get({})": "bad argument #1 to 'get' (the key must be",
            "get(('k'):rep(256))": "bad argument #1 to 'get' (the key has 256 octets",
            "set('k', print)": "bad argument #2 to 'set' (a string, a number, a boolean or a table is expected",
            "set('k', 0/0)": "bad argument #2 to 'set' (a string, a number, a boolean or a table is expected",
            "set('k', 1/0)": "bad argument #2 to 'set' (a string, a number, a boolean or a table is expected, got a",
            "set('k', {-1/0})": "bad argument #2 to 'set' (Cannot serialise number: must not be NaN or Inf",
            "incr('k', -1/0)": "bad argument #2 to 'incr' (a string, a number, a boolean or a table is expected, got a",
            "set('k', 1, 1/0)": "bad argument #3 to 'set' (a finite number of seconds",
            "set('k', 1, 0/0)": "bad argument #3 to 'set' (a number of seconds above 0",
            "set('k', {print})": "bad argument #2 to 'set' (Cannot serialise",
            "set('k', 1, 0)": "bad argument #3 to 'set' (a number of seconds above 0",
            "incr('k', 'x')": "bad argument #2 to 'incr' (number expected",
            "set('k', ('x'):rep(1024 * 1024))": "alaska.kv.set: the value has 1048577 octets",
        }.items():
            self.assertIn(f"script.lua:2: {part}", self.error(f"\nalaska.kv.{call}"))
