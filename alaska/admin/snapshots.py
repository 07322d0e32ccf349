"""The types of what broker and worker show of themselves. Nothing here changes after it was made.

All times are in seconds since 1970, sizes in octets as limits count them, and durations in seconds. A name is text as
:func:`alaska.admin.text.to_text` returns it. None stands for what is unknown, or for "no limit".
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct, field

T = TypeVar("T")


class Snapshot(Struct, frozen=True, kw_only=True, gc=False):
    """The base class of all types.

    Snapshots contain nothing that refers to them, so that the garbage collector need not look at them.
    """


class Page(Snapshot, Generic[T], frozen=True, kw_only=True):
    """A part of a list. ``total`` is the number of items that match, ``next`` the ``after`` of the next page.

    ``next`` is None on the last page.
    """

    items: list[T]
    total: int
    next: str | None = None


# The broker


class Totals(Snapshot, frozen=True, kw_only=True):
    """What a broker has counted since it started.

    ``accepted`` are requests and mail, ``ended`` what became of them by outcome, ``published`` messages to streams.
    """

    commands: int
    accepted: int
    delivered: int
    redelivered: int
    retried: int
    ended: dict[str, int]
    published: int
    dead_lettered: int
    dropped: dict[str, int]
    sessions: int
    sessions_ended: dict[str, int]
    refused: int
    access_refused: int
    wrong_user: int
    logins_refused: dict[str, int]
    malformed: int
    invalid: int
    store_errors: int
    admin_requests: int
    admin_refused: int
    schedules: dict[str, int]


class BrokerOverview(Snapshot, frozen=True, kw_only=True):
    """A broker in one look. ``waiting`` and ``waiting_octets`` are the messages of all queues.

    ``in_flight`` are those that clients have and did not confirm, ``delayed`` those that are not due yet.

    ``waiting_unserved`` are those for services that no worker offers, of which ``unserved`` has the first few.
    ``broken_scripts`` has the first few scripts of its workers that do not compile.
    """

    program: str = "broker"
    version: str
    host: str
    pid: int
    time: float
    started: float
    endpoints: list[str]
    draining: bool
    clients: int
    workers: int
    services: int
    mailboxes: int
    streams: int
    paused: int
    all_paused: bool
    schedules: int
    waiting: int
    waiting_octets: int
    in_flight: int
    delayed: int
    waiting_unserved: int
    unserved: list[str]
    broken_scripts: list[str] = []
    dead_letters: int
    store_complaint: str | None
    totals: Totals


class Ended(Snapshot, frozen=True, kw_only=True):
    """How the messages of a queue have gone on since the broker started: its measures, if it has some of its own.

    ``succeeded`` and ``ended`` (by outcome) count messages; the two sums of seconds belong to ``waited`` and
    ``succeeded`` of them.
    """

    accepted: int
    redelivered: int
    retried: int = 0
    snoozed: int = 0
    succeeded: int
    ended: dict[str, int]
    waited: int
    waited_seconds: float
    running_seconds: float


class Recent(Snapshot, frozen=True, kw_only=True):
    """What a service has done within the last ``seconds``, which are 300 or less.

    ``rate`` is the number of requests that ended in a second. ``p50``, ``p95`` and ``p99`` are run times, estimated
    from a histogram, ``waited_p95`` is the time until the delivery; None if there was no request.
    """

    seconds: float
    rate: float
    succeeded: int
    failed: int
    p50: float | None
    p95: float | None
    p99: float | None
    waited_p95: float | None


class ServiceLimit(Snapshot, frozen=True, kw_only=True):
    """A limit for the requests of a service, or for those whose subject matches a pattern.

    ``rate`` is written as in the settings, such as ``50/s``; None: no limit. ``running`` is how many may run at once,
    ``used`` how many do. ``holds``: it holds requests back at present.
    """

    subject: str | None
    rate: str | None
    burst: int | None
    running: int | None
    used: int
    holds: bool


class Queue(Snapshot, frozen=True, kw_only=True):
    """A mailbox or the queue of a service.

    ``consumers`` are the owner of a mailbox, or the workers of a service; ``patterns`` the first ones that they offer.
    ``oldest`` is when the message arrived that has waited longest; None if none waits, or if that is not known.
    ``limits`` are those of a service; they hold back at least ``held`` of its waiting requests.
    """

    kind: str
    name: str
    waiting: int
    octets: int
    in_flight: int
    oldest: float | None
    consumers: int
    paused: bool = False
    patterns: list[str] = []
    measures: Ended | None = None
    limits: list[ServiceLimit] = []
    held: int = 0
    recent: Recent | None = None


class Client(Snapshot, frozen=True, kw_only=True):
    """The session of a client; ``number`` identifies it as long as the broker runs.

    A plain client (``credit`` is None) never gives credit, and cannot confirm. ``full``: it gets nothing until it reads
    or confirms some of what it has. ``offers`` and ``reads`` have at most the first few services and streams.
    """

    number: int
    address: str
    user: str | None
    opened: float
    last_heard: float
    credit: int | None
    unconfirmed: int
    unconfirmed_octets: int
    full: bool
    batches: bool
    properties: bool
    offers: list[str]
    offer_count: int
    reads: list[str]
    read_count: int


class StoreState(Snapshot, frozen=True, kw_only=True):
    """The broker's store. ``complaint`` says why nothing can be written at present; ``last_position`` is that of the
    newest message.

    ``batches`` is how many groups of changes were written, ``rows`` of how many rows, and in how many seconds;
    ``commit_seconds`` is the part of them in which the disk was waited for. ``file_octets`` are those of the file and
    its write-ahead log, ``free_octets`` those that are free on their disk; None if there is no file. ``last_backup`` is
    when a client has read a backup to its end, since the broker started.
    """

    durable: bool
    shared: bool
    complaint: str | None
    has_room: bool
    last_position: int
    damaged: int
    refused: int
    batches: int
    rows: int
    write_seconds: float
    commit_seconds: float
    failures: int
    most_octets: int | None
    file_octets: int | None
    free_octets: int | None
    last_backup: float | None = None


class Limit(Snapshot, frozen=True, kw_only=True):
    """A limit: its setting, its value (None: no limit), and how much of it is used, if that is one number."""

    setting: str
    most: float | None
    used: float | None = None


class Limits(Snapshot, frozen=True, kw_only=True):
    """All limits."""

    limits: list[Limit]


class Configuration(Snapshot, frozen=True, kw_only=True):
    """The settings in force: ``text`` has a line for each, without secrets; ``file`` is where they came from."""

    file: str
    text: str


# The worker


class Slots(Snapshot, frozen=True, kw_only=True):
    """The slots of a pool by state; ``queued`` requests wait for one, ``memory`` is that of the interpreters."""

    size: int
    idle: int
    running: int
    stuck: int
    replaced: int
    queued: int
    memory: int


class WorkerOverview(Snapshot, frozen=True, kw_only=True):
    """A worker in one look. ``time_limit`` is how many seconds a script may run, unless it says so itself."""

    program: str = "worker"
    version: str
    host: str
    pid: int
    time: float
    started: float
    address: str
    service: str
    endpoint: str
    connected: bool
    draining: bool
    time_limit: float | None = None
    slots: Slots
    taken: int
    executed: int
    succeeded: int
    failed: int
    retried: int
    snoozed: int = 0
    not_found: int
    sent: dict[str, int]
    unsent: int


class Running(Snapshot, frozen=True, kw_only=True):
    """A request that a slot of a worker has taken; ``received`` is when the worker got it, ``since`` the broker.

    ``progress`` is the fraction from 0 to 1 that its script has told last, if any.
    """

    tracker: str
    service: str
    subject: str
    sender: str
    attempt: int
    run: int
    snoozes: int = 0
    octets: int
    received: float | None
    since: float | None
    progress: float | None = None
    progress_text: str = ""


class Progress(Snapshot, frozen=True, kw_only=True):
    """How far the script of a running request is: a fraction from 0 to 1, and a text."""

    service: str
    subject: str
    since: float | None
    fraction: float
    text: str


class Script(Snapshot, frozen=True, kw_only=True):
    """What came of the runs of a script; ``seconds`` is the sum of their times.

    ``memory`` is the highest that was measured at the end of a run, 0 if it never was. The name of all scripts that are
    not measured separately is empty. The last error has a reason, such as ``broken``: the script does not compile; and
    a text with the stack trace. ``version`` tells the content of the file from others, and is ``different`` if workers
    have different ones; it was ``changed`` last at that time. ``broken`` is why the file does not compile at present,
    which is known of scripts that have not run as well.
    """

    name: str
    calls: int
    errors: dict[str, int]
    seconds: float
    memory: int
    last_error: str = ""
    last_error_time: float | None = None
    last_reason: str = ""
    last_trace: str = ""
    version: str = ""
    changed: float | None = None
    workers: int = 1
    broken: str = ""


class Summary(Snapshot, frozen=True, kw_only=True):
    """What a worker tells its broker once a second."""

    overview: WorkerOverview
    scripts: list[Script] = []
    progress: list[Progress] = []


class Worker(Snapshot, frozen=True, kw_only=True):
    """A worker as its broker knows it; ``client`` is the number of its session, ``told`` when it sent ``overview``.

    ``progress`` has some of its running requests: those whose scripts tell how far they are.
    """

    client: int
    told: float
    overview: WorkerOverview
    progress: list[Progress] = []


# Answers to operations


class Done(Snapshot, frozen=True, kw_only=True):
    """What an operation has done: ``count`` is the number of messages, records or dead letters."""

    done: bool = True
    count: int | None = None
    note: str = ""


class DoneWithSome(Done, frozen=True, kw_only=True):
    """What was done with dead letters; ``last`` is the position of the last one that matches, None if none does."""

    last: int | None = None


class Backup(Snapshot, frozen=True, kw_only=True):
    """A backup that was made, and can be read by its id. It is deleted if it is not read for a while."""

    id: str
    octets: int


class BackupPart(Snapshot, frozen=True, kw_only=True):
    """A part of a backup, in base64; empty at its end."""

    content: bytes


class Failure(Snapshot, frozen=True, kw_only=True):
    """Why an operation was refused or failed, with the status of the protocol."""

    error: str
    status: int = field(default=500)
