"""What the tests of spans share: a provider whose spans are kept in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from alaska.traces.context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from alaska.traces.provider import Provider

NOT_INSTALLED: str | None = None
try:
    import opentelemetry.sdk.trace  # noqa: F401  # to see whether it is there
except ImportError:
    NOT_INSTALLED = 'OpenTelemetry is not installed: pip install "alaska-workers[traces]"'

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = TraceContext(f"00-{TRACE}-{SPAN}-01".encode(), b"a=b")
NOT_SAMPLED = TraceContext(f"00-{TRACE}-{SPAN}-00".encode())


def keep_variables(case: SynchronousTestCase) -> None:
    """Remove the variables of OpenTelemetry during a test, which may set others."""
    before = dict(os.environ)

    def restore() -> None:
        os.environ.clear()
        os.environ.update(before)

    case.addCleanup(restore)
    for name in before:
        if name.startswith("OTEL_"):
            del os.environ[name]


class Recorded:
    """A provider, and the spans that were recorded with it."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

        from alaska.traces.provider import Provider  # noqa: PLC0415

        self._exporter = InMemorySpanExporter()
        self.provider: Provider = Provider("test", SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans in the order in which they ended."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans with a name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Return the only span with a name."""
        (span,) = self.named(name)
        return span


def id_of(span: ReadableSpan) -> bytes:
    """Return the id of a span as it is in a trace context."""
    assert span.context is not None
    return b"%016x" % span.context.span_id


def parent_of(span: ReadableSpan) -> bytes | None:
    """Return the id of the parent of a span."""
    return None if span.parent is None else b"%016x" % span.parent.span_id


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span, without those that depend on the process."""
    return {name: value for name, value in (span.attributes or {}).items() if name != "messaging.client.id"}
