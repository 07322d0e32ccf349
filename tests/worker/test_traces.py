"""Trace contexts: from the sender through a request to what its script sends, answers and asks."""

from __future__ import annotations

from alaska.client import Delivery
from alaska.lua.request import Outcome, Send, SendKind
from alaska.traces.context import RunTrace, TraceContext
from tests.worker.worker_case import ServedCase, mail, reply

CONTEXT = TraceContext(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"a=b")


class PassingOnTests(ServedCase):
    """A worker that records no spans."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = []
        self.box = self.client("box", deliver=self.got.append)
        self.box.offer("svc")
        self.box.consume("st")

    def traced(self, trace: TraceContext | None = CONTEXT) -> None:
        """Start the worker, and run a request with this context."""
        self.start()
        self.box.send_for("default", "job", trace=trace)
        self.network.run()
        self.run_scripts()

    def test_messages(self) -> None:
        """Mail, requests, messages of streams and replies have the context of the request."""
        sends = [Send(kind, topic, b"x", (b"",), b"LU") for kind, topic in (
            (SendKind.MAILBOX, b"box"), (SendKind.SERVICE, b"svc"), (SendKind.STREAM, b"st"),
        )]  # fmt: skip
        self.script(b"job", *sends, reply(b"r"))
        self.traced()
        self.assertEqual([delivery.trace for delivery in self.got], [CONTEXT] * 4)

    def test_request(self) -> None:
        """The request of a script has its context, and its run shows the script the same."""
        self.script(b"job", mail())
        self.traced()
        self.assertEqual([request.trace for request in self.scripts.requests], [RunTrace(CONTEXT, CONTEXT)])

    def test_partial(self) -> None:
        """What a script sends while it runs has the context, too."""
        self.script(b"job")
        self.scripts.partial = Outcome((mail(),))
        self.traced()
        self.assertEqual([delivery.trace for delivery in self.got], [CONTEXT])

    def test_error_mail(self) -> None:
        """Mail about a failed script has the context."""
        mails = self.mailbox("aw.err")
        self.script(b"job", error="failed")
        self.traced()
        self.assertEqual([delivery.trace for delivery in mails], [CONTEXT])

    def test_no_context(self) -> None:
        """Without a context, with a malformed one, or with headers alone, messages have none."""
        self.script(b"job", mail())
        self.traced(None)
        for trace in (TraceContext(b"00-xyz"), TraceContext(b"ff" + CONTEXT.traceparent[2:])):
            self.box.send_for("default", "job", trace=trace)
        self.box.send_for("default", "job", headers={"traceparent": CONTEXT.traceparent})
        self.network.run()
        self.run_scripts()
        self.assertEqual([delivery.trace for delivery in self.got], [None] * 4)
        self.assertEqual({request.trace for request in self.scripts.requests}, {None})

    def test_sender_without_connection(self) -> None:
        """Messages that wait for the connection of their sender name keep their context."""
        self.script(b"job", *(mail(sender=b"N%d" % number) for number in range(12)))
        self.traced()
        self.pass_time(1.0)
        self.assertEqual([delivery.trace for delivery in self.got], [CONTEXT] * 12)
