"""Where a client goes on in a stream that it replays, when it has to open again.

What has been delivered is not asked for again, and what was written meanwhile is not missed. The broker's OK to a
STREAM-REPLAY says ``last=N``, the position of the stream's last record. A stream that ends before the record that the
client would go on with is not the one that it knew: it began anew with its broker, and is read from its start.
"""

from __future__ import annotations

import re

from alaska.mlm import commands as mlm

FROM_THE_START = 0
_LAST = re.compile(rb"(?:^| )last=([0-9]{1,20})(?:$| )")


class Resuming:
    """One STREAM-REPLAY of a program, and how far it has come."""

    def __init__(self, command: mlm.StreamReplay) -> None:
        self._asked_for = command
        self._next: int | None = None
        self._is_begun = False

    @property
    def command(self) -> mlm.StreamReplay:
        """What asks for all that has not been delivered yet."""
        return self._asked_for if self._next is None else self._asked_for._replace(position=self._next)

    def reopened(self) -> None:
        """Take note that the broker has to be asked again."""
        self._is_begun = False

    def begun(self, reason: bytes) -> bool:
        """Take note of the broker's OK; return False if the stream is another, and has to be asked for again."""
        self._is_begun = True
        found = _LAST.search(reason)
        if found is None:
            return True
        last = int(found[1])
        if self._next is not None and self._next > last + 1:
            self._next = FROM_THE_START
            return False
        if self._next is None and self._asked_for.position == mlm.LIVE_ONLY:
            self._next = last + 1
        return True

    def delivered(self, record: mlm.StreamRecord) -> None:
        """Take note of a record. They come in order, so all before it that this asks for have come as well."""
        if self._is_begun and record.address == self._asked_for.stream:
            self._next = max(self._next or 0, record.position + 1)
