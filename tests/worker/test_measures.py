"""What the worker measures of its scripts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import (
    InterpreterLost,
    LimitExceeded,
    ScriptBroken,
    ScriptError,
    ScriptNotFound,
    ScriptRejected,
    ScriptUnreadable,
)
from alaska.lua.request import TIMEOUT, Outcome, Request
from alaska.worker.measures import MOST_SCRIPTS, REASONS, WorkerMeasures, reason_of
from tests.worker.worker_case import ServedCase, mail, reply


def request(subject: bytes = b"job", arrived: float = 0.0, runs: int = 1) -> Request:
    """Return a request that was delivered at a time."""
    return Request(b"", b"svc", subject, b"t", (), arrived=arrived, runs=runs)


class RunTests(ServedCase):
    """Runs of scripts."""

    def setUp(self) -> None:
        super().setUp()
        self.worker = self.make_worker(errors_retries=1)
        self.start()

    def test_outcomes(self) -> None:
        """Each run counts as succeeded, as retried, or as failed for good."""
        self.script(b"good")
        self.script(b"bad", error="oh no")
        for subject in ("good", "bad", "good"):
            self.ask(subject)
        self.run_scripts()
        measures = self.worker.measures
        self.assertEqual((measures.succeeded, measures.retried, measures.failed), (2, 1, 0))
        self.pass_time(2)
        self.run_scripts()
        self.assertEqual((measures.succeeded, measures.retried, measures.failed), (2, 1, 1))
        self.assertEqual(measures.scripts[b"bad"].errors, {"error": 2})
        self.assertEqual(sum(measures.scripts[b"good"].running.read().counts), 2)
        self.assertEqual(sum(measures.waiting.read().counts), 4)

    def test_sent(self) -> None:
        """Messages of scripts are counted by kind, with the octets of their content; those that are lost are not."""
        self.script(b"job", mail(b"result", b"1234", b"5"), reply(b"67"), mail(b"result", b"8", to=b"x" * 300))
        self.ask("job")
        self.run_scripts()
        measures = self.worker.measures
        self.assertEqual(measures.sent, {"mailbox": 1, "reply": 1, "service": 0, "stream": 0})
        self.assertEqual((measures.sent_octets["mailbox"], measures.sent_octets["reply"]), (5, 2))
        self.assertEqual(measures.unsent, 1)


class NoteTests(SynchronousTestCase):
    """What counts as what."""

    def setUp(self) -> None:
        super().setUp()
        self.measures = WorkerMeasures()

    def test_times(self) -> None:
        """The wait of a request is the time from its delivery to its end, without its run time."""
        for arrived in (1.0, 2.0):
            self.measures.note_run(request(arrived=arrived), Outcome(seconds=0.5), 4.0)
        self.assertEqual(self.measures.waiting.read().total, 2.5 + 1.5)
        self.assertEqual(self.measures.scripts[b"job"].running.read().total, 1.0)

    def test_retry(self) -> None:
        """A retry has a run time; its backoff does not count as a wait."""
        self.measures.note_run(request(arrived=float("inf"), runs=2), Outcome(seconds=0.5), 4.0)
        self.assertEqual(sum(self.measures.waiting.read().counts), 0)
        self.assertEqual(self.measures.scripts[b"job"].running.read().total, 0.5)

    def test_no_script(self) -> None:
        """A subject that names no script costs no memory."""
        error = ScriptNotFound("none")
        self.measures.note_run(request(b"none"), Outcome(error=error), 1.0)
        self.measures.note_error(request(b"none"), error)
        self.assertEqual((self.measures.scripts, self.measures.not_found), ({}, 1))
        self.assertEqual(self.measures.other_scripts.errors, {})

    def test_bounded(self) -> None:
        """Only the first scripts are measured separately, the others together."""
        for number in range(MOST_SCRIPTS + 5):
            self.measures.note_run(request(b"%d" % number), Outcome(error=ScriptError("x")), 1.0)
            self.measures.note_error(request(b"%d" % number), ScriptError("x"))
        self.assertEqual(len(self.measures.scripts), MOST_SCRIPTS)
        self.assertEqual(sum(self.measures.other_scripts.running.read().counts), 5)
        self.assertEqual(self.measures.other_scripts.errors, {"error": 5})

    def test_reasons(self) -> None:
        """Each kind of error has its reason."""
        kinds = (
            ScriptBroken("x"),
            ScriptError("x"),
            LimitExceeded("x", "worker/scripts/memory"),
            InterpreterLost("x"),
            ScriptRejected("x"),
            LimitExceeded("x", TIMEOUT),
            ScriptUnreadable("x"),
        )
        self.assertEqual(tuple(map(reason_of, kinds)), REASONS)
