"""The text of trace contexts: what is read, what is dropped, and what is passed on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.mlm.commands import Properties
from alaska.traces.context import (
    MOST_STATE_OCTETS,
    RunTrace,
    TraceContext,
    add_to,
    of_properties,
    of_run,
    read,
)

TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
PARENT = b"00-" + TRACE + b"-" + SPAN + b"-01"
_HEX = st.text("0123456789abcdef", min_size=0, max_size=34)


def state(tracestate: object) -> bytes:
    """Return what is passed on of a tracestate."""
    found = read(PARENT, tracestate)
    assert found is not None
    return found.tracestate


class ParentTests(SynchronousTestCase):
    """Traceparent."""

    def test_valid(self) -> None:
        """A valid context is read from octets and from text, with its parts."""
        for value in (PARENT, PARENT.decode()):
            found = read(value)
            self.assertEqual(found, TraceContext(PARENT))
            assert found is not None
            self.assertEqual((found.trace_id, found.span_id, found.flags), (TRACE, SPAN, 1))

    def test_malformed(self) -> None:
        """Anything that the grammar does not allow is dropped."""
        for value in (
            b"", None, 7, b"x", PARENT.upper(), PARENT[:-1], PARENT + b"0", PARENT + b"-00", PARENT + b"\n",
            b" " + PARENT, PARENT + b" ", PARENT.replace(b"-", b"_"), PARENT.replace(b"0af", b"0ag"),
            PARENT.replace(TRACE, b"0" * 32), PARENT.replace(SPAN, b"0" * 16), b"ff" + PARENT[2:],
            PARENT + b", " + PARENT, PARENT.decode().replace("0af", "\u0660af"),
        ):  # fmt: skip
            self.assertIsNone(read(value), value)

    def test_later_version(self) -> None:
        """The known fields of a later version are passed on as version 00, without flags that are not known."""
        for value in (b"cc" + PARENT[2:], b"cc" + PARENT[2:] + b"-what-ever"):
            self.assertEqual(read(value), TraceContext(PARENT))
        self.assertEqual(read(b"01" + PARENT[2:-2] + b"ff"), TraceContext(PARENT[:-2] + b"03"))
        for value in (b"cc" + PARENT[2:] + b"00", b"cc" + PARENT[2:] + b".x", b"cc" + PARENT[2:] + b"-" + b"x" * 9000):
            self.assertIsNone(read(value))

    def test_flags(self) -> None:
        """All flags of version 00 are passed on as they are."""
        self.assertEqual(read(PARENT[:-2] + b"fe"), TraceContext(PARENT[:-2] + b"fe"))

    @given(st.one_of(st.binary(max_size=70), _HEX.map(lambda text: f"00-{text}-{text[:16]}-01")))
    def test_any(self, value: object) -> None:
        """What is read is either nothing or valid."""
        found = read(value)
        self.assertTrue(found is None or read(found.traceparent) == found)


class StateTests(SynchronousTestCase):
    """Tracestate."""

    def test_valid(self) -> None:
        """Valid members are passed on in order, without spaces around them and empty ones."""
        self.assertEqual(state(b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
        self.assertEqual(state("a=b , \tc@d=e f,,0x@y= z"), b"a=b,c@d=e f,0x@y= z")

    def test_malformed(self) -> None:
        """A malformed list is dropped as a whole, and the traceparent is kept."""
        for value in (
            b"a", b"=b", b"a=", b"A=b", b"a=b=c", b"a=b,a=c", b"a=b\n", b"a=\xff", b"a b=c", b"0=a", b"a@B=c", b"a@=c",
            b",".join(b"k%d=v" % number for number in range(33)), b"a=" + b"v" * 257, b"k" * 257 + b"=v",
            b"x" * 9000, 7,
        ):  # fmt: skip
            self.assertEqual(state(value), b"", value)

    def test_long(self) -> None:
        """Of a list of more than 512 octets, large members are left out first, then those at the end."""
        small = [b"k%d=%b" % (number, b"v" * 60) for number in range(7)]
        large = b"large=" + b"x" * 200
        self.assertEqual(state(b",".join([large, *small])), b",".join(small))
        many = [b"k%d=%b" % (number, b"v" * 60) for number in range(20)]
        found = state(b",".join(many))
        self.assertEqual(found, b",".join(many[: found.count(b",") + 1]))
        self.assertTrue(MOST_STATE_OCTETS - 64 < len(found) <= MOST_STATE_OCTETS)

    @given(st.binary(max_size=600))
    def test_any(self, value: bytes) -> None:
        """What is passed on is read again as it is."""
        found = state(value)
        self.assertEqual(state(found), found)


class PropertyTests(SynchronousTestCase):
    """Contexts among the properties of a message."""

    def test_both_ways(self) -> None:
        """A context is written as two properties, and read from them; an empty tracestate is left out."""
        for context, keys in ((TraceContext(PARENT), 1), (TraceContext(PARENT, b"a=b"), 2)):
            properties: Properties = {}
            add_to(properties, context)
            self.assertEqual((of_properties(properties), len(properties)), (context, keys))

    def test_none(self) -> None:
        """Properties without a valid traceparent have no context."""
        self.assertIsNone(of_properties({"tracestate": b"a=b", "attempt": 1}))
        self.assertIsNone(of_properties({"traceparent": 7}))
        self.assertIsNone(of_run({"traceparent": b"x"}))

    def test_of_a_run(self) -> None:
        """A run without a span passes the context of its request on."""
        context = TraceContext(PARENT)
        self.assertEqual(of_run({"traceparent": PARENT}), RunTrace(context, context))
