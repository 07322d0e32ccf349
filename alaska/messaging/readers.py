"""The durable readers of a client: they confirm in batches what the program has processed."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from alaska.errors import ValueTooLong
from alaska.messaging.delivery import Delivery, Text
from alaska.messaging.delivery import to_octets as to_name
from alaska.messaging.waiting import Clock, Log, Timer
from alaska.mlm import commands as mlm
from alaska.mlm.client import ClientMachine
from alaska.mlm.properties import to_octets
from alaska.mlm.replay import ReaderStart
from alaska.names import printable

CONFIRM_SECONDS = 0.05
"""The longest time until a record that was processed is confirmed."""
CONFIRM_RECORDS = 500
"""So many records are confirmed at once; the broker sends only a few times as many without a confirmation."""


class Readers:
    """Confirms the records of streams that are read with a name."""

    def __init__(self, machine: ClientMachine, clock: Clock, log: Log) -> None:
        self._machine = machine
        self._clock = clock
        self._log = log
        self.is_manual: dict[bytes, bool] = {}
        """The streams that are read, and whether the program confirms; asked for each delivery, so without a call."""
        self._due: Timer | None = None
        self._count = 0

    def add(self, stream: bytes, *, is_manual: bool) -> None:
        """Add the reader of a stream; with ``is_manual`` only :meth:`confirm` confirms its records."""
        self.is_manual[stream] = is_manual

    def remove(self, stream: bytes) -> None:
        """Confirm what was processed, since the reader of a stream is about to be cancelled."""
        self.confirm_now()
        self.is_manual.pop(stream, None)

    def taken_over(self, command: mlm.Confirm) -> None:
        """Forget a reader that another client has now."""
        stream, name = (to_octets(command.properties.get(key, b"")) for key in ("stream", "name"))
        self.is_manual.pop(stream, None)
        self._machine.setups.taken_over(stream, name)

    def processed(self, delivery: Delivery) -> None:
        """Confirm a record soon, unless that is the program's business."""
        if self.is_manual.get(delivery.command.address) is False:
            self._confirm(delivery)

    def confirm(self, delivery: Delivery) -> None:
        """Confirm a record soon, if its reader is manual."""
        if self.is_manual.get(delivery.command.address):
            self._confirm(delivery)

    def _confirm(self, delivery: Delivery) -> None:
        command = delivery.command
        if not isinstance(command, mlm.StreamRecord):
            return
        self._machine.setups.processed(command.address, command.position, delivery.session)
        self._count += 1
        if self._count >= CONFIRM_RECORDS:
            self.confirm_now()
        elif self._due is None:
            self._due = self._clock.later(CONFIRM_SECONDS, self._confirm_due)

    def _confirm_due(self) -> None:
        self._due = None
        self.confirm_now()

    def confirm_now(self) -> None:
        """Confirm what was processed, if the client is connected."""
        if self.is_manual:
            self._count = 0
            self._machine.confirm_records()

    def log_start(self, start: ReaderStart) -> None:
        """Log what a reader has missed, and that it may miss records if the stream stores none."""
        stream, name = printable(start.stream), printable(start.name)
        if start.lost:
            words = (
                "the reader {name} has missed {lost} records of stream {stream}: "
                "they were removed before it has read them, the first one left is {first}"
            )
            self._log.warn(words, name=name, stream=stream, lost=start.lost, first=start.first)
        if start.is_live:
            words = (
                "stream {stream} stores no records (mlm_server/stream/retain): the reader {name} misses those that are "
                "sent while it is not connected"
            )
            self._log.warn(words, name=name, stream=stream)

    def close(self) -> None:
        """Confirm what was processed."""
        if self._due is not None:
            self._due.cancel()
        self._due = None
        self.confirm_now()


def check_name(name: bytes) -> None:
    """Check the name of a durable reader.

    :raises ValueTooLong: it has more than 255 octets.
    """
    if len(name) > mlm.MAX_STRING_OCTETS:
        raise ValueTooLong(f"the name of a reader cannot have {len(name)} octets, {mlm.MAX_STRING_OCTETS} is the most")


def encoded_bindings(streams: Iterable[tuple[Text, Text]]) -> bytes:
    """Return the property of an offer that binds streams, each with a pattern.

    :raises TypeError: they are something else.
    """
    pairs = list(streams) if isinstance(streams, Iterable) else [streams]
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"streams must be pairs of a stream and a pattern, not {type(pair).__name__}")
    named = [
        (to_name(stream, "a name in streams"), to_name(pattern, "a pattern in streams")) for stream, pattern in pairs
    ]
    return msgspec.msgpack.encode(named)
