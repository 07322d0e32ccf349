"""The broker's messages, dead letters and stream records."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from msgspec import Struct

from alaska.mlm.commands import Content, Properties
from alaska.mlm.properties import octets_of
from alaska.names import printable

FRAME_OCTETS = 64
"""The memory that a frame takes in addition to its octets."""
PROPERTY_OCTETS = 128
"""The memory that a property takes in addition to its octets."""
FREE_FRAMES = 16
FREE_OCTETS = 256
MOST_POSITION = 2**62
"""The highest valid position; a higher one in a store is damaged."""
NORMAL = 4
"""The priority of a message that names none."""
PRIORITIES = range(10)
DELAYED = 10
"""The rank of a message that is delayed; that of all others is their priority."""
REPLAYED = b"replayed"
"""The origin of a message that was a dead letter."""
_T = TypeVar("_T")
_Key = TypeVar("_Key")


class QueueKind(Enum):
    """The two kinds of queue."""

    # Enum's own hash is written in Python, and queues are looked up several times for each message.
    __hash__ = object.__hash__

    MAILBOX = "mailbox"
    SERVICE = "service"


class QueueName(NamedTuple):
    """The name of a queue: its kind, and the address of the mailbox or service."""

    kind: QueueKind
    address: bytes

    def __str__(self) -> str:
        return f"{self.kind.value} {printable(self.address)}"


class RankedName(NamedTuple):
    """The name of a part of a queue that does not have the normal rank."""

    kind: QueueKind
    address: bytes
    rank: int

    def __str__(self) -> str:
        what = "delayed messages" if self.rank == DELAYED else f"priority {self.rank}"
        return f"{self.kind.value} {printable(self.address)}, {what}"


PartName: TypeAlias = "QueueName | RankedName"
"""The name of a part of a queue: its messages of one priority, or its delayed ones. That of the normal priority is the
name of the queue."""


def part_of(queue: QueueName, rank: int) -> PartName:
    """Return the name of the part of a queue with a rank."""
    return queue if rank == NORMAL else RankedName(*queue, rank)


def name_of(part: PartName) -> QueueName:
    """Return the name of the queue of a part."""
    return QueueName(part.kind, part.address)


def rank_of(part: PartName) -> int:
    """Return the rank of a part of a queue."""
    return NORMAL if isinstance(part, QueueName) else part.rank


class QueueSize(NamedTuple):
    """The number of messages in a part of a queue, and their total size."""

    part: PartName
    messages: int
    octets: int


class Message(Struct, eq=False):
    """A mailbox message or a service request.

    ``position`` numbers the broker's messages in the order of their arrival. ``is_tracked``: the sender expects
    CONFIRMs for the message; ``origin`` is the sender's routing id, which is not valid after a restart of the broker.
    ``expires`` is in seconds, measured as :attr:`IStore.opened_at`, or None. ``attempts`` counts deliveries,
    ``answered`` those up to the last one after which the receiver has put the message off, and ``snoozes`` how often
    one did so without an attempt (:mod:`alaska.broker.attempts`).
    ``sent_as`` is the sender's own tracker if the broker has replaced it (:mod:`alaska.broker.tracker_aliases`).
    ``since`` is when it arrived, in ms since 1970; ``properties`` are the sender's. ``moved_at`` is the
    broker's time when it began to wait, or was delivered; 0 if that is unknown. ``rank`` is its priority; for a delayed
    message it is :data:`DELAYED`, and ``expires`` is when it is due, after which it may wait ``patience`` seconds.
    ``size`` is computed, and is what limits count, see :func:`counted_size`.

    It is a struct of msgspec, which is created in half of the time of a dataclass.
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
    since: int = 0
    properties: Properties = {}  # msgspec copies it
    moved_at: float = 0.0
    rank: int = NORMAL
    patience: float | None = None
    answered: int = 0
    snoozes: int = 0
    size: int = 0

    def __post_init__(self) -> None:
        content = self.content
        names = len(self.queue[1]) + len(self.sender) + len(self.subject) + len(self.tracker)
        if self.properties:
            names += octets_of(self.properties) + PROPERTY_OCTETS * len(self.properties)
        if len(content) == 1 and names <= FREE_OCTETS:
            # The most frequent case, without a call.
            self.size = len(content[0])
        else:
            self.size = counted_size(content, names)

    @property
    def part(self) -> PartName:
        """The part of the queue that the message belongs to."""
        return self.queue if self.rank == NORMAL else RankedName(*self.queue, self.rank)

    @property
    def is_promised(self) -> bool:
        """Whether the sender may have been told that the message is stored; that of a dead letter expects no more."""
        return self.is_tracked or self.origin == REPLAYED


