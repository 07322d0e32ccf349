"""The worker's answers to encoded calls of running scripts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.lua.questions import ERROR, NONE, OK, Frames, pack, unpack
from alaska.lua.request import Request
from alaska.store.kv import KeyValues
from alaska.traces.context import RunTrace, TraceContext
from alaska.worker.calls import MOST_REQUESTS, Calls, to_value
from alaska.worker.requester import MOST_FRAMES
from tests.asking import AnswersEach

REQUEST = Request(b"sender", b"default", b"job", b"", ())


def texts(*texts: bytes) -> bytes:
    """Return texts as Lua encodes them."""
    return b"".join(b"%d:%s" % (len(text), text) for text in texts)


class CallsTests(AnswersEach, SynchronousTestCase):
    """Calls and answers."""

    def setUp(self) -> None:
        self.kv = KeyValues(None)
        self.addCleanup(self.kv.close)
        self.asked: list[tuple[bytes, bytes, bytes, float]] = []
        self.traces: list[object] = []
        self.frames: Frames = (b"answer",)
        self.calls = Calls(self.kv, self, lambda: 0.0)

    def ask(self, service: bytes, subject: bytes, content: bytes, seconds: float, trace: object = None) -> Frames:
        """Record a request to another service, and answer it."""
        self.asked.append((service, subject, content, seconds))
        self.traces.append(trace)
        return (OK, *self.frames)

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

    def test_several_requests(self) -> None:
        """Several requests are sent at once, each with its own timeout, that of the call, and that of the script."""
        requests = texts(b"svc", b"a", b"2", b"2", b"x", b"y") + texts(b"svc", b"b", b"", b"1", b"")
        for left, timeout, seconds in ((b"", b"", [2.0, 5.0]), (b"", b"9", [2.0, 9.0]), (b"1", b"9", [1.0, 1.0])):
            self.asked.clear()
            answer = self.answer(left, b"request.all", timeout, requests)
            self.assertEqual(answer, (OK, OK, b"1", b"answer", OK, b"1", b"answer"))
            self.assertEqual([asked[:3] for asked in self.asked], [(b"svc", b"a", b"xy"), (b"svc", b"b", b"")])
            self.assertEqual([asked[3] for asked in self.asked], seconds)

    def test_several_requests_to_the_broker(self) -> None:
        """If one of several requests is not allowed, none is sent."""
        requests = texts(b"svc", b"a", b"", b"1", b"") + texts(b"alaska.letters", b"list", b"", b"1", b"")
        self.assertEqual((self.answer(b"", b"request.all", b"", requests)[0], self.asked), (ERROR, []))

    def test_frames_of_several_answers(self) -> None:
        """Answers that have too many frames together are refused, from the one on that exceeds the limit."""
        self.frames = (b"f",) * (MOST_FRAMES - 1)
        answer = self.answer(b"", b"request.all", b"", texts(b"svc", b"a", b"", b"1", b"") * 2)
        self.assertEqual(answer[: MOST_FRAMES + 2], (OK, OK, b"999", *self.frames))
        self.assertEqual(answer[-3:], (NONE, b"1", b"the answers have more than 1000 frames together"))

    def test_malformed_requests(self) -> None:
        """A list of requests that Lua would not send is an error, whatever is wrong with it."""
        one = texts(b"svc", b"a", b"", b"1", b"")
        malformed = (b"x", b"5:abc", b"-1:", one + b"1:", texts(b"svc"), one * (MOST_REQUESTS + 1), b"9" * 99)
        for octets in malformed:
            self.assertEqual((self.answer(b"", b"request.all", b"", octets)[0], self.asked), (ERROR, []))
        self.assertEqual(len(self.flushLoggedErrors()), len(malformed))

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
