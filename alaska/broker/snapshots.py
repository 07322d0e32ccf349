"""Typed snapshots of a broker (:mod:`alaska.admin.snapshots`): everything that shows a broker reads these.

With :mod:`alaska.broker.measured`, this is what reads the objects of the rules to show them. Long lists are made in
turns (:mod:`alaska.admin.pages`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from itertools import islice, repeat

import alaska
from alaska.admin import message_snapshots, stream_snapshots
from alaska.admin import snapshots as shown
from alaska.admin.measured import BrokerMeasures
from alaska.admin.pages import Key, Matches, Work, matcher, page_of
from alaska.admin.requests import ClientQuery, LetterQuery, Query, QueueQuery, StreamQuery
from alaska.admin.text import to_text
from alaska.broker.broker_state import BrokerState
from alaska.broker.clients import Client
from alaska.broker.limited_offers import LimitedOffers
from alaska.broker.measured import Census, OldestMessages, broker_measures, consumers_of
from alaska.broker.measures import QueueMeasures
from alaska.broker.offers import Offers
from alaska.broker.queue import Queue
from alaska.broker.recent import Recents
from alaska.broker.shown_letters import matching, shown_letter
from alaska.broker.shown_limits import held_back, shown_limits
from alaska.broker.shown_streams import STREAM_KEYS, shown_stream
from alaska.message import QueueKind, QueueName
from alaska.system.histogram import Histogram

MOST_LISTED = 20
"""The maximum number of patterns, services and streams that are shown of one queue or client."""
MOST_READ = 20
"""The maximum number of queues of a page whose oldest message is looked for in the store."""
_KINDS = (QueueKind.SERVICE, QueueKind.MAILBOX)
_NUMBER_OF = {kind: number for number, kind in enumerate(_KINDS)}


class BrokerSnapshots:
    """Makes the snapshots of a broker."""

    def __init__(self, state: BrokerState, recents: Recents) -> None:
        self._state = state
        self._recents = recents
        self._census = Census()
        self._host = socket.gethostname()

    def time(self, broker_time: float) -> float:
        """Return the wall clock's time of a time of the broker."""
        return broker_time + self._state.queues.wall_offset

    # In one look

    def overview(self, now: float, workers: int, broken_scripts: list[str]) -> shown.BrokerOverview:
        """Return the overview; ``workers`` report to this broker, and these of their scripts do not compile."""
        state = self._state
        queues, outside = state.queues, state.outside
        counted = self._census.count(queues.table)
        return shown.BrokerOverview(
            version=alaska.__version__,
            host=self._host,
            pid=os.getpid(),
            time=self.time(now),
            started=self.time(state.started),
            endpoints=list(outside.endpoints()),
            draining=queues.is_draining,
            clients=len(state.clients),
            workers=workers,
            services=counted.services,
            mailboxes=counted.mailboxes,
            streams=len(state.streams),
            paused=counted.paused,
            all_paused=queues.table.is_all_paused,
            schedules=len(state.schedules),
            waiting=counted.waiting,
            in_flight=counted.in_flight,
            delayed=counted.delayed,
            waiting_unserved=counted.unserved,
            unserved=[to_text(each) for each in counted.unoffered],
            broken_scripts=broken_scripts,
            waiting_octets=queues.octets,
            dead_letters=len(queues.dead_letters),
            store_complaint=state.store.complaint,
            totals=self._totals(),
        )

    def _totals(self) -> shown.Totals:
        counters = self._state.counters
        counted = self._state.queues.measures.sums()
        return shown.Totals(
            commands=counters.received,
            accepted=counted.accepted,
            delivered=counters.delivered,
            redelivered=counters.redelivered,
            retried=counted.retried,
            ended=counted.ended,
            published=self._state.streams.measures.published,
            dead_lettered=counters.dead_lettered,
            dropped=self._dropped(),
            sessions=counters.opened,
            sessions_ended=dict(counters.ended),
            refused=counters.refused,
            access_refused=counters.access_refused,
            wrong_user=counters.wrong_user,
            logins_refused=dict(self._state.outside.logins_refused()),
            malformed=counters.malformed,
            invalid=counters.invalid,
            store_errors=counters.store_errors,
            admin_requests=counters.admin_requests,
            admin_refused=counters.admin_refused,
            schedules=dict(counters.schedules),
        )

    def _dropped(self) -> dict[str, int]:
        state = self._state
        found = {
            **state.counters.dropped_for,
            "stream_no_room": state.streams.measures.unstored + state.streams.refused,
            "stream_unread": state.flows.dropped,
        }
        return {reason: count for reason, count in found.items() if count}

    def measures(self, workers: int) -> Work[BrokerMeasures]:
        """Return all that is counted and measured; ``workers`` report to this broker."""
        return broker_measures(self._state, self._totals, self.store, workers)

    def store(self) -> shown.StoreState:
        """Return the state of the store."""
        store = self._state.store
        measures = store.measures
        none = Histogram()
        each = (none, none, none) if measures is None else (measures.rows, measures.write, measures.commit)
        rows, write, commit = (histogram.read() for histogram in each)
        disk = None if measures is None else measures.disk()
        last_backup = self._state.last_backup()
        return shown.StoreState(
            durable=bool(store.is_durable),
            shared=bool(store.is_shared),
            complaint=store.complaint,
            has_room=bool(store.has_room),
            last_position=self._state.queues.last_position,
            damaged=store.damaged,
            refused=store.refused,
            batches=sum(rows.counts),
            rows=round(rows.total),
            write_seconds=write.total,
            commit_seconds=commit.total,
            failures=0 if measures is None else measures.failures,
            most_octets=store.most_octets,
            file_octets=None if disk is None else disk.octets,
            free_octets=None if disk is None else disk.free,
            last_backup=None if last_backup is None else self.time(last_backup),
        )

    def limits(self) -> shown.Limits:
        """Return the limits, and how much of them is used."""
        state = self._state
        limits, letters = state.limits, state.limits.dead_letters
        rows: list[tuple[str, float | None, float | None]] = [
            ("server/timeout", _finite(limits.client_timeout), None),
            ("mlm_server/clients/limit", limits.clients, len(state.clients)),
            ("mlm_server/mailbox/size-limit", limits.mailbox.most_octets, None),
            ("mlm_server/service/queue/size-limit", limits.service.most_octets, None),
            ("mlm_server/stream/size-limit", limits.stream.most_octets, None),
            ("mlm_server/size-limit", limits.total.most_octets, state.queues.octets),
            ("mlm_server/content/size-limit", limits.content_octets, None),
            ("mlm_server/clients/patterns", limits.patterns_of_one, None),
            ("mlm_server/patterns/limit", limits.patterns, None),
            ("mlm_server/queues/limit", limits.queues, len(state.queues.table)),
            ("mlm_server/queue/ids", limits.ids.most_of_queue, None),
            ("mlm_server/queue/all-ids", limits.ids.most, state.queues.ids.count),
            ("mlm_server/stream/limit", limits.streams, len(state.streams)),
            ("mlm_server/stream/bindings", limits.bindings, len(state.bindings)),
            ("mlm_server/stream/readers", limits.durable_readers, len(state.streams.durable)),
            ("mlm_server/stream/reader-ttl", limits.durable_reader_seconds, None),
            ("mlm_server/service/attempts", limits.attempts, None),
            ("mlm_server/letters/count", letters.most, len(state.queues.dead_letters)),
            ("mlm_server/letters/size", letters.most_octets, state.queues.dead_letters.octets),
            ("mlm_server/letters/age", letters.most_seconds, None),
            ("mlm_server/clients/unconfirmed-size", limits.unconfirmed_octets, None),
        ]
        return shown.Limits(limits=[shown.Limit(setting=name, most=most, used=used) for name, most, used in rows])

    # Queues

    def queues(
        self, query: QueueQuery, kind: QueueKind | None = None, matches: Matches | None = None
    ) -> Work[shown.Page[shown.Queue]]:
        """Return a page of the queues, of one kind or of both.

        Here and below, ``matches`` selects by name instead of the query.
        """
        table = self._state.queues.table
        matches = matches or matcher(query.match)

        def is_wanted(queue: Queue) -> bool:
            name = queue.name
            return (kind is None or name[0] is kind) and (matches is None or matches(name[1]))

        key, shape = _QUEUE_KEYS[query.sort]

        def keys() -> Iterator[Key | None]:
            for queue in list(table.values()):
                yield key(queue) if is_wanted(queue) else None
                if (parts := len(queue.parts)) > 1:
                    # A queue with messages of several priorities takes as long as so many others.
                    yield from repeat(None, parts - 1)

        oldest = OldestMessages(MOST_READ)
        return (yield from page_of(keys(), query, shape, lambda each: self._queue_at(each, oldest)))

    def _queue_at(self, key: Key, oldest: OldestMessages) -> shown.Queue | None:
        queue = self._state.queues.table.get(QueueName(_KINDS[key[-2]], key[-1]))
        return None if queue is None else self._queue(queue, oldest)

    def _queue(self, queue: Queue, oldest: OldestMessages) -> shown.Queue:
        name, consumers = queue.name, queue.consumers
        patterns: list[bytes] = []
        if isinstance(consumers, Offers | LimitedOffers):
            patterns = consumers.patterns(MOST_LISTED)
        own = self._state.queues.measures.services.get(name.address) if name.kind is QueueKind.SERVICE else None
        return shown.Queue(
            kind=name.kind.value,
            name=to_text(name.address),
            waiting=queue.waiting,
            octets=queue.octets,
            in_flight=queue.running,
            oldest=oldest.of(queue),
            consumers=consumers_of(queue),
            paused=queue.is_paused,
            patterns=[to_text(each) for each in patterns],
            measures=None if own is None else _measures(own),
            limits=shown_limits(queue),
            held=held_back(queue),
            recent=None if own is None else self._recents.of(name.address, own, self._state.queues.measures.now),
        )

    # Streams

    def streams(self, query: StreamQuery, matches: Matches | None = None) -> Work[shown.Page[stream_snapshots.Stream]]:
        """Return a page of the streams."""
        streams, is_wanted = list(self._state.streams), matches or matcher(query.match)
        key, shape = STREAM_KEYS[query.sort]
        keys = (key(each) if is_wanted is None or is_wanted(each.name) else None for each in streams)
        return (yield from page_of(keys, query, shape, self._stream_at))

    def _stream_at(self, key: Key) -> stream_snapshots.Stream | None:
        stream = self._state.streams.get(key[-1])
        if stream is None:
            return None
        return shown_stream(stream)

    # Clients

    def clients(self, query: ClientQuery, matches: Matches | None = None) -> Work[shown.Page[shown.Client]]:
        """Return a page of the clients, by default in the order in which they have connected."""
        is_wanted = matches or matcher(query.match)
        key, shape = _CLIENT_KEYS[query.sort]
        keys = (
            key(each) if is_wanted is None or is_wanted(_address_of(each)) else None for each in self._state.clients
        )
        return (yield from page_of(keys, query, shape, self._client_at))

    def _client_at(self, key: Key) -> shown.Client | None:
        client = self._state.clients.by_number(key[-1])
        return None if client is None else self._client(client)

    def _client(self, client: Client) -> shown.Client:
        offers = self._state.queues.table.offered_by.get(client, {})
        reads = self._state.streams.names_read_by(client)
        return shown.Client(
            number=client.number,
            address=to_text(_address_of(client)),
            user=None if client.user is None else to_text(client.user),
            opened=self.time(client.opened_at),
            last_heard=self.time(client.last_heard),
            credit=client.credit,
            unconfirmed=len(client.leases),
            unconfirmed_octets=client.unconfirmed,
            full=client.is_full,
            batches=client.reads_batches,
            properties=client.has_properties,
            offers=[to_text(each) for each in islice(offers, MOST_LISTED)],
            offer_count=len(offers),
            reads=[to_text(each) for each in islice(reads, MOST_LISTED)],
            read_count=len(reads),
        )

    # Dead letters

    def letters(self, query: LetterQuery, now: float) -> Work[shown.Page[message_snapshots.Letter]]:
        """Return a page of the dead letters that match."""
        found = matching(self._state.queues.dead_letters, query, self.time(now))
        sign = -1 if query.sort else 1
        keys = (None if each is None else (sign * each.message.position,) for each in found)
        page = Query(after=query.after, limit=query.limit)
        return (yield from page_of(keys, page, (int,), self._letter_at))

    def _letter_at(self, key: Key) -> message_snapshots.Letter | None:
        letter = self._state.queues.dead_letters.summary(abs(key[0]))
        return None if letter is None else shown_letter(letter)


