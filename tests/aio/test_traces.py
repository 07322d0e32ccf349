"""Trace contexts and spans of clients for asyncio, and of their services in Python."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from alaska import errors
from alaska.aio import Client, Delivery, Reject, Request, Snooze
from alaska.traces.context import TraceContext
from alaska.traces.current import current
from tests.aio.aio_case import AioCase, in_loop
from tests.traces.spans_case import CONTEXT, NOT_INSTALLED, NOT_SAMPLED, SPAN, TRACE, Recorded, id_of, parent_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class ContextTests(AioCase):
    """Without spans, messages carry the contexts that they are given."""

    async def received(self, client: Client, count: int) -> list[Delivery]:
        """Return the next mails."""
        inbox = client.inbox()
        return [await anext(inbox) for _ in range(count)]

    @in_loop
    async def test_given(self) -> None:
        """Mail, records and requests carry the context that the program gives, or none."""
        async with self.aio("me") as client, client.tail("st") as tail:
            await client.mail("me", "a", trace=CONTEXT)
            await client.mail("me", "b")
            await client.publish("st", "c", trace=CONTEXT)
            self.assertEqual([mail.trace for mail in await self.received(client, 2)], [CONTEXT, None])
            self.assertEqual((await anext(tail)).trace, CONTEXT)

    @in_loop
    async def test_continued(self) -> None:
        """What a function sends carries the context of its request, in the loop and in a thread; so does its answer."""
        async with self.aio("box") as client, self.aio() as sender:

            @client.service("loop")
            async def serve(request: Request) -> str:
                await sender.mail("box", "loop")
                return "answer"

            @client.service("thread")
            def serve_in_thread(request: Request) -> str:
                found = current()
                return "" if found is None else found.traceparent.decode()

            task = await self.serving(client)
            answer = await client.request("loop", "x", trace=CONTEXT)
            (mail,) = await self.received(client, 1)
            self.assertEqual((answer.trace, mail.trace), (CONTEXT, CONTEXT))
            self.assertEqual((await client.request("thread", "x", trace=CONTEXT)).text, CONTEXT.traceparent.decode())
            self.assertEqual((await client.request("loop", "x")).trace, None)
            self.assertEqual((await self.received(client, 1))[0].trace, None)
            await self.end(task)

    @in_loop
    async def test_given_to_a_function(self) -> None:
        """A function may give another context than that of its request."""
        async with self.aio("box") as client:

            @client.service("svc")
            async def serve(request: Request) -> None:
                await client.mail("box", "x", trace=NOT_SAMPLED)

            task = await self.serving(client)
            await client.request("svc", "x", trace=CONTEXT)
            self.assertEqual([mail.trace for mail in await self.received(client, 1)], [NOT_SAMPLED])
            await self.end(task)


class SpansCase(AioCase):
    """Clients that record spans."""

    skip = NOT_INSTALLED

    def setUp(self) -> None:
        super().setUp()
        from alaska.traces.spans import Spans  # noqa: PLC0415

        self.recorded = Recorded()
        self.spans = Spans(self.recorded.provider.sdk)

    def tearDown(self) -> None:
        self.recorded.provider.sdk.shutdown()

    def recording(self, address: str | None = None, **options: Any) -> Client:
        """Return a client that records spans."""
        return self.aio(address, spans=self.spans, **options)

    def described(self) -> list[tuple[str, str]]:
        """Return the names of the spans in the order in which they ended, and the statuses."""
        return [(span.name, span.status.status_code.name) for span in self.recorded.spans]


class SendTests(SpansCase):
    """What is sent has a span."""

    @in_loop
    async def test_all_kinds(self) -> None:
        """Each message has one span, a child of the given context, and carries its context."""
        async with self.recording("box") as client, client.tail("st") as tail:
            await client.mail("box", "job", b"four", trace=CONTEXT)
            await client.publish("st", "job", trace=CONTEXT)
            await client.track_to("box", "job", timeout=0.1, trace=CONTEXT)
            got = [await anext(client.inbox()), await anext(tail)]
        self.assertEqual([span.name for span in self.recorded.spans], ["send box", "send st", "send box"])
        self.assertEqual({parent_of(span) for span in self.recorded.spans}, {SPAN.encode()})
        carried = [(each.trace.trace_id, each.trace.span_id) for each in got if each.trace is not None]
        self.assertEqual(carried, [(TRACE.encode(), id_of(span)) for span in self.recorded.spans[:2]])
        found = self.recorded.spans[0].attributes or {}
        self.assertEqual((found["messaging.client.id"], found["messaging.message.body.size"]), ("box", 4))

    @in_loop
    async def test_current(self) -> None:
        """Without a context, a span is a child of the program's current span."""
        tracer = self.recorded.provider.sdk.get_tracer("program")
        async with self.recording() as client:
            with tracer.start_as_current_span("program"):
                await client.mail("box", "job")
        self.assertEqual(parent_of(self.recorded.one("send box")), id_of(self.recorded.one("program")))

    @in_loop
    async def test_room(self) -> None:
        """A message that waits for room in the send buffer has one span, without an error."""
        async with self.recording(most_messages=2) as client:
            for _ in range(5):
                await client.mail("box", "x")
        self.assertEqual(self.described(), [("send box", "UNSET")] * 5)

    @in_loop
    async def test_refused(self) -> None:
        """A request that is refused has a span with the error; one that waits for an offer ends when it is sent."""
        async with self.recording() as client:
            with self.assertRaises(errors.Refused):
                await client.request("nobody", "x")
            with self.assertRaises(errors.NoAnswer):
                await client.request("nobody", "x", needs_offer=False, timeout=0.1)
        self.assertEqual(self.described(), [("send nobody", "ERROR"), ("send nobody", "UNSET")])
        self.assertEqual((self.recorded.spans[0].attributes or {})["error.type"], "Refused")

    @in_loop
    async def test_wrong_argument(self) -> None:
        """A call that is refused because of an argument has no span."""
        async with self.recording() as client:
            with self.assertRaises(TypeError):
                await client.mail("box", "x", 5)  # type: ignore[arg-type]
        self.assertEqual(self.described(), [])


