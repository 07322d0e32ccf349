"""The metrics of a worker (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from alaska.admin.families import Details, Family, Filled, Kind, Matches, Values, by, one
from alaska.admin.text import to_text
from alaska.pool.pool import PoolState
from alaska.worker.measures import REASONS, ScriptMeasures, WorkerMeasures

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
OTHERS = ""
"""The label of all scripts together that have none of their own."""
SERVICE = ("service",)

RUNS = Family(
    "alaska_worker_requests_total", COUNTER, "Runs of scripts for requests, by outcome.", (*SERVICE, "outcome")
)
WAIT = Family(
    "alaska_worker_request_wait_seconds", HISTOGRAM, "Time from delivery to the start of the script.", SERVICE
)
RUN = Family("alaska_worker_request_run_seconds", HISTOGRAM, "Run time of scripts, of failed runs as well.", SERVICE)
SCRIPTS = Family("alaska_worker_script_runs_total", COUNTER, "Runs of a script.", ("script",))
SCRIPT_SECONDS = Family("alaska_worker_script_run_seconds_total", COUNTER, "Run time of a script.", ("script",))
ERRORS = Family("alaska_worker_script_errors_total", COUNTER, "Errors of a script, by reason.", ("script", "reason"))
NOT_FOUND = Family("alaska_worker_scripts_not_found_total", COUNTER, "Requests whose subject names no script.")
SENT = Family("alaska_worker_sent_messages_total", COUNTER, "Messages that scripts have sent, by kind.", ("kind",))
SENT_OCTETS = Family("alaska_worker_sent_bytes_total", COUNTER, "Octets of these messages.", ("kind",))
UNSENT = Family("alaska_worker_unsent_messages_total", COUNTER, "Messages of scripts that could not be sent.")
SLOTS = Family("alaska_worker_pool_slots", GAUGE, "Slots of the pool by state.", ("state",))
REPLACED = Family(
    "alaska_worker_pool_slots_replaced_total", COUNTER, "Slots that were given up as stuck, and replaced."
)
QUEUED = Family("alaska_worker_pool_queued", GAUGE, "Requests that no slot has taken yet.")
MEMORY = Family(
    "alaska_worker_lua_memory_bytes", GAUGE, "Memory of all interpreters; with processes, their resident memory."
)
CONNECTED = Family("alaska_worker_connected", GAUGE, "1 while the worker is connected to its broker, else 0.")
CREDIT = Family("alaska_worker_credit", GAUGE, "Requests for which the worker is ready.")
UNCONFIRMED = Family("alaska_worker_unconfirmed", GAUGE, "Requests that were delivered and are not confirmed yet.")

FAMILIES = (
    RUNS, WAIT, RUN, SCRIPTS, SCRIPT_SECONDS, ERRORS, NOT_FOUND, SENT, SENT_OCTETS, UNSENT,
    SLOTS, REPLACED, QUEUED, MEMORY, CONNECTED, CREDIT, UNCONFIRMED,
)  # fmt: skip

SCRIPT_RUNS = Family("alaska_detailed_script_run_seconds", HISTOGRAM, "Run time of a script.", ("script",))
DETAILS = (SCRIPT_RUNS,)


def figures(measures: WorkerMeasures, service: str, pool: PoolState) -> Iterator[Filled]:
    """Return the metrics of the scripts and the pool of a worker for a service."""
    outcomes = {"failed": measures.failed, "retried": measures.retried, "succeeded": measures.succeeded}
    yield RUNS, [((service, outcome), count) for outcome, count in outcomes.items()]
    scripts = [(to_text(name), script) for name, script in measures.scripts.items()]
    scripts.append((OTHERS, measures.other_scripts))
    readings = [(name, script.running.read()) for name, script in scripts]
    yield WAIT, [((service,), measures.waiting.read())]
    total = readings[0][1]
    for _, reading in readings[1:]:
        total += reading
    yield RUN, [((service,), total)]
    yield SCRIPTS, by((name, sum(reading.counts)) for name, reading in readings)
    yield SCRIPT_SECONDS, by((name, reading.total) for name, reading in readings)
    yield ERRORS, _errors(scripts)
    yield NOT_FOUND, one(measures.not_found)
    yield SENT, by(measures.sent.items())
    yield SENT_OCTETS, by(measures.sent_octets.items())
    yield UNSENT, one(measures.unsent)
    yield SLOTS, by([("idle", pool.idle), ("running", pool.running), ("stuck", pool.stuck)])
    yield REPLACED, one(pool.replaced)
    yield QUEUED, one(pool.queued)
    yield MEMORY, one(pool.memory)


def _errors(scripts: list[tuple[str, ScriptMeasures]]) -> Values:
    return [((name, reason), script.errors.get(reason, 0)) for name, script in scripts for reason in REASONS]


def of_connection(is_connected: bool, credit: int, unconfirmed: int) -> Iterator[Filled]:
    """Return the metrics of the worker's connection to its broker."""
    yield CONNECTED, one(is_connected)
    yield CREDIT, one(credit)
    yield UNCONFIRMED, one(unconfirmed)


def script_details(measures: WorkerMeasures) -> Details:
    """Return the source of details of scripts."""

    def collect(matches: Matches, most: int) -> Iterator[Filled]:
        found = [(name, script) for name, script in measures.scripts.items() if matches(name)]
        yield SCRIPT_RUNS, by((to_text(name), script.running.read()) for name, script in islice(found, most))

    return collect
