"""The types of what can be asked of broker and worker. What is decoded into them is checked (msgspec)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

MOST_ITEMS = 1000
"""The maximum number of items of a page."""
MOST_NAME = 1024
"""The maximum length of a name as text: 255 octets, each of which may be escaped."""
MOST_NEXT = 20
"""The maximum number of next times of a schedule."""
MOST_POSITION = 2**63 - 1
SUMMARY = "worker"
"""The subject with which a worker tells its broker a :class:`alaska.admin.snapshots.Summary`; there is no answer."""
MOST_SUMMARY_OCTETS = 32 * 1024
"""The maximum size of a summary: a worker leaves out scripts beyond it, and the broker ignores it."""
MOST_PART_OCTETS = 256 * 1024
"""The maximum size of a part of a backup: reading it from a slow disk takes a few milliseconds."""

MOST_FRAMES = 1000
"""The maximum number of frames of a content that is sent by an operation."""

Name = Annotated[str, Meta(max_length=MOST_NAME)]
Seconds = Annotated[float, Meta(ge=0, le=1e10)]
Position = Annotated[int, Meta(ge=0, le=MOST_POSITION)]


class Nothing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request without arguments."""


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a list is wanted.

    - ``after``: the ``next`` of the page before.
    - ``limit``: the maximum number of items; a page is shorter if it would be large.
    - ``match``: a text that the name has to contain; with ``^`` in front, to begin with.
    - ``sort``: what the list is sorted by, the largest first; empty: by name or number, the smallest first.
    """

    after: Name = ""
    limit: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] = 100
    match: Name = ""
    sort: Literal[""] = ""


class QueueQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which queues."""

    sort: Literal["", "waiting", "octets", "in_flight", "consumers"] = ""  # type: ignore[assignment]


class ScriptQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which scripts; ``mean`` and ``seconds`` are run times."""

    sort: Literal["", "calls", "errors", "mean", "memory", "seconds"] = ""  # type: ignore[assignment]


class ClientQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which clients."""

    sort: Literal["", "unconfirmed"] = ""  # type: ignore[assignment]


class WorkerQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which workers; ``seconds`` is how long they have been running."""

    sort: Literal["", "running", "queued", "succeeded", "failed", "memory", "seconds"] = ""  # type: ignore[assignment]


class StreamQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which streams."""

    sort: Literal["", "octets", "readers", "lag"] = ""  # type: ignore[assignment]


class ReaderQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which readers; those of one stream, if it is given."""

    stream: Name | None = None


class Letters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters: those that have all that is given.

    - ``queue``, ``address``: where the message was; ``service`` is short for both.
    - ``subject``, ``sender``, ``status``, ``cause``, ``worker``: what the dead letter has.
    - ``reason``: a text that the reason contains; ``reason_pattern``: a pattern that it matches (docs/patterns.md).
    - ``older``, ``younger``: it died at least, or at most, so many seconds ago.
    - ``upto``: the highest position.
    """

    queue: Literal["mailbox", "service"] | None = None
    address: Name | None = None
    service: Name | None = None
    subject: Name | None = None
    sender: Name | None = None
    status: Annotated[int, Meta(ge=0, le=999)] | None = None
    cause: Literal["failed", "not_found", "attempts", "rejected"] | None = None
    worker: Name | None = None
    reason: Name | None = None
    reason_pattern: Name | None = None
    older: Seconds | None = None
    younger: Seconds | None = None
    upto: Position | None = None


class LetterQuery(Letters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of dead letters, the lowest position first, or the highest one with ``sort`` = ``newest``."""

    after: Name = ""
    limit: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] = 100
    sort: Literal["", "newest"] = ""


class SomeLetters(Letters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dead letters with which something is to be done: all of them, or the first ``limit`` after a position."""

    after: Position = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] | None = None


class OneLetter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dead letter."""

    position: Position


class Replay(OneLetter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dead letter to send again, with another service, subject or content if these are given.

    ``content`` has the frames in base64.
    """

    service: Name | None = None
    subject: Name | None = None
    content: Annotated[list[bytes], Meta(max_length=MOST_FRAMES)] | None = None


class OneQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mailbox, a service or a stream, to purge it."""

    kind: Literal["mailbox", "service", "stream"]
    name: Name


class OneBinding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A binding of a stream to a service, with the pattern of its subjects."""

    stream: Name
    service: Name
    pattern: Name = ""


class NewBinding(OneBinding, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A binding that begins at a position of the stream; 0 is the oldest record, and ``new`` the next one."""

    position: Position | Literal["new"] = 0


class OneReader(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A durable reader of a stream."""

    stream: Name
    name: Name


class OneMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages by their position, their id or their tracker; those of one service or mailbox, if it is given."""

    position: Position | None = None
    id: Name | None = None
    tracker: Name | None = None
    service: Name | None = None
    mailbox: Name | None = None


class Cancel(OneMessage, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages to cancel; with ``force``, the script of one that runs is ended."""

    force: bool = False


class Messages(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages: those that have all that is given.

    - ``service`` or ``mailbox``: where the message is.
    - ``subject``, ``sender``: what it has.
    - ``match``: a text that the subject has to contain; with ``^`` in front, to begin with.
    """

    service: Name | None = None
    mailbox: Name | None = None
    subject: Name | None = None
    sender: Name | None = None
    match: Name = ""


class MessageQuery(Messages, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of messages, of those in one state if it is given."""

    state: Literal["running", "waiting", "delayed"] | None = None
    after: Name = ""
    limit: Annotated[int, Meta(ge=1, le=MOST_ITEMS)] = 100


class OneOfQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message by its position in a service or mailbox."""

    position: Position
    service: Name | None = None
    mailbox: Name | None = None


class SomeMessages(Messages, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The messages in one state with which something is to be done."""

    state: Literal["running", "waiting", "delayed"]
    force: bool = False


class FindQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is looked for: an id, a tracker, a subject or a position."""

    text: Name


class HistoryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many seconds back, up to a day; of one service, if it is given."""

    span: Annotated[int, Meta(ge=10, le=86_400)] = 300
    service: Name | None = None


class OneService(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service, or all of them, to pause or resume it; without either, ``resume`` ends the draining of the program."""

    service: Name | None = None
    all: bool = False


class ScheduleQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which schedules, and how many of the next times of each."""

    next: Annotated[int, Meta(ge=0, le=MOST_NEXT)] = 1


class OneSchedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule by its name."""

    name: Name


class RunSchedule(OneSchedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule whose request is to be made; with ``force``, also if it skips and its last one has not ended."""

    force: bool = False


class NewSchedule(OneSchedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new schedule (docs/schedules.md); ``zone`` is that of the settings if it is not given."""

    cron: Name
    service: Name
    subject: Name
    content: str = ""
    zone: Name | None = None
    missed: Literal["skip", "once"] = "skip"
    overlap: Literal["queue", "skip"] = "queue"
    paused: bool = False


class OneBackup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A backup that was made, by its id."""

    id: Annotated[str, Meta(max_length=64)]


class BackupPart(OneBackup, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a backup: from an offset on, at most ``limit`` octets."""

    at: Position
    limit: Annotated[int, Meta(ge=1, le=MOST_PART_OCTETS)] = MOST_PART_OCTETS


class OneClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client by its number, or by its address."""

    number: Position | None = None
    address: Name | None = None
