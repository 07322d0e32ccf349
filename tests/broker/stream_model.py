"""A model of streams: each reader must get every matching record once, in order, without gaps."""

from __future__ import annotations

from collections.abc import Container, Hashable
from dataclasses import dataclass, field

from alaska.interfaces import IStore
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import compile_pattern

EVERYTHING = 10_000


@dataclass
class Written:
    """A record as it was written; ``writer`` distinguishes clients without address."""

    number: int
    position: int
    sender: bytes
    writer: Hashable
    subject: bytes


@dataclass
class Reading:
    """A reader of one stream: the start position of each pattern, the received positions, and the pending records.

    The records in ``maybe`` may be delivered or not: a client without address that replays a stream may get the records
    that it wrote itself, since the stored records do not identify it.
    """

    wants_records: bool = False
    since: dict[bytes, int] = field(default_factory=dict)
    got: set[int] = field(default_factory=set)
    pending: dict[int, Written] = field(default_factory=dict)
    maybe: set[int] = field(default_factory=set)

    def wants(self, written: Written, but: bytes | None = None) -> bool:
        """Return whether a record matches one of its patterns, other than ``but``."""
        return any(
            since <= written.position and compile_pattern(pattern).matches(written.subject)
            for pattern, since in self.since.items()
            if pattern != but
        )


class StreamsModel:
    """All streams. A reader is any object with an address.

    For a stream without retention the model uses its own positions, since those of the broker may start again when the
    stream has no readers.
    """

    def __init__(self, content: IStore, is_durable: bool, kept: Container[bytes]) -> None:
        self.content = content
        self._is_durable = is_durable
        self._kept = kept
        self.written: dict[bytes, dict[int, Written]] = {}
        self._last: dict[bytes, int] = {}
        self._readings: dict[tuple[bytes, Hashable], Reading] = {}
        self._count = 0
        self.got = 0

    def restarted(self, is_clean: bool) -> None:
        """Record that the broker was restarted with what is in the store."""
        last = {size.stream: size.last for size in self.content.streams()}
        for stream, known in self._last.items():
            is_promised = is_clean and stream in self._kept and self._is_durable
            assert last.get(stream, 0) == known or not is_promised, f"{stream!r} lost its positions"
        self._last = last

    def last(self, stream: bytes) -> int:
        """Return the position of the last record."""
        return self._last.get(stream, 0)

    def write(self, stream: bytes, writer: Hashable, sender: bytes, subject: bytes) -> Written:
        """Record that a record is written next, with :func:`content_of` its number."""
        self._count += 1
        position = self._last[stream] = self.last(stream) + 1
        written = Written(self._count, position, sender, writer, subject)
        self.written.setdefault(stream, {})[self._count] = written
        for (name, reader), reading in self._readings.items():
            if name == stream and reading.wants(written) and not is_own(written, reader):
                reading.pending[position] = written
        return written

    def stored(self, stream: bytes) -> list[Written]:
        """Return the records that are stored, in order."""
        known = self.written.get(stream, {})
        return [known[number_in(record.content)] for record in self.content.records(stream, 0, EVERYTHING)]

    def got_by(self, reader: Hashable, stream: bytes) -> list[int]:
        """Return the positions that a reader has got, in order."""
        reading = self._readings.get((stream, reader))
        return [] if reading is None else sorted(reading.got)

    def is_read_by(self, reader: Hashable, stream: bytes) -> bool:
        """Return whether a client reads a stream."""
        return (stream, reader) in self._readings

    def read(self, reader: Hashable, stream: bytes, pattern: bytes) -> None:
        """Add a pattern to a reader, from now on; an existing pattern does not change."""
        reading = self._readings.setdefault((stream, reader), Reading())
        reading.since.setdefault(pattern, self.last(stream) + 1)

    def replay(self, reader: Hashable, stream: bytes, pattern: bytes, position: int) -> None:
        """Add a pattern to a reader, from a position on; records got under another pattern are not sent again.

        If the reader has the pattern already, the new position replaces the old one. For a stream without retention the
        position must be :data:`LIVE_ONLY` or 0.
        """
        reading = self._readings.setdefault((stream, reader), Reading())
        reading.wants_records = True
        start = reading.since[pattern] = self.last(stream) + 1 if position == mlm.LIVE_ONLY else max(position, 1)
        reading.pending = {at: each for at, each in reading.pending.items() if reading.wants(each, but=pattern)}
        for record in self.content.records(stream, start - 1 if stream in self._kept else 0, EVERYTHING):
            written = self.written[stream][number_in(record.content)]
            is_wanted = written.position >= start and compile_pattern(pattern).matches(record.subject)
            if not is_wanted or (record.sender and is_own(written, reader)):
                continue
            if written.position not in reading.got or not reading.wants(written, but=pattern):
                reading.pending[written.position] = written
                if written.writer is reader:
                    reading.maybe.add(written.position)

    def cancel(self, reader: Hashable, stream: bytes) -> None:
        """Remove a reader of a stream."""
        self._readings.pop((stream, reader), None)

    def leave(self, reader: Hashable) -> None:
        """Remove a reader from all streams."""
        for stream, who in list(self._readings):
            if who is reader:
                self.cancel(reader, stream)

    def delivered(self, reader: Hashable, command: mlm.StreamDeliver | mlm.StreamRecord) -> None:
        """Check that a delivery is the next pending record of a reader."""
        reading = self._readings.get((command.address, reader))
        assert reading is not None, f"{reader} does not read {command.address!r}"
        assert reading.wants_records is isinstance(command, mlm.StreamRecord)
        assert reading.pending, f"{reader} gets {command}, but nothing is pending"
        position = min(reading.pending)
        while position in reading.maybe and reading.pending[position].number != number_in(command.content):
            reading.pending.pop(position)
            position = min(reading.pending)
        written = reading.pending.pop(position)
        reading.got.add(position)
        self.got += 1
        assert number_in(command.content) == written.number, f"{reader} gets {command} instead of {written}"
        assert (command.sender, command.subject) == (written.sender, written.subject)
        if isinstance(command, mlm.StreamRecord) and command.address in self._kept:
            assert command.position == position

    def check_fed(self, reader: Hashable) -> None:
        """Check that a reader that is ready has got all pending records."""
        for (stream, who), reading in self._readings.items():
            missing = reading.pending.keys() - reading.maybe
            assert who is not reader or not missing, f"{reader} waits for {missing} of {stream!r}"


def content_of(number: int) -> bytes:
    """Return the content of a record, which is different from that of any message."""
    return b"r%d" % number


def number_in(content: mlm.Content) -> int:
    """Return the number of the record with this content."""
    return int(content[0][1:])


def is_own(written: Written, reader: Hashable) -> bool:
    """Return whether a record was written by its reader, or by an earlier client with the same address."""
    return written.writer is reader or (bool(written.sender) and written.sender == getattr(reader, "address", b""))
