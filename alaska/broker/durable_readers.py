"""The durable readers of all streams: which exist, and what the store has of them.

A position is written at most once a second, however fast it moves. So after the end of the process without a warning,
a reader gets the records of about the last second again, and none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from twisted.logger import Logger

from alaska import errors
from alaska.broker.clients import Client
from alaska.broker.durable_reader import DurableReader, SavedReader
from alaska.broker.limits import Limits
from alaska.interfaces import IStore
from alaska.names import printable

ENTRY = "reader"
"""The kind of the store's entries."""
WRITE_SECONDS = 1.0
"""The interval at which positions are written."""
SEEN_SECONDS = 3600.0
"""The longest interval at which the time when a client had the reader is written, if the position does not move."""
RETURN_SECONDS = 60.0
"""A broker that has started waits so long for the clients of readers that have not been seen for a long time."""
CHECKED_PER_TICK = 1000
"""The number of readers that one tick looks at."""


class DurableReaders:
    """All durable readers, by stream and name.

    How long nobody has had one is measured by the broker's time, which steps of the wall clock do not affect. What the
    store has, and ``wall``, are times of the wall clock, in seconds since 1970.
    """

    _log = Logger()

    def __init__(self, store: IStore, limits: Limits) -> None:
        self._store = store
        self._readers: dict[tuple[bytes, bytes], DurableReader] = {}
        self._unchecked: list[DurableReader] = []
        self._checked_at = float("-inf")
        self._now = self.wall = 0.0
        """The time of the last tick by both clocks."""
        self.lost = 0
        """The number of records that streams have removed before readers have read them, since the broker started."""
        self._started: float | None = None
        self.configure(limits)
        for key, value in store.entries(ENTRY).items():
            self._restore(key, value)

    def configure(self, limits: Limits) -> None:
        """Change the maximum number and age."""
        self._most, self._most_seconds = limits.durable_readers, limits.durable_reader_seconds
        longest = float("inf") if self._most_seconds is None else self._most_seconds
        self._seen_seconds, self._return_seconds = min(SEEN_SECONDS, longest / 4), min(RETURN_SECONDS, longest)

    def _restore(self, key: bytes, value: bytes) -> None:
        stream, name = _stream_and_name(key)
        try:
            saved = msgspec.msgpack.decode(value, type=SavedReader)
        except msgspec.DecodeError as error:
            self._log.error(
                "the position of the reader {name} of stream {stream} cannot be read: {error}",
                name=printable(name), stream=printable(stream), error=error,
            )  # fmt: skip
            return
        self._readers[stream, name] = reader = DurableReader(stream, name, saved, self.save)
        reader.saved = saved

    def __len__(self) -> int:
        return len(self._readers)

    def __iter__(self) -> Iterator[DurableReader]:
        return iter(self._readers.values())

    def get(self, stream: bytes, name: bytes) -> DurableReader | None:
        """Return the reader with this name, or None."""
        return self._readers.get((stream, name))

    def check_room(self) -> None:
        """Check that there may be another reader.

        :raises Refused: there are too many.
        """
        if self._most is not None and len(self._readers) >= self._most:
            count = len(self._readers)
            raise errors.Refused(f"there are {count} durable readers (mlm_server/stream/readers)", errors.FAILED)

    def add(self, stream: bytes, name: bytes, client: Client, position: int) -> DurableReader:
        """Create a reader."""
        first = SavedReader(position, self.wall, 0, client.user, b"")
        reader = DurableReader(stream, name, first, self.save)
        self._readers[stream, name] = reader
        return reader

    def save(self, reader: DurableReader) -> None:
        """Write a reader to the store."""
        reader.saved = saved = reader.to_save(self._now, self.wall)
        self._store.set_entry(ENTRY, _key(reader), msgspec.msgpack.encode(saved))

    def delete(self, reader: DurableReader) -> None:
        """Delete a reader that no client has."""
        del self._readers[reader.stream_name, reader.name]
        self._store.set_entry(ENTRY, _key(reader), None)

    def save_all(self) -> None:
        """Write all positions that have moved."""
        for reader in self._readers.values():
            if reader.reader is not None:
                self.save(reader)

    def tick(self, now: float, wall: float) -> None:
        """Write positions that have moved, and delete readers that nobody has had for a long time."""
        self._now, self.wall = now, wall
        if self._started is None:
            self._started = now
            for reader in self._readers.values():
                reader.left_at = now - max(0.0, wall - reader.seen)
        if not self._unchecked and abs(now - self._checked_at) >= WRITE_SECONDS:
            self._checked_at = now
            self._unchecked = list(self._readers.values())
        part, self._unchecked = self._unchecked[:CHECKED_PER_TICK], self._unchecked[CHECKED_PER_TICK:]
        for reader in part:
            if reader.reader is not None:
                self._check(reader)
            elif self._is_over_age(reader) and now - self._started >= self._return_seconds:
                self._expire(reader)

    def _is_over_age(self, reader: DurableReader) -> bool:
        return self._most_seconds is not None and self._now - reader.left_at > self._most_seconds

    def _check(self, reader: DurableReader) -> None:
        saved = reader.saved
        if saved is None or saved.position != reader.position or abs(self.wall - saved.seen) >= self._seen_seconds:
            self.save(reader)

    def _expire(self, reader: DurableReader) -> None:
        if self.get(reader.stream_name, reader.name) is reader:
            self.delete(reader)
            self._log.info(
                "the reader {name} of stream {stream} is deleted: nobody has had it for {seconds:.0f} s",
                name=printable(reader.name), stream=printable(reader.stream_name), seconds=self._now - reader.left_at,
            )  # fmt: skip


def _key(reader: DurableReader) -> bytes:
    return bytes((len(reader.stream_name),)) + reader.stream_name + reader.name


def _stream_and_name(key: bytes) -> tuple[bytes, bytes]:
    end = 1 + key[0] if key else 0
    return key[1:end], key[end:]
