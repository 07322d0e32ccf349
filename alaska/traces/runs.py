"""Spans of the runs of scripts: ``process`` for a run, ``settle`` for the confirmation of its request."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic, time_ns
from typing import NamedTuple, TypeAlias

from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from alaska.errors import FAILED
from alaska.traces.context import RunTrace, TraceContext
from alaska.traces.marks import attributes_of
from alaska.traces.provider import Provider
from alaska.traces.spans import (
    Attributes,
    Spans,
    Value,
    context_of,
    fail,
    operation,
    parent_of,
    span_context_of,
    text_of,
)

SECOND = 1_000_000_000
MOST_MARKS = 128
"""The maximum number of attributes and events that a script adds; a process may send more."""


RawMark: TypeAlias = "tuple[bytes, float, tuple[tuple[bytes, bytes], ...]]"
"""What a script adds to its span; see :class:`alaska.lua.request.Mark`."""


class Ended(NamedTuple):
    """A run that has ended: its times in ns since 1970, what the script adds, and the type and text of its error."""

    began: int
    ended: int
    marks: Iterable[RawMark] = ()
    error: tuple[str, str] | None = None


class Runs:
    """Records the runs of the scripts of one service; ``attributes`` are those of the worker's client."""

    def __init__(self, provider: Provider, service: str, attributes: Attributes) -> None:
        self._provider = provider
        self._tracer = Spans(provider.sdk).tracer
        self._service = service
        self._attributes = {**operation("process", service), **attributes}
        self._settling = {**operation("settle", service), **attributes}

    def begin(self, created: TraceContext | None, attributes: Attributes) -> RunTrace:
        """Return the trace of a run whose request has a context, or none; the sampler decides now."""
        ids, parent = self._provider.ids, parent_of(created)
        remote = None if created is None else span_context_of(created)
        trace_id = ids.generate_trace_id() if remote is None else remote.trace_id
        found = self._provider.sampler.should_sample(
            parent, trace_id, f"process {self._service}", SpanKind.CONSUMER, {**self._attributes, **attributes}
        )
        is_recorded = found.decision is Decision.RECORD_AND_SAMPLE
        # The flag of random ids is that of the trace.
        flags = is_recorded | (0 if remote is None else remote.trace_flags & 2)
        own = SpanContext(trace_id, ids.generate_span_id(), False, TraceFlags(flags), found.trace_state)
        context = context_of(own)
        assert context is not None
        return RunTrace(context, created, is_recorded)

    def record(self, run: RunTrace, attributes: Attributes, ended: Ended) -> None:
        """Record a run that has ended, as a child of the context of its request, with a link to it."""
        marks = list(ended.marks)[:MOST_MARKS]
        added: dict[str, Value] = {}
        for event, _, pairs in marks:
            if not event:
                added.update(attributes_of(pairs))
        with self._provider.choosing(span_context_of(run.context, is_remote=False)):
            span = self._tracer.start_span(
                f"process {self._service}",
                parent_of(run.created),
                SpanKind.CONSUMER,
                # Names that a script uses do not replace ours.
                {**added, **self._attributes, **attributes},
                _links(run),
                start_time=ended.began,
            )
        for event, seconds, pairs in marks:
            if event:
                span.add_event(text_of(event), attributes_of(pairs), _moment(seconds, ended))
        if ended.error is not None:
            fail(span, *ended.error)
        span.end(ended.ended)

    def settle(self, run: RunTrace, attributes: Attributes, status: int, began: int) -> None:
        """Record that the request of a run was confirmed with a status just now."""
        span = self._tracer.start_span(
            f"settle {self._service}",
            parent_of(run.context, is_remote=False),
            SpanKind.CLIENT,
            {**self._settling, **attributes, "messaging.alaska.status": status},
            _links(run),
            start_time=began,
        )
        if status >= FAILED:
            fail(span, str(status), "")
        span.end()


def _links(run: RunTrace) -> list[Link]:
    return [] if run.created is None else [Link(span_context_of(run.created))]


def _moment(seconds: float, run: Ended) -> int:
    """Return a time on the clock of Lua in ns since 1970, within the run."""
    ago = monotonic() - seconds
    if not 0 <= ago < SECOND:
        return run.ended
    return max(run.began, min(time_ns() - round(ago * SECOND), run.ended))
