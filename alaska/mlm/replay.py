"""Continue the replay of a stream after a reconnect.

The new STREAM-REPLAY starts after the last delivered record, so no record is delivered twice or missed. The broker's OK
to a STREAM-REPLAY has ``last=N``, the position of the stream's last record. If that is lower than the next expected
position, the broker has lost the stream and started a new one, which is replayed from its start.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from alaska.mlm import commands as mlm

FROM_THE_START = 0
_LAST = re.compile(rb"(?:^| )last=([0-9]{1,20})(?:$| )")


class Replay:
    """One STREAM-REPLAY of a program, and its progress."""

    def __init__(self, command: mlm.StreamReplay) -> None:
        self._requested = command
        self._next: int | None = None
        self._is_started = False

    @property
    def command(self) -> mlm.StreamReplay:
        """The STREAM-REPLAY for the records that were not delivered yet."""
        return self._requested if self._next is None else replace(self._requested, position=self._next)

    def reopened(self) -> None:
        """Record that the command has to be sent again."""
        self._is_started = False

    def started(self, reason: bytes) -> bool:
        """Process the broker's OK; return False if the stream is a new one, and the command has to be sent again."""
        self._is_started = True
        found = _LAST.search(reason)
        if found is None:
            return True
        last = int(found[1])
        if self._next is not None and self._next > last + 1:
            self._next = FROM_THE_START
            return False
        if self._next is None and self._requested.position == mlm.LIVE_ONLY:
            self._next = last + 1
        return True

    def delivered(self, record: mlm.StreamRecord) -> None:
        """Record a delivery. Records are delivered in order, so all earlier ones have been delivered too."""
        if self._is_started and record.address == self._requested.stream:
            self._next = max(self._next or 0, record.position + 1)
