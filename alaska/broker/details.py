"""The metrics of single objects, such as services or bindings, for who asks for them (docs/metrics.md).

They are made of the pages that :mod:`alaska.broker.snapshots` and its neighbours make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed

from alaska.admin.families import Details, Family, Filled, Kind, Selected, Value
from alaska.admin.measured import DurableReaderMeasures
from alaska.admin.pages import Matches, Work
from alaska.admin.requests import ClientQuery, Query, QueueQuery, StreamQuery
from alaska.admin.snapshots import Client, Page, Queue, Snapshot
from alaska.admin.stream_snapshots import Binding, Stream
from alaska.broker.administration import Administration
from alaska.message import QueueKind

T = TypeVar("T", bound=Snapshot)
Column = tuple[Family, Callable[[T], "float | None"]]
"""A family, and its value for an object; None: the object has none."""


def _gauge(name: str, labels: str, doc: str) -> Family:
    return Family(f"alaska_detailed_{name}", Kind.GAUGE, doc, tuple(labels.split()))


def _of_queues(label: str, noun: str) -> tuple[Column[Queue], ...]:
    oldest = f"When the oldest of these {noun} arrived; absent: none, or unknown."
    return (
        (_gauge(f"{label}_waiting", label, f"{noun.capitalize()} that wait."), lambda each: each.waiting),
        (_gauge(f"{label}_waiting_bytes", label, f"Octets of these {noun}."), lambda each: each.octets),
        (_gauge(f"{label}_oldest_timestamp_seconds", label, oldest), lambda each: each.oldest),
        (_gauge(f"{label}_in_flight", label, f"{noun.capitalize()} to be confirmed."), lambda each: each.in_flight),
    )


SERVICES: tuple[Column[Queue], ...] = (
    *_of_queues("service", "requests"),
    (_gauge("service_workers", "service", "Clients that offer the service."), lambda each: each.consumers),
    (_gauge("service_held", "service", "Requests that limits hold back."), lambda each: each.held),
    (_gauge("service_paused", "service", "1 if the service is paused, else 0."), lambda each: each.paused),
)
MAILBOXES: tuple[Column[Queue], ...] = _of_queues("mailbox", "messages")
STREAMS: tuple[Column[Stream], ...] = (
    (_gauge("stream_position", "stream", "Position of the last record."), lambda each: each.last),
    (_gauge("stream_stored_bytes", "stream", "Octets of the stored records."), lambda each: each.octets),
    (_gauge("stream_readers", "stream", "Readers."), lambda each: each.readers),
    (_gauge("stream_readers_lagging", "stream", "Those that lag."), lambda each: each.lagging),
    (
        _gauge("stream_lag_records", "stream", "Records that the reader farthest behind has not got."),
        lambda each: each.lag,
    ),
)
CLIENTS: tuple[Column[Client], ...] = (
    (_gauge("client_credit", "client", "Deliveries for which the client is ready."), lambda each: each.credit or 0),
    (_gauge("client_unconfirmed", "client", "Deliveries that it has not confirmed."), lambda each: each.unconfirmed),
    (_gauge("client_full", "client", "1 if it has to read or confirm before it gets more."), lambda each: each.full),
)
_BOUND = "stream service pattern"
BINDINGS: tuple[Column[Binding], ...] = (
    (
        _gauge("binding_position", _BOUND, "Position of the first record that is no request."),
        lambda each: each.position,
    ),
    (_gauge("binding_lag_records", _BOUND, "Records from this position on."), lambda each: each.lag),
    (_gauge("binding_requests", _BOUND, "Requests made since the broker has started."), lambda each: each.made),
    (_gauge("binding_lost_records", _BOUND, "Records that became no requests, in all."), lambda each: each.lost),
)
READERS: tuple[Column[DurableReaderMeasures], ...] = (
    (
        _gauge("durable_reader_position", "stream name", "Position of the first record that is not confirmed."),
        lambda each: each.position,
    ),
    (_gauge("durable_reader_lag_records", "stream name", "Records from this position on."), lambda each: each.lag),
    (
        _gauge("durable_reader_seen_timestamp_seconds", "stream name", "When a client had it last, or now."),
        lambda each: each.seen,
    ),
)
_ALL = SERVICES, MAILBOXES, STREAMS, CLIENTS, BINDINGS, READERS
FAMILIES = tuple(family for columns in _ALL for family, _ in columns)


def details(current: Callable[[], Administration | None]) -> dict[str, Details]:
    """Return the sources of details of the broker that ``current`` returns, by name."""

    def queues(kind: QueueKind) -> Callable[[Administration, Matches, int], Work[Page[Queue]]]:
        return lambda broker, matches, most: broker.snapshots.queues(QueueQuery(limit=most), kind, matches)

    return {
        "services": _source(current, queues(QueueKind.SERVICE), lambda each: (each.name,), SERVICES),
        "mailboxes": _source(current, queues(QueueKind.MAILBOX), lambda each: (each.name,), MAILBOXES),
        "streams": _source(
            current,
            lambda broker, matches, most: broker.snapshots.streams(StreamQuery(limit=most), matches),
            lambda each: (each.name,),
            STREAMS,
        ),
        # Clients without an address cannot be told apart by a name.
        "clients": _source(
            current,
            lambda broker, matches, most: broker.snapshots.clients(
                ClientQuery(limit=most), lambda address: bool(address) and matches(address)
            ),
            lambda each: (each.address,),
            CLIENTS,
        ),
        "bindings": _source(
            current,
            lambda broker, matches, most: broker.bindings.page(Query(limit=most), matches),
            lambda each: (each.stream, each.service, each.pattern),
            BINDINGS,
        ),
        "readers": _source(
            current,
            lambda broker, matches, most: broker.readers.durable(Query(limit=most), matches),
            lambda each: (each.stream, each.name),
            READERS,
        ),
    }


def _source(
    current: Callable[[], Administration | None],
    page: Callable[[Administration, Matches, int], Work[Page[T]]],
    labels: Callable[[T], tuple[str, ...]],
    columns: tuple[Column[T], ...],
) -> Details:
    def select(matches: Matches, most: int) -> Deferred[Selected]:
        administration = current()
        if administration is None:
            return succeed(Selected(_filled([], labels, columns)))
        return administration.turns.do(page(administration, matches, most)).addCallback(
            lambda page: Selected(_filled(page.items, labels, columns), page.total - len(page.items))
        )

    return select


def _filled(items: list[T], labels: Callable[[T], tuple[str, ...]], columns: tuple[Column[T], ...]) -> Iterator[Filled]:
    for family, value_of in columns:
        values = ((labels(each), value_of(each)) for each in items)
        found: list[tuple[tuple[str, ...], Value]] = [(names, value) for names, value in values if value is not None]
        yield family, found
