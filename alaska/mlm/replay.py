"""Continue the replay of a stream after a reconnect.

The new STREAM-REPLAY starts after the last delivered record, so no record is delivered twice or missed. The broker's OK
to a STREAM-REPLAY has ``last=N``, the position of the stream's last record. If that is lower than the next expected
position, the broker has lost the stream and started a new one, which is replayed from its start.

A replay with a name is that of a durable reader, whose position the broker keeps. It says in ``continue`` which records
the client has got, and confirms those that the program has processed, in order. The broker's OK has ``next=N``, the
position from which it reads on, whatever has become of the stream.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from msgspec.structs import replace

from alaska.errors import SUCCESS
from alaska.mlm import commands as mlm
from alaska.mlm.properties import to_octets

FROM_THE_START = 0
_LAST = re.compile(rb"(?:^| )last=([0-9]{1,20})(?:$| )")
_NUMBER = re.compile(rb"(first|next|lost)=([0-9]{1,20})")


class ReaderStart(NamedTuple):
    """From where a durable reader reads on.

    ``position`` is that of the next record. ``lost`` records had been removed from the stream before they were read;
    ``first`` is the first one that it still has. ``is_live``: the stream stores no records, so that the reader gets
    only those that are sent while it is connected.
    """

    stream: bytes
    name: bytes
    position: int
    first: int
    lost: int
    is_live: bool


class Replay:
    """One STREAM-REPLAY of a program, and its progress."""

    def __init__(self, command: mlm.StreamReplay) -> None:
        self._requested = command
        self._next: int | None = None
        self._is_started = False
        self.name = to_octets(command.properties.get("name", b""))
        """The name of the durable reader; empty if this is none."""
        self._processed = self._confirmed = self._first_session = 0

    @property
    def command(self) -> mlm.StreamReplay:
        """The STREAM-REPLAY for the records that were not delivered yet."""
        if self._next is None:
            return self._requested
        if self.name:
            return replace(self._requested, properties={"name": self.name, "continue": self._next})
        return replace(self._requested, position=self._next)

    def reopened(self) -> None:
        """Record that the command has to be sent again."""
        self._is_started = False
        self._confirmed = 0

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

    # Durable readers

    def resumed(self, reason: bytes, session: int) -> ReaderStart:
        """Process the broker's OK to a durable reader in a session."""
        self._is_started = True
        numbers = {key: int(number) for key, number in _NUMBER.findall(reason)}
        position = numbers.get(b"next", self._next or 0)
        if position <= self._processed or (self._next is not None and position < self._next):
            # It is a new stream, or the reader was deleted: what was got before says nothing about its records.
            self._processed, self._first_session = 0, session
        self._next = position
        stream, first, lost = self._requested.stream, numbers.get(b"first", 0), numbers.get(b"lost", 0)
        return ReaderStart(stream, self.name, position, first, lost, reason.endswith(b" live"))

    def processed(self, position: int, session: int) -> None:
        """Record that the program has processed all records up to a position, of which it got the last in a session."""
        if session >= self._first_session:
            self._processed = max(self._processed, position)

    def confirmation(self) -> mlm.Confirm | None:
        """Return the confirmation of what was processed since the last one; None if there is nothing to confirm."""
        if not self._is_started or self._processed <= self._confirmed:
            return None
        self._confirmed = self._processed
        properties: mlm.Properties = {"stream": self._requested.stream, "position": self._processed}
        return mlm.Confirm(b"", SUCCESS, b"", properties)
