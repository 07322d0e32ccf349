"""One client's reading of one stream: its patterns, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from alaska.broker.clients import Client
from alaska.message import Record
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern

PATTERNS_PER_RECORD = 4
"""To match a record under so many patterns takes about as long as to read it."""
MAX_OWN_RECORDS = 100_000


@dataclass(slots=True)
class Subscription:
    """What a reader wants under one pattern: records from ``since`` on. Those below ``offered`` it has been offered."""

    since: int
    offered: int


class Reader:
    """A client that reads a stream: its patterns, and where it stands.

    ``next`` is the position of the first record that it has not been offered, while it lags; None while it is live.
    ``latest`` is the highest position that it wants something from.
    """

    __slots__ = ("client", "latest_start", "next_position", "own_records", "subscriptions", "wants_records")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.subscriptions: dict[Pattern, Subscription] = {}
        self.next_position: int | None = None
        self.latest_start = 0
        self.wants_records = False
        self.own_records: set[int] = set()
        """What a client without address wrote while it lagged."""

    def subscribe(self, pattern: Pattern, since: int, upto: int) -> None:
        """Want what a pattern matches from a position on; below another all has been offered under the others."""
        for subscription in self.subscriptions.values():
            subscription.offered = max(subscription.offered, upto)
        self.subscriptions[pattern] = Subscription(since, since)
        self.latest_start = max(self.latest_start, since)

    @property
    def cost(self) -> int:
        """For how many records one counts that is looked at under all patterns."""
        return 1 + len(self.subscriptions) // PATTERNS_PER_RECORD

    def note_own(self, position: int) -> None:
        """Note that the client, which has no address, wrote a record while it lags; too many come back to it."""
        if len(self.own_records) < MAX_OWN_RECORDS:
            self.own_records.add(position)

    def is_own(self, sender: bytes) -> bool:
        """Return whether this is its address."""
        return bool(sender) and sender == self.client.address

    def wants(self, record: Record) -> bool:
        """Return whether a record is for this reader, and has not been offered to it; its own messages are not."""
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
        """Send a record of this size to the reader, which has credit for it."""
        self.client.spend_credit()
        stream, position, time, sender, subject, content = record
        if self.wants_records:
            self.client.deliver(mlm.StreamRecord(position, time, stream, sender, subject, content), size)
        else:
            self.client.deliver(mlm.StreamDeliver(stream, sender, subject, content), size)
