"""One client's reading of one stream: its patterns, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from alaska.broker.clients import Client
from alaska.message import Record
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern

PATTERNS_OF_ONE = 4
"""To match a record under so many patterns takes about as long as to read it."""
MOST_OWN = 100_000


@dataclass(slots=True)
class Wish:
    """What a reader wants under one pattern: records from ``since`` on. Those below ``offered`` it has been offered."""

    since: int
    offered: int


class Reader:
    """A client that reads a stream: its patterns, and where it stands.

    ``next`` is the position of the first record that it has not been offered, while it lags; None while it is live.
    ``latest`` is the highest position that it wants something from.
    """

    __slots__ = ("client", "latest", "next", "own", "wants_records", "wishes")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.wishes: dict[Pattern, Wish] = {}
        self.next: int | None = None
        self.latest = 0
        self.wants_records = False
        self.own: set[int] = set()
        """What a client without address wrote while it lagged."""

    def wish(self, pattern: Pattern, since: int, upto: int) -> None:
        """Want what a pattern matches from a position on; below another all has been offered under the others."""
        for wish in self.wishes.values():
            wish.offered = max(wish.offered, upto)
        self.wishes[pattern] = Wish(since, since)
        self.latest = max(self.latest, since)

    @property
    def cost(self) -> int:
        """For how many records one counts that is looked at under all patterns."""
        return 1 + len(self.wishes) // PATTERNS_OF_ONE

    def note_own(self, position: int) -> None:
        """Note that the client, which has no address, wrote a record while it lags; too many come back to it."""
        if len(self.own) < MOST_OWN:
            self.own.add(position)

    def is_own(self, sender: bytes) -> bool:
        """Return whether this is its address."""
        return bool(sender) and sender == self.client.address

    def wants(self, record: Record) -> bool:
        """Return whether a record is for this reader, and has not been offered to it; its own messages are not."""
        if self.is_own(record.sender) or record.position in self.own:
            return False
        is_wanted = False
        for pattern, wish in self.wishes.items():
            if record.position >= wish.since and pattern.matches(record.subject):
                if record.position < wish.offered:
                    return False
                is_wanted = True
        return is_wanted

    def send(self, record: Record, size: int) -> None:
        """Send a record of this size to the reader, which has credit for it."""
        self.client.spend()
        stream, position, time, sender, subject, content = record
        if self.wants_records:
            self.client.deliver(mlm.StreamRecord(position, time, stream, sender, subject, content), size)
        else:
            self.client.deliver(mlm.StreamDeliver(stream, sender, subject, content), size)
