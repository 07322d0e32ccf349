"""The expected state of the clients and messages of a broker."""

from __future__ import annotations

from dataclasses import dataclass, field

from alaska.message import NORMAL, QueueKind, QueueName
from alaska.mlm.patterns import compile_pattern


def matches(pattern: bytes, subject: bytes) -> bool:
    """Return whether a pattern matches a subject."""
    return compile_pattern(pattern).matches(subject)


@dataclass(eq=False)
class Peer:
    """The expected state of a client."""

    name: bytes
    address: bytes
    last_heard: float
    held_until: float | None
    credit: int | None = None
    is_open: bool = True
    is_replaced: bool = False
    is_silent: bool = False
    is_disconnected: bool = False
    is_known_disconnected: bool = False
    stream: bytes | None = None
    offers: dict[bytes, set[bytes]] = field(default_factory=dict)
    leases: dict[bytes, SentMessage] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether it may be sent another delivery."""
        return self.is_open and not self.is_known_disconnected and (self.credit is None or self.credit > 0)

    def takes(self, queue: QueueName, subject: bytes) -> bool:
        """Return whether its offers match a request. For a mailbox it returns False: the model knows the owners."""
        patterns = self.offers.get(queue.address, ()) if queue.kind is QueueKind.SERVICE else ()
        return any(matches(pattern, subject) for pattern in patterns)


@dataclass(eq=False)
class SentMessage:
    """The expected state of a message.

    ``sent_as`` is the tracker that its sender gave, which may be an alias of ``tracker``. ``holder`` is the credit
    client that has it in flight, ``statuses`` are those that its sender was sent, and ``final_status`` is the last one.
    A message that was restored after a restart may be assigned to a client before it is sent, since the broker stores
    the attempt first. ``due`` is when its delay ends; the clock may be set back
    after that.
    """

    number: int
    order: int
    queue: QueueName
    origin: Peer | None
    sender: bytes
    subject: bytes
    tracker: bytes
    sent_as: bytes
    is_tracked: bool
    expires: float | None
    holder: Peer | None = None
    final_status: int | None = None
    attempts: int = 0
    is_restored: bool = False
    was_sent_again: bool = False
    statuses: list[int] = field(default_factory=list)
    priority: int = NORMAL
    due: float | None = None
    has_been_due: bool = False

    def is_delayed(self, now: float) -> bool:
        """Return whether it must not be delivered yet."""
        return self.due is not None and self.due > now and not self.has_been_due

    def precedes(self, other: SentMessage) -> bool:
        """Return whether it comes before another one of its queue; when a delayed one begins to wait is not known."""
        return self.due is None and (-self.priority, self.order) < (-other.priority, other.order)

    @property
    def waits(self) -> bool:
        """Whether it may be delivered: it is neither in flight nor finished."""
        return self.final_status is None and self.holder is None

    def is_expired(self, now: float) -> bool:
        """Return whether its timeout has passed."""
        return self.expires is not None and self.expires <= now
