"""Which lists of a broker or worker may look different now, told from two of their overviews."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alaska.admin.snapshots import BrokerOverview, WorkerOverview

_OF_BROKER: Mapping[str, Callable[[BrokerOverview], object]] = {
    "queues": lambda one: (
        one.waiting,
        one.in_flight,
        one.delayed,
        one.services,
        one.mailboxes,
        one.paused,
        one.all_paused,
        one.totals.delivered,
        one.totals.accepted,
        one.totals.ended,
    ),
    "letters": lambda one: (one.dead_letters, one.totals.dead_lettered, one.totals.redelivered),
    "streams": lambda one: (one.streams, one.totals.published),
    "clients": lambda one: (one.clients, one.totals.sessions, one.totals.sessions_ended),
    "workers": lambda one: (one.workers, one.workers and one.time),
    "schedules": lambda one: (one.schedules, one.totals.schedules),
}
"""The subjects, each with the numbers that change with its lists. Workers tell about themselves all the time."""
_OF_WORKER: Mapping[str, Callable[[WorkerOverview], object]] = {
    "worker": lambda one: (one.executed, one.taken, one.slots, one.connected, one.draining),
}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the subjects that have changed between two groups of overviews by program, in a fixed order."""
    found = []
    for program, subjects in (("broker", _OF_BROKER), ("worker", _OF_WORKER)):
        old, new = before.get(program), after.get(program)
        for name, numbers in subjects.items():
            if new is not None and (old is None or numbers(old) != numbers(new)):
                found.append(name)
    return found
