"""The metrics of single services, mailboxes, streams and clients, for who asks for them (docs/metrics.md).

They are made of the pages that :mod:`alaska.broker.snapshots` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed

from alaska.admin.families import Details, Family, Filled, Kind, Selected, Value
from alaska.admin.pages import Matches, Work
from alaska.admin.requests import Query, QueueQuery
from alaska.admin.snapshots import Client, Page, Queue, Snapshot, Stream
from alaska.broker.administration import Administration
from alaska.broker.snapshots import BrokerSnapshots
from alaska.message import QueueKind

T = TypeVar("T", bound=Snapshot)
Column = tuple[Family, Callable[[T], "float | None"]]
"""A family, and its value for an object; None: the object has none."""


def _gauge(name: str, label: str, doc: str) -> Family:
    return Family(f"alaska_detailed_{name}", Kind.GAUGE, doc, (label,))


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
FAMILIES = tuple(family for columns in (SERVICES, MAILBOXES, STREAMS, CLIENTS) for family, _ in columns)


def details(current: Callable[[], Administration | None]) -> dict[str, Details]:
    """Return the sources of details of the broker that ``current`` returns, by name."""

    def queues(kind: QueueKind) -> Callable[[BrokerSnapshots, Matches, int], Work[Page[Queue]]]:
        return lambda snapshots, matches, most: snapshots.queues(QueueQuery(limit=most), kind, matches)

    return {
        "services": _source(current, queues(QueueKind.SERVICE), lambda each: each.name, SERVICES),
        "mailboxes": _source(current, queues(QueueKind.MAILBOX), lambda each: each.name, MAILBOXES),
        "streams": _source(
            current,
            lambda snapshots, matches, most: snapshots.streams(Query(limit=most), matches),
            lambda each: each.name,
            STREAMS,
        ),
        # Clients without an address cannot be told apart by a name.
        "clients": _source(
            current,
            lambda snapshots, matches, most: snapshots.clients(
                Query(limit=most), lambda address: bool(address) and matches(address)
            ),
            lambda each: each.address,
            CLIENTS,
        ),
    }


def _source(
    current: Callable[[], Administration | None],
    page: Callable[[BrokerSnapshots, Matches, int], Work[Page[T]]],
    name: Callable[[T], str],
    columns: tuple[Column[T], ...],
) -> Details:
    def select(matches: Matches, most: int) -> Deferred[Selected]:
        administration = current()
        if administration is None:
            return succeed(Selected(_filled([], name, columns)))
        return administration.turns.do(page(administration.snapshots, matches, most)).addCallback(
            lambda page: Selected(_filled(page.items, name, columns), page.total - len(page.items))
        )

    return select


def _filled(items: list[T], name: Callable[[T], str], columns: tuple[Column[T], ...]) -> Iterator[Filled]:
    for family, value_of in columns:
        values = ((name(each), value_of(each)) for each in items)
        found: list[tuple[tuple[str, ...], Value]] = [((label,), value) for label, value in values if value is not None]
        yield family, found
