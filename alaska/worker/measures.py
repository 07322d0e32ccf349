"""What the worker measures of its scripts: how long requests wait and run, why scripts fail, what they send.

Names of scripts come from clients, so a script is measured separately only if its file exists, and only the first ones
are; all others are measured together.
"""

from __future__ import annotations

from math import inf
from time import time

from alaska.errors import (
    InterpreterLost,
    ScriptBroken,
    ScriptError,
    ScriptNotFound,
    ScriptRejected,
    ScriptUnreadable,
)
from alaska.lua.request import TIMEOUT, Outcome, Request, Send, SendKind
from alaska.system.histogram import Histogram

MOST_ERROR_CHARACTERS = 200
"""The maximum length of the text of an error that is kept."""
MOST_TRACE_CHARACTERS = 2000
"""The maximum length of that text with the stack trace."""
MOST_SCRIPTS = 50
"""The maximum number of scripts that are measured separately."""


class ScriptMeasures:
    """The run times of one script in seconds, of failed runs as well, and its errors by reason."""

    __slots__ = ("errors", "last_error", "last_error_at", "last_reason", "last_trace", "memory", "running")

    def __init__(self) -> None:
        self.running = Histogram()
        self.errors: dict[str, int] = {}
        self.memory = 0
        """The highest memory at the end of a run, in octets; 0 if none was measured."""
        self.last_error = self.last_reason = self.last_trace = ""
        self.last_error_at: float | None = None
        """When that was, in seconds since 1970."""


class WorkerMeasures:
    """The measures of a worker since its start.

    - ``waiting``: the seconds from the delivery of a request to the worker until its script began.
    - ``executed``: the runs; each retry of a request is a further one. ``succeeded``, ``failed``, ``retried``,
      ``snoozed``: what came of them.
    - ``not_found``: requests whose subject names no script.
    - ``sent``, ``sent_octets``: messages of scripts by kind, and the octets of their content.
    - ``cancelled``: requests that were cancelled, and did not succeed nevertheless.
    - ``unsent``: messages of scripts that could not be sent.
    """

    def __init__(self) -> None:
        self.scripts: dict[bytes, ScriptMeasures] = {}
        self.other_scripts = ScriptMeasures()
        self.waiting = Histogram()
        self.executed = self.succeeded = self.failed = self.retried = self.snoozed = 0
        self.not_found = 0
        self.sent = {kind.value: 0 for kind in SendKind}
        self.sent_octets = dict(self.sent)
        self.unsent = 0
        self.cancelled = 0

    def note_run(self, request: Request, outcome: Outcome, now: float) -> None:
        """Count a run that ended at ``now``, in seconds of the monotonic clock."""
        seconds = outcome.seconds
        if outcome.error is not None and isinstance(outcome.error, ScriptNotFound):
            self.not_found += 1
        else:
            script = self.scripts.get(request.subject) or self._add(request.subject)
            running = script.running
            script.memory = max(script.memory, outcome.memory)
            # The requests of a batch have the same run time.
            if seconds == running.last:
                running.repeats += 1
            else:
                running.add(seconds)
        # A retry has arrived at infinity: its backoff is no wait.
        waited = now - request.arrived - seconds
        if waited >= 0.0:
            self.waiting.add(waited)
        elif waited > -inf:
            self.waiting.add(0.0)

    def _add(self, subject: bytes) -> ScriptMeasures:
        """Return the measures of a script that has none of its own yet."""
        if len(self.scripts) >= MOST_SCRIPTS:
            return self.other_scripts
        script = self.scripts[subject] = ScriptMeasures()
        return script

    def note_again(self, is_spent: bool) -> None:
        """Count a run after which its request is run again; ``is_spent``: it counts as an attempt."""
        if is_spent:
            self.retried += 1
        else:
            self.snoozed += 1

    def note_error(self, request: Request, error: ScriptError) -> None:
        """Count the error of a run."""
        if not isinstance(error, ScriptNotFound):
            script = self.scripts.get(request.subject, self.other_scripts)
            errors, reason = script.errors, reason_of(error)
            script.last_error, script.last_error_at = error.message[:MOST_ERROR_CHARACTERS], time()
            script.last_reason, script.last_trace = reason, str(error)[:MOST_TRACE_CHARACTERS]
            errors[reason] = errors.get(reason, 0) + 1

    def note_sent(self, send: Send) -> None:
        """Count a message of a script that was sent."""
        kind = send.kind.value
        self.sent[kind] += 1
        self.sent_octets[kind] += sum(map(len, send.content))


REASONS = ("broken", "error", "limit", "lost", "rejected", "timeout", "unreadable")
"""The reasons of errors that scripts can have."""


def reason_of(error: ScriptError) -> str:
    """Return the reason of an error, one of :data:`REASONS`."""
    if isinstance(error, ScriptBroken):
        return "broken"
    if isinstance(error, ScriptUnreadable):
        return "unreadable"
    if isinstance(error, InterpreterLost):
        return "lost"
    if isinstance(error, ScriptRejected):
        return "rejected"
    if error.limit is not None:
        return "timeout" if error.limit == TIMEOUT else "limit"
    return "error"
