"""Spans of the requests of a worker. There is none of this where no spans are recorded."""

from __future__ import annotations

from math import isfinite
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from alaska.errors import ScriptError
from alaska.lua.request import Mark, Outcome, Request
from alaska.traces.context import RunTrace

if TYPE_CHECKING:  # Workers that record no spans import nothing of OpenTelemetry.
    from alaska.traces.provider import Provider
    from alaska.traces.spans import Value

SECOND = 1_000_000_000
LONGEST_SECONDS = 86_400.0


class RunTracing:
    """Records the runs of a worker's requests, and their confirmations.

    ``endpoint`` is that of the broker, and ``address`` the worker's.
    """

    def __init__(self, provider: Provider, service: str, endpoint: str, address: str) -> None:
        from alaska.traces.runs import Runs  # noqa: PLC0415
        from alaska.traces.spans import of_client  # noqa: PLC0415

        self._runs = Runs(provider, service, of_client(endpoint, address))

    def begin(self, request: Request) -> Request:
        """Return a request with the trace of its next run."""
        created = None if request.trace is None else request.trace.created
        return request._replace(trace=self._runs.begin(created, _attributes(request)))

    def ended(self, request: Request, outcome: Outcome, marks: tuple[Mark, ...], error: ScriptError | None) -> None:
        """Record a run that has just ended, whose messages are sent; ``marks`` are all that it added."""
        run = request.trace
        if run is not None and run.is_recorded:
            self._record(run, request, outcome, marks, error)

    def _record(
        self, run: RunTrace, request: Request, outcome: Outcome, marks: tuple[Mark, ...], error: ScriptError | None
    ) -> None:
        from alaska.traces.runs import Ended  # noqa: PLC0415

        now = time_ns()
        # A process that runs scripts can report any time. When a retry began is not known.
        longest = max(0.0, monotonic() - request.arrived) if isfinite(request.arrived) else LONGEST_SECONDS
        seconds = min(outcome.seconds, longest) if outcome.seconds >= 0 else 0.0
        failed = None if error is None else (error.limit or type(error).__name__, error.message)
        self._runs.record(run, _attributes(request), Ended(now - round(seconds * SECOND), now, marks, failed))

    def settled(self, request: Request, status: int, began: int) -> None:
        """Record that a request was confirmed just now; ``began`` is when that began, in ns since 1970."""
        run = request.trace
        if run is not None and run.is_recorded:
            self._runs.settle(run, _identity(request), status, began)


def _identity(request: Request) -> dict[str, Value]:
    attributes: dict[str, Value] = {"messaging.alaska.subject": request.subject.decode("utf-8", "backslashreplace")}
    if request.sender_tracker:
        tracker = request.sender_tracker.decode("utf-8", "backslashreplace")
        attributes |= {"messaging.message.id": tracker, "messaging.message.conversation_id": tracker}
    return attributes


def _attributes(request: Request) -> dict[str, Value]:
    size = sum(map(len, request.frames))
    return {**_identity(request), "messaging.message.body.size": size, "messaging.alaska.attempt": request.attempt}
