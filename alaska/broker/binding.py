"""One binding: each record of a stream that matches a pattern becomes a request to a service."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from alaska.broker.stream import Stream
from alaska.mlm.patterns import Pattern


class BindingKey(NamedTuple):
    """What identifies a binding."""

    stream: bytes
    service: bytes
    pattern: bytes

    def encode(self) -> bytes:
        """Return the key as octets."""
        stream, service, pattern = self
        return bytes((len(stream),)) + stream + bytes((len(service),)) + service + pattern

    @classmethod
    def decode(cls, octets: bytes) -> BindingKey:
        """Return the key for its octets; of others, any."""
        stream_end = 1 + (octets[0] if octets else 0)
        service_end = stream_end + 1 + (octets[stream_end] if stream_end < len(octets) else 0)
        return cls(octets[1:stream_end], octets[stream_end + 1 : service_end], octets[service_end:])


class SavedBinding(msgspec.Struct, array_like=True):
    """What the store keeps of a binding.

    ``position`` is the position of the first record that has not become a request, ``since`` when it was bound, in
    seconds since 1970, and ``by`` who has bound it. ``lost`` is the number of records that were removed from the stream
    before, and ``skipped`` of those that can be no request.
    """

    position: int
    since: float
    by: str
    lost: int = 0
    skipped: int = 0


class BindingCounts:
    """What was counted of one binding, or of several, since the broker has started; see :class:`SavedBinding`."""

    __slots__ = ("lost", "made", "skipped")

    def __init__(self) -> None:
        self.made = self.lost = self.skipped = 0


class Binding:
    """A binding, and how far it is in its stream. ``made`` counts requests since the broker has started.

    ``is_behind``: there are records before it, from its position on. All others are at the end of the stream. With
    ``others``, it is counted together with these.
    """

    __slots__ = (
        "_position",
        "by",
        "counts",
        "is_behind",
        "is_measured",
        "key",
        "lost",
        "made",
        "octets",
        "pattern",
        "saved",
        "since",
        "skipped",
        "stream",
    )

    def __init__(
        self, key: BindingKey, pattern: Pattern, saved: SavedBinding, stream: Stream, others: BindingCounts | None
    ) -> None:
        self.key = key
        self.octets = key.encode()
        """The key as octets."""
        self.pattern, self.stream = pattern, stream
        self.is_measured = others is None
        """Whether it is counted separately, and not together with others."""
        self.counts = BindingCounts() if others is None else others
        self._position, self.since, self.by = saved.position, saved.since, saved.by
        self.lost, self.skipped = saved.lost, saved.skipped
        self.made = 0
        self.is_behind = False
        self.saved: bytes = b""
        """What the store has of it."""

    @property
    def position(self) -> int:
        """The position of the first record that has not become a request, if it matches."""
        return self._position if self.is_behind else self.stream.last + 1

    def move(self, position: int) -> None:
        """Set the position, which counts while the binding is behind."""
        self._position = position

    @property
    def lag(self) -> int:
        """The number of records that the stream has from the position on."""
        return max(0, self.stream.last + 1 - max(self.position, self.stream.first))

    def note_made(self) -> None:
        """Count a request."""
        self.made += 1
        self.counts.made += 1

    def note_lost(self, count: int) -> None:
        """Count records that became no requests, since the stream or the queue had no room for them."""
        self.lost += count
        self.counts.lost += count

    def note_skipped(self) -> None:
        """Count a record that can be no request."""
        self.skipped += 1
        self.counts.skipped += 1

    def encode(self) -> bytes:
        """Return what the store is to keep of it."""
        saved = SavedBinding(self.position, self.since, self.by, self.lost, self.skipped)
        return msgspec.msgpack.encode(saved)
