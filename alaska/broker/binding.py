"""One binding: each record of a stream that matches a pattern becomes a request to a service."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

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


class Binding:
    """A binding, and how far it is. ``made`` counts requests since the broker has started."""

    __slots__ = ("by", "key", "lost", "made", "octets", "pattern", "position", "saved", "since", "skipped")

    def __init__(self, key: BindingKey, pattern: Pattern, saved: SavedBinding) -> None:
        self.key = key
        self.octets = key.encode()
        """The key as octets."""
        self.pattern = pattern
        self.position, self.since, self.by = saved.position, saved.since, saved.by
        self.lost, self.skipped = saved.lost, saved.skipped
        self.made = 0
        self.saved: bytes = b""
        """What the store has of it."""

    def encode(self) -> bytes:
        """Return what the store is to keep of it."""
        saved = SavedBinding(self.position, self.since, self.by, self.lost, self.skipped)
        return msgspec.msgpack.encode(saved)
