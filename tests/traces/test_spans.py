"""Spans of the messages that clients send."""

from __future__ import annotations

from typing import Any, cast

from alaska import errors
from alaska.aio.client import new_address
from alaska.client import Client, Delivery
from tests.admin.messages_case import MessagesCase
from tests.network_case import NetworkCase
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


class SpansCase(NetworkCase):
    """A broker, a receiver, and a client that records spans."""

    skip = NOT_INSTALLED

    def setUp(self) -> None:
        super().setUp()
        from alaska.traces.spans import Spans  # noqa: PLC0415

        self.recorded = Recorded()
        self.spans = Spans(self.recorded.provider.sdk)
        self.start_broker()
        self.got: list[Delivery] = []
        self.box = self.client("box", self.got.append)
        self.box.offer("svc")
        self.box.consume("st")
        self.sender: Client = self.client("me", spans=self.spans, credit=0)
        self.network.run()

    def tearDown(self) -> None:
        self.recorded.provider.sdk.shutdown()


class SendTests(SpansCase):
    """One span for each message."""

    def test_all_kinds(self) -> None:
        """Each message has a producer span, a child of the given context, and carries the context of the span."""
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        self.sender.send_for("svc", "job", b"four", trace=CONTEXT)
        self.sender.send_to("box", "job", trace=CONTEXT)
        self.sender.publish("st", "job", trace=CONTEXT)
        self.sender.produce("st")
        self.sender.send("job", trace=CONTEXT)
        self.network.run()
        spans = self.recorded.spans
        self.assertEqual([span.name for span in spans], ["send svc", "send box", "send st", "send st"])
        carried = {delivery.trace.span_id for delivery in self.got if delivery.trace is not None}
        self.assertEqual((carried, len(self.got)), ({id_of(span) for span in spans}, 4))
        for delivery in self.got:
            assert delivery.trace is not None
            self.assertEqual((delivery.trace.trace_id, delivery.trace.tracestate), (TRACE.encode(), b"a=b"))
        self.assertEqual({(span.kind, parent_of(span)) for span in spans}, {(SpanKind.PRODUCER, SPAN.encode())})

    def test_attributes(self) -> None:
        """A span has the attributes of the conventions."""
        self.sender.send_for("svc", "job", b"four", b"5", tracker="T", trace=CONTEXT)
        span = self.recorded.one("send svc")
        self.assertEqual((span.attributes or {})["messaging.client.id"], "me")
        self.assertEqual(
            attributes(span),
            {
                "messaging.system": "alaska",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": "svc",
                "messaging.message.id": "T",
                "messaging.message.conversation_id": "T",
                "messaging.message.body.size": 5,
                "messaging.alaska.subject": "job",
                **self.server(),
            },
        )

    def server(self) -> dict[str, Any]:
        """Return the attributes of the broker."""
        from alaska.traces.spans import of_client  # noqa: PLC0415

        return of_client(self.sender.endpoint, "")

    def test_root(self) -> None:
        """Without a context, a message begins a trace, and is a child of the current span of the program."""
        self.sender.send_for("svc", "root")
        with self.spans.tracer.start_as_current_span("mine"):
            self.sender.send_for("svc", "child")
        root, child, mine = self.recorded.spans
        self.assertEqual((parent_of(root), parent_of(child)), (None, id_of(mine)))

    def test_not_sampled(self) -> None:
        """A trace that is not sampled is passed on and not recorded."""
        self.sender.send_for("svc", "job", trace=NOT_SAMPLED)
        self.network.run()
        (delivery,) = self.got
        assert delivery.trace is not None
        self.assertEqual((delivery.trace.trace_id, delivery.trace.flags & 1), (TRACE.encode(), 0))
        self.assertEqual(self.recorded.spans, [])

    def test_error(self) -> None:
        """The span of a message that cannot be sent has the type of the error; a call that is refused has no span."""
        self.assertRaises(errors.ValueTooLong, self.sender.send_for, "svc", "x" * 256)
        self.sender.close()
        self.pass_time(1.0)
        self.assertRaises(errors.NotConnected, self.sender.send_to, "box", "job")
        found = [attributes(span).get("error.type") for span in self.recorded.spans]
        self.assertEqual(found, ["NotConnected"])
        self.assertEqual({span.status.is_ok for span in self.recorded.spans}, {False})

    def test_mailbox_of_a_connection(self) -> None:
        """The address of one connection is an attribute, and not in the name of the span."""
        self.sender.send_to("AQ::host::123-0AF2", "job", tracker="T")
        (span,) = self.recorded.spans
        self.assertEqual(span.name, "send")
        found = attributes(span)
        self.assertEqual(found["messaging.destination.name"], "AQ::host::123-0AF2")
        self.assertTrue(found["messaging.destination.temporary"])
        self.assertEqual(found["messaging.message.conversation_id"], "T")
        self.assertNotIn("messaging.message.id", found)

    def test_mailbox_of_an_asyncio_client(self) -> None:
        """So is the address of a client for asyncio or a blocking one that has no name."""
        self.sender.send_to(new_address(), "job")
        self.assertEqual(self.recorded.spans[0].name, "send")

    def test_octets(self) -> None:
        """Names that are not UTF-8 are escaped."""
        self.sender.send_for(b"svc\xff", b"\xfe", tracker=b"\xfd")
        (span,) = self.recorded.spans
        self.assertEqual((span.name, attributes(span)["messaging.message.id"]), ("send svc\\xff", "\\xfd"))


