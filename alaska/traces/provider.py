"""The provider of spans of worker and broker, configured by OpenTelemetry's environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from threading import local

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from alaska import __version__
from alaska.errors import ConfigurationError

EXPORTERS, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_GROUP = "opentelemetry_traces_exporter"
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


class Chosen(local):
    """The context that the next span of this thread gets, or None."""

    context: SpanContext | None = None


class ChosenIds(RandomIdGenerator):
    """Random ids, unless they are chosen already."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen

    def generate_span_id(self) -> int:
        """Return the id of the next span."""
        found = self._chosen.context
        return super().generate_span_id() if found is None else found.span_id

    def generate_trace_id(self) -> int:
        """Return the id of the next trace."""
        found = self._chosen.context
        return super().generate_trace_id() if found is None else found.trace_id


class ChosenSampler(Sampler):
    """Records what is chosen already; another sampler decides about all else."""

    def __init__(self, chosen: Chosen, sampler: Sampler) -> None:
        self._chosen = chosen
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return whether a span is recorded."""
        found = self._chosen.context
        if found is None:
            return self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links)
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, found.trace_state)

    def get_description(self) -> str:
        """Return the name of the sampler."""
        return self._sampler.get_description()


class Provider:
    """A provider whose spans may be recorded after they have ended, with a context that was chosen before.

    A run of a script needs the id of its span before it begins. But when it begins and ends is known only later, when
    it has ended, in another thread or process.
    """

    def __init__(self, service: str, *processors: SpanProcessor) -> None:
        self._chosen = Chosen()
        self.ids = ChosenIds(self._chosen)
        self.sdk = TracerProvider(resource=resource(service), id_generator=self.ids, shutdown_on_exit=False)
        self.sampler = self.sdk.sampler = ChosenSampler(self._chosen, self.sdk.sampler)
        for processor in processors:
            self.sdk.add_span_processor(processor)

    @contextmanager
    def choosing(self, context: SpanContext) -> Iterator[None]:
        """Give the span that is begun meanwhile this context, and record it."""
        self._chosen.context = context
        try:
            yield
        finally:
            self._chosen.context = None


def resource(service: str) -> Resource:
    """Return what the variables say about this process; ``service`` is its name if they do not say."""
    found = Resource.create()
    missing = {} if SERVICE_VERSION in found.attributes else {SERVICE_VERSION: __version__}
    if str(found.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        missing[SERVICE_NAME] = service
    return found.merge(Resource(missing))


def exporters() -> list[SpanExporter]:
    """Return the exporters that the variables name; OTLP by HTTP by default.

    :raises ConfigurationError: there is no such exporter.
    """
    names = [name.strip() for name in (os.environ.get(EXPORTERS) or "otlp").split(",")]
    return [_exporter(name) for name in names if name not in ("", "none")]


def _exporter(name: str) -> SpanExporter:
    wanted = name
    if name == "otlp":
        protocol = next((os.environ[each] for each in PROTOCOLS if os.environ.get(each)), "http/protobuf")
        wanted = _OTLP.get(protocol, protocol)
    found = [*entry_points(group=_GROUP, name=wanted)]
    if not found:
        raise ConfigurationError(f"there is no exporter of spans {wanted!r} ({EXPORTERS}, or {PROTOCOLS[1]})")
    try:
        exporter: SpanExporter = found[0].load()()
    except Exception as error:  # Of any package, for any value of its variables.
        raise ConfigurationError(f"the exporter of spans {wanted!r} cannot start: {error}") from error
    return exporter


def configured(service: str) -> Provider | None:
    """Return the provider that the variables configure, or None if they disable spans; it starts threads.

    :raises ConfigurationError: a variable is not valid.
    """
    if os.environ.get(DISABLED, "").strip().lower() == "true":
        return None
    try:
        return Provider(service, *map(BatchSpanProcessor, exporters()))
    except ValueError as error:
        raise ConfigurationError(f"a variable of OpenTelemetry is not valid: {error}") from error
