"""A message on its way through the broker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from alaska.mlm.commands import Content
from alaska.names import printable

FRAME_OCTETS = 64
"""What a frame takes in memory beside what it holds."""
FREE_FRAMES = 16
FREE_OCTETS = 256
MOST_POSITION = 2**62
"""No position is higher; one that is has been damaged."""
_T = TypeVar("_T")
_Key = TypeVar("_Key")


class QueueKind(Enum):
    """The two sorts of queue that a message waits in."""

    # Members are what they are: their names need not be hashed for each look-up of a queue, several a message.
    __hash__ = object.__hash__

    MAILBOX = "mailbox"
    SERVICE = "service"


class QueueName(NamedTuple):
    """Which queue: a mailbox's or a service's, by its address."""

    kind: QueueKind
    address: bytes

    def __str__(self) -> str:
        return f"{self.kind.value} {printable(self.address)}"


class QueueSize(NamedTuple):
    """How much is kept for a queue: messages, and octets of content."""

    queue: QueueName
    messages: int
    octets: int


@dataclass(slots=True, eq=False)
class Message:
    """A mailbox message or a service request.

    The position numbers the broker's messages in the order of their arrival. ``is_tracked`` says whether the sender
    waits to hear what becomes of the message; ``origin`` is the routing id that it had then, which does not survive a
    restart. ``expires`` is in seconds as the store counts them (:attr:`IStore.opened_at`), or None. ``attempts`` counts
    deliveries.
    ``sent_as`` is what its sender called it where that stands for the tracker (:mod:`alaska.broker.tracker_aliases`).
    """

    position: int
    queue: QueueName
    sender: bytes
    subject: bytes
    tracker: bytes
    content: Content
    is_tracked: bool = False
    origin: bytes = b""
    expires: float | None = None
    attempts: int = 0
    sent_as: bytes = b""
    size: int = field(init=False)
    """What limits count, see :func:`reckoned`."""

    def __post_init__(self) -> None:
        names = len(self.queue[1]) + len(self.sender) + len(self.subject) + len(self.tracker)
        self.size = reckoned(self.content, names)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nobody could deal with; why, and when that was found, in seconds since 1970."""

    message: Message
    status: int
    reason: bytes
    time: float


class Record(NamedTuple):
    """A message of a stream: its place in it, and the time at which the broker received it, in ms since 1970."""

    stream: bytes
    position: int
    time: int
    sender: bytes
    subject: bytes
    content: Content

    @property
    def size(self) -> int:
        """What limits count, see :func:`reckoned`."""
        return reckoned(self.content, len(self.stream) + len(self.sender) + len(self.subject))


class RecordSize(NamedTuple):
    """A record without its content: its position and time, and what limits count."""

    position: int
    time: int
    octets: int


class Page(list[_T], Generic[_T, _Key]):
    """What was read of a store, in order, and how far it was looked through.

    Reading goes on behind ``upto``, the key of the last row that was looked at; it is None when there are no more. A
    page may be short, or even empty, and still not be the last.
    """

    def __init__(self, items: Iterable[_T] = (), upto: _Key | None = None) -> None:
        super().__init__(items)
        self.upto = upto

    def cut(self, limit: int, key: Callable[[_T], _Key]) -> Page[_T, _Key]:
        """Return this, or the first of it, at most so many, given what a row's key is."""
        return self if len(self) <= limit else Page(self[:limit], key(self[limit - 1]) if limit else self.upto)


class StreamSize(NamedTuple):
    """What is kept of a stream: the positions from first to last, and the octets of their content.

    Where nothing is kept any more, first is one above last, and last is the highest position that ever was.
    """

    stream: bytes
    first: int
    last: int
    octets: int


def sizes_of(records: Page[Record, int]) -> Page[RecordSize, int]:
    """Return the same page of records without their content."""
    return Page((RecordSize(each.position, each.time, each.size) for each in records), records.upto)


def reckoned(content: Content, names: int) -> int:
    """Return how many octets a message counts for in limits, with so many octets of addresses, subject and tracker.

    Those of its content, as the C broker counts; and :data:`FRAME_OCTETS` for each frame behind the first
    :data:`FREE_FRAMES`, and its names where they have more than :data:`FREE_OCTETS`.
    """
    octets = sum(map(len, content))
    if len(content) > FREE_FRAMES:
        octets += FRAME_OCTETS * (len(content) - FREE_FRAMES)
    return octets if names <= FREE_OCTETS else octets + names


def insert_by_position(messages: deque[Message], message: Message) -> None:
    """Insert a message into a queue that is ordered by position; cheap where its place is near the head."""
    at = 0
    while at < len(messages) and messages[at].position < message.position:
        at += 1
    messages.insert(at, message)


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a stream is kept for those who want it later: so many records, octets and seconds; None: no limit.

    With a count of 0, as it is unless something is said, nothing is.
    """

    most_records: int | None = 0
    most_octets: int | None = None
    most_seconds: float | None = None
