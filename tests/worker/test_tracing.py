"""Spans of a worker: the runs of scripts, what they send, and confirmations."""

from __future__ import annotations

from typing import Any

from alaska.client import Delivery
from alaska.errors import ScriptError
from alaska.lua.questions import PARTIAL, pack
from alaska.lua.request import Mark, Outcome, Send, SendKind
from alaska.lua.values import OUTCOMES
from alaska.traces.context import TraceContext
from alaska.traces.service import Recording
from alaska.worker.service import WorkerService
from tests.traces.spans_case import (
    CONTEXT,
    NOT_INSTALLED,
    NOT_SAMPLED,
    SPAN,
    TRACE,
    Recorded,
    attributes,
    id_of,
    parent_of,
)
from tests.worker.worker_case import ServedCase, mail, reply


class TracingCase(ServedCase):
    """A worker that records spans, and a requester."""

    skip = NOT_INSTALLED

    def setUp(self) -> None:
        self.recorded = Recorded()
        self.addCleanup(self.recorded.provider.sdk.shutdown)
        super().setUp()
        self.got: list[Delivery] = []
        self.box = self.client("box", self.got.append, credit=100)
        self.box.offer("svc")
        self.box.consume("st")

    def make_worker(self, **settings: Any) -> WorkerService:
        """Make a worker that records spans."""
        recording = Recording(self.reactor, "test")
        recording.provider = self.recorded.provider
        worker = super().make_worker(**settings)
        worker._recording = recording
        return worker

    def traced(self, trace: TraceContext | None = CONTEXT) -> None:
        """Start the worker, and run a request with this context."""
        self.start()
        self.box.send_for("default", "job", b"four", tracker="T", trace=trace)
        self.network.run()
        self.run_scripts()
        self.pass_time(1.0)


