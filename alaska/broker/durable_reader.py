"""One durable reader: a named position in a stream, which the broker keeps (docs/protocol.md, section 6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # A reader of a stream refers to this one.
    from alaska.broker.stream import Stream
    from alaska.broker.stream_readers import Reader

MOST_UNCONFIRMED = 2000
"""The maximum number of records that a client has, and has not confirmed: what it is sent again if it is killed."""


class SavedReader(msgspec.Struct, array_like=True):
    """What the store keeps of a durable reader; times are in seconds since 1970."""

    position: int
    seen: float
    lost: int
    user: bytes | None
    pattern: bytes


class DurableReader:
    """A named position in a stream, with the client that reads from there, if there is one at present.

    ``position`` is the position of the first record that is not confirmed, ``lost`` the number of records that the
    stream had removed before they were read. ``user`` is who has created it, ``pattern`` with which it is, or was,
    read. ``seen`` is when a client last had it, in seconds since 1970, and ``left_at`` the same in the broker's time.
    """

    __slots__ = (
        "_position",
        "_save",
        "_stream",
        "_unconfirmed",
        "left_at",
        "lost",
        "name",
        "pattern",
        "reader",
        "saved",
        "seen",
        "stream_name",
        "user",
    )

    def __init__(
        self, stream_name: bytes, name: bytes, saved: SavedReader, save: Callable[[DurableReader], None]
    ) -> None:
        self._save = save
        self.stream_name, self.name = stream_name, name
        self._position, self.seen, self.lost = saved.position, saved.seen, saved.lost
        self.user, self.pattern = saved.user, saved.pattern
        self.left_at = 0.0
        self.saved: SavedReader | None = None
        """What the store has of it."""
        self.reader: Reader | None = None
        self._stream: Stream | None = None
        self._unconfirmed: deque[int] = deque()

    @property
    def position(self) -> int:
        """The position of the first record that is not confirmed, and that matches the pattern as far as is known."""
        if self.reader is None or self._stream is None or self._unconfirmed:
            return self._position
        next_position = self.reader.next_position
        return self._stream.last + 1 if next_position is None else next_position

    @property
    def has_room(self) -> bool:
        """Whether its client may be sent another record."""
        return len(self._unconfirmed) < MOST_UNCONFIRMED

    def attach(self, stream: Stream, reader: Reader, pattern: bytes, held: int | None) -> None:
        """Let a client read; it holds the records from the position up to ``held``, if that is given."""
        self._stream, self.reader, self.pattern = stream, reader, pattern
        self._unconfirmed.clear()
        if held is not None:
            self._unconfirmed.append(held)

    def move(self, position: int, lost: int = 0) -> None:
        """Set the position, while no client reads; ``lost`` records are not stored any more."""
        self._position = position
        self.lost += lost

    def detach(self) -> None:
        """End the reading; the position stays, and is saved."""
        self._position = self.position
        self._save(self)
        self.reader = self._stream = None
        self._unconfirmed.clear()

    def sent(self, position: int) -> None:
        """Record that the client was sent a record."""
        if not self._unconfirmed:
            self._position = position
        self._unconfirmed.append(position)

    def confirm(self, upto: int) -> None:
        """Record that the client has confirmed all records up to a position."""
        unconfirmed = self._unconfirmed
        while unconfirmed and unconfirmed[0] <= upto:
            self._position = unconfirmed.popleft() + 1
        if unconfirmed:
            self._position = max(self._position, min(upto + 1, unconfirmed[0]))

    def to_save(self, now: float, wall: float) -> SavedReader:
        """Return what the store is to keep of it; ``now`` is the broker's time, ``wall`` that of the wall clock."""
        if self.reader is not None:
            self.left_at, self.seen = now, wall
        return SavedReader(self.position, self.seen, self.lost, self.user, self.pattern)
