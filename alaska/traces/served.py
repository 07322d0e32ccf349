"""Spans of the requests that Python functions serve: ``process`` for a run, ``settle`` for its confirmation."""

from __future__ import annotations

from opentelemetry import context as contexts
from opentelemetry import trace as api
from opentelemetry.trace import Link, SpanKind

from alaska.errors import FAILED, text_of
from alaska.traces.context import TraceContext
from alaska.traces.spans import (
    Attributes,
    Spans,
    context_of,
    error_type,
    fail,
    of_client,
    operation,
    parent_of,
    span_context_of,
)


class ServedSpan:
    """The span of a request that is served; ``context`` is what its messages carry."""

    def __init__(self, spans: ServiceSpans, span: api.Span, created: TraceContext | None, identity: Attributes) -> None:
        self._spans = spans
        self._span: api.Span | None = span
        self._created = created
        self._identity = identity
        # Without a provider the span has no context of its own.
        self.context = context_of(span.get_span_context()) or created

    def end(self, error: BaseException | None = None) -> None:
        """End the span; ``error`` says why the request has failed. Only once counts."""
        span, self._span = self._span, None
        if span is None:
            return
        if error is not None:
            fail(span, error_type(error), text_of(error))
        span.end()

    def settled(self, status: int) -> None:
        """Record that the request was confirmed just now."""
        self._spans.settled(self.context, self._created, self._identity, status)


class ServiceSpans:
    """Records the requests of one service."""

    def __init__(self, spans: Spans, service: str, endpoint: str) -> None:
        self._tracer = spans.tracer
        self._service = service
        client = of_client(endpoint, "")
        self._attributes = {**operation("process", service), **client}
        self._settling = {**operation("settle", service), **client}

    def begin(self, created: TraceContext | None, identity: Attributes, attributes: Attributes) -> ServedSpan:
        """Begin the span of a request whose message carries a context, or none.

        It is the current span of this task, and of the threads that get its context variables.
        """
        attributes = {**self._attributes, **identity, **attributes}
        name = f"process {self._service}"
        span = self._tracer.start_span(name, parent_of(created), SpanKind.CONSUMER, attributes, _links(created))
        contexts.attach(api.set_span_in_context(span))
        return ServedSpan(self, span, created, identity)

    def settled(
        self, context: TraceContext | None, created: TraceContext | None, identity: Attributes, status: int
    ) -> None:
        """Record the confirmation of a request."""
        attributes = {**self._settling, **identity, "messaging.alaska.status": status}
        parent = parent_of(context, is_remote=False)
        name = f"settle {self._service}"
        span = self._tracer.start_span(name, parent, SpanKind.CLIENT, attributes, _links(created))
        if status >= FAILED:
            fail(span, str(status), "")
        span.end()


def _links(created: TraceContext | None) -> list[Link]:
    return [] if created is None else [Link(span_context_of(created))]
