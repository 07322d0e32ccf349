"""The last positions of streams that have neither readers nor stored records."""

from __future__ import annotations

MAX_NAMES = 10_000
"""The number of streams remembered by name. It is limited, since any client can write to new names."""


class EndedStreams:
    """The last positions of ended streams, so that no position of a stream is used twice.

    A stream whose name is not remembered continues after the highest last position of all forgotten streams.
    """

    def __init__(self) -> None:
        self._lasts: dict[bytes, int] = {}
        self._highest = 0

    def add(self, name: bytes, last: int) -> None:
        """Record that a stream ended at a position."""
        self._lasts[name] = last
        if len(self._lasts) > MAX_NAMES:
            oldest = next(iter(self._lasts))
            self._highest = max(self._highest, self._lasts.pop(oldest))

    def pop(self, name: bytes) -> int:
        """Return the position after which a stream continues (0 for a new one), and forget the stream."""
        return self._lasts.pop(name, self._highest)
