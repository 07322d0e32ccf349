"""What an operator should look at although the process works: sentences about its snapshots, for ``/healthz``."""

from __future__ import annotations

from collections.abc import Sequence

from alaska.admin.snapshots import BrokerOverview, Script, StoreState, WorkerOverview

MANY_MESSAGES = 10_000
"""So many messages in all queues are worth a look."""
LITTLE_OCTETS = 256 * 2**20
"""With so few octets, the disk of the store will soon be full."""
RECENT_SECONDS = 600
"""For so long, the last error of a script is shown."""
MOST_NAMED = 5
"""The maximum number of scripts that are named."""


def of_broker(overview: BrokerOverview, store: StoreState) -> list[str]:
    """Return sentences about a broker."""
    found = []
    if overview.waiting_unserved:
        names = ", ".join(overview.unserved)
        found.append(f"requests that wait for services which no worker offers: {overview.waiting_unserved} ({names})")
    if overview.all_paused:
        found.append("all services are paused: nothing is delivered until they are resumed")
    elif overview.paused:
        found.append(f"paused services, of which nothing is delivered until they are resumed: {overview.paused}")
    if overview.waiting >= MANY_MESSAGES:
        found.append(f"messages that wait: {overview.waiting}; /api/v1/queues?sort=waiting has the longest first")
    if overview.dead_letters:
        found.append(
            f"dead letters that are stored: {overview.dead_letters}; the page and alas letters list have their reasons"
        )
    if store.free_octets is not None and store.free_octets < LITTLE_OCTETS:
        found.append(f"the disk of the store has only {store.free_octets // 2**20} MiB left")
    if overview.broken_scripts:
        found.append(_uncompiled(overview.broken_scripts))
    return found


def of_worker(overview: WorkerOverview, scripts: Sequence[Script]) -> list[str]:
    """Return sentences about a worker and its scripts."""
    found = []
    if overview.slots.stuck:
        found.append(f"threads that are stuck in scripts: {overview.slots.stuck}; a restart of the worker ends them")
    ages = [(overview.time - each.last_error_time, each) for each in scripts if each.last_error_time is not None]
    recent = sorted((pair for pair in ages if pair[0] < RECENT_SECONDS), key=lambda pair: pair[0])
    for age, each in recent[:MOST_NAMED]:
        name = f"the script {each.name}" if each.name else "other scripts"
        found.append(f"errors of {name}: {sum(each.errors.values())}, the last {age:.0f} s ago: {each.last_error}")
    if broken := [each.name for each in scripts if each.broken]:
        found.append(_uncompiled(broken[:MOST_NAMED]))
    return found


def _uncompiled(names: Sequence[str]) -> str:
    return f"scripts that do not compile: {', '.join(names)}; the page and alas scripts say why"
