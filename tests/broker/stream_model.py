"""What the readers of streams must get: each record that is for them once, in order, without a gap."""

from __future__ import annotations

from collections.abc import Container, Hashable
from dataclasses import dataclass, field

from alaska.interfaces import IStore
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import compile_pattern

EVERYTHING = 10_000


@dataclass
class Written:
    """A record as it was written; the sender's number tells two clients without address apart."""

    number: int
    position: int
    sender: bytes
    writer: Hashable
    subject: bytes


@dataclass
class Reading:
    """One reader of one stream: from which position on it wants each pattern, what it has got, what it has to get.

    What a client without address wrote itself it may get when it asks for the past, where nobody knows it again.
    """

    wants_records: bool = False
    since: dict[bytes, int] = field(default_factory=dict)
    got: set[int] = field(default_factory=set)
    pending: dict[int, Written] = field(default_factory=dict)
    maybe: set[int] = field(default_factory=set)

    def wants(self, written: Written, but: bytes | None = None) -> bool:
        """Return whether a record is for it, for another pattern than one if that is given."""
        return any(
            since <= written.position and compile_pattern(pattern).matches(written.subject)
            for pattern, since in self.since.items()
            if pattern != but
        )


class StreamsModel:
    """All streams. A reader is anything that has an address.

    The positions of a stream that is not kept are the model's own: the broker's begin anew when nobody reads it.
    """

    def __init__(self, store: IStore, kept: Container[bytes]) -> None:
        self.store = store
        self._kept = kept
        self.written: dict[bytes, dict[int, Written]] = {}
        self._last: dict[bytes, int] = {}
        self._readings: dict[tuple[bytes, Hashable], Reading] = {}
        self._count = 0
        self.got = 0

    def restarted(self, is_clean: bool) -> None:
        """Take note that only what the store has is left."""
        last = {size.stream: size.last for size in self.store.streams()}
        for stream, known in self._last.items():
            is_promised = is_clean and stream in self._kept and self.store.is_durable
            assert last.get(stream, 0) == known or not is_promised, f"{stream!r} lost its positions"
        self._last = last

    def last(self, stream: bytes) -> int:
        """Return the position of the last record."""
        return self._last.get(stream, 0)

    def write(self, stream: bytes, writer: Hashable, sender: bytes, subject: bytes) -> int:
        """Take note of a record that is written next; return its number, which is to be its content."""
        self._count += 1
        position = self._last[stream] = self.last(stream) + 1
        written = Written(self._count, position, sender, writer, subject)
        self.written.setdefault(stream, {})[self._count] = written
        for (name, reader), reading in self._readings.items():
            if name == stream and reading.wants(written) and not is_own(written, reader):
                reading.pending[position] = written
        return self._count

    def read(self, reader: Hashable, stream: bytes, pattern: bytes) -> None:
        """Let somebody read, from now on; what is read already goes on."""
        reading = self._readings.setdefault((stream, reader), Reading())
        reading.since.setdefault(pattern, self.last(stream) + 1)

    def replay(self, reader: Hashable, stream: bytes, pattern: bytes, position: int) -> None:
        """Let somebody read from a position on; what it gets under another pattern does not come again.

        Who asks for the same pattern again has no use for what it asked for before.

        Of a stream that is not kept the position is :data:`LIVE_ONLY` or 0.
        """
        reading = self._readings.setdefault((stream, reader), Reading())
        reading.wants_records = True
        start = reading.since[pattern] = self.last(stream) + 1 if position == mlm.LIVE_ONLY else max(position, 1)
        reading.pending = {at: each for at, each in reading.pending.items() if reading.wants(each, but=pattern)}
        for record in self.store.records(stream, start - 1 if stream in self._kept else 0, EVERYTHING):
            written = self.written[stream][int(record.content[0])]
            is_wanted = written.position >= start and compile_pattern(pattern).matches(record.subject)
            if not is_wanted or (record.sender and is_own(written, reader)):
                continue
            if written.position not in reading.got or not reading.wants(written, but=pattern):
                reading.pending[written.position] = written
                if written.writer is reader:
                    reading.maybe.add(written.position)

    def cancel(self, reader: Hashable, stream: bytes) -> None:
        """Let somebody read a stream no longer."""
        self._readings.pop((stream, reader), None)

    def leave(self, reader: Hashable) -> None:
        """Let somebody read nothing any more."""
        for stream, who in list(self._readings):
            if who is reader:
                self.cancel(reader, stream)

    def delivered(self, reader: Hashable, command: mlm.StreamDeliver | mlm.StreamRecord) -> None:
        """Check that what is delivered comes next."""
        reading = self._readings.get((command.address, reader))
        assert reading is not None, f"{reader} does not read {command.address!r}"
        assert reading.wants_records is isinstance(command, mlm.StreamRecord)
        assert reading.pending, f"{reader} has to get nothing, and gets {command}"
        position = min(reading.pending)
        while position in reading.maybe and reading.pending[position].number != int(command.content[0]):
            reading.pending.pop(position)
            position = min(reading.pending)
        written = reading.pending.pop(position)
        reading.got.add(position)
        self.got += 1
        assert int(command.content[0]) == written.number, f"{reader} gets {command} instead of {written}"
        assert (command.sender, command.subject) == (written.sender, written.subject)
        if isinstance(command, mlm.StreamRecord) and command.address in self._kept:
            assert command.position == position

    def check_fed(self, reader: Hashable) -> None:
        """Check that somebody who is ready has all that it has to get."""
        for (stream, who), reading in self._readings.items():
            missing = reading.pending.keys() - reading.maybe
            assert who is not reader or not missing, f"{reader} waits for {missing} of {stream!r}"


def is_own(written: Written, reader: Hashable) -> bool:
    """Return whether a record was written by its reader, or by who had its address before."""
    return written.writer is reader or (bool(written.sender) and written.sender == getattr(reader, "address", b""))
