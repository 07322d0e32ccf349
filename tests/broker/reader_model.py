"""A model of durable readers: no record that is not confirmed is left out, and none that is comes again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from tests.broker.model_state import Peer, matches
from tests.broker.stream_model import StreamsModel


@dataclass(eq=False)
class NamedReader:
    """A named position: all records up to ``confirmed`` count as read. ``addresses`` are those of its clients.

    ``is_exact``: the broker has not crashed since it was last read. ``is_settled``: the store has written it.
    """

    pattern: bytes
    confirmed: int
    holder: Peer | None = None
    addresses: set[bytes] = field(default_factory=set)
    is_exact: bool = True
    is_settled: bool = False


class ReadersModel:
    """The durable readers that the broker should have, by stream and name."""

    def __init__(self, streams: StreamsModel) -> None:
        self._streams = streams
        self._readers: dict[tuple[bytes, bytes], NamedReader] = {}

    def held_by(self, peer: Peer, stream: bytes) -> NamedReader | None:
        """Return the reader that a client is in a stream, if it is one."""
        found = [each for (of, _), each in self._readers.items() if of == stream and each.holder is peer]
        return found[0] if found else None

    def holder_of(self, stream: bytes, name: bytes) -> Peer | None:
        """Return the client that is a reader at present."""
        reader = self._readers.get((stream, name))
        return None if reader is None or reader.holder is None or not reader.holder.is_open else reader.holder

    def begin(self, peer: Peer, stream: bytes, name: bytes, pattern: bytes, position: int, begin: int) -> None:
        """Check from where on a client reads: it asks for a position, which counts for a new name only."""
        stored = self._streams.stored(stream)
        last = self._streams.last(stream)
        known = self._readers.get((stream, name))
        if known is None:
            first = stored[0].position if stored else last + 1
            assert begin == min(max(position, first), last + 1), f"{name!r} begins at {begin} of {stream!r}"
            known = self._readers[stream, name] = NamedReader(pattern, begin - 1)
        left_out = [
            each
            for each in stored
            if known.confirmed < each.position < begin
            and matches(known.pattern, each.subject)
            and each.sender not in known.addresses
        ]
        assert not left_out, f"{name!r} goes on at {begin} of {stream!r}, and leaves out {left_out}"
        assert begin > known.confirmed or not known.is_exact, f"{name!r} gets {begin} of {stream!r} again"
        known.confirmed, known.is_exact = min(known.confirmed, begin - 1), True
        known.holder = peer
        known.addresses.add(peer.address or b"none")

    def confirmed(self, peer: Peer, stream: bytes, upto: int) -> None:
        """Record that a client has confirmed all records up to a position."""
        reader = self.held_by(peer, stream)
        assert reader is not None
        reader.confirmed = max(reader.confirmed, upto)

    def cancel(self, peer: Peer, stream: bytes | None = None) -> None:
        """Record that a client does not read any more: one stream, or all."""
        for (of, _), reader in self._readers.items():
            if reader.holder is peer and stream in (None, of):
                reader.holder = None

    def settled(self) -> None:
        """Record that everything is written."""
        for reader in self._readers.values():
            reader.is_settled = True

    def restarted(self, there: Collection[tuple[bytes, bytes]], is_clean: bool, is_durable: bool) -> None:
        """Record that the broker was restarted, with which readers; they may have to read some records again."""
        for key, reader in list(self._readers.items()):
            is_promised = is_durable and (is_clean or reader.is_settled)
            assert key in there or not is_promised, f"the reader {key} is lost"
            reader.holder = None
            reader.is_exact = reader.is_exact and is_clean
            reader.confirmed = min(reader.confirmed, self._streams.last(key[0]))
            if key not in there:
                del self._readers[key]