class LastWorker(NamedTuple):
    """Who had a message last: the address of its session, and the host and process that it has announced."""

    address: bytes
    host: bytes = b""
    pid: int = 0


class Cause(Enum):
    """Why a message became a dead letter."""

    FAILED = "failed"
    """A receiver has refused it."""
    NOT_FOUND = "not_found"
    """There is no script for it."""
    ATTEMPTS = "attempts"
    """It was delivered, or tried, as often as it may be."""
    REJECTED = "rejected"
    """Its script has rejected it."""


MOST_REASON_OCTETS = 4096
"""A dead letter has at most so many octets of the reason."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be processed, and why.

    ``status`` is the one that its sender was told, ``time`` is when it became a dead letter, in seconds since 1970.
    ``worker`` had it last; None if that is not known, since it was delivered before a restart of the broker or never.
    """

    message: Message
    status: int
    reason: bytes
    time: float
    cause: Cause = Cause.FAILED
    worker: LastWorker | None = None


class Record(NamedTuple):
    """A message of a stream, with its position there and the time when the broker received it, in ms since 1970."""

    stream: bytes
    position: int
    time: int
    sender: bytes
    subject: bytes
    content: Content
    properties: Properties = {}  # noqa: RUF012  # nobody changes it

    @property
    def size(self) -> int:
        """The size that limits count, see :func:`counted_size`."""
        names = len(self.stream) + len(self.sender) + len(self.subject)
        if self.properties:
            names += octets_of(self.properties) + PROPERTY_OCTETS * len(self.properties)
        return counted_size(self.content, names)


class KnownId(NamedTuple):
    """The id of a message that a queue has accepted, so that no second one with it is accepted (docs/protocol.md).

    ``position`` is that of the message. ``ends`` is when the id is forgotten, measured as :attr:`Message.expires`;
    None: when the message ends. ``status`` and ``reason`` are its outcome; 0 while it has none.
    """

    queue: QueueName
    id: bytes
    position: int
    ends: float | None
    status: int = 0
    reason: bytes = b""


class RecordSize(NamedTuple):
    """A record's position, time, and size as limits count it."""

    position: int
    time: int
    octets: int


class Page(list[_T], Generic[_T, _Key]):
    """One page of a query of the store, in order.

    ``upto`` is the key of the last row that was examined; the next page starts after it. It is None on the last page.
    Other pages may be short or even empty.
    """

    def __init__(self, items: Iterable[_T] = (), upto: _Key | None = None) -> None:
        super().__init__(items)
        self.upto = upto

    def cut(self, limit: int, key: Callable[[_T], _Key]) -> Page[_T, _Key]:
        """Return this page, cut to ``limit`` items; ``key`` returns the key of an item."""
        return self if len(self) <= limit else Page(self[:limit], key(self[limit - 1]) if limit else self.upto)


class StreamSize(NamedTuple):
    """The stored records of a stream: their first and last position, and their total size.

    If none is stored any more, ``first`` is ``last + 1``, and ``last`` is the highest position that was ever used.
    """

    stream: bytes
    first: int
    last: int
    octets: int


def sizes_of(records: Page[Record, int]) -> Page[RecordSize, int]:
    """Return a page of records without their content."""
    return Page((RecordSize(each.position, each.time, each.size) for each in records), records.upto)


def counted_size(content: Content, names: int) -> int:
    """Return the size of a message as limits count it; ``names`` is the size of its addresses, subject and tracker.

    The size is that of the content, as in the C broker, plus :data:`FRAME_OCTETS` for each frame after the first
    :data:`FREE_FRAMES`, plus ``names`` if that is more than :data:`FREE_OCTETS`.
    """
    octets = sum(map(len, content))
    if len(content) > FREE_FRAMES:
        octets += FRAME_OCTETS * (len(content) - FREE_FRAMES)
    return octets if names <= FREE_OCTETS else octets + names


def insert_by_position(messages: deque[Message], message: Message) -> None:
    """Insert a message into a queue that is ordered by position; fast if its place is near one of the ends."""
    position = message.position
    if not messages or position < messages[0].position:
        messages.appendleft(message)
    elif position > messages[-1].position:
        messages.append(message)
    else:
        messages.insert(bisect_left(messages, position, key=_position), message)


def _position(message: Message) -> int:
    return message.position


@dataclass(frozen=True, slots=True)
class Retention:
    """The retention of a stream: how many records, octets and seconds are stored; None: no limit.

    With the default of 0 records, nothing is stored.
    """

    most_records: int | None = 0
    most_octets: int | None = None
    most_seconds: float | None = None
