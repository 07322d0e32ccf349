"""Queues and running requests as the cells of tables, which several commands show."""

from __future__ import annotations

from typing import NamedTuple

from alaska.admin import snapshots
from alaska.admin.message_snapshots import Message
from alaska.commands import shown


class QueueRow(NamedTuple):
    """A service or mailbox; ``rate`` and what follows are those of the last minutes."""

    kind: str
    name: str
    waiting: str
    oldest: str
    in_flight: str
    consumers: str
    octets: str
    rate: str
    failed: str
    p50: str
    p99: str
    state: str


def queue_row(each: snapshots.Queue, now: float) -> QueueRow:
    """Return a queue at a time."""
    return QueueRow(
        each.kind,
        shown.name(each.name),
        str(each.waiting),
        age(each.oldest, now),
        str(each.in_flight),
        str(each.consumers),
        shown.octets(each.octets),
        *_recent(each.recent),
        "paused" if each.paused else f"{each.held} held" if each.held else "-",
    )


def _recent(recent: snapshots.Recent | None) -> tuple[str, str, str, str]:
    """Return the rate, the share of errors, and run times."""
    if recent is None or not recent.succeeded + recent.failed:
        return ("-", "-", "-", "-")
    share = recent.failed / (recent.succeeded + recent.failed)
    return (f"{recent.rate:.1f}/s", f"{share:.1%}", shown.seconds(recent.p50), shown.seconds(recent.p99))


class RunningRow(NamedTuple):
    """A request that a worker has."""

    service: str
    subject: str
    sender: str
    worker: str
    age: str
    attempt: str
    progress: str
    tracker: str
    position: str


def running_row(each: Message, now: float) -> RunningRow:
    """Return a running request at a time."""
    return RunningRow(
        shown.name(each.address),
        shown.name(each.subject),
        shown.name(each.sender),
        shown.name(each.client),
        age(each.since, now),
        str(each.attempts),
        progress(each) or "-",
        shown.name(each.tracker),
        str(each.position),
    )


def progress(each: Message) -> str:
    """Return how far a script is, and what it says about it; empty if it has not told."""
    return "" if each.progress is None else f"{each.progress:.0%} {shown.name(each.progress_text)}".rstrip(" -")


def age(since: float | None, now: float) -> str:
    """Return how long ago a time is."""
    return shown.duration(None if since is None else now - since)
