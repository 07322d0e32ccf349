"""The trace contexts, and the spans, of the requests that Python functions serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from alaska.messaging.delivery import Delivery
from alaska.traces.context import TraceContext
from alaska.traces.current import serve_with

if TYPE_CHECKING:
    # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.served import ServiceSpans
    from alaska.traces.spans import Spans, Value


class RequestRecord(Protocol):
    """What is known of a request while it is served: the context that its messages carry, and its span, if any."""

    @property
    def context(self) -> TraceContext | None:
        """The context."""

    def end(self, error: BaseException | None = None) -> None:
        """End the span; ``error`` says why the request has failed. Only once counts."""

    def settled(self, status: int) -> None:
        """Record that the request was confirmed just now."""


class Unrecorded(NamedTuple):
    """A :class:`RequestRecord` without a span."""

    context: TraceContext | None

    def end(self, error: BaseException | None = None) -> None:
        """See :class:`RequestRecord`."""

    def settled(self, status: int) -> None:
        """See :class:`RequestRecord`."""


class ServiceTracing:
    """Lets the messages of functions carry the contexts of their requests; records spans if there are ``spans``."""

    def __init__(self, spans: Spans | None, service: str, endpoint: str) -> None:
        self._spans: ServiceSpans | None = None
        if spans is not None:
            from alaska.traces.served import ServiceSpans  # noqa: PLC0415

            self._spans = ServiceSpans(spans, service, endpoint)

    def begin(self, delivery: Delivery) -> RequestRecord:
        """Begin to serve a request in this task."""
        created = delivery.trace
        record: RequestRecord
        if self._spans is None:
            record = Unrecorded(created)
        else:
            record = self._spans.begin(created, _identity(delivery), _attributes(delivery))
        serve_with(record.context)
        return record


def _identity(delivery: Delivery) -> dict[str, Value]:
    found: dict[str, Value] = {"messaging.alaska.subject": _shown(delivery.command.subject)}
    if delivery.tracker_octets:
        tracker = _shown(delivery.tracker_octets)
        found |= {"messaging.message.id": tracker, "messaging.message.conversation_id": tracker}
    return found


def _attributes(delivery: Delivery) -> dict[str, Value]:
    size = sum(map(len, delivery.content))
    return {"messaging.message.body.size": size, "messaging.alaska.attempt": delivery.attempt or 1}


def _shown(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
