"""All streams: which exist, and which clients read them (docs/protocol.md, sections 4 to 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from alaska.broker.clients import Client
from alaska.broker.durable_reader import DurableReader
from alaska.broker.durable_readers import DurableReaders
from alaska.broker.ended_streams import EndedStreams
from alaska.broker.limits import Gauge, Limits, QueueLimits
from alaska.broker.measures import StreamMeasures
from alaska.broker.round_robin import RoundRobin
from alaska.broker.stream import FEED_RECORDS, Stream
from alaska.broker.stream_readers import OwnRecords, Reader
from alaska.broker.subject_index import CacheMemory
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import Record, counted_size
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern

TRIM_SECONDS = 1.0
TRIM_WORK_PER_TICK = 10_000
"""The work of trimming streams per tick: 1 for each stream, more if records are removed; the next tick continues."""
WORK_PER_TRIM = 50
TRIMMED_OCTETS_PER_WORK = 4096
FEED_BETWEEN_TICKS = 4000
"""The number of records that all calls between two ticks examine for lagging readers, of all streams and clients."""
_MESSAGE = "the space for one stream message (mlm_server/content/size-limit)"


class Streams:
    """All streams with readers or stored records, by name."""

    def __init__(self, store: IStore, limits: Limits, report_error: Callable[[StoreError], None]) -> None:
        self._store = store
        self._report_error = report_error
        self._retention = limits.retention
        self._retention_of = limits.retention_of
        self._limits = limits.stream
        self._gauge = Gauge()
        self.cache_memory, self._own_records = CacheMemory(), OwnRecords()
        """What the subjects of all streams share that are cached."""
        self._streams: dict[bytes, Stream] = {}
        self._read_by: dict[Client, dict[bytes, None]] = {}
        self._most = limits.streams
        self._most_octets = limits.content_octets
        self._ended = EndedStreams()
        self._trimmed = 0.0
        self.refused = 0
        """The number of messages that were too large, or not stored because of the limit for streams."""
        self.measures = StreamMeasures()
        self._round_robin, self._feed_budget = RoundRobin(), FEED_BETWEEN_TICKS
        self._trim_robin = RoundRobin()
        self.durable = DurableReaders(store, limits)
        for size in store.streams():
            if size.first <= size.last:
                self._get_or_create(size.stream).restore(size.first, size.last, size.octets)
            else:
                self._ended.add(size.stream, size.last)

    def configure(self, limits: Limits) -> None:
        """Change the limits, but not the retention, for messages that are published from now on."""
        self._limits, self._most, self._most_octets = limits.stream, limits.streams, limits.content_octets
        self.durable.configure(limits)
        for stream in self._streams.values():
            stream.limits = limits.stream

    def _get_or_create(self, name: bytes) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            retention = self._retention_of.get(name, self._retention)
            shared = self._gauge, self._limits, self._report_error, self.cache_memory, self._own_records
            stream = self._streams[name] = Stream(name, self._store, retention, *shared, self.measures)
            last = self._ended.pop(name)
            if last:
                stream.restore(last + 1, last, 0)
        return stream

    def __len__(self) -> int:
        return len(self._streams)

    def get(self, name: bytes) -> Stream | None:
        """Return the stream with this name, or None."""
        return self._streams.get(name)

    def names_read_by(self, client: Client) -> dict[bytes, None]:
        """Return the names of the streams that a client reads."""
        return self._read_by.get(client, {})

    def continue_reading(self, name: bytes) -> None:
        """Send lagging readers of a stream the records that the store has fetched."""
        stream = self._streams.get(name)
        if stream is not None:
            for client in stream.lagging:
                if not self._feed(stream, client):
                    return

    def read(self, name: bytes, client: Client, pattern: Pattern) -> None:
        """Add a pattern to a client's reader of a stream, from the next message on."""
        self._read_by.setdefault(client, {})[name] = None
        self._get_or_create(name).read(client, pattern)

    def replay(self, name: bytes, client: Client, pattern: Pattern, position: int) -> int:
        """Add a pattern to a client's reader of a stream, from a position on, as records; return the last position.

        If the client knows a higher position, that was of an earlier stream with this name.
        """
        self._read_by.setdefault(client, {})[name] = None
        stream = self._get_or_create(name)
        stream.replay(client, pattern, position)
        return stream.last

    def open(self, name: bytes) -> Stream:
        """Return the stream with this name, for a reader that is added to it at once."""
        return self._get_or_create(name)

    def bind(self, name: bytes, published: Callable[[Stream, Record], None]) -> Stream:
        """Call a function with each new record of a stream, which exists as long as it is bound."""
        stream = self._get_or_create(name)
        stream.bound = published
        return stream

    def unbind(self, name: bytes) -> None:
        """Undo :meth:`bind`."""
        stream = self._streams[name]
        stream.bound = None
        if not stream:
            self._remove(stream)

    def replay_as(
        self, durable: DurableReader, client: Client, pattern: Pattern, position: int, held: int | None
    ) -> None:
        """Let a client be a durable reader, and read from a position on; see :meth:`DurableReader.attach`."""
        name = durable.stream_name
        self._read_by.setdefault(client, {})[name] = None
        stream = self._get_or_create(name)
        reader = stream.replay(client, pattern, position)
        reader.durable = durable
        durable.attach(stream, reader, pattern.source, held)

    def reader_of(self, name: bytes, client: Client) -> Reader | None:
        """Return a client's reader of a stream, or None."""
        stream = self._streams.get(name)
        return None if stream is None else stream.reader_of(client)

    def read_by(self, client: Client) -> list[bytes]:
        """Return the streams that a client reads."""
        return list(self._read_by.get(client, ()))

    def cancel(self, name: bytes, client: Client) -> None:
        """Remove a client's reader of a stream, if there is one."""
        if name in self._read_by.get(client, ()):
            del self._read_by[client][name]
            self._stop_reading(name, client)

    def remove_client(self, client: Client) -> None:
        """Remove all readers of a client."""
        for name in self._read_by.pop(client, ()):
            self._stop_reading(name, client)

    def _stop_reading(self, name: bytes, client: Client) -> None:
        stream = self._streams[name]
        stream.cancel(client)
        if not stream:
            self._remove(stream)

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._streams.values())

    def _remove(self, stream: Stream) -> None:
        del self._streams[stream.name]
        if stream.was_stored:
            self._ended.add(stream.name, stream.last)

    def publish(self, name: bytes, sender: Client, command: mlm.StreamSend, now: float) -> int:
        """Send a message to the readers of a stream; return the number of deliveries. The time is in seconds."""
        if self._most_octets is not None and counted_size(command.content, 0) > self._most_octets:
            self.refused += 1
            self._gauge.admits(_MESSAGE, counted_size(command.content, 0), QueueLimits(self._most_octets))
            return 0
        stream = self._streams.get(name)
        if stream is None:
            # It has no readers: create it only if its records are to be stored.
            if self._retention_of.get(name, self._retention).most_records == 0 or not self._has_room():
                self.measures.note_published(counted_size(command.content, 0))
                return 0
            stream = self._get_or_create(name)
        return stream.publish(sender, command, int(now * 1000))

    def _has_room(self) -> bool:
        """Return whether the limit allows another stream without readers; the others are limited by their patterns."""
        if self._most is None or len(self._streams) < self._most:
            return True
        self.refused += 1
        self._gauge.admits(
            "the table of streams (mlm_server/stream/limit)", len(self._streams) + 1, QueueLimits(self._most)
        )
        return False

    def feed(self, client: Client) -> None:
        """Send a client records from the journals of all streams in which it lags, as far as it is ready.

        The next ticks continue when this takes many records.
        """
        for name in self._read_by.get(client, ()):
            if not self._feed(self._streams[name], client):
                return

    def _feed(self, stream: Stream, client: Client) -> bool:
        """Feed one reader; return False if the budget until the next tick was used up before."""
        if self._feed_budget <= 0:
            return False
        self._feed_budget -= stream.feed(client, min(FEED_RECORDS, self._feed_budget))
        return True

    def tick(self, now: float) -> None:
        """Feed lagging readers, and trim streams when that is due. The time is in seconds."""
        is_time = abs(now - self._trimmed) >= TRIM_SECONDS
        if is_time:
            self._trimmed = now
        self._feed_budget = FEED_BETWEEN_TICKS
        lagging = [(stream, client) for stream in self._streams.values() for client in stream.lagging]
        self._round_robin.run(lagging, FEED_RECORDS, lambda each, most: each[0].feed(each[1], most))
        due = [stream for stream in self._streams.values() if is_time or stream.has_grown]
        if self._trim_robin.run(due, TRIM_WORK_PER_TICK, lambda stream, _most: self._trim(stream, now)) and is_time:
            # Some are still due.
            self._trimmed = float("-inf")

    def _trim(self, stream: Stream, now: float) -> int:
        """Trim a stream, and remove it if it is not needed; return the work."""
        octets = stream.octets
        stream.trim(now)
        if not stream:
            self._remove(stream)
        removed = octets - stream.octets
        return 1 + WORK_PER_TRIM + removed // TRIMMED_OCTETS_PER_WORK if removed > 0 else 1
