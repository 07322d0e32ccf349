"""The output of scripts in the worker's log."""

from __future__ import annotations

from twisted.logger import LogLevel

from alaska.lua.request import LogLine, Outcome, Request
from alaska.worker.output import Output
from tests.network_case import LogCase


def request(tracker: bytes = b"t-1", subject: bytes = b"job") -> Request:
    """Return a request."""
    return Request(b"me", b"default", subject, tracker, ())


class OutputTests(LogCase):
    """Lines and their prefixes."""

    def setUp(self) -> None:
        super().setUp()
        self.output = Output()

    def test_name(self) -> None:
        """Each line begins with service, subject and tracker, with control characters escaped."""
        self.output.write(request(), Outcome(output=b"one\ntwo\n"))
        self.output.write(request(b"\n\x1b", b"a\nb"), Outcome(output=b"three"))
        expected = ["default/job t-1: one", "default/job t-1: two", r"default/a\nb \n\x1b: three"]
        self.assertEqual(self.logged(), expected)

    def test_nothing_breaks_a_line(self) -> None:
        """Only a line feed ends a line; control characters other than tabs and invalid UTF-8 are escaped."""
        self.output.write(request(), Outcome(output=b"a\tb\r\x1b[0m\xe2\x80\xa8\xff\n\n"))
        text = "a\tb" + r"\r\x1b[0m\u2028\xff"
        self.assertEqual(self.logged(), [f"default/job t-1: {text}", "default/job t-1: "])

    def test_order_and_levels(self) -> None:
        """Printed and logged lines keep their order, and each line has its level."""
        log = (LogLine("print", b"one\n"), LogLine("warn", b"two\nlines"), LogLine("error", b"three"))
        self.output.write(request(), Outcome(output=b"four\n", log=log))
        texts = [line.removeprefix("default/job t-1: ") for line in self.logged()]
        self.assertEqual(texts, ["one", r"two\nlines", "three", "four"])
        levels = [event["log_level"] for event in self.events]
        self.assertEqual(levels, [LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.info])

    def test_without_tracker(self) -> None:
        """A request without a tracker has a number, the same until it has ended."""
        one, two = request(b""), request(b"")
        for each in (one, two, one):
            self.output.write(each, Outcome(output=b"x"))
        self.output.ended(one)
        self.output.ended(two)
        self.output.write(one, Outcome(output=b"x"))
        numbers = [line.split()[1] for line in self.logged()]
        self.assertEqual(numbers, ["#1:", "#2:", "#1:", "#3:"])

    def test_nothing(self) -> None:
        """A script without output logs nothing."""
        self.output.write(request(), Outcome())
        self.assertEqual(self.logged(), [])