class RunTests(TracingCase):
    """The span of a run."""

    def test_tree(self) -> None:
        """A run is a child of the sender's span, and what it sends and its confirmation are children of the run."""
        sends = [Send(kind, topic, b"x", (b"",), b"LU") for kind, topic in (
            (SendKind.MAILBOX, b"box"), (SendKind.SERVICE, b"svc"), (SendKind.STREAM, b"st"),
        )]  # fmt: skip
        self.script(b"job", *sends, reply(b"r"))
        self.traced()
        run = self.recorded.one("process default")
        self.assertEqual((parent_of(run), [b"%016x" % link.context.span_id for link in run.links]),
                         (SPAN.encode(), [SPAN.encode()]))  # fmt: skip
        rest = [span for span in self.recorded.spans if span is not run]
        names = sorted(span.name for span in rest)
        self.assertEqual(names, ["send box", "send box", "send st", "send svc", "settle default"])
        self.assertEqual({parent_of(span) for span in rest}, {id_of(run)})
        self.assertEqual({span.context.trace_id for span in self.recorded.spans if span.context}, {int(TRACE, 16)})
        sent = {id_of(span) for span in rest if span.name.startswith("send")}
        self.assertEqual({delivery.trace.span_id for delivery in self.got if delivery.trace}, sent)

    def test_script_sees_its_span(self) -> None:
        """The script has the id of its own span, and the tracestate of the sender."""
        self.script(b"job")
        self.traced()
        (request,) = self.scripts.requests
        assert request.trace is not None
        context = request.trace.context
        self.assertEqual((context.span_id, context.tracestate), (id_of(self.recorded.one("process default")), b"a=b"))
        self.assertEqual((request.trace.is_recorded, request.trace.created), (True, CONTEXT))

    def test_attributes(self) -> None:
        """A run and its confirmation have the attributes of the conventions."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        self.script(b"job")
        self.traced()
        run, settled = self.recorded.one("process default"), self.recorded.one("settle default")
        self.assertEqual((run.kind, settled.kind), (SpanKind.CONSUMER, SpanKind.CLIENT))
        message = {
            "messaging.system": "alaska",
            "messaging.destination.name": "default",
            "messaging.message.id": "T",
            "messaging.message.conversation_id": "T",
            "messaging.alaska.subject": "job",
            "server.address": "127.0.0.1",
            "server.port": 9999,
        }
        one, other = (
            {f"messaging.operation.{part}": name for part in ("name", "type")} for name in ("process", "settle")
        )
        size = {"messaging.message.body.size": 4, "messaging.alaska.attempt": 1}
        self.assertEqual(attributes(run), {**message, **one, **size})
        self.assertEqual(attributes(settled), {**message, **other, "messaging.alaska.status": 200})
        for span in (run, settled):
            self.assertTrue(str((span.attributes or {})["messaging.client.id"]).startswith("AW::"))

    def test_times(self) -> None:
        """A run lasts as long as its script ran, and at most since its request arrived."""
        for reported, least, most in ((0.0, 0.0, 0.1), (1e-6, 0.9e-6, 1.0), (1e9, 0.0, 60.0), (float("nan"), 0.0, 0.1)):
            self.scripts.outcomes[b"job"] = Outcome(seconds=reported)
            self.traced() if self.worker.running == 0 else self.again()
            run = self.recorded.named("process default")[-1]
            assert run.end_time is not None
            assert run.start_time is not None
            self.assertTrue(least <= (run.end_time - run.start_time) / 1e9 <= most, (reported, run))

    def again(self) -> None:
        """Run another request."""
        self.box.send_for("default", "job", trace=CONTEXT)
        self.network.run()
        self.run_scripts()

    def test_root(self) -> None:
        """A request without a context begins a trace."""
        self.script(b"job", mail())
        self.traced(None)
        run, sent = self.recorded.one("process default"), self.recorded.one("send box")
        self.assertEqual((parent_of(run), list(run.links), parent_of(sent)), (None, [], id_of(run)))

    def test_not_sampled(self) -> None:
        """A trace that is not sampled is passed on, and nothing is recorded."""
        self.script(b"job", mail())
        self.traced(NOT_SAMPLED)
        self.assertEqual(self.recorded.spans, [])
        (delivery,) = self.got
        assert delivery.trace is not None
        self.assertEqual((delivery.trace.trace_id, delivery.trace.flags & 1), (TRACE.encode(), 0))

    def test_error(self) -> None:
        """A failed run has the class of its error, and its confirmation the status."""
        self.script(b"job", error=ScriptError("it broke"))
        self.traced()
        run, settled = self.recorded.one("process default"), self.recorded.one("settle default")
        self.assertEqual((attributes(run)["error.type"], run.status.description), ("ScriptError", "it broke"))
        self.assertEqual((attributes(settled)["error.type"], settled.status.is_ok), ("502", False))
        self.assertEqual(parent_of(self.recorded.one("send aw.err")), id_of(run))

    def test_limit(self) -> None:
        """If a limit ended the script, the type of the error is the limit."""
        self.script(b"job", error=ScriptError("too long", limit="worker/scripts/timeout"))
        self.traced()
        self.assertEqual(attributes(self.recorded.one("process default"))["error.type"], "worker/scripts/timeout")

    def test_retries(self) -> None:
        """Each run of a request has a span of its own, and is settled: it is put off, or ends."""
        self.worker = self.make_worker(errors_retries=1)
        self.scripts.outcomes[b"job"] = Outcome(error=ScriptError("failed"), seconds=2e-6)
        self.traced()
        self.pass_time(5.0)
        self.run_scripts()
        self.pass_time(1.0)
        first, second = self.recorded.named("process default")
        self.assertEqual([attributes(run)["messaging.alaska.attempt"] for run in (first, second)], [1, 2])
        self.assertEqual({parent_of(run) for run in (first, second)}, {SPAN.encode()})
        settled = self.recorded.named("settle default")
        self.assertEqual([parent_of(each) for each in settled], [id_of(first), id_of(second)])
        self.assertEqual([attributes(each)["messaging.alaska.status"] for each in settled], [300, 502])
        self.assertEqual([(run.end_time or 0) - (run.start_time or 0) for run in (first, second)], [2000, 2000])

    def test_request_of_a_script(self) -> None:
        """A request of a script is a child of its run."""
        self.script(b"job")
        self.start()
        self.box.send_for("default", "job", trace=CONTEXT)
        self.network.run()
        self.pool.begin()
        client = self.worker._make_requester(lambda _delivery: None)
        client.connect()
        self.network.run()
        (request,) = self.pool.unfinished()
        assert request.trace is not None
        client.ask("svc", "x", trace=request.trace.context)
        self.network.run()
        (asked,) = self.got
        assert asked.trace is not None
        self.assertEqual(asked.trace.trace_id, TRACE.encode())
        client.close()


class MarkTests(TracingCase):
    """What scripts add to their spans."""

    def test_attributes_and_events(self) -> None:
        """Attributes and events are in the span, with the types of their values, and do not replace ours."""
        marks = (
            Mark(b"", 0.0, ((b"n", b"i7"),)),
            Mark(b"", 0.0, ((b"f", b"d0.5"),)),
            Mark(b"", 0.0, ((b"b", b"b1"),)),
            Mark(b"", 0.0, ((b"messaging.system", b"sother"),)),
            Mark(b"one", 0.0, ((b"a", b"stext"),)),
            Mark(b"", 0.0, ((b"bad", b"x"), (b"large", b"i99999999999999999999"), (b"word", b"iabc"), (b"", b"i1"))),
        )
        self.scripts.outcomes[b"job"] = Outcome(marks=marks)
        self.traced()
        run = self.recorded.one("process default")
        found = attributes(run)
        self.assertEqual([found.get(name) for name in ("n", "f", "b", "messaging.system")], [7, 0.5, True, "alaska"])
        self.assertEqual([name for name in ("bad", "large", "word", "") if name in found], [])
        self.assertEqual([(event.name, dict(event.attributes or {})) for event in run.events], [("one", {"a": "text"})])
        assert run.start_time is not None
        assert run.end_time is not None
        self.assertTrue(run.start_time <= run.events[0].timestamp <= run.end_time)

    def test_partial(self) -> None:
        """What a script adds before its end is in its span, in order, and limited."""
        self.script(b"job")
        self.scripts.partial = Outcome(marks=(Mark(b"first", 0.0, ()),) * 100)
        self.scripts.after_partial = self.call_again
        self.scripts.outcomes[b"job"] = Outcome(marks=(Mark(b"last", 0.0, ()),) * 100)
        self.traced()
        names = [event.name for event in self.recorded.one("process default").events]
        self.assertEqual((len(names), names[0]), (128, "first"))

    def call_again(self) -> None:
        """Pass on another partial result."""
        assert self.scripts.call is not None
        partial = pack((b"", PARTIAL, OUTCOMES.encode(Outcome(marks=(Mark(b"second", 0.0, ()),) * 20))))
        self.scripts.call(self.scripts.requests[-1], partial)
