"""``alas send --lines`` and ``--json-lines``: what is sent, how fast, and what becomes of it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from datetime import datetime

import click
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from alaska.client import Client, Delivery
from alaska.commands.lines import Line, Reading, json_line, lines_of, plain_line
from alaska.commands.send import send
from alaska.commands.send_many import AGAIN_SECONDS, Bar, Counts, ManyClient, Plan, Pump
from alaska.mlm.states import State
from tests.commands.asking_case import AskingCase
from tests.commands.command_lines import options_of
from tests.network_case import ENDPOINT


class HandReading(Reading):
    """Lines that are there already."""

    def __init__(self, texts: list[bytes]) -> None:
        self.left: Iterator[Line] = lines_of(io.BytesIO(b"".join(text + b"\n" for text in texts)), json_line)

    def next(self) -> Deferred[Line | None]:
        """Return the next line."""
        return succeed(next(self.left, None))


class PumpCase(AskingCase):
    """Sends lines to a broker in memory."""

    def setUp(self) -> None:
        super().setUp()
        self.errors = io.TextIOWrapper(io.BytesIO())
        self.patch(sys, "stderr", self.errors)
        self.statuses: list[int] = []

    def pump(self, *texts: bytes, window: int = 10, until_end: bool = False, rate: float | None = None) -> Pump:
        """Begin to send lines of JSON."""
        plan = Plan("svc", "job", {}, window, until_end, rate)
        pump = Pump(self.reactor, plan, HandReading(list(texts)), lambda _counts: None)
        client = ManyClient(
            ENDPOINT, "alas", network=self.network, reactor=self.reactor, credit=0, confirmed=pump.confirmed
        )
        client.pump = pump
        connecting = client.connect()
        self.network.run()
        self.successResultOf(connecting)
        ensureDeferred(pump.run(client)).addCallback(self.statuses.append)
        return pump

    def worker(self) -> Client:
        """Return a worker that confirms all requests."""

        def take(delivery: Delivery) -> None:
            client.confirm(delivery)

        client: Client = self.client("worker", take, credit=100)
        return client

    def said(self) -> str:
        """Return what was printed to the standard error."""
        self.errors.buffer.seek(0)
        return self.errors.buffer.read().decode()

    def waiting(self) -> int:
        """Return how many requests wait for the service."""
        queue = next((each for each in self.queues.table.services() if each.name.address == b"svc"), None)
        return 0 if queue is None else queue.waiting


class PumpTests(PumpCase):
    """What is sent, and when it counts."""

    def test_all_are_sent(self) -> None:
        """Each line is a request, and the command ends when the broker has all of them."""
        pump = self.pump(*[b'{"content": "%d"}' % number for number in range(25)])
        self.run_on()
        self.assertEqual((self.statuses, pump.counts.confirmed, self.waiting()), ([0], 25, 25))

    def test_window(self) -> None:
        """No more than the window are unconfirmed; with --confirm ended, a request is confirmed when it has ended."""
        pump = self.pump(*[b"{}"] * 25, until_end=True)
        self.run_on()
        self.assertEqual((pump.counts.sent, self.waiting(), self.statuses), (10, 10, []))
        self.assertEqual(self.said().count("nobody offers the service svc: its requests wait"), 1)
        worker = self.worker()
        worker.offer("svc")
        self.run_on()
        self.assertEqual((pump.counts.confirmed, self.statuses), (25, [0]))

    def test_failed(self) -> None:
        """Requests that fail, and lines that are not valid, are counted and named; the status is 1."""
        worker = self.client("worker", lambda delivery: worker.confirm(delivery, 500, "oh"), credit=100)
        worker.offer("svc")
        pump = self.pump(b"{}", b"[", b'{"subjct": 1}', b'{"priority": 10}', until_end=True)
        self.run_on()
        self.assertEqual((self.statuses, pump.counts.sent, pump.counts.failed), ([1], 1, 4))
        self.assertIn("alas: line 1: oh (500)", self.said())
        self.assertIn("alas: line 3: it is not sent: Object contains unknown field `subjct`", self.said())

    def test_complaints_have_a_limit(self) -> None:
        """Only the first faults are printed."""
        self.pump(*[b"["] * 50)
        self.run_on()
        self.assertEqual(self.said().count("\n"), 11)

    def test_rate(self) -> None:
        """With a rate, requests are spread."""
        self.pump(*[b"{}"] * 30, window=100, rate=10.0)
        self.pass_time(1.0)
        self.assertTrue(8 <= self.waiting() <= 12, self.waiting())
        self.pass_time(2.5)
        self.assertEqual((self.waiting(), self.statuses), (30, [0]))

    def test_fields(self) -> None:
        """A line may name service, subject, headers and terms."""
        taken: list[Delivery] = []
        worker = self.client("worker", taken.append, credit=100)
        worker.offer("other")
        self.pump(b'{"service": "other", "subject": "s", "content": {"a": [1]}, "headers": {"k": "v"}, "id": "i"}')
        self.run_on()
        (delivery,) = taken
        self.assertEqual((delivery.subject, delivery.content), ("s", (b'{"a": [1]}',)))
        self.assertEqual({name: bytes(str(value), "utf-8") for name, value in delivery.headers.items()}.keys(), {"k"})

    def test_sent_again(self) -> None:
        """After a broken connection, what is not confirmed is sent again, and is not kept twice."""
        pump = self.pump(b"{}", b"{}", until_end=True)
        self.run_on()
        pump.reconnected()
        self.pass_time(AGAIN_SECONDS + 1)
        self.assertEqual((pump.counts.again, self.waiting()), (2, 2))
        worker = self.worker()
        worker.offer("svc")
        self.run_on()
        self.assertEqual((self.statuses, pump.counts.confirmed), ([0], 2))

    def test_interrupted(self) -> None:
        """That the broker does not answer is reported once, and that it does again."""
        pump = self.pump(b"{}")
        assert isinstance(pump._client, ManyClient)
        for _ in range(2):
            pump._client.interrupted(State.AWAY)
        pump.reconnected()
        self.assertEqual(
            self.said(),
            "alas: the broker does not answer; the sending goes on when it does\nalas: the broker answers again\n",
        )

    def test_beside_the_bar(self) -> None:
        """What is said while a bar is shown has a line of its own, and controls no terminal."""
        printed = io.StringIO()
        self.patch(sys, "stderr", printed)
        bar = Bar(100)
        bar.say("line 1: \x1b[2J " + "x" * 200)
        bar.end()
        self.assertIn("alas: line 1: \\x1b[2J " + "x" * 200 + "\n", printed.getvalue())

    def test_summary(self) -> None:
        """The summary has the counts and the rate."""
        counts = Counts()
        counts.sent = counts.confirmed = 10
        self.assertEqual(counts.summary(2.0, "done"), "10 sent, 10 done, 0 failed in 2.0 s, 5/s")


class LinesTests(SynchronousTestCase):
    """How lines are read."""

    def test_plain(self) -> None:
        """The content is the line without its end; empty lines are left out, and numbers are those of the file."""
        found = [(line.number, line.content) for line in lines_of(io.BytesIO(b"a\r\n\n b \nc"), plain_line)]
        self.assertEqual(found, [(1, b"a"), (3, b" b "), (4, b"c")])

    def test_too_long(self) -> None:
        """A line that is too long ends the reading."""
        self.patch(sys.modules["alaska.commands.lines"], "MOST_OCTETS", 3)
        (first, second) = lines_of(io.BytesIO(b"abc\nabcd\nx\n"), plain_line)
        self.assertEqual((first.content, second.fault[:16]), (b"abc", "it has more than"))

    @given(st.binary(max_size=60))
    def test_any_json(self, text: bytes) -> None:
        """Whatever the line is, it is a request or a fault."""
        self.assertIsInstance(json_line(1, 1, text), Line)

    def test_terms(self) -> None:
        """Times are numbers, or texts as options have them; what is wrong with a line names what it may have."""
        line = json_line(1, 1, b'{"delay": "90s", "ttl": "1.5h"}')
        self.assertEqual(line.terms, {"delay": 90.0, "ttl": 5400.0})
        at = json_line(1, 1, b'{"at": "2036-12-01T08:00Z"}').terms["at"]
        assert isinstance(at, datetime)
        self.assertEqual(at.timestamp(), 2111731200.0)
        for text, why in (
            (b'{"delay": "soon"}', "delay: it is not a duration, such as 90s"),
            (b'{"delay": "5s", "at": 1}', "either a delay or a time"),
            (b'{"topic": "x"}', "unknown field `topic`; a line may have content, service, subject, headers, id, delay"),
        ):
            self.assertIn(why, json_line(1, 1, text).fault)

    def test_deep_json(self) -> None:
        """So is one with so many brackets that they cannot be read."""
        self.assertTrue(json_line(1, 1, b'{"content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}").fault)

    def test_options(self) -> None:
        """What is only for many requests needs --lines; a file is no argument without it."""
        from alaska.commands.connection import take_connection  # noqa: PLC0415
        from alaska.commands.many_options import take_many  # noqa: PLC0415
        from alaska.commands.term_options import terms_of  # noqa: PLC0415

        for arguments, is_many in ((["f"], None), (["--rate", "5/s"], None), (["f", "--lines"], True), ([], False)):
            options = options_of(send, *arguments)
            take_connection(options, {})
            terms_of(options)
            if is_many is None:
                self.assertRaises(click.UsageError, take_many, options)
            else:
                self.assertEqual(take_many(options) is not None, is_many)
