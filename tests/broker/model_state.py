"""The expected state of the clients and messages of a broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from alaska.message import NORMAL, QueueKind, QueueName
from alaska.mlm.patterns import compile_pattern

Lease: TypeAlias = "bytes | int"
"""What identifies an unconfirmed delivery: its tracker, or the number of its lease."""


@dataclass(eq=False)
class Known:
    """An id that a queue should know: its message, when it is forgotten, and what became of the message, if known.

    ``ends`` is None if that is when the message ends. ``position`` is the broker's number of the message. ``is_told``:
    the sender of another message was told that it is known.
    """

    message: SentMessage
    position: int
    ends: float | None
    outcome: int = 0
    is_told: bool = False


def matches(pattern: bytes, subject: bytes) -> bool:
    """Return whether a pattern matches a subject."""
    return compile_pattern(pattern).matches(subject)


@dataclass(eq=False)
class Peer:
    """The expected state of a client; ``is_second``: it reads properties and batches, and confirms leases."""

    name: bytes
    address: bytes
    last_heard: float
    held_until: float | None
    is_second: bool = False
    credit: int | None = None
    is_open: bool = True
    is_replaced: bool = False
    is_silent: bool = False
    is_disconnected: bool = False
    is_known_disconnected: bool = False
    stream: bytes | None = None
    offers: dict[bytes, set[bytes]] = field(default_factory=dict)
    leases: dict[Lease, SentMessage] = field(default_factory=dict)

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
    after that. ``content`` is its first frame, and ``position`` the broker's number of it. ``is_of_record``: a binding
    has made it, so that its place among the others is not known.

    ``first`` is the id because of which it is not kept. ``most`` is how often it may be tried, ``ttl`` in ms.
    ``answered`` and ``snoozes`` are as in :class:`alaska.message.Message`. ``may_end`` are the statuses with which an
    operation ends it if it still waits; if ``is_cancelled``, it is with a client, and not delivered again.
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
    content: bytes = b""
    position: int = 0
    is_of_record: bool = False
    first: Known | None = None
    most: int | None = None
    ttl: int | None = None
    answered: int = 0
    snoozes: int = 0
    was_put_off: bool = False
    may_end: set[int] = field(default_factory=set)
    is_cancelled: bool = False
    has_id: bool = False

    def is_delayed(self, now: float) -> bool:
        """Return whether it must not be delivered yet."""
        return self.due is not None and self.due > now and not self.has_been_due

    def precedes(self, other: SentMessage) -> bool:
        """Return whether it comes before another one of its queue; when a delayed one begins to wait is not known."""
        if self.is_of_record or other.is_of_record:
            return False
        return self.due is None and (-self.priority, self.order) < (-other.priority, other.order)

    def is_spent(self, most_lost: int | None) -> bool:
        """Return whether it must not be delivered again after another receiver was lost."""
        lost = self.attempts - self.answered
        is_lost_too_often = self.queue.kind is QueueKind.SERVICE and most_lost is not None and lost >= most_lost
        return is_lost_too_often or self.is_tried_enough

    @property
    def is_tried_enough(self) -> bool:
        """Whether it was tried as often as its sender allows."""
        return self.most is not None and self.attempts >= self.most

    @property
    def waits(self) -> bool:
        """Whether it may be delivered: it is neither in flight nor finished."""
        return self.final_status is None and self.holder is None

    def is_expired(self, now: float) -> bool:
        """Return whether its timeout has passed."""
        return self.expires is not None and self.expires <= now