class AskTests(SpansCase):
    """Requests whose sender waits for the reply."""

    def test_reply(self) -> None:
        """The span ends with the reply."""
        asked = self.sender.ask("svc", "job", trace=CONTEXT)
        self.network.run()
        self.assertEqual(self.recorded.spans, [])
        (request,) = self.got
        self.box.send_to(request.sender, "job", tracker=request.tracker)
        self.network.run()
        self.successResultOf(asked)
        span = self.recorded.one("send svc")
        assert request.trace is not None
        self.assertEqual((request.trace.span_id, span.status.is_ok), (id_of(span), True))

    def test_failure(self) -> None:
        """A request that is not answered has the type of the error; a call that is refused has no span."""
        asked = self.sender.ask("nobody", "job")
        self.pass_time(1.0)
        self.failureResultOf(asked, errors.Refused)
        self.assertRaises(errors.ValueTooLong, self.sender.ask, "svc", "x" * 256)
        found = [attributes(span).get("error.type") for span in self.recorded.spans]
        self.assertEqual(found, ["Refused"])

    def test_timeout(self) -> None:
        """A request without an answer in time has failed."""
        asked = self.sender.ask("svc", "job", timeout=1.0)
        self.pass_time(2.0)
        self.failureResultOf(asked)
        (span,) = self.recorded.spans
        self.assertIn("TimeoutError", cast("str", attributes(span)["error.type"]))


class HTTPTests(MessagesCase):
    """Messages by HTTP."""

    skip = NOT_INSTALLED

    def setUp(self) -> None:
        self.recorded = Recorded()
        self.addCleanup(self.recorded.provider.sdk.shutdown)
        super().setUp()

    def make_client(self, address: str, credit: int | None = 0, **options: Any) -> Client:
        """Return a client that records spans, if it is one of HTTP."""
        from alaska.traces.spans import Spans  # noqa: PLC0415

        if address in ("", "HTTP::1"):
            options["spans"] = Spans(self.recorded.provider.sdk)
        return super().make_client(address, credit, **options)

    def test_request(self) -> None:
        """A request by HTTP is a child of the context in its headers, and the worker gets the context of its span."""
        (request,) = self.requests_after("services/s%2F1/x?wait=1")
        span = self.recorded.one("send s/1")
        assert request.trace is not None
        self.assertEqual((parent_of(span), request.trace.span_id), (SPAN.encode(), id_of(span)))

    def test_without_worker(self) -> None:
        """The span of a request that waits for a worker has ended, without an error."""
        self.assertEqual(self.post("/api/v1/services/nobody/x").status, 202)
        self.assertNotIn("error.type", attributes(self.recorded.one("send nobody")))

    def requests_after(self, path: str) -> list[Delivery]:
        """Return what a worker has got after a request by HTTP with a trace context."""
        got = self.worker(200, b"reply")
        self.assertEqual(self.post(f"/api/v1/{path}", f"traceparent: {CONTEXT.traceparent.decode()}").status, 200)
        return got
