"""Bindings: streams whose records become requests to services (docs/streams.md).

A binding has a position in its stream, as a durable reader has. It moves right after a request was added to its queue,
and so, unless the disk is too slow, in the same transaction of the store: after a crash, a record may become a request
again, but none is left out. A binding waits while its queue has many unfinished requests; meanwhile the records stay in
the stream. A stream that stores no records cannot wait: each becomes a request at once, if the queue has room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec
from twisted.logger import Logger

from alaska import errors
from alaska.broker.binding import Binding, BindingCounts, BindingKey, SavedBinding
from alaska.broker.bound_stream import BoundStream
from alaska.broker.limits import Limits
from alaska.broker.queues import Queues
from alaska.broker.round_robin import RoundRobin
from alaska.broker.stream import Stream
from alaska.broker.streams import Streams
from alaska.errors import PatternError, Refused
from alaska.interfaces import IStore
from alaska.message import PROPERTY_OCTETS, QueueKind, Record, counted_size
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern, compile_pattern
from alaska.mlm.properties import HEADER, leaves_room, octets_of
from alaska.names import is_brokers_own, printable
from alaska.traces.context import TRACEPARENT, TRACESTATE

_TRACE = (TRACEPARENT, TRACESTATE)
ENTRY = "binding"
"""The kind of the store's entries."""
MOST_UNFINISHED = 500
"""A binding waits while its queue has so many requests that wait, run, or were put off by workers."""
MOST_OF_STREAM = 100
"""The maximum number of bindings of one stream: each record is matched against all of them."""
WORK_PER_TICK = 1200
WORK_PER_REFILL = 100
"""The work after a confirmation, and per tick: 1 for each record that is looked at, and more for requests."""
WORK_PER_REQUEST = 3
OCTETS_PER_WORK = 4096
READ_RECORDS = 100
MIN_READ_RECORDS = 16
MOST_MEASURED = 50
"""The number of bindings that are measured separately."""
SAVE_SECONDS = 1.0
"""The interval at which positions are stored that have moved over records that do not match."""


