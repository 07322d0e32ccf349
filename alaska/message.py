"""A message on its way through the broker."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from alaska.mlm.commands import Content
from alaska.names import printable


class QueueKind(Enum):
    """The two sorts of queue that a message waits in."""

    MAILBOX = "mailbox"
    SERVICE = "service"


class QueueName(NamedTuple):
    """Which queue: a mailbox's or a service's, by its address."""

    kind: QueueKind
    address: bytes

    def __str__(self) -> str:
        return f"{self.kind.value} {printable(self.address)}"


@dataclass(slots=True, eq=False)
class Message:
    """A mailbox message or a service request.

    The position numbers the broker's messages in the order of their arrival. ``origin`` is the routing id of a
    sender that waits to hear what becomes of the message, else empty. ``expires`` is a time of the broker's clock in
    seconds, or None. ``attempts`` counts deliveries.
    """

    position: int
    queue: QueueName
    sender: bytes
    subject: bytes
    tracker: bytes
    content: Content
    origin: bytes = b""
    expires: float | None = None
    attempts: int = 0

    @property
    def size(self) -> int:
        """The octets of the content, which is what limits count."""
        return sum(map(len, self.content))


def insert_by_position(messages: deque[Message], message: Message) -> None:
    """Insert a message into a queue that is ordered by position; cheap where its place is near the head."""
    at = 0
    while at < len(messages) and messages[at].position < message.position:
        at += 1
    messages.insert(at, message)
