"""What becomes of a request whose script has failed, or has ended its run by a verdict: run again, or failed for good.

Of a retry plan, the message's part counts first, then the script's (its header), the service's and the worker's.
"""

from __future__ import annotations

import random
from math import isnan
from typing import NamedTuple

from alaska.config import WorkerSettings
from alaska.errors import ScriptError, ScriptNotFound, ScriptRejected
from alaska.lua.request import Outcome, Request, Verdict, VerdictKind
from alaska.system.retry_plan import MOST_ATTEMPTS, MOST_MILLISECONDS, Plan, merged

ASKED_ATTEMPTS = 11
"""How many times a request may be tried in all whose script asks for another run, if no plan says it."""
LEAST_SNOOZE = 100
"""The shortest time in ms for which a request is put off: that costs no attempt, so it must not come back at once."""
REJECTED = "its script has rejected it"
NO_REASON = "its script asked for another run"


class Later(NamedTuple):
    """A request is run again after so many milliseconds; ``is_spent``: the run that has ended counts as an attempt."""

    milliseconds: int
    is_spent: bool
    error: ScriptError

    @property
    def seconds(self) -> float:
        """The wait in seconds."""
        return self.milliseconds / 1000


class Plans:
    """The retry plans of a worker and its service."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.configure(settings)

    def configure(self, settings: WorkerSettings) -> None:
        """Change the plans."""
        own = Plan(settings.errors_retries + 1 if settings.errors_retries else None, settings.errors_backoff)
        retries = settings.service_retries
        service = Plan(None if retries is None else retries + 1, settings.service_backoff)
        self._default = merged(service, own)

    def decide(self, request: Request, outcome: Outcome, error: ScriptError | None) -> Later | ScriptError | None:
        """Return whether a request is run again, or with which error it has failed; None if it has succeeded.

        ``error`` is that of the script, or of the messages that it sent. A script that has given a verdict did not
        fail, whatever came after.
        """
        verdict = outcome.verdict
        if verdict is None:
            if error is None or isinstance(error, ScriptNotFound):
                return error
            plan = self._plan(request, outcome)
            return self._again(request, plan, None, error) if request.attempt < (plan.attempts or 1) else error
        why = verdict.why.decode("utf-8", "backslashreplace")
        if verdict.kind is VerdictKind.REJECT:
            return ScriptRejected(why or REJECTED)
        asked = ScriptError(why or NO_REASON)
        if verdict.kind is VerdictKind.SNOOZE:
            return Later(max(LEAST_SNOOZE, _milliseconds(verdict) or 0), False, asked)
        plan = self._plan(request, outcome)
        most = ASKED_ATTEMPTS if plan.attempts is None else plan.attempts
        return self._again(request, plan, _milliseconds(verdict), asked) if request.attempt < most else asked

    def is_last_of_several(self, request: Request, outcome: Outcome, error: ScriptError) -> bool:
        """Return whether a request has failed for good since its attempts are used up, of which it had several."""
        if isinstance(error, ScriptNotFound | ScriptRejected):
            return False
        is_asked = outcome.verdict is not None and outcome.verdict.kind is VerdictKind.RETRY
        return is_asked or (self._plan(request, outcome).attempts or 1) > 1

    def _plan(self, request: Request, outcome: Outcome) -> Plan:
        """Return the plan for a request. The process of a script can report any plan as the script's."""
        plan = merged(request.plan, None if outcome.header is None else outcome.header.plan, self._default)
        return plan if plan.attempts is None else plan._replace(attempts=min(plan.attempts, MOST_ATTEMPTS))

    def _again(self, request: Request, plan: Plan, given: int | None, error: ScriptError) -> Later:
        if given is None:
            assert plan.backoff is not None, "the worker has one"
            given = plan.backoff.milliseconds(request.attempt, random.random())  # noqa: S311  # it is no secret
        return Later(min(given, MOST_MILLISECONDS), True, error)


def _milliseconds(verdict: Verdict) -> int | None:
    """Return the wait that a script has given. A process that runs scripts can report any number."""
    seconds = verdict.seconds
    if seconds is None or isnan(seconds):
        return None
    return round(1000 * min(max(seconds, 0.0), MOST_MILLISECONDS / 1000))
