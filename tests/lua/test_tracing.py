"""alaska.trace: the trace of a run, and what a script adds to its span."""

from __future__ import annotations

from typing import Any

from alaska.lua.request import Mark, Outcome, Request
from alaska.lua.values import OUTCOMES, REQUESTS
from alaska.traces.context import RunTrace, TraceContext
from tests.lua.lua_case import LuaCase

TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
PARENT = b"00-" + TRACE + b"-" + SPAN + b"-01"
CONTEXT = TraceContext(PARENT, b"a=b,c=d")
PASSED_ON = RunTrace(CONTEXT, CONTEXT)
RECORDED = RunTrace(CONTEXT, None, is_recorded=True)
SHOWN = "local t = alaska.trace print(t.traceparent, t.tracestate, t.trace_id, t.span_id, t.sampled)"


class TracingCase(LuaCase):
    """Runs scripts for requests with traces."""

    def served(self, source: str, trace: RunTrace | None = None) -> Outcome:
        """Run a script for a request with a trace."""
        self.write("script.lua", source)
        request = Request(b"me", b"default", b"script", b"t", (b"x",), trace=trace)
        return self.runner.run(self.scripts.find(b"script"), request)

    def marks(self, source: str, trace: RunTrace | None = RECORDED) -> list[tuple[bytes, Any]]:
        """Return the marks of a script without their times."""
        outcome = self.served(source, trace)
        self.assertIsNone(outcome.error)
        return [(mark.event, mark.attributes) for mark in outcome.marks]

    def refused(self, source: str) -> str:
        """Return the error of a script, which is the same with and without a span."""
        messages = {str(self.served(source, trace).error) for trace in (None, PASSED_ON, RECORDED)}
        (message,) = messages
        return message


class TraceTests(TracingCase):
    """The fields of alaska.trace."""

    def test_fields(self) -> None:
        """A script sees the trace of its run."""
        expected = b"\t".join((PARENT, b"a=b,c=d", TRACE, SPAN, b"true\n"))
        for trace in (PASSED_ON, RECORDED):
            self.assertEqual(self.served(SHOWN, trace).output, expected)

    def test_not_sampled(self) -> None:
        """Only the lowest flag means that the trace is sampled."""
        for flags, shown in ((b"00", b"false"), (b"01", b"true"), (b"02", b"false"), (b"ff", b"true")):
            context = TraceContext(PARENT[:-2] + flags)
            outcome = self.served("print(alaska.trace.sampled)", RunTrace(context, context))
            self.assertEqual(outcome.output, shown + b"\n")

    def test_none(self) -> None:
        """Without a trace, the fields are nil, also after a request that had one."""
        self.served(SHOWN, RECORDED)
        self.assertEqual(self.served(SHOWN).output, b"nil\tnil\tnil\tnil\tnil\n")

    def test_own_table(self) -> None:
        """Each run has its own table."""
        self.served("alaska.trace.set, alaska.trace.x = nil, 1", RECORDED)
        outcome = self.served("print(type(alaska.trace.set), alaska.trace.x)", RECORDED)
        self.assertEqual(outcome.output, b"function\tnil\n")

    def test_between_processes(self) -> None:
        """The trace of a request and the marks of an outcome pass the pipe of a child process unchanged."""
        for trace in (None, PASSED_ON, RECORDED):
            request = Request(b"me", b"default", b"script", b"t", (b"x",), trace=trace)
            self.assertEqual(REQUESTS.decode(REQUESTS.encode(request)), request)
        outcome = self.served("alaska.trace.event('e', { n = 1 })", RECORDED)
        self.assertEqual(OUTCOMES.decode(OUTCOMES.encode(outcome)), outcome)
        self.assertEqual(len(outcome.marks), 1)


