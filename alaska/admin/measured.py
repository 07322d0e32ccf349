"""The types of what broker and worker have counted and measured of all their objects together: metrics show these.

As all snapshots (:mod:`alaska.admin.snapshots`), they do not change after they were made. Totals count since the start
of the process, and never fall.
"""

from __future__ import annotations

from alaska.admin.snapshots import Slots, Snapshot, StoreState, Totals
from alaska.system.histogram import Reading

DEAD_OUTCOMES = ("attempts", "failed", "not_found", "rejected")
"""The outcomes with which a message becomes a dead letter."""


class Traffic(Snapshot, frozen=True, kw_only=True):
    """The messages of one service, or of several queues.

    ``held`` counts those that were delivered after a limit had held them back. ``ended`` counts those that have ended,
    by outcome. ``waited`` has the seconds until each delivery, ``ran`` those
    from the delivery to the successful confirmation.
    """

    accepted: int
    accepted_octets: int
    delivered_octets: int
    redelivered: int
    retried: int = 0
    snoozed: int = 0
    held: int = 0
    ended: dict[str, int]
    waited: Reading
    ran: Reading


class ServiceMeasures(Snapshot, frozen=True, kw_only=True):
    """A service that is measured separately: its traffic, and what waits now.

    ``ready`` of the ``workers`` can be sent a request. ``oldest`` is when the request arrived that has waited longest;
    None if there is none, or if that is not known. ``held`` of those that wait are held back by limits.
    """

    name: str
    traffic: Traffic
    waiting: int
    held: int = 0
    octets: int
    oldest: float | None
    workers: int
    ready: int


class QueueSums(Snapshot, frozen=True, kw_only=True):
    """All queues of one kind together."""

    kind: str
    queues: int
    waiting: int
    octets: int
    oldest: float | None
    paused: int


class ClientSums(Snapshot, frozen=True, kw_only=True):
    """All clients together: how many give credit or are plain, and how many get nothing before they read or confirm."""

    with_credit: int
    plain: int
    credit: int
    unconfirmed: int
    full: int


class StreamSums(Snapshot, frozen=True, kw_only=True):
    """All streams together; ``lag`` is the number of records that the reader farthest behind has not got."""

    streams: int
    octets: int
    readers: int
    lagging: int
    lag: int
    published: int
    published_octets: int
    delivered: int
    delivered_octets: int


class BindingMeasures(Snapshot, frozen=True, kw_only=True):
    """A binding that is measured separately: how far it is, and what was counted since the broker has started."""

    stream: str
    service: str
    pattern: str
    position: int
    lag: int
    made: int
    lost: int
    skipped: int


class BindingSums(Snapshot, frozen=True, kw_only=True):
    """All bindings: those that are measured separately, and all others together.

    ``other_lag`` is the lag of the one that is farthest behind.
    """

    bindings: int
    measured: list[BindingMeasures]
    other_lag: int
    other_made: int
    other_lost: int
    other_skipped: int


class DurableReaderMeasures(Snapshot, frozen=True, kw_only=True):
    """A durable reader: how far it is, and when a client last had it, which is now if one has it."""

    stream: str
    name: str
    position: int
    lag: int
    seen: float


class DurableReaderSums(Snapshot, frozen=True, kw_only=True):
    """All durable readers: the first ones separately, and all others together.

    ``other_lag`` is the lag of the one that is farthest behind, ``other_seen`` when the one was seen that nobody has
    had for longest. ``lost`` records were removed from streams before they were read.
    """

    connected: int
    away: int
    measured: list[DurableReaderMeasures]
    other_lag: int
    other_seen: float | None
    lost: int


class LetterSums(Snapshot, frozen=True, kw_only=True):
    """All dead letters: those that are stored now, and how many there have been, by reason."""

    stored: int
    octets: int
    dropped: int
    became: dict[str, int]


class WriteTimes(Snapshot, frozen=True, kw_only=True):
    """The batches that a store has written: their rows, and the seconds for each and for its commit."""

    failures: int
    rows: Reading
    write: Reading
    commit: Reading


class BrokerMeasures(Snapshot, frozen=True, kw_only=True):
    """All that a broker has counted and measured.

    ``services`` are those that are measured separately, ``others`` all others; ``workers`` report to this broker.
    ``unserved`` are the requests that wait for services which no worker offers.
    ``writes`` is None if the store writes no file.
    """

    totals: Totals
    services: list[ServiceMeasures]
    others: Traffic
    mail: Traffic
    queues: list[QueueSums]
    all_paused: bool
    unserved: int
    clients: ClientSums
    workers: int
    streams: StreamSums
    bindings: BindingSums
    durable_readers: DurableReaderSums
    letters: LetterSums
    store: StoreState
    writes: WriteTimes | None


class ScriptMeasures(Snapshot, frozen=True, kw_only=True):
    """The seconds of the runs of a script, and its errors by reason; without a name: of all others together."""

    name: str
    ran: Reading
    errors: dict[str, int]


class ConnectionState(Snapshot, frozen=True, kw_only=True):
    """The connection of a worker to its broker: for how many requests it is ready, and how many it has to confirm."""

    connected: bool
    credit: int
    unconfirmed: int


class WorkerMeasures(Snapshot, frozen=True, kw_only=True):
    """All that a worker has counted and measured; ``connection`` is None until it has started."""

    service: str
    runs: dict[str, int]
    waited: Reading
    scripts: list[ScriptMeasures]
    not_found: int
    sent: dict[str, int]
    sent_octets: dict[str, int]
    unsent: int
    slots: Slots
    connection: ConnectionState | None
