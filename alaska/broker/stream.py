"""Streams: a message is delivered once to each reader with a matching pattern (docs/protocol.md, sections 4 to 6).

A reader is live, or it lags. A live reader is sent matching messages at once. A reader without credit lags: the broker
only remembers its position, and when it gets credit, feeds it from the stream's journal until it has caught up. A
reader that starts at a past position lags from the start. The journal holds the records that the retention demands,
and those that lagging readers have not got yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.python.failure import Failure

from alaska.broker.clients import Client
from alaska.broker.limits import Gauge, QueueLimits
from alaska.broker.measures import StreamMeasures
from alaska.broker.stream_readers import OwnRecords, Reader
from alaska.broker.subject_index import CacheMemory, SubjectIndex
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import Record, Retention
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern
from alaska.names import printable

READ_RECORDS = 500
MIN_READ_RECORDS = 16
"""The minimum number of records per read, however little credit there is: some may not match."""
TRIM_AFTER_RECORDS = 1000
"""A stream that has grown by this many records is trimmed early, so that no trim takes long."""
FEED_RECORDS = 2000
"""The number of records examined for lagging readers per call and per tick; the next tick continues."""
FEED_OCTETS = 4096
"""A record counts once more per this many octets."""
TRIM_MAX_RECORDS = 10_000
"""The maximum number of records removed per trim of a stream."""
TRIM_MAX_OCTETS = 16 * 2**20
"""The maximum size of these records, unless the first one is larger: the store reads what it removes."""


class Stream:
    """One stream: its readers and its journal. The times of records are in ms since 1970."""

    def __init__(
        self,
        name: bytes,
        store: IStore,
        retention: Retention,
        gauge: Gauge,
        limits: QueueLimits,
        report_error: Callable[[StoreError], None],
        cache_memory: CacheMemory,
        own_records: OwnRecords,
        measures: StreamMeasures,
    ) -> None:
        self.name = name
        self._report_error = report_error
        self._own_records = own_records
        self._measures = measures
        self._is_trimming = False
        self._label = f"stream {printable(name)}"
        self._gauge = gauge
        self.limits = limits
        self.refused = 0
        """The number of records that could not be stored: the stream's size limit or the store's limit was reached."""
        self._store = store
        self._retention = retention
        self._is_retained = retention.most_records != 0
        self.bound: Callable[[Stream, Record], None] | None = None
        """Called with each new record, if the stream is bound to services."""
        self._index = SubjectIndex(cache_memory)
        self._readers: dict[Client, Reader] = {}
        self._by_pattern: dict[Pattern, dict[Client, Reader]] = {}
        self._lagging: dict[Client, Reader] = {}
        self._last = 0
        self._first = 1
        self._octets = 0
        self._untrimmed = 0
        self._oldest_time = 0
        """No stored record is older than this time."""
        self.was_stored = False
        """Whether the store ever had a record of this stream, so that its positions must not be reused."""

    def __bool__(self) -> bool:
        return bool(self._readers) or self._first <= self._last or self.bound is not None

    def restore(self, first: int, last: int, octets: int) -> None:
        """Take over the positions and octets that the store has for this stream at startup."""
        self._first, self._last, self._octets = first, last, octets
        self.was_stored = True

    @property
    def first(self) -> int:
        """The position of the first stored record; one more than ``last`` if none is stored."""
        return self._first

    @property
    def retention(self) -> Retention:
        """Which records are stored."""
        return self._retention

    @property
    def is_retained(self) -> bool:
        """Whether records are stored although all readers have got them."""
        return self._is_retained

    def all_readers(self) -> list[Reader]:
        """Return the readers."""
        return list(self._readers.values())

    def reader_of(self, client: Client) -> Reader | None:
        """Return the reader of a client, if it has one."""
        return self._readers.get(client)

    @property
    def octets(self) -> int:
        """The octets of the stored records."""
        return self._octets

    @property
    def last(self) -> int:
        """The position of the last record."""
        return self._last

    # Readers

    def read(self, client: Client, pattern: Pattern) -> None:
        """Add a pattern to a client's reader, from the next message on; an existing pattern does not change."""
        reader = self._readers.get(client)
        if reader is None or pattern not in reader.subscriptions:
            self._subscribe(client, pattern, self._last + 1)

    def replay(self, client: Client, pattern: Pattern, position: int) -> Reader:
        """Add a pattern to a client's reader, from a position on; from now on it gets messages as records.

        Messages that it has been sent under another pattern are not sent again.
        """
        since = self._last + 1 if position == mlm.LIVE_ONLY else max(position, 1)
        reader = self._subscribe(client, pattern, since)
        reader.wants_records = True
        return reader

    def _subscribe(self, client: Client, pattern: Pattern, since: int) -> Reader:
        reader = self._readers.setdefault(client, Reader(client, self._own_records))
        if pattern not in reader.subscriptions:
            self._by_pattern.setdefault(pattern, {})[client] = reader
            self._index.add(pattern)
        upto = self._last + 1 if reader.next_position is None else reader.next_position
        reader.subscribe(pattern, since, upto)
        if since < upto:
            reader.next_position = since
            self._lagging[client] = reader
        return reader

    def cancel(self, client: Client) -> None:
        """Remove a client's reader, if there is one."""
        reader = self._readers.pop(client, None)
        if reader is not None:
            reader.forget_own()
            if reader.durable is not None:
                reader.durable.detach()
        for pattern in reader.subscriptions if reader else ():
            readers = self._by_pattern[pattern]
            del readers[client]
            if self._index.discard(pattern):
                del self._by_pattern[pattern]
        self._catch_up(client)

    # Messages

    def publish(self, sender: Client, command: mlm.StreamSend, time: int) -> int:
        """Send a message to all live readers, and store it if it is needed; return the number of deliveries."""
        self._last += 1
        subject = command.subject
        record = Record(self.name, self._last, time, sender.address, subject, command.content, command.properties)
        size = record.size
        count, is_needed = 0, self._is_retained or bool(self._lagging)
        for reader in self._readers_of(subject):
            if reader.client is sender or reader.is_own(sender.address):
                if reader.next_position is not None and not sender.address:
                    reader.note_own(record.position)
            elif reader.next_position is not None or (self._last < reader.latest_start and not reader.wants(record)):
                continue
            elif reader.is_ready:
                reader.send(record, size)
                count += 1
            elif reader.client.is_full and reader.client.is_plain and reader.durable is None:
                reader.client.flow.note_dropped(reader.client)
            else:
                reader.next_position = record.position
                self._lagging[reader.client] = reader
                is_needed = True
        most = self._store.most_octets
        has_room = is_needed and self._store.has_room and (most is None or size <= most)
        if has_room and self._gauge.admits(self._label, self._octets + size, self.limits):
            self._store.record(record)
            self.was_stored = True
            self._octets += size
            self._untrimmed += 1
        elif is_needed:
            self.refused += 1
            self._measures.unstored += 1
        elif self._first == self._last:
            self._first += 1
        self._measures.note_published(size)
        self._measures.note_delivered(count, size)
        if self.bound is not None:
            self.bound(self, record)
        return count

    def _readers_of(self, subject: bytes) -> Iterator[Reader]:
        matching = self._index.matching(subject)
        if len(matching) == 1:
            (pattern,) = matching
            return iter(self._by_pattern[pattern].values())
        return iter({reader: None for pattern in matching for reader in self._by_pattern[pattern].values()})

    def feed(self, client: Client, most: int = FEED_RECORDS) -> int:
        """Send a lagging client records from the journal, as far as it is ready.

        Return the number of records examined, at most about ``most``; with many patterns a record counts several times.
        """
        reader = self._lagging.get(client)
        if reader is None or reader.next_position is None:
            return 0
        examined = 0
        while reader.is_ready and reader.next_position <= self._last and examined < most:
            at_most = READ_RECORDS if client.credit is None else min(READ_RECORDS, client.credit)
            at_most = max(MIN_READ_RECORDS, min(at_most, (most - examined) // reader.cost))
            records = self._store.records(self.name, reader.next_position - 1, at_most)
            if not records and records.upto == reader.next_position - 1:
                # The store is still reading a large record.
                return examined
            for record in records:
                is_for_it = reader.wants(record)
                if is_for_it and not reader.is_ready:
                    return examined
                reader.next_position = record.position + 1
                examined += reader.cost + record.size // FEED_OCTETS
                if is_for_it:
                    reader.send(record, record.size)
                    self._measures.note_delivered(1, record.size)
            reader.next_position = (
                self._last + 1 if records.upto is None else max(reader.next_position, records.upto + 1)
            )
        if reader.next_position == self._last + 1:
            reader.next_position = None
            reader.forget_own()
            self._catch_up(client)
        return examined

    def lags(self) -> list[tuple[Client, int]]:
        """Return the readers that lag, each with the number of records that it has not been offered."""
        return [
            (client, self._last + 1 - reader.next_position)
            for client, reader in self._lagging.items()
            if reader.next_position is not None
        ]

    @property
    def readers(self) -> int:
        """The number of readers."""
        return len(self._readers)

    @property
    def lagging(self) -> list[Client]:
        """The clients whose readers lag."""
        return list(self._lagging)

    def trim(self, now: float) -> None:
        """Remove records that neither the retention nor a lagging reader needs; ``now`` is in seconds."""
        if self._is_trimming:
            return
        needed = (reader.next_position for reader in self._lagging.values() if reader.next_position is not None)
        most = self._first - 1 + TRIM_MAX_RECORDS
        upto = self._trimmable_upto(now, min([self._last, most, *(position - 1 for position in needed)]))
        is_all = upto < most
        if self._octets > TRIM_MAX_OCTETS and upto >= self._first:
            within = self._within_octets(upto)
            is_all, upto = is_all and within == upto, within
        # At a maximum there may be more to remove: let has_grown demand another trim at the next tick.
        self._untrimmed = 0 if is_all else TRIM_AFTER_RECORDS
        if upto >= self._first:
            self._is_trimming = True
            self._store.trim(self.name, upto).addCallback(self._trimmed, upto).addErrback(self._not_trimmed)

    def purge(self, upto: int) -> None:
        """Remove records up to a position, at most as many as one trim removes; call it again for the rest."""
        if not self._is_trimming and self._first <= upto:
            upto = min(upto, self._first - 1 + TRIM_MAX_RECORDS)
            if self._octets > TRIM_MAX_OCTETS:
                upto = self._within_octets(upto)
            if upto >= self._first:
                self._is_trimming = True
                self._store.trim(self.name, upto).addCallback(self._trimmed, upto).addErrback(self._not_trimmed)

    def _within_octets(self, upto: int) -> int:
        """Return the position, at most ``upto``, up to which one trim removes records."""
        after, octets = self._first - 1, 0
        while after < upto:
            sizes = self._store.sizes_of_records(self.name, after, READ_RECORDS)
            for position, _, size in sizes:
                octets += size
                if octets > TRIM_MAX_OCTETS:
                    return min(upto, max(position - 1, self._first))
            if sizes.upto is None:
                return upto
            if sizes.upto == after:
                # The store is still fetching the rest.
                return after
            after = sizes.upto
        return upto

    def _trimmed(self, octets: int, upto: int) -> None:
        self._is_trimming = False
        self._octets -= octets
        self._first = upto + 1
        self._gauge.shrank(self._label, self._octets, self.limits)

    def _not_trimmed(self, failure: Failure) -> None:
        self._is_trimming = False
        error = failure.value
        if not isinstance(error, StoreError):
            failure.raiseException()
        else:
            self._report_error(error)

    @property
    def has_grown(self) -> bool:
        """Whether the stream has grown so much since the last :meth:`trim` that the next one should not wait."""
        return self._untrimmed >= TRIM_AFTER_RECORDS

    def _trimmable_upto(self, now: float, limit: int) -> int:
        """Return the position, at most ``limit``, up to which the retention does not need records."""
        if not self._is_retained:
            return limit
        most = self._retention.most_records
        upto = self._first - 1 if most is None else max(self._first - 1, min(self._last - most, limit))
        oldest = None if self._retention.most_seconds is None else (now - self._retention.most_seconds) * 1000
        most_octets = self._retention.most_octets
        if oldest is None and most_octets is None:
            return upto
        octets = self._octets
        if (oldest is None or oldest <= self._oldest_time) and (most_octets is None or octets <= most_octets):
            # Avoid reading from the store.
            return upto
        after = self._first - 1
        while after < limit and self._octets - octets <= TRIM_MAX_OCTETS:
            sizes = self._store.sizes_of_records(self.name, after, READ_RECORDS)
            for position, time, size in sizes:
                is_too_old = oldest is not None and time < oldest
                is_too_much = most_octets is not None and octets > most_octets
                is_needed = position > upto and not is_too_old and not is_too_much
                if is_needed or position > limit:
                    self._oldest_time = time
                    return upto
                upto = max(upto, position)
                octets -= size
            if sizes.upto == after:
                # The store is still fetching the rest.
                return upto
            after = limit if sizes.upto is None else sizes.upto
        return upto

    def _catch_up(self, client: Client) -> None:
        """Record that a client does not lag any more; without lagging readers and retention, empty the journal."""
        self._lagging.pop(client, None)
        if not self._lagging and not self._is_retained:
            # The next tick removes the records, since a client may leave many streams at once.
            self._untrimmed = TRIM_AFTER_RECORDS
