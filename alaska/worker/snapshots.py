"""Typed snapshots of a worker (:mod:`alaska.admin.snapshots`): everything that shows a worker reads these."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import alaska
from alaska.admin import measured
from alaska.admin import snapshots as shown
from alaska.admin.pages import Key, Work, matcher, page_of
from alaska.admin.requests import Query, ScriptQuery
from alaska.admin.script_pages import page_of_scripts
from alaska.admin.text import to_text
from alaska.client import Client
from alaska.lua.request import Request
from alaska.pool.pool import AnyPool
from alaska.worker.intake import Intake
from alaska.worker.measures import ScriptMeasures, WorkerMeasures
from alaska.worker.progress import ProgressReports
from alaska.worker.script_files import ScriptFiles

OTHERS = b""
"""The name of all scripts together that are not measured separately."""
MOST_PROGRESS = 20
"""The maximum number of requests whose progress the broker is told in a summary."""
MOST_RUNNING = 10_000
"""The maximum number of requests that are looked at; a slot takes a few at a time."""


@dataclass(frozen=True)
class WorkerState:
    """What administration sees of a worker. ``wall`` and ``monotonic`` are clocks in seconds."""

    pool: AnyPool
    measures: WorkerMeasures
    address: Callable[[], bytes]
    service: str
    endpoint: str
    is_connected: Callable[[], bool]
    is_draining: Callable[[], bool]
    drain: Callable[[], None]
    resume: Callable[[], None]
    size: int
    connection: Callable[[], measured.ConnectionState | None] = lambda: None
    progress: ProgressReports | None = None
    files: ScriptFiles | None = None
    time_limit: float | None = None
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.time)


def connection_of(client: Client | None, intake: Intake | None) -> measured.ConnectionState | None:
    """Return the state of a worker's connection; None if it has not started."""
    if client is None or intake is None:
        return None
    return measured.ConnectionState(connected=client.is_connected, credit=client.credit, unconfirmed=intake.unconfirmed)


class WorkerSnapshots:
    """Makes the snapshots of a worker."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._host = socket.gethostname()
        self.broken: Callable[[], Mapping[bytes, str]] = dict
        """Returns why scripts do not compile, by their names."""

    def overview(self) -> shown.WorkerOverview:
        """Return the overview."""
        state, measures = self._state, self._state.measures
        return shown.WorkerOverview(
            version=alaska.__version__,
            host=self._host,
            pid=os.getpid(),
            time=state.wall(),
            started=state.started,
            address=to_text(state.address()),
            service=state.service,
            endpoint=state.endpoint,
            connected=state.is_connected(),
            draining=state.is_draining(),
            time_limit=state.time_limit,
            slots=self._slots(),
            taken=state.pool.pending,
            executed=measures.executed,
            succeeded=measures.succeeded,
            failed=measures.failed,
            retried=measures.retried,
            snoozed=measures.snoozed,
            not_found=measures.not_found,
            sent=dict(measures.sent),
            unsent=measures.unsent,
        )

    def _slots(self) -> shown.Slots:
        pool = self._state.pool.state()
        return shown.Slots(
            size=self._state.size,
            idle=pool.idle,
            running=pool.running,
            stuck=pool.stuck,
            replaced=pool.replaced,
            queued=pool.queued,
            memory=pool.memory,
        )

    def measures(self) -> measured.WorkerMeasures:
        """Return all that is counted and measured; the last of the scripts stands for all that have no other."""
        state, measures = self._state, self._state.measures
        return measured.WorkerMeasures(
            service=state.service,
            runs={
                "cancelled": measures.cancelled,
                "failed": measures.failed,
                "retried": measures.retried,
                "snoozed": measures.snoozed,
                "succeeded": measures.succeeded,
            },
            waited=measures.waiting.read(),
            scripts=[
                measured.ScriptMeasures(name=to_text(name), ran=script.running.read(), errors=dict(script.errors))
                for name, script in (*measures.scripts.items(), (OTHERS, measures.other_scripts))
            ],
            not_found=measures.not_found,
            sent=dict(measures.sent),
            sent_octets=dict(measures.sent_octets),
            unsent=measures.unsent,
            slots=self._slots(),
            connection=state.connection(),
        )

    def running(self, query: Query) -> Work[shown.Page[shown.Running]]:
        """Return a page of the requests that slots have taken; the filter is about subjects."""
        matches = matcher(query.match)
        taken = self._state.pool.unfinished()[:MOST_RUNNING]
        requests = [each for each in taken if matches is None or matches(each.subject)]
        by_key: dict[Key, Request] = {(number,): each for number, each in enumerate(requests)}
        return (yield from page_of(list(by_key), query, (int,), lambda key: self._running(by_key[key])))

    def _running(self, request: Request) -> shown.Running:
        state = self._state
        has_arrived = not math.isinf(request.arrived)
        progress = None if state.progress is None else state.progress.of(request)
        return shown.Running(
            tracker=to_text(request.tracker),
            service=to_text(request.address),
            subject=to_text(request.subject),
            sender=to_text(request.sender),
            attempt=request.attempt,
            run=request.runs,
            snoozes=request.snoozes,
            octets=request.octets,
            received=state.wall() - state.monotonic() + request.arrived if has_arrived else None,
            since=request.since / 1000 if request.since else None,
            progress=None if progress is None else progress.fraction,
            progress_text="" if progress is None else to_text(progress.text),
        )

    def progress(self) -> list[shown.Progress]:
        """Return the progress of some of the requests whose scripts tell it."""
        reports = islice(self._state.progress or (), MOST_PROGRESS)
        return [
            shown.Progress(
                service=to_text(request.address),
                subject=to_text(request.subject),
                since=request.since / 1000 if request.since else None,
                fraction=progress.fraction,
                text=to_text(progress.text),
            )
            for request, progress in reports
        ]

    def scripts(self, query: ScriptQuery) -> Work[shown.Page[shown.Script]]:
        """Return a page of the scripts that have run, or do not compile."""
        matches = matcher(query.match)
        found = self._all_scripts()
        return (yield from page_of_scripts({n: s for n, s in found.items() if matches is None or matches(n)}, query))

    def all_scripts(self) -> list[shown.Script]:
        """Return all scripts, whose number is limited."""
        return list(self._all_scripts().values())

    def _all_scripts(self) -> dict[bytes, shown.Script]:
        """Return them by name, and first those that do not compile: where there is no room for all, they are told."""
        broken, measured_, unmeasured = self.broken(), self._measured(), ScriptMeasures()
        names = dict.fromkeys([*broken, *measured_])
        return {name: self._script(name, measured_.get(name, unmeasured), broken.get(name, "")) for name in names}

    def _measured(self) -> dict[bytes, ScriptMeasures]:
        measures = self._state.measures
        others = measures.other_scripts
        has_others = others.running.repeats or others.errors
        return {**measures.scripts, OTHERS: others} if has_others else measures.scripts

    def _script(self, name: bytes, measures: ScriptMeasures, broken: str) -> shown.Script:
        runs, files = measures.running.read(), self._state.files
        version, changed = ("", None) if files is None else files.version_of(name)
        return shown.Script(
            name=to_text(name),
            calls=sum(runs.counts),
            errors=dict(measures.errors),
            seconds=runs.total,
            memory=measures.memory,
            last_error=measures.last_error,
            last_error_time=measures.last_error_at,
            last_reason=measures.last_reason,
            last_trace=measures.last_trace,
            version=version,
            changed=changed,
            broken=broken,
        )
