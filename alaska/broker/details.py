"""The metrics of single services, mailboxes, streams and clients, for who asks for them (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from alaska.admin.families import Details, Family, Filled, Kind, Matches, Value
from alaska.admin.text import to_text
from alaska.broker.broker import Broker
from alaska.broker.clients import Client
from alaska.broker.offers import Offers
from alaska.broker.queue import Queue
from alaska.broker.stream import Stream
from alaska.message import QueueKind

T = TypeVar("T")
Column = tuple[Family, Callable[[T], float]]


def _gauge(name: str, label: str, doc: str) -> Family:
    return Family(f"alaska_detailed_{name}", Kind.GAUGE, doc, (label,))


def _workers(queue: Queue) -> int:
    return len(queue.consumers.clients) if isinstance(queue.consumers, Offers) else 0


SERVICES: tuple[Column[Queue], ...] = (
    (_gauge("service_waiting", "service", "Requests that wait."), lambda each: each.waiting),
    (_gauge("service_waiting_bytes", "service", "Octets of these requests."), lambda each: each.octets),
    (_gauge("service_workers", "service", "Clients that offer the service."), _workers),
)
MAILBOXES: tuple[Column[Queue], ...] = (
    (_gauge("mailbox_waiting", "mailbox", "Messages that wait."), lambda each: each.waiting),
    (_gauge("mailbox_waiting_bytes", "mailbox", "Octets of these messages."), lambda each: each.octets),
)
STREAMS: tuple[Column[Stream], ...] = (
    (_gauge("stream_position", "stream", "Position of the last record."), lambda each: each.last),
    (_gauge("stream_stored_bytes", "stream", "Octets of the stored records."), lambda each: each.octets),
    (_gauge("stream_readers", "stream", "Readers."), lambda each: each.readers),
    (_gauge("stream_readers_lagging", "stream", "Those that lag."), lambda each: len(each.lags())),
    (
        _gauge("stream_lag_records", "stream", "Records that the reader farthest behind has not got."),
        lambda each: max((lag for _, lag in each.lags()), default=0),
    ),
)
CLIENTS: tuple[Column[Client], ...] = (
    (_gauge("client_credit", "client", "Deliveries for which the client is ready."), lambda each: each.credit or 0),
    (_gauge("client_unconfirmed", "client", "Deliveries that it has not confirmed."), lambda each: len(each.leases)),
    (_gauge("client_full", "client", "1 if it has to read or confirm before it gets more."), lambda each: each.is_full),
)
FAMILIES = tuple(family for columns in (SERVICES, MAILBOXES, STREAMS, CLIENTS) for family, _ in columns)


def details(broker: Callable[[], Broker | None]) -> dict[str, Details]:
    """Return the sources of details of a broker, by name."""

    def queues(kind: QueueKind) -> Callable[[Broker], Iterable[tuple[bytes, Queue]]]:
        return lambda broker: ((name, queue) for (each, name), queue in broker.queues.table.items() if each is kind)

    return {
        "services": _source(broker, queues(QueueKind.SERVICE), SERVICES),
        "mailboxes": _source(broker, queues(QueueKind.MAILBOX), MAILBOXES),
        "streams": _source(broker, lambda broker: ((each.name, each) for each in broker.streams), STREAMS),
        # Clients without an address cannot be told apart by a name.
        "clients": _source(
            broker, lambda broker: ((each.address, each) for each in broker.clients if each.address), CLIENTS
        ),
    }


def _source(
    broker: Callable[[], Broker | None],
    named: Callable[[Broker], Iterable[tuple[bytes, T]]],
    columns: tuple[Column[T], ...],
) -> Details:
    def collect(matches: Matches, most: int) -> Iterator[Filled]:
        current = broker()
        matching = ((name, each) for name, each in (named(current) if current else ()) if matches(name))
        objects = [(to_text(name), each) for name, each in islice(matching, most)]
        for _ in matching:  # count the others
            pass
        for family, value in columns:
            found: list[tuple[tuple[str, ...], Value]] = [((name,), value(each)) for name, each in objects]
            yield family, found

    return collect