class Bindings:
    """All bindings; ``now`` returns the broker's time."""

    _log = Logger()

    def __init__(
        self, store: IStore, streams: Streams, queues: Queues, limits: Limits, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._is_durable = store.is_durable
        self._streams = streams
        self._queues = queues
        self._bindings: dict[BindingKey, Binding] = {}
        self._of_stream: dict[bytes, BoundStream] = {}
        self._measured = 0
        self.other_counts = BindingCounts()
        """What was counted of all together that are not measured separately."""
        self.behind: dict[Binding, None] = {}
        """Those that have records before them, in the order in which they get their turns."""
        self._round_robin = RoundRobin()
        self._now = now
        self._saved_at = float("-inf")
        self.configure(limits)
        for octets, value in store.entries(ENTRY).items():
            self._restore(octets, value)

    def configure(self, limits: Limits) -> None:
        """Change the maximum number."""
        self._most = limits.bindings

    def _restore(self, octets: bytes, value: bytes) -> None:
        key = BindingKey.decode(octets)
        try:
            saved = msgspec.msgpack.decode(value, type=SavedBinding)
            pattern = compile_pattern(key.pattern)
        except (msgspec.DecodeError, PatternError) as error:
            words = "the binding of stream {stream} to service {service} cannot be read: {error}"
            self._log.error(words, stream=printable(key.stream), service=printable(key.service), error=error)
            return
        binding = self._add(key, pattern, saved)
        binding.saved = value
        if binding.stream.is_retained:
            self._fall_behind(binding, min(saved.position, binding.stream.last + 1))

    def _add(self, key: BindingKey, pattern: Pattern, saved: SavedBinding) -> Binding:
        others = None if self._measured < MOST_MEASURED else self.other_counts
        stream = self._streams.bind(key.stream, self._published)
        binding = self._bindings[key] = Binding(key, pattern, saved, stream, others)
        self._measured += binding.is_measured
        of_stream = self._of_stream.get(key.stream)
        if of_stream is None:
            of_stream = self._of_stream[key.stream] = BoundStream(self._streams.cache_memory)
        of_stream.add(binding)
        return binding

    def _fall_behind(self, binding: Binding, position: int) -> None:
        """Let a binding be behind, from a position on."""
        binding.move(position)
        binding.is_behind = True
        self.behind[binding] = None

    def _catch_up(self, binding: Binding) -> None:
        """Let a binding be behind no longer: it is at the end of its stream."""
        binding.is_behind = False
        self.behind.pop(binding, None)

    def __len__(self) -> int:
        return len(self._bindings)

    def __iter__(self) -> Iterator[Binding]:
        return iter(self._bindings.values())

    def get(self, key: BindingKey) -> Binding | None:
        """Return the binding with this key, or None."""
        return self._bindings.get(key)

    def bind(self, key: BindingKey, position: int, by: str) -> bool:
        """Bind a stream to a service from a position on; 0 is the oldest record, and LIVE_ONLY the next one.

        Return False if it is bound already, and goes on where it is.

        :raises Refused: there are too many bindings, or the names cannot be bound.
        :raises PatternError: the pattern is not valid.
        """
        is_new = key not in self._bindings
        self.bind_all([key], position, by)
        return is_new

    def bind_all(self, keys: Iterable[BindingKey], position: int, by: str) -> None:
        """Do as :meth:`bind` for several; if one cannot be bound, none is."""
        new = {key: _pattern_of(key) for key in keys if key not in self._bindings}
        self._check_room(new)
        for key, pattern in new.items():
            self._begin(key, pattern, position, by)

    def _check_room(self, new: Collection[BindingKey]) -> None:
        count, most = len(self._bindings), self._most
        if new and most is not None and count + len(new) > most:
            raise Refused(
                f"there are {count} bindings, and {most} is the most (mlm_server/stream/bindings)", errors.FAILED
            )
        for stream, more in Counter(key.stream for key in new).items():
            if len(self._of_stream.get(stream, ())) + more > MOST_OF_STREAM:
                raise Refused(f"a stream has at most {MOST_OF_STREAM} bindings", errors.FAILED)

    def _begin(self, key: BindingKey, pattern: Pattern, position: int, by: str) -> None:
        stream = self._streams.open(key.stream)
        begin = min(max(position, stream.first), stream.last + 1) if stream.is_retained else stream.last + 1
        binding = self._add(key, pattern, SavedBinding(begin, self._now() + self._queues.wall_offset, by))
        if stream.is_retained:
            self._fall_behind(binding, begin)
        self._save(binding)
        words = "stream {stream} is bound to service {service} from position {position} on, by {by}"
        names = {"stream": printable(key.stream), "service": printable(key.service)}
        self._log.info(words, **names, position=begin, by=by)
        if not stream.is_retained:
            words = (
                "stream {stream} stores no records (mlm_server/stream/retain): service {service} gets new ones only, "
                "and those for which its queue has no room are lost"
            )
            self._log.warn(words, **names)
        else:
            self._feed(binding, WORK_PER_REFILL)

    def unbind(self, key: BindingKey) -> bool:
        """End a binding; return False if there is none. Requests that were made stay."""
        binding = self._bindings.pop(key, None)
        if binding is None:
            return False
        self.behind.pop(binding, None)
        self._measured -= binding.is_measured
        others = self._of_stream[key.stream]
        others.remove(binding)
        if not others:
            others.clear()
            del self._of_stream[key.stream]
            self._streams.unbind(key.stream)
        self._store.set_entry(ENTRY, binding.octets, None)
        return True

    # Records

    def _published(self, stream: Stream, record: Record) -> None:
        """Make the requests for a new record, at once if that is possible."""
        for binding in self._of_stream[record.stream].wanted_by(record.subject):
            if not stream.is_retained:
                if not self._request(binding, record):
                    self._note_lost(binding, 1, "its queue has no room, and the stream stores no records")
            elif not binding.is_behind:
                self._fall_behind(binding, record.position)
                if self.is_open(binding) and self._request(binding, record):
                    self._catch_up(binding)
                    self._moved(binding)

    def unfinished(self, binding: Binding) -> int:
        """Return the number of requests in the queue of a binding that wait, run, or were put off by workers.

        Those that their senders have delayed do not count: they may be due in days.
        """
        queue = self._queues.table.get((QueueKind.SERVICE, binding.key.service))
        return 0 if queue is None else queue.waiting + queue.put_off + queue.running

    def is_open(self, binding: Binding) -> bool:
        """Return whether a binding may add requests to its queue."""
        return self.unfinished(binding) < MOST_UNFINISHED and not self._queues.is_draining

    def _request(self, binding: Binding, record: Record) -> bool:
        """Make the request for a record; return False if there is no room for it now."""
        service = binding.key.service
        properties: mlm.Properties = {
            key: value for key, value in record.properties.items() if key.startswith(HEADER) or key in _TRACE
        }
        properties["stream"], properties["position"] = record.stream, record.position
        names = len(service) + len(record.sender) + len(record.subject) + octets_of(properties)
        size = counted_size(record.content, names + PROPERTY_OCTETS * len(properties))
        room = self._queues.room_for(service, size) if leaves_room(properties) else None
        if room is None:
            binding.note_skipped()
            self._log.error(
                "record {position} of stream {stream} is too large for a request to service {service}",
                position=record.position, stream=printable(record.stream), service=printable(service),
            )  # fmt: skip
            return True
        if not room:
            return False
        content, sender = record.content, record.sender
        position = self._queues.send_request(service, record.subject, content, sender, properties, self._now())
        if position is None:
            return False
        binding.note_made()
        return True

    def _moved(self, binding: Binding) -> None:
        """Store the new position, after the request was added to its queue: never in an earlier transaction."""
        if self._is_durable:
            self._save(binding)

    def _save(self, binding: Binding) -> None:
        binding.saved = value = binding.encode()
        self._store.set_entry(ENTRY, binding.octets, value)

    # Bindings that are behind

    def tick(self, now: float) -> None:
        """Make requests for the records of bindings that are behind, and store positions that have moved."""
        if self.behind:
            self._round_robin.run(list(self.behind), WORK_PER_TICK, self._feed)
        if abs(now - self._saved_at) >= SAVE_SECONDS:
            self._saved_at = now
            self.save_all()

    def save_all(self) -> None:
        """Store the positions that have moved."""
        for binding in self._bindings.values() if self._is_durable else ():
            if binding.saved != binding.encode():
                self._save(binding)

    def refill(self) -> None:
        """Let the next one of those that are behind make a few requests, since another request has ended."""
        binding = next(iter(self.behind))
        del self.behind[binding]
        self.behind[binding] = None
        if self.unfinished(binding) < MOST_UNFINISHED // 2:
            self._feed(binding, WORK_PER_REFILL)

    def _feed(self, binding: Binding, most: int) -> int:
        """Make requests for a binding; return the work that was done."""
        stream = binding.stream
        work = 1
        if binding.position < stream.first:
            self._note_lost(binding, stream.first - binding.position, "the stream has removed them")
            binding.move(stream.first)
        if not self.is_open(binding):
            return work
        while binding.position <= stream.last:
            if work >= most or not self.is_open(binding):
                return work
            limit = max(MIN_READ_RECORDS, min(READ_RECORDS, (most - work) // (1 + WORK_PER_REQUEST)))
            after = binding.position - 1
            records = self._store.records(stream.name, after, limit)
            if not records and records.upto == after:
                return work  # the store is still reading a large record
            for record in records:
                work += 1 + counted_size(record.content, 0) // OCTETS_PER_WORK
                if not binding.pattern.matches(record.subject):
                    binding.move(record.position + 1)
                    continue
                if not self.is_open(binding) or not self._request(binding, record):
                    return work
                work += WORK_PER_REQUEST
                binding.move(record.position + 1)
                self._moved(binding)
            binding.move(stream.last + 1 if records.upto is None else max(binding.position, records.upto + 1))
        self._catch_up(binding)
        return work

    def _note_lost(self, binding: Binding, count: int, why: str) -> None:
        if not binding.lost:
            self._log.warn(
                "{count} records of stream {stream} did not become requests to service {service}: {why}",
                count=count, stream=printable(binding.key.stream), service=printable(binding.key.service), why=why,
            )  # fmt: skip
        binding.note_lost(count)


def _pattern_of(key: BindingKey) -> Pattern:
    """Return the pattern of a binding whose names are valid.

    :raises Refused: they are not.
    :raises PatternError: the pattern is not valid.
    """
    if not 0 < len(key.stream) <= mlm.MAX_STRING_OCTETS or not 0 < len(key.service) <= mlm.MAX_STRING_OCTETS:
        raise Refused(f"stream and service have names of 1 to {mlm.MAX_STRING_OCTETS} octets", errors.FAILED)
    if is_brokers_own(key.service):
        raise Refused("the services of the broker cannot be bound", errors.FAILED)
    if len(key.pattern) > mlm.MAX_STRING_OCTETS:
        raise Refused(f"a pattern has at most {mlm.MAX_STRING_OCTETS} octets", errors.FAILED)
    return compile_pattern(key.pattern)
