"""Messages and output of running scripts: they are delivered before the script ends, once and in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alaska.config.entries import Section
from alaska.lua.request import Outcome, Request
from alaska.worker.calls import Calls
from tests.lua.lua_case import SANDBOXED, TRUSTED, LuaCase

BUSY = "local function work() local till = os.clock() + 0.06 while os.clock() < till do end end "


class DeliveryCase(LuaCase):
    """Records what is delivered while scripts run, and how much before they ask."""

    is_accepted = True

    def setUp(self) -> None:
        self.deliveries: list[Outcome] = []
        super().setUp()

    def use(self, config: Section = (), **changes: Any) -> None:
        """See :meth:`LuaCase.use`."""
        call = Calls(self.kv, self, lambda: self.now, self.record if self.is_accepted else None)
        self.runner = self.make_runner(replace(self.options, partial_results=True, **changes), call, config)
        self.addCleanup(self.runner.close)

    def record(self, _request: Request, outcome: Outcome) -> None:
        """Record a delivery."""
        self.deliveries.append(outcome)

    def ask(
        self, service: bytes, subject: bytes, content: bytes, seconds: float, trace: object = None
    ) -> tuple[bytes, ...]:
        """Answer with the number of messages delivered so far."""
        return b"ok", b"%d" % len(self.subjects())

    def subjects(self, *more: Outcome) -> list[bytes]:
        """Return the subjects of all messages, in order."""
        return [send.subject for outcome in (*self.deliveries, *more) for send in outcome.sends]

    def all_of(self, source: str, *frames: bytes) -> list[bytes]:
        """Return the subjects of all messages of a script."""
        self.deliveries.clear()
        return self.subjects(self.outcome(source, *frames))

    def lines(self, *more: Outcome) -> list[bytes]:
        """Return all printed and logged lines, in order."""
        parts: list[bytes] = []
        for outcome in (*self.deliveries, *more):
            parts += [line.text + b"\n" * (line.level != "print") for line in outcome.log]
            parts.append(outcome.output)
        return b"".join(parts).splitlines()


class DeliveryTimeTests(DeliveryCase):
    """When output is delivered."""

    options = SANDBOXED

    def test_new_script(self) -> None:
        """The first message of a script that never ran before is delivered at once, the rest at its end."""
        self.assertEqual(self.all_of("send('a', 1) send('b', 2)"), [b"a", b"b"])
        self.assertEqual(self.subjects(), [b"a"])

    def test_fast_script(self) -> None:
        """A script that is known to be fast delivers nothing before its end."""
        source = "send('a', 1) print 'x' alaska.log.info('y') return 1"
        self.outcome(source)
        found = []
        for _ in range(5):  # one of them may be slow on a busy machine
            self.deliveries.clear()
            found.append((len(self.outcome_of("script").sends), len(self.deliveries)))
        self.assertIn((2, 0), found)

    def test_fast_script_turns_slow(self) -> None:
        """Messages of a script known to be fast are delivered as soon as it turns out to be slow."""
        source = BUSY + "send('a', 1) if alaskaContext ~= '' then work() end send('b', 2)"
        self.outcome(source)
        fast: list[tuple[list[bytes], list[Outcome]]] = []
        while len(fast) < 5 and ([b"a", b"b"], []) not in fast:  # one of them may be slow on a busy machine
            self.deliveries.clear()
            fast.append((self.subjects(self.outcome_of("script")), list(self.deliveries)))
        self.assertIn(([b"a", b"b"], []), fast)
        last = self.outcome_of("script", b"slow")
        self.assertEqual(self.subjects(last), [b"a", b"b"])
        self.assertEqual(self.subjects()[:1], [b"a"])

    def test_slow_script(self) -> None:
        """A slow script delivers each message before it continues."""
        source = BUSY + "for i = 1, 4 do send(i, i) work() print(i) alaska.log.warn(i) alaska.reply(i) work() end"
        self.outcome(source)
        self.deliveries.clear()
        last = self.outcome_of("script")
        self.assertEqual((last.sends, last.log, last.output), ((), (), b""))
        self.assertEqual(len(self.subjects()), 8)

    def test_before_a_question(self) -> None:
        """Messages are delivered before the script waits for an answer."""
        self.outcome("send('a', 1) local n = alaska.request('other', 'x') send('b', 2) return n")
        for _ in range(3):
            self.deliveries.clear()
            outcome = self.outcome_of("script")
            self.assertEqual(self.subjects(), [b"a"])
            self.assertEqual(outcome.sends[-1].content, (b"1",))
        self.deliveries.clear()
        self.outcome("send('a', 1) alaska.kv.get 'x'")
        self.assertEqual(self.subjects(), [b"a"])

    def test_without_a_limit_of_time(self) -> None:
        """Without a time limit, each message is delivered at once."""
        self.use(timeout=0)
        for _ in range(2):
            self.assertEqual(self.all_of("send('a', 1) send('b', 2)"), [b"a", b"b"])
            self.assertEqual(self.subjects(), [b"a", b"b"])


class DeliveryOrderTests(DeliveryCase):
    """Nothing is lost or duplicated, and everything is in order."""

    options = SANDBOXED

    def test_many(self) -> None:
        """More messages than one batch, and messages with many frames, are delivered."""
        source = BUSY + (
            "local frames = {} for i = 1, 250 do frames[i] = i end local unpack = table.unpack or unpack "
            "for i = 1, 700 do send(i, i) if i % 100 == 0 then alaska.reply(unpack(frames)) work() end end"
        )
        numbers = [subject for subject in self.all_of(source) if subject]
        self.assertEqual(numbers, [b"%d" % number for number in range(1, 701)])
        frames = [send.content for outcome in self.deliveries for send in outcome.sends if not send.subject]
        self.assertEqual([len(each) for each in frames], [250] * len(frames))

    def test_printed_and_logged(self) -> None:
        """Printed and logged lines stay in order and complete."""
        source = BUSY + (
            "for i = 1, 5 do print('print', i) work() alaska.log.info('log', i) io = io work() end print 'last'"
        )
        expected = [line for i in range(1, 6) for line in (b"print\t%d" % i, b"log %d" % i)]
        self.assertEqual(self.lines(self.outcome(source)), [*expected, b"last"])

    def test_in_coroutines(self) -> None:
        """Messages of nested coroutines are delivered."""
        source = BUSY + (
            "local outer = coroutine.wrap(function() local inner = coroutine.wrap(function() "
            "for i = 1, 3 do send(i, i) work() coroutine.yield(i) end end) for i = 1, 3 do inner() end end) outer()"
        )
        self.assertEqual(self.all_of(source), [b"1", b"2", b"3"])
        self.assertEqual(self.subjects(), [b"1", b"2", b"3"])

    def test_inside_c_functions(self) -> None:
        """Inside a function called from C, delivery waits until that has returned."""
        source = BUSY + "local s = ('abc'):gsub('.', function(c) send(c, c) work() end) work() send('d', 1)"
        self.assertEqual(self.all_of(source), [b"a", b"b", b"c", b"d"])
        source = BUSY + (
            "local c = coroutine.wrap(function() while true do send('x', 1) work() coroutine.yield() end end) "
            "table.sort({ 3, 2, 1 }, function(a, b) c() return a < b end) send('d', 1)"
        )
        subjects = self.all_of(source)
        self.assertEqual(subjects, [b"x"] * (len(subjects) - 1) + [b"d"])
        self.assertGreater(len(subjects), 2)

    def test_failed_script(self) -> None:
        """Messages before an error, an exit or a limit are delivered once."""
        self.use(timeout=1500, sends=3)  # the machine may be busy
        for end in ("error 'x'", "os.exit(1)", "while true do end", "send('c', 3) send('d', 4) send('e', 5)"):
            subjects = self.all_of(BUSY + f"send('a', 1) work() send('b', 2) {end}")
            self.assertEqual(subjects, [b"a", b"b", b"c"] if "send" in end else [b"a", b"b"])

    def test_nothing_left_for_the_next_run(self) -> None:
        """Nothing remains for the next run."""
        for _ in range(3):
            self.assertEqual(self.all_of(BUSY + "send('a', 1) work() send('b', 2)"), [b"a", b"b"])
            self.assertEqual(self.all_of("send('c', 1)"), [b"c"])


class TrustedTests(DeliveryCase):
    """Functions of trusted scripts."""

    options = TRUSTED

    def test_before_a_program(self) -> None:
        """Messages are delivered before a program is started."""
        self.outcome("send('a', 1) print 'x' os.execute('true') send('b', 2)")
        for _ in range(3):
            self.deliveries.clear()
            last = self.outcome_of("script")
            self.assertEqual(self.subjects()[:1], [b"a"])
            self.assertEqual(self.subjects(last), [b"a", b"b"])
            self.assertEqual(self.lines(), [b"x"])

    def test_complete_lines(self) -> None:
        """Output is delivered in complete lines."""
        last = self.outcome("io.write('a', 'b') os.execute('true') io.write('c\\nd') os.execute('true') io.write('e')")
        self.assertEqual(self.lines(), [b"abc"])
        self.assertEqual(self.lines(last), [b"abc", b"de"])


class RefusedDeliveryTests(DeliveryCase):
    """A worker that accepts nothing before the end of a script."""

    is_accepted = False
    options = SANDBOXED

    def test_all_at_the_end(self) -> None:
        """Everything is delivered when the script has ended, in order."""
        for _ in range(3):
            source = BUSY + "for i = 1, 3 do send(i, i) print(i) alaska.log.info(i) work() end"
            outcome = self.outcome(source)
            self.assertEqual(self.subjects(outcome), [b"1", b"2", b"3"])
            self.assertEqual(sorted(self.lines(outcome)), [b"1", b"1", b"2", b"2", b"3", b"3"])
