"""The metrics of a broker (docs/metrics.md), made of its snapshot (:class:`alaska.admin.measured.BrokerMeasures`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from alaska.admin.families import Family, Filled, Kind, Values, by, one
from alaska.admin.measured import (
    DEAD_OUTCOMES,
    BindingSums,
    BrokerMeasures,
    ClientSums,
    DurableReaderSums,
    LetterSums,
    QueueSums,
    ServiceMeasures,
    StreamSums,
    Traffic,
)
from alaska.admin.snapshots import StoreState, Totals

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
OTHERS = ""
"""The label of all services together that have none of their own."""

_OUTCOMES = (
    *("succeeded", "attempts", "cancelled", "delivered", "expired", "failed", "not_found", "purged", "refused"),
    *("replaced", "second", "unread"),
)
_CAUSES = ("access", "admin", "closed", "disconnected", "error", "expired", "replaced", "revoked", "unread")
_DROPPED = (
    *("draining", "no_address", "no_room", "properties", "store_failed", "stream_no_room", "stream_unread"),
    *("too_large", "unread_mail", "unstorable"),
)
_LOGINS = ("key", "password", "unchecked")


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
        Family(name("put_off_total"), COUNTER, f"Deliveries of {noun} that receivers have put off.", (*labels, "kind")),
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
UNSERVED = Family(
    "alaska_broker_waiting_without_workers", GAUGE, "Requests that wait for services that no worker offers."
)
WAITING_OCTETS = Family("alaska_broker_waiting_bytes", GAUGE, "Octets of the messages that wait.", ("kind",))
OLDEST = Family(
    "alaska_broker_oldest_timestamp_seconds", GAUGE, "When the oldest waiting message arrived; absent: none.", ("kind",)
)
S_WAITING = Family("alaska_broker_service_waiting", GAUGE, "Requests of a service that wait.", ("service",))
HELD = Family(
    "alaska_broker_request_held_total",
    COUNTER,
    "Requests that were delivered after a limit of their service had held them back.",
    ("service",),
)
S_HELD = Family(
    "alaska_broker_service_held", GAUGE, "Requests of a service that wait since a limit holds them back.", ("service",)
)
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
BINDINGS = Family("alaska_broker_bindings", GAUGE, "Bindings of streams to services.")
BOUND = ("stream", "service", "pattern")
B_POSITION = Family(
    "alaska_broker_binding_position", GAUGE, "Position of the first record that has not become a request.", BOUND
)
B_LAG = Family("alaska_broker_binding_lag_records", GAUGE, "Records of the stream from this position on.", BOUND)
B_MADE = Family("alaska_broker_binding_requests_total", COUNTER, "Requests that were made of records.", BOUND)
B_LOST = Family(
    "alaska_broker_binding_lost_records_total",
    COUNTER,
    "Records that became no requests, since the stream had removed them, or the queue had no room.",
    BOUND,
)
B_SKIPPED = Family(
    "alaska_broker_binding_skipped_records_total", COUNTER, "Records that are too large for a request.", BOUND
)
D_READERS = Family(
    "alaska_broker_durable_readers", GAUGE, "Durable readers that a client has (connected), or none (away).", ("state",)
)
READER = ("stream", "name")
D_POSITION = Family(
    "alaska_broker_durable_reader_position", GAUGE, "Position of the first record that is not confirmed.", READER
)
D_LAG = Family(
    "alaska_broker_durable_reader_lag_records", GAUGE, "Records of the stream from this position on.", READER
)
D_SEEN = Family(
    "alaska_broker_durable_reader_seen_timestamp_seconds", GAUGE, "When a client had the reader last, or now.", READER
)
D_LOST = Family(
    "alaska_broker_durable_reader_lost_records_total",
    COUNTER,
    "Records that streams had removed before durable readers read them.",
)
SERVING = Family("alaska_broker_serving", GAUGE, "1 while this process serves the endpoints, else 0.")
LOGINS = Family("alaska_broker_logins_refused_total", COUNTER, "Logins that were refused, by reason.", ("reason",))
ALL_PAUSED = Family("alaska_broker_all_paused", GAUGE, "1 while all services are paused, else 0.")
PAUSED = Family("alaska_broker_services_paused", GAUGE, "Services that are paused.")
SCHEDULED = Family(
    "alaska_broker_schedules_total", COUNTER, "Times of schedules: requests made, missed or skipped.", ("outcome",)
)
WORKERS = Family("alaska_broker_workers", GAUGE, "Workers that report to this broker.")
WRITABLE = Family("alaska_store_writable", GAUGE, "1 while the store can be written, else 0.")
DURABLE = Family("alaska_store_durable", GAUGE, "1 if stored messages survive a restart, else 0.")
DAMAGED = Family("alaska_store_damaged_rows_total", COUNTER, "Rows, or pages of rows, that were found to be damaged.")
GIVEN_UP = Family("alaska_store_refused_changes_total", COUNTER, "Changes that the store could not write and gave up.")
FAILURES = Family("alaska_store_write_failures_total", COUNTER, "Batches that could not be written, and are retried.")
ROWS = Family("alaska_store_batch_rows", HISTOGRAM, "Rows that a batch writes or deletes, with one fsync.")
WRITE = Family("alaska_store_write_seconds", HISTOGRAM, "Time to write a batch, with its commit.")
FILE = Family("alaska_store_file_bytes", GAUGE, "Size of the store's file and its write-ahead log.")
FREE = Family("alaska_store_disk_free_bytes", GAUGE, "Octets that are free on the disk of the store.")
BACKUP = Family(
    "alaska_store_last_backup_timestamp_seconds", GAUGE, "When a client has read a backup to its end, since the start."
)
COMMIT = Family("alaska_store_commit_seconds", HISTOGRAM, "Time of the commit, in which SQLite waits for the fsync.")

FAMILIES = (
    SERVING, COMMANDS, BAD, *REQUESTS, *MAIL, DROPPED, DEAD, DEAD_DROPPED, DEAD_NOW, DEAD_OCTETS,
    OPENED, CLOSED, CLIENTS, CREDIT, UNCONFIRMED, FULL, QUEUES, WAITING, UNSERVED, WAITING_OCTETS, OLDEST,
    HELD, S_WAITING, S_HELD, S_OCTETS, S_OLDEST, S_WORKERS, S_READY, STREAMS, STREAM_OCTETS, READERS, LAG,
    PUBLISHED, PUBLISHED_OCTETS, SENT, SENT_OCTETS,
    BINDINGS, B_POSITION, B_LAG, B_MADE, B_LOST, B_SKIPPED, D_READERS, D_POSITION, D_LAG, D_SEEN, D_LOST,
    WRITABLE, DURABLE, DAMAGED, GIVEN_UP, FAILURES, ROWS, WRITE, COMMIT,
    LOGINS, PAUSED, ALL_PAUSED, SCHEDULED, WORKERS, FILE, FREE, BACKUP,
)  # fmt: skip


def figures(measures: BrokerMeasures) -> Iterator[Filled]:
    """Return the metrics of a broker and its store."""
    yield from _counted(measures.totals)
    yield from _of_requests(measures)
    yield from _of_letters(measures.letters)
    yield from _of_clients(measures.clients)
    yield WORKERS, one(measures.workers)
    yield from _of_queues(measures.queues)
    yield ALL_PAUSED, one(measures.all_paused)
    yield UNSERVED, one(measures.unserved)
    yield from _of_services(measures.services)
    yield from _of_streams(measures.streams)
    yield from _of_bindings(measures.bindings)
    yield from _of_durable_readers(measures.durable_readers)
    yield from _of_store(measures.store)
    if measures.writes is not None:
        yield FAILURES, one(measures.writes.failures)
        yield ROWS, one(measures.writes.rows)
        yield WRITE, one(measures.writes.write)
        yield COMMIT, one(measures.writes.commit)


def _for_each(reasons: Iterable[str], counts: Mapping[str, int]) -> Values:
    """Return a value for each reason that there can be, so that none appears only when it first happens."""
    return by((reason, counts.get(reason, 0)) for reason in reasons)


def _counted(totals: Totals) -> Iterator[Filled]:
    yield COMMANDS, one(totals.commands)
    refused = {"access": totals.access_refused, "invalid": totals.invalid, "limit": totals.refused}
    refused |= {"malformed": totals.malformed, "wrong_user": totals.wrong_user}
    yield BAD, by(refused.items())
    yield LOGINS, _for_each(_LOGINS, totals.logins_refused)
    yield DROPPED, _for_each(_DROPPED, totals.dropped)
    yield SCHEDULED, by(totals.schedules.items())
    yield OPENED, one(totals.sessions)
    yield CLOSED, _for_each(_CAUSES, totals.sessions_ended)


def _of_requests(measures: BrokerMeasures) -> Iterator[Filled]:
    services: list[tuple[tuple[str, ...], Traffic]] = [((each.name,), each.traffic) for each in measures.services]
    yield from _of_traffic(REQUESTS, [*services, ((OTHERS,), measures.others)])
    yield HELD, [*[(labels, each.held) for labels, each in services], ((OTHERS,), measures.others.held)]
    yield from _of_traffic(MAIL, [((), measures.mail)])


def _of_traffic(families: tuple[Family, ...], traffic: list[tuple[tuple[str, ...], Traffic]]) -> Iterator[Filled]:
    accepted, ended, redelivered, put_off, received_octets, delivered_octets, wait, run = families
    yield accepted, [(labels, each.accepted) for labels, each in traffic]
    yield ended, [((*labels, outcome), each.ended.get(outcome, 0)) for labels, each in traffic for outcome in _OUTCOMES]
    yield redelivered, [(labels, each.redelivered) for labels, each in traffic]
    yield (
        put_off,
        [
            ((*labels, kind), count)
            for labels, each in traffic
            for kind, count in (("retried", each.retried), ("snoozed", each.snoozed))
        ],
    )
    yield received_octets, [(labels, each.accepted_octets) for labels, each in traffic]
    yield delivered_octets, [(labels, each.delivered_octets) for labels, each in traffic]
    yield wait, [(labels, each.waited) for labels, each in traffic]
    yield run, [(labels, each.ran) for labels, each in traffic]


def _of_letters(letters: LetterSums) -> Iterator[Filled]:
    yield DEAD, _for_each(DEAD_OUTCOMES, letters.became)
    yield DEAD_DROPPED, one(letters.dropped)
    yield DEAD_NOW, one(letters.stored)
    yield DEAD_OCTETS, one(letters.octets)


def _of_clients(clients: ClientSums) -> Iterator[Filled]:
    yield CLIENTS, by([("credit", clients.with_credit), ("plain", clients.plain)])
    yield CREDIT, one(clients.credit)
    yield UNCONFIRMED, one(clients.unconfirmed)
    yield FULL, one(clients.full)


def _of_queues(queues: list[QueueSums]) -> Iterator[Filled]:
    yield QUEUES, by((each.kind, each.queues) for each in queues)
    yield WAITING, by((each.kind, each.waiting) for each in queues)
    yield WAITING_OCTETS, by((each.kind, each.octets) for each in queues)
    yield OLDEST, by((each.kind, each.oldest) for each in queues if each.oldest is not None)
    yield PAUSED, one(sum(each.paused for each in queues))


def _of_services(services: list[ServiceMeasures]) -> Iterator[Filled]:
    yield S_WAITING, by((each.name, each.waiting) for each in services)
    yield S_HELD, by((each.name, each.held) for each in services)
    yield S_OCTETS, by((each.name, each.octets) for each in services)
    yield S_OLDEST, by((each.name, each.oldest) for each in services if each.oldest is not None)
    yield S_WORKERS, by((each.name, each.workers) for each in services)
    yield S_READY, by((each.name, each.ready) for each in services)


def _of_streams(streams: StreamSums) -> Iterator[Filled]:
    yield STREAMS, one(streams.streams)
    yield STREAM_OCTETS, one(streams.octets)
    yield READERS, by([("lagging", streams.lagging), ("live", streams.readers - streams.lagging)])
    yield LAG, one(streams.lag)
    yield PUBLISHED, one(streams.published)
    yield PUBLISHED_OCTETS, one(streams.published_octets)
    yield SENT, one(streams.delivered)
    yield SENT_OCTETS, one(streams.delivered_octets)


def _of_bindings(sums: BindingSums) -> Iterator[Filled]:
    each = [((found.stream, found.service, found.pattern), found) for found in sums.measured]
    others = (OTHERS, OTHERS, OTHERS)
    yield BINDINGS, one(sums.bindings)
    yield B_POSITION, [(labels, binding.position) for labels, binding in each]
    yield B_LAG, [*((labels, binding.lag) for labels, binding in each), (others, sums.other_lag)]
    yield B_MADE, [*((labels, binding.made) for labels, binding in each), (others, sums.other_made)]
    yield B_LOST, [*((labels, binding.lost) for labels, binding in each), (others, sums.other_lost)]
    yield B_SKIPPED, [*((labels, binding.skipped) for labels, binding in each), (others, sums.other_skipped)]


def _of_durable_readers(sums: DurableReaderSums) -> Iterator[Filled]:
    each = [((found.stream, found.name), found) for found in sums.measured]
    others = (OTHERS, OTHERS)
    seen = [] if sums.other_seen is None else [(others, sums.other_seen)]
    yield D_READERS, by([("connected", sums.connected), ("away", sums.away)])
    yield D_POSITION, [(labels, reader.position) for labels, reader in each]
    yield D_LAG, [*((labels, reader.lag) for labels, reader in each), (others, sums.other_lag)]
    yield D_SEEN, [*((labels, reader.seen) for labels, reader in each), *seen]
    yield D_LOST, one(sums.lost)


def _of_store(store: StoreState) -> Iterator[Filled]:
    yield WRITABLE, one(store.complaint is None)
    yield DURABLE, one(store.durable)
    yield DAMAGED, one(store.damaged)
    yield GIVEN_UP, one(store.refused)
    if store.file_octets is not None and store.free_octets is not None:
        yield FILE, one(store.file_octets)
        yield FREE, one(store.free_octets)
    if store.last_backup is not None:
        yield BACKUP, one(store.last_backup)
