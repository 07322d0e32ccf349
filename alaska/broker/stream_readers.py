"""A reader: the subscription of one client to one stream."""

from __future__ import annotations

from dataclasses import dataclass

from alaska.broker.clients import Client
from alaska.broker.durable_reader import DurableReader
from alaska.message import Record
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern

PATTERNS_PER_RECORD = 4
"""Matching a record against this many patterns takes about as long as reading it."""
MAX_OWN_RECORDS = 100_000
"""The maximum number of positions that the readers of all streams together remember as their own."""


class OwnRecords:
    """The number of positions that the readers of all streams remember as their own."""

    def __init__(self) -> None:
        self.count = 0


@dataclass(slots=True)
class Subscription:
    """A pattern of a reader: it wants records from position ``since`` on; those below ``offered`` have been offered."""

    since: int
    offered: int


class Reader:
    """A client that reads a stream, its patterns and its position.

    ``next_position`` is the first position that has not been offered to it while it lags; None while it is live.
    ``latest_start`` is the highest start position of its patterns. ``durable`` is the durable reader that it is, if it
    has a name.
    """

    __slots__ = (
        "client",
        "durable",
        "latest_start",
        "next_position",
        "own_records",
        "subscriptions",
        "total_own",
        "wants_records",
    )

    def __init__(self, client: Client, total_own: OwnRecords) -> None:
        self.total_own = total_own
        self.client = client
        self.subscriptions: dict[Pattern, Subscription] = {}
        self.next_position: int | None = None
        self.durable: DurableReader | None = None
        self.latest_start = 0
        self.wants_records = False
        self.own_records: set[int] = set()
        """The positions of records that a client without address has written itself while it lags."""

    def subscribe(self, pattern: Pattern, since: int, upto: int) -> None:
        """Add a pattern from position ``since`` on; the other patterns have been offered all records below ``upto``."""
        for subscription in self.subscriptions.values():
            subscription.offered = max(subscription.offered, upto)
        self.subscriptions[pattern] = Subscription(since, since)
        self.latest_start = max(self.latest_start, since)

    @property
    def cost(self) -> int:
        """The cost of matching a record against all patterns, as a number of records."""
        return 1 + len(self.subscriptions) // PATTERNS_PER_RECORD

    @property
    def is_ready(self) -> bool:
        """Whether the client can be sent another record."""
        return self.client.is_ready and (self.durable is None or self.durable.has_room)

    def note_own(self, position: int) -> None:
        """Record that the client, which has no address, wrote a record itself; it gets those beyond the limit."""
        if self.total_own.count < MAX_OWN_RECORDS:
            self.total_own.count += 1
            self.own_records.add(position)

    def forget_own(self) -> None:
        """Forget these positions, since the reader does not lag any more."""
        self.total_own.count -= len(self.own_records)
        self.own_records = set()

    def is_own(self, sender: bytes) -> bool:
        """Return whether a sender's address is that of the client."""
        return bool(sender) and sender == self.client.address

    def wants(self, record: Record) -> bool:
        """Return whether a record matches and has not been offered before; the client's own messages do not count."""
        if self.is_own(record.sender) or record.position in self.own_records:
            return False
        is_wanted = False
        for pattern, subscription in self.subscriptions.items():
            if record.position >= subscription.since and pattern.matches(record.subject):
                if record.position < subscription.offered:
                    return False
                is_wanted = True
        return is_wanted

    def send(self, record: Record, size: int) -> None:
        """Send a record to the client, which must be ready; ``size`` is in octets."""
        self.client.spend_credit()
        if self.durable is not None:
            self.durable.sent(record.position)
        stream, position, time, sender, subject, content, properties = record
        if not self.client.has_properties:
            properties = {}
        if self.wants_records:
            self.client.deliver(mlm.StreamRecord(position, time, stream, sender, subject, content, properties), size)
        else:
            self.client.deliver(mlm.StreamDeliver(stream, sender, subject, content, properties), size)
