"""Where streams ended that nobody reads and nothing is kept of."""

from __future__ import annotations

MAX_NAMES = 10_000
"""So many are known by name; anybody can make up more."""


class EndedStreams:
    """The last positions of such streams, so that none is given twice.

    A stream that is not known by name goes on behind the last position of all those that are known no more.
    """

    def __init__(self) -> None:
        self._lasts: dict[bytes, int] = {}
        self._highest = 0

    def add(self, name: bytes, last: int) -> None:
        """Note that a stream ended at a position."""
        self._lasts[name] = last
        if len(self._lasts) > MAX_NAMES:
            oldest = next(iter(self._lasts))
            self._highest = max(self._highest, self._lasts.pop(oldest))

    def pop(self, name: bytes) -> int:
        """Return the position behind which a stream goes on, 0 for a new one, and forget it."""
        return self._lasts.pop(name, self._highest)