_CLIENT_KEYS: dict[str, tuple[Callable[[Client], Key], tuple[type, ...]]] = {
    "": (lambda client: (client.number,), (int,)),
    "unconfirmed": (lambda client: (-len(client.leases), client.number), (int, int)),
}
_QUEUE_KEYS: dict[str, tuple[Callable[[Queue], Key], tuple[type, ...]]] = {
    "": (lambda queue: (_NUMBER_OF[queue.name[0]], queue.name[1]), (int, bytes)),
    "waiting": (lambda queue: (-queue.waiting, _NUMBER_OF[queue.name[0]], queue.name[1]), (int, int, bytes)),
    "octets": (lambda queue: (-queue.octets, _NUMBER_OF[queue.name[0]], queue.name[1]), (int, int, bytes)),
    "in_flight": (lambda queue: (-queue.running, _NUMBER_OF[queue.name[0]], queue.name[1]), (int, int, bytes)),
    "consumers": (
        lambda queue: (-consumers_of(queue), _NUMBER_OF[queue.name[0]], queue.name[1]),
        (int, int, bytes),
    ),
}


def _measures(own: QueueMeasures) -> shown.Ended:
    waiting, running = own.waiting.read(), own.running.read()
    return shown.Ended(
        accepted=own.immediate + own.enqueued,
        redelivered=own.redelivered,
        retried=own.retried,
        snoozed=own.snoozed,
        succeeded=sum(running.counts),
        ended=dict(own.ended),
        waited=sum(waiting.counts),
        waited_seconds=waiting.total,
        running_seconds=running.total,
    )


def _finite(seconds: float) -> float | None:
    return None if seconds == float("inf") else seconds


def _address_of(client: Client) -> bytes:
    """Return the address that a client has at present: none if another one has taken it over."""
    return b"" if client.is_replaced else client.address
