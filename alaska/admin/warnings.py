"""What an operator should look at although the process works: sentences about its snapshots, for ``/healthz``."""

from __future__ import annotations

from collections.abc import Sequence

from alaska.admin.measured import ServiceMeasures
from alaska.admin.snapshots import BrokerOverview, Script, StoreState, WorkerOverview

MANY_MESSAGES = 10_000
"""So many messages in all queues are worth a look."""
LITTLE_OCTETS = 256 * 2**20
"""With so few octets, the disk of the store will soon be full."""
RECENT_SECONDS = 600
"""For so long, the last error of a script is shown."""
MOST_NAMED = 5
"""The maximum number of services and scripts that are named."""


def of_broker(overview: BrokerOverview, services: Sequence[ServiceMeasures], store: StoreState) -> list[str]:
    """Return sentences about a broker; ``services`` are those that are measured separately."""
    idle = sorted((each for each in services if each.waiting and not each.workers), key=lambda each: -each.waiting)
    found = [
        f"{each.waiting} requests wait for the service {each.name}, and no worker offers it"
        for each in idle[:MOST_NAMED]
    ]
    if overview.paused:
        found.append(f"{overview.paused} services are paused: nothing of them is delivered until they are resumed")
    if overview.waiting >= MANY_MESSAGES:
        found.append(f"{overview.waiting} messages wait; /api/v1/queues?sort=waiting has the longest queues first")
    if overview.dead_letters:
        found.append(f"{overview.dead_letters} dead letters are stored; /api/v1/letters lists them with their reasons")
    if store.free_octets is not None and store.free_octets < LITTLE_OCTETS:
        found.append(f"the disk of the store has only {store.free_octets // 2**20} MiB left")
    return found


def of_worker(overview: WorkerOverview, scripts: Sequence[Script]) -> list[str]:
    """Return sentences about a worker and its scripts."""
    found = []
    if overview.slots.stuck:
        found.append(f"{overview.slots.stuck} threads are stuck in scripts that do not end; a restart ends them")
    ages = [(overview.time - each.last_error_time, each) for each in scripts if each.last_error_time is not None]
    recent = sorted((pair for pair in ages if pair[0] < RECENT_SECONDS), key=lambda pair: pair[0])
    for age, each in recent[:MOST_NAMED]:
        name = f"the script {each.name} has" if each.name else "scripts have"
        found.append(f"{name} failed {sum(each.errors.values())} times, last {age:.0f} s ago: {each.last_error}")
    return found
