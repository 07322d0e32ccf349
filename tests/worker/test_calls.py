"""What a running script asks of its worker: the questions as octets, and their answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.lua.questions import ERROR, OK, Frames, pack, unpack
from alaska.lua.request import Request
from alaska.store.kv import KeyValues
from alaska.worker.calls import Calls, to_value

REQUEST = Request(b"sender", b"default", b"job", b"", ())


class CallsTests(SynchronousTestCase):
    """Questions and answers."""

    def setUp(self) -> None:
        self.kv = KeyValues(None)
        self.addCleanup(self.kv.close)
        self.asked: list[tuple[bytes, bytes, bytes, float]] = []
        self.calls = Calls(self.kv, self, lambda: 0.0)

    def ask(self, service: bytes, subject: bytes, content: bytes, seconds: float) -> Frames:
        """Note what is asked."""
        self.asked.append((service, subject, content, seconds))
        return OK, b"answer"

    def answer(self, *frames: bytes) -> Frames:
        """Return the answer to a question."""
        return unpack(self.calls(REQUEST, pack(frames)))

    def test_time_that_is_left(self) -> None:
        """A question to a service waits as long as it says, and never longer than the request's time."""
        for left, timeout in ((b"", b"5"), (b"2.5", b"5"), (b"9", b"5"), (b"-1", b"5")):
            self.assertEqual(self.answer(left, b"request", b"svc", b"job", b"x", timeout), (OK, b"answer"))
        self.assertEqual([seconds for *_, seconds in self.asked], [5.0, 2.5, 5.0, 0.0])

    def test_brokers_own_services(self) -> None:
        """A script in the sandbox may not ask what is the broker's own; one that is trusted may."""
        for service in (b"alaska.letters", b"Alaska.Letters", b"alaska.whatever"):
            word, text = self.answer(b"", b"request", service, b"list", b"", b"5")
            self.assertEqual((word, self.asked), (ERROR, []))
            self.assertIn(b"worker/scripts/sandbox", text)
        self.calls = Calls(self.kv, self, lambda: 0.0, is_sandboxed=False)
        self.assertEqual(self.answer(b"", b"request", b"alaska.letters", b"list", b"", b"5"), (OK, b"answer"))

    def test_numbers_of_any_size(self) -> None:
        """A whole number that fits no store is kept as a fraction, and not refused."""
        self.answer(b"", b"kv.set", b"key", b"i9223372036854775808", b"")
        self.assertEqual(self.answer(b"", b"kv.get", b"key"), (OK, b"d9.223372036854776e+18"))

    def test_no_question(self) -> None:
        """What is no question is answered by an error and logged, and nothing is raised."""
        for octets in (b"", b"\xc1", pack(()), pack((b"", b"unknown")), pack((b"", b"kv.get"))):
            self.assertEqual(unpack(self.calls(REQUEST, octets))[0], ERROR)
        self.assertEqual(len(self.flushLoggedErrors()), 5)

    def test_last_good_version(self) -> None:
        """What one runner has said of a script's last good version, another is told."""
        self.assertEqual(self.answer(b"", b"good.get"), (OK,))
        self.answer(b"", b"good.set", b"1 2 3 4", b"path", b"source")
        self.assertEqual(self.answer(b"", b"good.get"), (OK, b"1 2 3 4", b"path", b"source"))

    def test_last_good_version_of_another(self) -> None:
        """Who runs a request can read and replace no version but that of the script which serves it."""
        self.answer(b"", b"good.set", b"1 2 3 4", b"path", b"source")
        other = REQUEST._replace(subject=b"other")
        self.assertEqual(unpack(self.calls(other, pack((b"", b"good.get")))), (OK,))
        self.calls(other, pack((b"", b"good.set", b"5 6 7 8", b"elsewhere", b"planted")))
        self.assertEqual(self.answer(b"", b"good.get"), (OK, b"1 2 3 4", b"path", b"source"))


class ValueTests(SynchronousTestCase):
    """Values as scripts write them."""

    def test_numbers(self) -> None:
        """A number has no more digits than Lua writes."""
        self.assertEqual([to_value(octets) for octets in (b"i7", b"d0.5", b"stext")], [7, 0.5, b"stext"])
        with self.assertRaises(ValueError):
            to_value(b"i" + b"9" * 5000)
