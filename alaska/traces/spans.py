"""Spans of messages, by OpenTelemetry's semantic conventions for messaging. Imported only where spans are wanted.

A message has the context of the span that sends it. Spans have their parents as arguments. The context variables of
OpenTelemetry are read only where a program sends, and set only for functions that serve requests (served.py), which
asyncio and threads keep; callbacks of Twisted do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceState

from alaska import __version__
from alaska.endpoints import tcp
from alaska.errors import AlaskaError
from alaska.mlm.commands import Content, MailboxSend, ServiceSend, StreamSend
from alaska.traces.context import TraceContext

Value: TypeAlias = "str | bool | int | float"
Attributes: TypeAlias = "Mapping[str, Value]"

NAME = "alaska"
"""The name of the system, and of what records the spans."""
MOST_TEXT = 1000
"""The maximum length of the text of an error."""
_GENERATED = re.compile(r".*(?:::[0-9]+-[0-9A-F]{4}|(?:::|-)[0-9]+-[0-9a-f]{12})", re.DOTALL)
"""The addresses of :func:`alaska.names.address_of` and :func:`alaska.aio.client.new_address`: of one connection."""


def text_of(octets: bytes) -> str:
    """Return octets of the wire as text that every exporter can encode."""
    return octets.decode("utf-8", "backslashreplace")


def operation(name: str, destination: str) -> dict[str, Value]:
    """Return the attributes that all spans have; the type of the operation is its name."""
    return {
        "messaging.system": NAME,
        "messaging.operation.name": name,
        "messaging.operation.type": name,
        "messaging.destination.name": destination,
    }


def of_message(subject: bytes, content: Content) -> dict[str, Value]:
    """Return the attributes of one message."""
    return {"messaging.alaska.subject": text_of(subject), "messaging.message.body.size": sum(map(len, content))}


def of_client(endpoint: str, address: str) -> dict[str, Value]:
    """Return the attributes of a client: its address, and the broker that it is connected to."""
    attributes: dict[str, Value] = {"server.address": endpoint.partition("://")[2]}
    if address:
        attributes["messaging.client.id"] = text_of(address.encode("utf-8", "surrogateescape"))
    with suppress(ValueError):
        broker = tcp(endpoint)
        if broker is not None:
            attributes |= {"server.address": broker.host, "server.port": broker.port}
    return attributes


def span_context_of(context: TraceContext, is_remote: bool = True) -> SpanContext:
    """Return a context as OpenTelemetry has it."""
    state = TraceState.from_header([context.tracestate.decode("ascii")]) if context.tracestate else None
    trace, span = int(context.trace_id, 16), int(context.span_id, 16)
    return SpanContext(trace, span, is_remote, api.TraceFlags(context.flags), state)


def parent_of(context: TraceContext | None, is_remote: bool = True) -> Context:
    """Return the parent for a span; without a context, the span has none."""
    if context is None:
        return Context()
    return api.set_span_in_context(api.NonRecordingSpan(span_context_of(context, is_remote)), Context())


def context_of(found: SpanContext) -> TraceContext | None:
    """Return a context of OpenTelemetry as a message has it; None if it is not valid."""
    if not found.is_valid:
        return None
    parent = b"00-%032x-%016x-%02x" % (found.trace_id, found.span_id, found.trace_flags)
    return TraceContext(parent, found.trace_state.to_header().encode("ascii", "ignore"))


def error_type(error: BaseException) -> str:
    """Return the class of an error, for ``error.type``."""
    kind = type(error)
    return kind.__qualname__ if isinstance(error, AlaskaError) else f"{kind.__module__}.{kind.__qualname__}"


def fail(span: api.Span, kind: str, text: str) -> None:
    """Mark a span as failed."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, text[:MOST_TEXT]))


class SendSpan:
    """The span of one message that is sent; ``context`` is what the message carries."""

    __slots__ = ("_span", "context")

    def __init__(self, span: api.Span) -> None:
        self._span: api.Span | None = span
        self.context = context_of(span.get_span_context())

    def end(self, error: BaseException | None = None) -> None:
        """End the span; ``error`` says why the message could not be sent, or was not answered. Only once counts."""
        span, self._span = self._span, None
        if span is None:
            return
        if error is not None:
            fail(span, error_type(error), str(error))
        span.end()


class ClientSpans:
    """Records what one client sends."""

    def __init__(self, tracer: api.Tracer, attributes: dict[str, Value]) -> None:
        self._tracer = tracer
        self._attributes = attributes

    def send(
        self,
        command: StreamSend | MailboxSend | ServiceSend,
        trace: TraceContext | None,
        stream: bytes | None = None,
        served: TraceContext | None = None,
    ) -> SendSpan:
        """Begin the span of a message.

        It is a child of ``trace``, or by default of the program's current span, or without one, of ``served``.
        """
        destination = text_of(stream or b"" if isinstance(command, StreamSend) else command.address)
        attributes = self._attributes | operation("send", destination) | of_message(command.subject, command.content)
        name = f"send {destination}"
        if not isinstance(command, StreamSend) and command.tracker:
            attributes["messaging.message.conversation_id"] = text_of(command.tracker)
            if isinstance(command, ServiceSend):
                attributes["messaging.message.id"] = text_of(command.tracker)
        if isinstance(command, MailboxSend) and _GENERATED.fullmatch(destination):
            # A name for each connection would be too many names of spans.
            attributes["messaging.destination.temporary"] = True
            name = "send"
        if trace is None and not api.get_current_span().get_span_context().is_valid:
            trace = served
        parent = None if trace is None else parent_of(trace)
        return SendSpan(self._tracer.start_span(name, parent, SpanKind.PRODUCER, attributes))


class Spans:
    """Records spans with a provider of OpenTelemetry; without one, with the provider of the program.

    Pass it to the clients of a program: ``Client(endpoint, address, spans=Spans())``.
    """

    def __init__(self, provider: api.TracerProvider | None = None) -> None:
        self.tracer = api.get_tracer(NAME, __version__, provider)

    def of_client(self, endpoint: str, address: str) -> ClientSpans:
        """Return what records the messages of a client."""
        return ClientSpans(self.tracer, of_client(endpoint, address))
