"""Whether a request is run again, and when."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.config import WorkerSettings
from alaska.errors import ScriptError, ScriptNotFound, ScriptRejected
from alaska.lua.header import Header
from alaska.lua.request import Outcome, Request, Verdict, VerdictKind
from alaska.system.retry_plan import MOST_MILLISECONDS, Backoff, Plan
from alaska.worker.plans import ASKED_ATTEMPTS, LEAST_SNOOZE, Later, Plans

RETRY, SNOOZE, REJECT = VerdictKind.RETRY, VerdictKind.SNOOZE, VerdictKind.REJECT
ERROR = ScriptError("oh no")
FIRST = Request(b"", b"svc", b"job", b"t", ())
SHORT, LONG = Backoff(10, 10), Backoff(10_000, 10_000)


def request(attempt: int = 1, plan: Plan | None = None) -> Request:
    """Return a request at one of its attempts."""
    return FIRST._replace(attempt=attempt, plan=plan)


def failed(header: Plan | None = None) -> Outcome:
    """Return the outcome of a script that has failed, with the plan of its header."""
    return Outcome(error=ERROR, header=None if header is None else Header(header))


def ended(kind: VerdictKind, seconds: float | None = None, why: bytes = b"") -> Outcome:
    """Return the outcome of a script that has given a verdict."""
    return Outcome(verdict=Verdict(kind, seconds, why))


class PlanCase(SynchronousTestCase):
    """Plans of workers."""

    def decide(self, outcome: Outcome, asked: Request = FIRST, **settings: Any) -> Later | ScriptError | None:
        """Return what becomes of a request."""
        return Plans(WorkerSettings(**settings)).decide(asked, outcome, outcome.error)

    def again(self, outcome: Outcome, asked: Request = FIRST, **settings: Any) -> Later:
        """Return the decision about a request that is run again."""
        decided = self.decide(outcome, asked, **settings)
        assert isinstance(decided, Later), decided
        return decided

    def attempts(self, outcome: Outcome, plan: Plan | None = None, **settings: Any) -> int:
        """Return how many times a request is tried in all."""
        attempt = 1
        while isinstance(self.decide(outcome, request(attempt, plan), **settings), Later):
            attempt += 1
        return attempt


class ErrorTests(PlanCase):
    """Scripts that have failed."""

    def test_order(self) -> None:
        """The message counts before the script, the script before the service, the service before the worker."""
        own: dict[str, Any] = {"errors_retries": 1, "service_retries": 2}
        self.assertEqual(self.attempts(failed()), 1)
        self.assertEqual(self.attempts(failed(), errors_retries=1), 2)
        self.assertEqual(self.attempts(failed(), **own), 3)
        self.assertEqual(self.attempts(failed(Plan(4)), **own), 4)
        self.assertEqual(self.attempts(failed(Plan(4)), Plan(5), **own), 5)
        self.assertEqual(self.attempts(failed(Plan(4)), Plan(1), **own), 1)

    def test_parts(self) -> None:
        """Attempts and backoff may come from different plans."""
        asked = request(plan=Plan(2))
        self.assertTrue(
            5000 <= self.again(failed(Plan(None, LONG)), asked, errors_backoff=SHORT).milliseconds <= 10_000
        )
        self.assertTrue(5 <= self.again(failed(), asked, service_backoff=SHORT).milliseconds <= 10)
        self.assertTrue(500 <= self.again(failed(), asked).milliseconds <= 1000)

    def test_doubles(self) -> None:
        """The wait grows with the attempts, up to the longest."""
        waits = [self.again(failed(), request(attempt), errors_retries=99).milliseconds for attempt in (1, 3, 60)]
        for wait, most in zip(waits, (1000, 4000, 300_000), strict=True):
            self.assertTrue(most / 2 <= wait <= most, waits)

    def test_spends(self) -> None:
        """A retry counts as an attempt, and has the error of the script."""
        again = self.again(failed(), errors_retries=1)
        self.assertEqual((again.is_spent, again.error), (True, ERROR))

    def test_not_found(self) -> None:
        """A request without a script is not retried."""
        missing = ScriptNotFound("no such script")
        self.assertIs(self.decide(Outcome(error=missing), errors_retries=5), missing)

    def test_last(self) -> None:
        """A failure is that of the last of several attempts if there were several, or the script wanted another one."""

        def is_last(outcome: Outcome, error: ScriptError = ERROR, **settings: Any) -> bool:
            return Plans(WorkerSettings(**settings)).is_last_of_several(FIRST, outcome, error)

        self.assertTrue(is_last(failed(), errors_retries=1))
        self.assertTrue(is_last(failed(Plan(3))))
        self.assertTrue(is_last(ended(RETRY)))
        self.assertFalse(is_last(failed()))
        for error in (ScriptNotFound("none"), ScriptRejected("no")):
            self.assertFalse(is_last(failed(), error, errors_retries=1))

    def test_success(self) -> None:
        """A request whose script has succeeded is not run again."""
        self.assertIsNone(self.decide(Outcome(), errors_retries=5))

    @given(st.integers(-(2**63), 2**63), st.tuples(st.integers(-(2**63), 2**63), st.integers(-(2**63), 2**63)))
    def test_any_header(self, attempts: int, backoff: tuple[int, int]) -> None:
        """Whatever plan the process of a script reports, the attempts and waits are limited."""
        header = Plan(attempts, Backoff(*backoff))
        self.assertIs(self.decide(failed(header), request(1001)), ERROR)
        decided = self.decide(failed(header))
        if isinstance(decided, Later):
            self.assertTrue(0 <= decided.milliseconds <= MOST_MILLISECONDS)


class VerdictTests(PlanCase):
    """Scripts that have given a verdict."""

    def test_retry(self) -> None:
        """A retry is after the given time, or by plan, and spends an attempt."""
        again = self.again(ended(RETRY, 2.5, b"no stock"))
        self.assertEqual((again.milliseconds, again.is_spent, again.error.message), (2500, True, "no stock"))
        self.assertTrue(5 <= self.again(ended(RETRY), errors_backoff=SHORT).milliseconds <= 10)
        self.assertEqual(self.again(ended(RETRY, 0.0)).milliseconds, 0)

    def test_attempts(self) -> None:
        """A script that asks for retries has as many as the plan says, or a number of its own without one."""
        asking = ended(RETRY, 1.0, b"why")
        self.assertEqual(self.attempts(asking), ASKED_ATTEMPTS)
        self.assertEqual(self.attempts(asking, errors_retries=1), 2)
        self.assertEqual(self.attempts(asking, service_retries=0), 1)
        self.assertEqual(self.attempts(asking, Plan(2), service_retries=0), 2)

    def test_no_attempts_left(self) -> None:
        """Without an attempt left, the request has failed with the reason of the script."""
        decided = self.decide(ended(RETRY, 1.0, b"why"), request(2), errors_retries=1)
        assert isinstance(decided, ScriptError)
        self.assertEqual((decided.message, decided.status), ("why", 502))

    def test_snooze(self) -> None:
        """A request can be put off however many attempts there were, which spends none."""
        again = self.again(ended(SNOOZE, 60.0), request(999), errors_retries=0)
        self.assertEqual((again.milliseconds, again.is_spent), (60_000, False))

    def test_reject(self) -> None:
        """A rejected request has failed, whatever the plan is."""
        for why, message in ((b"no such item", "no such item"), (b"", "its script has rejected it")):
            decided = self.decide(ended(REJECT, why=why), errors_retries=5)
            assert isinstance(decided, ScriptRejected)
            self.assertEqual((decided.message, decided.status), (message, 406))

    def test_before_an_error(self) -> None:
        """A verdict counts, even if what the script has sent is lost."""
        outcome = ended(SNOOZE, 1.0)
        outcome.error = ERROR
        self.assertFalse(self.again(outcome).is_spent)

    @given(st.none() | st.floats())
    def test_any_seconds(self, seconds: float | None) -> None:
        """Whatever time the process of a script reports, the wait is limited, and a request is put off for a while."""
        self.assertTrue(0 <= self.again(ended(RETRY, seconds)).milliseconds <= MOST_MILLISECONDS)
        self.assertTrue(LEAST_SNOOZE <= self.again(ended(SNOOZE, seconds)).milliseconds <= MOST_MILLISECONDS)