class ServeTests(SpansCase):
    """Functions that serve requests have spans."""

    async def serve(self, error: Exception | None = None) -> dict[str, ReadableSpan]:
        """Let a function that sends mail serve a request; return the spans by name."""
        async with self.aio("me") as sender, self.recording() as client:

            @client.service("svc")
            async def run(request: Request) -> str:
                await client.mail("box", "x")
                if error is not None:
                    raise error
                return "answer"

            task = await self.serving(client)
            with contextlib.suppress(errors.ClientError):
                self.answer = await sender.request("svc", "job", b"four", tracker="T", trace=CONTEXT, timeout=1)
            await self.end(task)
        return {span.name: span for span in self.recorded.spans}

    @in_loop
    async def test_spans(self) -> None:
        """A request has the spans process and settle; what its function sends is a child of process."""
        spans = await self.serve()
        self.assertEqual(list(spans), ["send box", "send me", "process svc", "settle svc"])
        process = spans["process svc"]
        self.assertEqual(parent_of(process), SPAN.encode())
        self.assertEqual({parent_of(spans[name]) for name in ("send box", "send me", "settle svc")}, {id_of(process)})
        assert self.answer.trace is not None
        self.assertEqual(self.answer.trace.span_id, id_of(spans["send me"]))
        self.assertEqual([f"{link.context.span_id:016x}" for link in process.links], [SPAN])

    @in_loop
    async def test_attributes(self) -> None:
        """The spans have the attributes of those of a worker."""
        spans = await self.serve()
        identity = {
            "messaging.system": "alaska",
            "messaging.destination.name": "svc",
            "messaging.alaska.subject": "job",
            "messaging.message.id": "T",
            "messaging.message.conversation_id": "T",
            "server.address": "127.0.0.1",
            "server.port": 9999,
        }
        operation = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
        measured = {"messaging.message.body.size": 4, "messaging.alaska.attempt": 1}
        self.assertEqual(dict(spans["process svc"].attributes or {}), identity | operation | measured)
        operation = {"messaging.operation.name": "settle", "messaging.operation.type": "settle"}
        self.assertEqual(
            dict(spans["settle svc"].attributes or {}), identity | operation | {"messaging.alaska.status": 200}
        )

    @in_loop
    async def test_failed(self) -> None:
        """A request that fails has the error in its span, and the status in that of its confirmation."""
        spans = await self.serve(Reject("no good"))
        self.assertEqual((spans["process svc"].attributes or {})["error.type"], "Reject")
        self.assertEqual(spans["process svc"].status.description, "no good")
        self.assertEqual((spans["settle svc"].attributes or {})["error.type"], "406")

    @in_loop
    async def test_snoozed(self) -> None:
        """A request that is put off is no error."""
        spans = await self.serve(Snooze(100, "later"))
        self.assertTrue(spans["process svc"].status.is_unset)

    @in_loop
    async def test_thread(self) -> None:
        """A function in a thread has the span as the current one."""
        async with self.recording() as client:

            @client.service("svc")
            def run(request: Request) -> str:
                with self.recorded.provider.sdk.get_tracer("program").start_as_current_span("inner"):
                    return "answer"

            task = await self.serving(client)
            await client.request("svc", "job")
            await self.end(task)
        self.assertEqual(parent_of(self.recorded.one("inner")), id_of(self.recorded.one("process svc")))

    @in_loop
    async def test_not_sampled(self) -> None:
        """A trace that is not recorded has no spans, and what the function sends says so."""
        async with self.aio("box") as sender, self.recording() as client:

            @client.service("svc")
            async def run(request: Request) -> None:
                await client.mail("box", "x")

            task = await self.serving(client)
            await sender.send_for("svc", "job", trace=NOT_SAMPLED)
            trace: TraceContext | None = (await anext(sender.inbox())).trace
            await self.end(task)
        assert trace is not None
        self.assertEqual((trace.trace_id, trace.flags, self.recorded.spans), (TRACE.encode(), 0, []))
