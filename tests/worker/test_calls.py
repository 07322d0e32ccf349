"""The worker's answers to encoded calls of running scripts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.lua.questions import ERROR, OK, Frames, pack, unpack
from alaska.lua.request import Request
from alaska.store.kv import KeyValues
from alaska.traces.context import RunTrace, TraceContext
from alaska.worker.calls import Calls, to_value

REQUEST = Request(b"sender", b"default", b"job", b"", ())


class CallsTests(SynchronousTestCase):
    """Calls and answers."""

    def setUp(self) -> None:
        self.kv = KeyValues(None)
        self.addCleanup(self.kv.close)
        self.asked: list[tuple[bytes, bytes, bytes, float]] = []
        self.traces: list[object] = []
        self.calls = Calls(self.kv, self, lambda: 0.0)

    def ask(self, service: bytes, subject: bytes, content: bytes, seconds: float, trace: object = None) -> Frames:
        """Record a request to another service, and answer it."""
        self.asked.append((service, subject, content, seconds))
        self.traces.append(trace)
        return OK, b"answer"

    def answer(self, *frames: bytes) -> Frames:
        """Return the answer to a call."""
        return unpack(self.calls(REQUEST, pack(frames)))

    def test_time_that_is_left(self) -> None:
        """The timeout of a request to another service is limited by the time that its script has left."""
        for left, timeout in ((b"", b"5"), (b"2.5", b"5"), (b"9", b"5"), (b"-1", b"5")):
            self.assertEqual(self.answer(left, b"request", b"svc", b"job", b"x", timeout), (OK, b"answer"))
        self.assertEqual([seconds for *_, seconds in self.asked], [5.0, 2.5, 5.0, 0.0])

    def test_trace(self) -> None:
        """A request to another service has the trace context of the run."""
        context = TraceContext(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        for request in (REQUEST, REQUEST._replace(trace=RunTrace(context, None))):
            self.calls(request, pack((b"", b"request", b"svc", b"job", b"x", b"5")))
        self.assertEqual(self.traces, [None, context])

    def test_time_limit(self) -> None:
        """No request waits longer than the time limit of scripts, whatever a hostile process says."""
        self.calls = Calls(self.kv, self, lambda: 0.0, limit=3.0)
        for left, timeout in ((b"", b"1e9"), (b"1e9", b"inf"), (b"nan", b"nan"), (b"", b"2")):
            self.assertEqual(self.answer(left, b"request", b"svc", b"job", b"x", timeout), (OK, b"answer"))
        self.assertEqual([seconds for *_, seconds in self.asked], [3.0, 3.0, 3.0, 2.0])

    def test_brokers_own_services(self) -> None:
        """Scripts in the sandbox cannot send requests to the broker's own services; other scripts can."""
        for service in (b"alaska.letters", b"Alaska.Letters", b"alaska.whatever"):
            word, text = self.answer(b"", b"request", service, b"list", b"", b"5")
            self.assertEqual((word, self.asked), (ERROR, []))
            self.assertIn(b"worker/scripts/sandbox", text)
        self.calls = Calls(self.kv, self, lambda: 0.0, is_sandboxed=False)
        self.assertEqual(self.answer(b"", b"request", b"alaska.letters", b"list", b"", b"5"), (OK, b"answer"))

    def test_numbers_of_any_size(self) -> None:
        """An integer that is too large for the store is stored as a float."""
        self.answer(b"", b"kv.set", b"key", b"i9223372036854775808", b"")
        self.assertEqual(self.answer(b"", b"kv.get", b"key"), (OK, b"d9.223372036854776e+18"))

    def test_malformed_call(self) -> None:
        """A malformed call is logged and answered by an error; nothing is raised."""
        for octets in (b"", b"\xc1", pack(()), pack((b"", b"unknown")), pack((b"", b"kv.get"))):
            self.assertEqual(unpack(self.calls(REQUEST, octets))[0], ERROR)
        self.assertEqual(len(self.flushLoggedErrors()), 5)

    def test_last_good_version(self) -> None:
        """The last good version that one runner has stored can be read by another."""
        self.assertEqual(self.answer(b"", b"good.get"), (OK,))
        self.answer(b"", b"good.set", b"1 2 3 4", b"path", b"source")
        self.assertEqual(self.answer(b"", b"good.get"), (OK, b"1 2 3 4", b"path", b"source"))

    def test_last_good_version_of_another(self) -> None:
        """A script cannot read or replace the last good version of another script."""
        self.answer(b"", b"good.set", b"1 2 3 4", b"path", b"source")
        other = REQUEST._replace(subject=b"other")
        self.assertEqual(unpack(self.calls(other, pack((b"", b"good.get")))), (OK,))
        self.calls(other, pack((b"", b"good.set", b"5 6 7 8", b"elsewhere", b"planted")))
        self.assertEqual(self.answer(b"", b"good.get"), (OK, b"1 2 3 4", b"path", b"source"))


class ValueTests(SynchronousTestCase):
    """Encoded values."""

    def test_numbers(self) -> None:
        """Numbers with more digits than Lua writes are refused."""
        self.assertEqual([to_value(octets) for octets in (b"i7", b"d0.5", b"stext")], [7, 0.5, b"stext"])
        with self.assertRaises(ValueError):
            to_value(b"i" + b"9" * 5000)