class MarkTests(TracingCase):
    """alaska.trace.set and alaska.trace.event."""

    def test_attributes(self) -> None:
        """Attributes have the types of their values."""
        source = "local set = alaska.trace.set set('s', 'text') set('i', 7) set('f', 0.5) set('b', true) set(1, false)"
        expected = [(b"s", b"stext"), (b"i", b"i7"), (b"f", b"d0.5"), (b"b", b"b1"), (b"1", b"b0")]
        self.assertEqual(self.marks(source), [(b"", (pair,)) for pair in expected])

    def test_numbers(self) -> None:
        """Integers have no fraction, and numbers that are not finite are texts."""
        self.assertEqual(self.marks("alaska.trace.set('n', 2 ^ 62)")[0][1][0][1][:1], b"d")
        for number, expected in (("1 / 0", b"sinf"), ("-1 / 0", b"s-inf"), ("0.1", b"d0.10000000000000001")):
            self.assertEqual(self.marks(f"alaska.trace.set('n', {number})"), [(b"", ((b"n", expected),))])

    def test_events(self) -> None:
        """An event has a name, a time, and attributes if they are given."""
        marks = self.marks("alaska.trace.event('one', { a = 1 }) alaska.trace.event('two') alaska.trace.event('3', {})")
        self.assertEqual(marks, [(b"one", ((b"a", b"i1"),)), (b"two", ()), (b"3", ())])
        self.assertGreater(self.served("alaska.trace.event('e')", RECORDED).marks[0].seconds, 0.0)

    def test_no_span(self) -> None:
        """Without a span nothing is recorded."""
        for trace in (None, PASSED_ON):
            self.assertEqual(self.marks("alaska.trace.set('a', 1) alaska.trace.event('e')", trace), [])

    def test_in_order_with_messages(self) -> None:
        """Messages and log lines between marks are not affected."""
        outcome = self.served("alaska.trace.set('a', 1) sendTo('m', 'x') alaska.log.info('l') alaska.trace.event('e')",
                              RECORDED)  # fmt: skip
        self.assertEqual([send.subject for send in outcome.sends], [b"m"])
        self.assertEqual([line.text for line in outcome.log], [b"l"])
        self.assertEqual([mark.event for mark in outcome.marks], [b"", b"e"])

    def test_limits(self) -> None:
        """A run records at most 128 marks, and texts are cut at 1024 octets; the script goes on."""
        outcome = self.served(
            "for i = 1, 500 do alaska.trace.set('a' .. i, ('x'):rep(5000)) end print('end')", RECORDED
        )
        self.assertEqual((outcome.output, len(outcome.marks)), (b"end\n", 128))
        self.assertEqual({len(mark.attributes[0][1]) for mark in outcome.marks}, {1025})

    def test_bad_arguments(self) -> None:
        """Invalid arguments are errors, whether there is a span or not."""
        for source, text in (
            ("alaska.trace.set()", "the name must be a string or a number, not nil"),
            ("alaska.trace.set('a')", "a string, a number or a boolean is expected, got nil"),
            ("alaska.trace.set('a', {})", "a string, a number or a boolean is expected, got table"),
            ("alaska.trace.set(('x'):rep(256), 1)", "the name has 256 octets"),
            ("alaska.trace.event('')", "a name is expected"),
            ("alaska.trace.event('e', 1)", "table expected, got number"),
            ("alaska.trace.event('e', { a = {} })", "a boolean is expected, got table"),
            ("alaska.trace.event('e', { [{}] = 1 })", "the name of an attribute must be a string"),
            ("local t = {} for i = 1, 17 do t[i] = i end alaska.trace.event('e', t)", "more than 16 attributes"),
        ):
            message = self.refused(source)
            self.assertIn(text, message)
            self.assertIn("script.lua:1: ", message)
            self.assertNotIn("[alaska", message)

    def test_types(self) -> None:
        """Marks are plain values."""
        (mark,) = self.served("alaska.trace.set('a', 1)", RECORDED).marks
        self.assertIsInstance(mark, Mark)
