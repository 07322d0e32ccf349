"""The metrics of a broker (docs/metrics.md): reads what its rules count, and what waits at present."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from alaska.admin.families import Family, Filled, Kind, Value, by, one
from alaska.admin.text import to_text
from alaska.broker.broker import Broker
from alaska.broker.measures import QueueMeasures
from alaska.broker.offers import Offers
from alaska.broker.queue import Queue
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import QueueKind
from alaska.system.histogram import Reading

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
MOST_READS = 5
"""How many queues one answer reads from the store to find their oldest message."""
OTHERS = ""
"""The label of all services together that have none of their own."""

_OUTCOMES = ("attempts", "delivered", "expired", "failed", "not_found", "purged", "refused")
_DEAD = ("attempts", "failed", "not_found")
_CAUSES = ("access", "admin", "closed", "disconnected", "error", "expired", "replaced", "unread")
_DROPPED = ("draining", "no_address", "no_room", "properties", "store_failed", "too_large", "unstorable")


def _of(part: str, labels: tuple[str, ...]) -> tuple[Family, ...]:
    """Return the families of requests, or of mail."""
    noun, each = ("requests", "request") if part == "request" else ("mail", "mail")
    where = "services" if part == "request" else "mailboxes"

    def name(rest: str) -> str:
        return f"alaska_broker_{each}_{rest}"

    return (
        Family(name("accepted_total"), COUNTER, f"Messages for {where} that were accepted.", labels),
        Family(
            name("ended_total"), COUNTER, f"Messages for {where} that have ended, by outcome.", (*labels, "outcome")
        ),
        Family(name("redelivered_total"), COUNTER, f"Deliveries of {noun} that were lost or returned.", labels),
        Family(name("received_bytes_total"), COUNTER, f"Octets of the {noun} that were accepted.", labels),
        Family(name("delivered_bytes_total"), COUNTER, f"Octets of the {noun} that were delivered.", labels),
        Family(name("wait_seconds"), HISTOGRAM, f"Time that {noun} waited in the queue for a delivery.", labels),
        Family(name("run_seconds"), HISTOGRAM, f"Time from delivery to successful confirmation of {noun}.", labels),
    )


REQUESTS = _of("request", ("service",))
MAIL = _of("mail", ())
COMMANDS = Family("alaska_broker_commands_total", COUNTER, "Commands of clients.")
BAD = Family("alaska_broker_commands_refused_total", COUNTER, "Commands that were refused, by reason.", ("reason",))
DROPPED = Family("alaska_broker_messages_dropped_total", COUNTER, "Messages that were dropped, by reason.", ("reason",))
DEAD = Family("alaska_broker_dead_letters_total", COUNTER, "Messages that became dead letters, by reason.", ("reason",))
DEAD_DROPPED = Family("alaska_broker_dead_letters_dropped_total", COUNTER, "Dead letters dropped for the limits.")
DEAD_NOW = Family("alaska_broker_dead_letters", GAUGE, "Dead letters that are stored.")
DEAD_OCTETS = Family("alaska_broker_dead_letters_bytes", GAUGE, "Size of the dead letters, as the limits count it.")
OPENED = Family("alaska_broker_clients_opened_total", COUNTER, "Sessions of clients that were opened.")
CLOSED = Family("alaska_broker_clients_closed_total", COUNTER, "Sessions that have ended, by reason.", ("reason",))
CLIENTS = Family("alaska_broker_clients", GAUGE, "Clients that are connected, by kind.", ("kind",))
CREDIT = Family("alaska_broker_credit", GAUGE, "Deliveries for which connected clients are ready.")
UNCONFIRMED = Family("alaska_broker_unconfirmed", GAUGE, "Deliveries that clients have not confirmed yet.")
FULL = Family("alaska_broker_clients_full", GAUGE, "Clients that get nothing until they have read or confirmed some.")
QUEUES = Family("alaska_broker_queues", GAUGE, "Mailboxes and services with messages or workers.", ("kind",))
WAITING = Family("alaska_broker_waiting", GAUGE, "Messages that wait.", ("kind",))
WAITING_OCTETS = Family("alaska_broker_waiting_bytes", GAUGE, "Octets of the messages that wait.", ("kind",))
OLDEST = Family(
    "alaska_broker_oldest_timestamp_seconds", GAUGE, "When the oldest waiting message arrived; absent: none.", ("kind",)
)
S_WAITING = Family("alaska_broker_service_waiting", GAUGE, "Requests of a service that wait.", ("service",))
S_OCTETS = Family("alaska_broker_service_waiting_bytes", GAUGE, "Octets of these requests.", ("service",))
S_OLDEST = Family(
    "alaska_broker_service_oldest_timestamp_seconds",
    GAUGE,
    "When the oldest waiting request of a service arrived; absent: none.",
    ("service",),
)
S_WORKERS = Family("alaska_broker_service_workers", GAUGE, "Clients that offer a service.", ("service",))
S_READY = Family("alaska_broker_service_workers_ready", GAUGE, "Those that are ready for a request.", ("service",))
STREAMS = Family("alaska_broker_streams", GAUGE, "Streams with readers or stored records.")
STREAM_OCTETS = Family("alaska_broker_stream_stored_bytes", GAUGE, "Octets of the stored records of all streams.")
READERS = Family("alaska_broker_stream_readers", GAUGE, "Readers of streams, live or lagging.", ("state",))
LAG = Family("alaska_broker_stream_lag_records", GAUGE, "Records that the reader farthest behind has not got.")
PUBLISHED = Family("alaska_broker_stream_published_total", COUNTER, "Messages that were published to streams.")
PUBLISHED_OCTETS = Family("alaska_broker_stream_published_bytes_total", COUNTER, "Octets of these messages.")
SENT = Family("alaska_broker_stream_delivered_total", COUNTER, "Deliveries of stream messages to readers.")
SENT_OCTETS = Family("alaska_broker_stream_delivered_bytes_total", COUNTER, "Octets of these deliveries.")
SERVING = Family("alaska_broker_serving", GAUGE, "1 while this process serves the endpoints, else 0.")
LOGINS = Family("alaska_broker_logins_refused_total", COUNTER, "Logins with a wrong user name or password.")
WRITABLE = Family("alaska_store_writable", GAUGE, "1 while the store can be written, else 0.")
DURABLE = Family("alaska_store_durable", GAUGE, "1 if stored messages survive a restart, else 0.")
DAMAGED = Family("alaska_store_damaged_rows_total", COUNTER, "Rows, or pages of rows, that were found to be damaged.")
GIVEN_UP = Family("alaska_store_refused_changes_total", COUNTER, "Changes that the store could not write and gave up.")
FAILURES = Family("alaska_store_write_failures_total", COUNTER, "Batches that could not be written, and are retried.")
ROWS = Family("alaska_store_batch_rows", HISTOGRAM, "Rows that a batch writes or deletes, with one fsync.")
WRITE = Family("alaska_store_write_seconds", HISTOGRAM, "Time to write a batch, with its commit.")
FILE = Family("alaska_store_file_bytes", GAUGE, "Size of the store's file and its write-ahead log.")
FREE = Family("alaska_store_disk_free_bytes", GAUGE, "Octets that are free on the disk of the store.")
COMMIT = Family("alaska_store_commit_seconds", HISTOGRAM, "Time of the commit, in which SQLite waits for the fsync.")

FAMILIES = (
    SERVING, COMMANDS, BAD, *REQUESTS, *MAIL, DROPPED, DEAD, DEAD_DROPPED, DEAD_NOW, DEAD_OCTETS,
    OPENED, CLOSED, CLIENTS, CREDIT, UNCONFIRMED, FULL, QUEUES, WAITING, WAITING_OCTETS, OLDEST,
    S_WAITING, S_OCTETS, S_OLDEST, S_WORKERS, S_READY, STREAMS, STREAM_OCTETS, READERS, LAG,
    PUBLISHED, PUBLISHED_OCTETS, SENT, SENT_OCTETS, WRITABLE, DURABLE, DAMAGED, GIVEN_UP, FAILURES, ROWS, WRITE, COMMIT,
    LOGINS, FILE, FREE,
)  # fmt: skip


def figures(broker: Broker, store: IStore) -> Iterator[Filled]:
    """Return the metrics of a broker and its store."""
    yield from _counted(broker)
    yield from _of_requests(broker)
    yield from _of_clients(broker)
    yield from _of_queues(broker)
    yield from _of_streams(broker)
    yield from _of_store(store)


def _counted(broker: Broker) -> Iterator[Filled]:
    counters, measures = broker.counters, broker.queues.measures
    yield COMMANDS, one(counters.received)
    refused = {"access": counters.access_refused, "invalid": counters.invalid, "limit": counters.refused}
    refused |= {"malformed": counters.malformed, "wrong_user": counters.wrong_user}
    yield BAD, by(refused.items())
    streams = broker.streams
    dropped = {reason: counters.dropped_for.get(reason, 0) for reason in _DROPPED}
    dropped["stream_no_room"] = streams.measures.unstored + streams.refused
    dropped["stream_unread"] = broker.flows.dropped
    yield DROPPED, by(dropped.items())
    dead: Counter[str] = Counter()
    for each in (measures.mailboxes, measures.other_services, *measures.services.values()):
        dead.update({reason: each.ended.get(reason, 0) for reason in _DEAD})
    yield DEAD, by((reason, dead[reason]) for reason in _DEAD)
    letters = broker.queues.dead_letters
    yield DEAD_DROPPED, one(counters.dead_letters_dropped)
    yield DEAD_NOW, one(len(letters))
    yield DEAD_OCTETS, one(letters.octets)
    yield OPENED, one(counters.opened)
    yield CLOSED, by((cause, counters.ended.get(cause, 0)) for cause in _CAUSES)


def _of_requests(broker: Broker) -> Iterator[Filled]:
    measures = broker.queues.measures
    services: list[tuple[tuple[str, ...], QueueMeasures]]
    services = [((to_text(name),), each) for name, each in measures.services.items()]
    services.append(((OTHERS,), measures.other_services))
    yield from _of_measures(REQUESTS, services)
    yield from _of_measures(MAIL, [((), measures.mailboxes)])


def _of_measures(
    families: tuple[Family, ...], measures: list[tuple[tuple[str, ...], QueueMeasures]]
) -> Iterator[Filled]:
    accepted, ended, redelivered, received_octets, delivered_octets, wait, run = families
    yield accepted, [(labels, each.immediate + each.enqueued) for labels, each in measures]
    yield ended, [((*labels, outcome), count) for labels, each in measures for outcome, count in _outcomes(each)]
    yield redelivered, [(labels, each.redelivered) for labels, each in measures]
    yield received_octets, [(labels, each.immediate_octets + each.enqueued_octets) for labels, each in measures]
    yield delivered_octets, [(labels, each.immediate_octets + each.dequeued_octets) for labels, each in measures]
    yield wait, [(labels, _waits(each)) for labels, each in measures]
    yield run, [(labels, each.running.read()) for labels, each in measures]


def _outcomes(measures: QueueMeasures) -> Iterable[tuple[str, float]]:
    return [
        ("succeeded", sum(measures.running.read().counts)),
        *((outcome, measures.ended.get(outcome, 0)) for outcome in _OUTCOMES),
    ]


def _waits(measures: QueueMeasures) -> Reading:
    """Return the times that messages waited; those that were delivered at once have waited for 0 s."""
    bounds, counts, total = measures.waiting.read()
    return Reading(bounds, [counts[0] + measures.immediate, *counts[1:]], total)


def _of_clients(broker: Broker) -> Iterator[Filled]:
    kinds = {"credit": 0, "plain": 0}
    credit = unconfirmed = full = 0
    for client in broker.clients:
        kinds["plain" if client.credit is None else "credit"] += 1
        credit += client.credit or 0
        unconfirmed += len(client.leases)
        full += client.is_full
    yield CLIENTS, by(kinds.items())
    yield CREDIT, one(credit)
    yield UNCONFIRMED, one(unconfirmed)
    yield FULL, one(full)


def _of_queues(broker: Broker) -> Iterator[Filled]:
    queues = broker.queues
    sums = {kind: [0, 0, 0] for kind in QueueKind}
    oldest: dict[QueueKind, int] = {}
    reads = MOST_READS
    for (kind, _), queue in queues.table.items():
        total = sums[kind]
        total[0] += 1
        if queue.waiting:
            total[1] += queue.waiting
            total[2] += queue.octets
            if queue.oldest is None:
                reads = _find_oldest(queue, reads)
            since = queue.oldest
            if since and since < oldest.get(kind, since + 1):
                oldest[kind] = since
    for number, family in enumerate((QUEUES, WAITING, WAITING_OCTETS)):
        yield family, by((kind.value, total[number]) for kind, total in sums.items())
    yield OLDEST, by((kind.value, since / 1000) for kind, since in oldest.items())
    measured = [(to_text(name), queues.table.get((QueueKind.SERVICE, name))) for name in queues.measures.services]
    yield from _of_services(measured)


def _find_oldest(queue: Queue, reads: int) -> int:
    """Find the oldest message of a queue; return how many more queues may be read from the store."""
    try:
        return reads - queue.find_oldest(reads > 0)
    except StoreError:
        # The rules meet the same error, log and count it.
        return 0


def _of_services(measured: list[tuple[str, Queue | None]]) -> Iterator[Filled]:
    """Return what waits in services, and who offers them; a service that is gone has none of both."""
    ready: list[tuple[str, Value]] = []
    workers: list[tuple[str, Value]] = []
    for name, queue in measured:
        clients = queue.consumers.clients if queue is not None and isinstance(queue.consumers, Offers) else ()
        workers.append((name, len(clients)))
        ready.append((name, sum(client.is_ready for client in clients)))
    yield S_WAITING, by((name, queue.waiting if queue is not None else 0) for name, queue in measured)
    yield S_OCTETS, by((name, queue.octets if queue is not None else 0) for name, queue in measured)
    known = ((name, queue.oldest) for name, queue in measured if queue is not None and queue.waiting)
    yield S_OLDEST, by((name, oldest / 1000) for name, oldest in known if oldest)
    yield S_WORKERS, by(workers)
    yield S_READY, by(ready)


def _of_streams(broker: Broker) -> Iterator[Filled]:
    streams = octets = readers = lagging = farthest = 0
    for stream in broker.streams:
        streams += 1
        octets += stream.octets
        readers += stream.readers
        for _, lag in stream.lags():
            lagging += 1
            farthest = max(farthest, lag)
    measures = broker.streams.measures
    yield STREAMS, one(streams)
    yield STREAM_OCTETS, one(octets)
    yield READERS, by([("lagging", lagging), ("live", readers - lagging)])
    yield LAG, one(farthest)
    yield PUBLISHED, one(measures.published)
    yield PUBLISHED_OCTETS, one(measures.published_octets)
    yield SENT, one(measures.delivered)
    yield SENT_OCTETS, one(measures.delivered_octets)


def _of_store(store: IStore) -> Iterator[Filled]:
    yield WRITABLE, one(store.complaint is None)
    yield DURABLE, one(store.is_durable)
    yield DAMAGED, one(store.damaged)
    yield GIVEN_UP, one(store.refused)
    measures = store.measures
    if measures is not None:
        yield FAILURES, one(measures.failures)
        yield ROWS, one(measures.rows.read())
        yield WRITE, one(measures.write.read())
        yield COMMIT, one(measures.commit.read())
        disk = measures.disk()
        if disk is not None:
            yield FILE, one(disk.octets)
            yield FREE, one(disk.free)
