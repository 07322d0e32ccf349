"""The metrics of a worker (docs/metrics.md), made of its snapshot (:class:`alaska.admin.measured.WorkerMeasures`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from alaska.admin.families import Details, Family, Filled, Kind, Selected, Values, by, one
from alaska.admin.measured import ScriptMeasures, WorkerMeasures
from alaska.admin.pages import Matches
from alaska.admin.text import to_name
from alaska.worker.measures import REASONS

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
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


def figures(measures: WorkerMeasures) -> Iterator[Filled]:
    """Return the metrics of a worker; until it has started, there are none of its connection."""
    service, scripts, slots = measures.service, measures.scripts, measures.slots
    yield RUNS, [((service, outcome), count) for outcome, count in measures.runs.items()]
    yield WAIT, [((service,), measures.waited)]
    total = scripts[0].ran
    for script in scripts[1:]:
        total += script.ran
    yield RUN, [((service,), total)]
    yield SCRIPTS, by((script.name, sum(script.ran.counts)) for script in scripts)
    yield SCRIPT_SECONDS, by((script.name, script.ran.total) for script in scripts)
    yield ERRORS, _errors(scripts)
    yield NOT_FOUND, one(measures.not_found)
    yield SENT, by(measures.sent.items())
    yield SENT_OCTETS, by(measures.sent_octets.items())
    yield UNSENT, one(measures.unsent)
    yield SLOTS, by([("idle", slots.idle), ("running", slots.running), ("stuck", slots.stuck)])
    yield REPLACED, one(slots.replaced)
    yield QUEUED, one(slots.queued)
    yield MEMORY, one(slots.memory)
    connection = measures.connection
    if connection is not None:
        yield CONNECTED, one(connection.connected)
        yield CREDIT, one(connection.credit)
        yield UNCONFIRMED, one(connection.unconfirmed)


def _errors(scripts: list[ScriptMeasures]) -> Values:
    return [((script.name, reason), script.errors.get(reason, 0)) for script in scripts for reason in REASONS]


def script_details(measures: Callable[[], WorkerMeasures]) -> Details:
    """Return the source of details of scripts."""

    def select(matches: Matches, most: int) -> Selected:
        found = [script for script in measures().scripts if script.name and matches(to_name(script.name))]
        return Selected([(SCRIPT_RUNS, by((script.name, script.ran) for script in found[:most]))], len(found[most:]))

    return select
