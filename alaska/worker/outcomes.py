"""What becomes of a request whose script has ended: its messages are sent, and it is confirmed, retried, or failed."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from twisted.logger import Logger

from alaska import errors
from alaska.config import WorkerSettings
from alaska.errors import ScriptError
from alaska.interfaces import Reactor
from alaska.lua.request import Mark, Outcome, Request, Send
from alaska.mlm.confirmations import Again
from alaska.names import printable
from alaska.system.events import should_log
from alaska.worker.cancellations import REASON, Cancellations
from alaska.worker.intake import Intake
from alaska.worker.outbox import Outbox
from alaska.worker.partial_results import PartialResults
from alaska.worker.plans import Later, Plans
from alaska.worker.progress import ProgressReports
from alaska.worker.reports import Reporter
from alaska.worker.request_log import RequestLog
from alaska.worker.retries import Retries
from alaska.worker.tracing import RunTracing

NOT_PROCESSED = "the worker failed to process its outcome; see the worker's log"
MANY_SNOOZES = 100
"""A request that was put off so many times is logged as a warning, and again after ten times as many."""


class Outcomes:
    """Processes the outcomes of requests, and confirms each request in the end.

    ``submit`` runs a request again. ``intake`` returns the worker's flow control, which begins with the service.
    ``tracing`` records the runs, if it is set.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        settings: WorkerSettings,
        outbox: Outbox,
        partial: PartialResults,
        submit: Callable[[Request], None],
        intake: Callable[[], Intake],
        progress: ProgressReports,
        cancellations: Cancellations,
    ) -> None:
        self._outbox = outbox
        self._measures = outbox.measures
        self._partial = partial
        self._submit = submit
        self._intake = intake
        self._progress = progress
        self._cancellations = cancellations
        self.tracing: RunTracing | None = None
        self._retries = Retries(reactor, self._run_again)
        self._plans = Plans(settings)
        self._reporter = Reporter(*self._reports_of(settings))
        self.configure(settings)

    def configure(self, settings: WorkerSettings) -> None:
        """Change how often requests are retried, and what is reported and logged."""
        self._plans.configure(settings)
        self._request_log = self._outbox.request_log = RequestLog() if settings.log_requests else None
        self._outbox.configure(settings)
        self._reporter.configure(*self._reports_of(settings))

    def _reports_of(self, settings: WorkerSettings) -> tuple[str, Callable[[Send, Request], None] | None]:
        return settings.errors_mailbox, self._send_report if settings.errors_notify else None

    def _send_report(self, mail: Send, request: Request) -> None:
        self._outbox.send_report(mail, request, self._intake().record_sender)

    def finished(self, request: Request, outcome: Outcome | None) -> None:
        """Process the outcome of a request; None if the pool could not run it."""
        self._measures.executed += 1
        if outcome is None:
            outcome = Outcome(error=ScriptError("the worker failed to run it; see the worker's log"))
        else:
            self._measures.note_run(request, outcome, monotonic())
        if outcome.progress or self._progress.told:
            self._progress.ended(request, outcome.progress)
        try:
            self._process(request, outcome)
        except Exception:  # In any case the request must be confirmed, or it would stay with this worker.
            self._log.failure("the outcome of {subject} could not be processed", subject=printable(request.subject))
            self._measures.failed += 1
            self._intake().confirm(request, errors.INTERNAL_ERROR, NOT_PROCESSED)
        finally:
            self._outbox.output.ended(request)

    def _process(self, request: Request, outcome: Outcome) -> None:
        """Log and send what a script has produced, and confirm its request or schedule a retry."""
        intake = self._intake()
        intake.record_seconds(outcome.seconds)
        summary = self._partial.pop(request)  # before anything can fail: another request may get the same id
        error = self._outbox.process(request, outcome, intake.record_sender) or outcome.error
        marks: tuple[Mark, ...] = ()
        if summary is not None:
            for sender in summary.senders:
                intake.record_sender(sender)
            error, marks = summary.error or error, summary.marks
        if self.tracing is not None:
            self.tracing.ended(request, outcome, marks + outcome.marks, error)
        if outcome.broken is not None:
            self._reporter.report_broken(request, outcome.broken)
        if outcome.header is not None and outcome.header.faults:
            self._reporter.report_header(request, outcome.header)
        if error is None and outcome.verdict is None:
            if self._cancellations.levels:
                self._cancellations.pop(request)
            if self._request_log is not None:
                self._request_log.ended(request, "ok", outcome.seconds)
            self._measures.succeeded += 1
            intake.confirm(request, errors.SUCCESS, "")
        else:
            self._end(request, outcome, error)

    def _end(self, request: Request, outcome: Outcome, error: ScriptError | None) -> None:
        """End a request that has failed, or whose script has said what is to become of it."""
        fate = self._plans.decide(request, outcome, error)
        is_cancelled = self._cancellations.pop(request) and fate is not None
        if self._request_log is not None:
            self._request_log.ended(request, REASON if is_cancelled else _named(fate), outcome.seconds)
        if is_cancelled:
            self._cancellations.confirm(request)
        elif fate is None:
            self._measures.succeeded += 1
            self._intake().confirm(request, errors.SUCCESS, "")
        elif isinstance(fate, Later):
            if error is not None:
                self._measures.note_error(request, error)
            self._put_off(request, fate)
        else:
            self._measures.note_error(request, fate)
            self._fail(request, fate, self._plans.is_last_of_several(request, outcome, fate))

    def _put_off(self, request: Request, later: Later) -> None:
        """Have a request run again: the broker delays it, or the worker, if the broker cannot."""
        self._measures.note_again(later.is_spent)
        names = {"subject": printable(request.subject), "seconds": later.seconds}
        if later.is_spent:
            self._log.warn(
                "{subject} failed, attempt {attempt}; retry in {seconds:.1f} s: {text}",
                attempt=request.attempt,
                text=printable(later.error.message),
                **names,
            )
        elif (count := request.snoozes + 1) >= MANY_SNOOZES and should_log(count):
            self._log.warn("{subject} was put off {count} times, now for {seconds:.1f} s", count=count, **names)
        intake = self._intake()
        if intake.can_put_off(request):
            intake.put_off(request, later.error.message, Again(later.milliseconds, later.is_spent))
        else:
            self._retries.schedule(request, later)
            intake.backoff_started()

    def _run_again(self, request: Request) -> None:
        self._intake().backoff_ended()
        self._submit(request if self.tracing is None else self.tracing.begin(request))

    def take_retries(self, is_meant: Callable[[Request], bool]) -> list[Request]:
        """Take out and return the requests that wait to be run again, and are meant."""
        taken = self._retries.take(is_meant)
        for _ in taken:
            self._intake().backoff_ended()
        return taken

    def cancel_retries(self) -> None:
        """Cancel all retries. The broker redelivers their requests if it can; otherwise they fail now."""
        for request, error in self._retries.cancel():
            if not self._intake().can_return:
                self._fail(request, error)

    def _fail(self, request: Request, error: ScriptError, is_last: bool = False) -> None:
        """Report a request as failed, and confirm it with the status of its error; see :meth:`Intake.confirm`."""
        self._measures.failed += 1
        try:
            self._reporter.report(request, error)
        except Exception:  # The requester must be notified even if the report fails.
            self._log.failure("the failure of {subject} could not be reported", subject=printable(request.subject))
        self._intake().confirm(request, error.status, error.message, is_last)


def _named(fate: Later | ScriptError | None) -> str:
    """Return what becomes of a request, as the log says it."""
    if isinstance(fate, Later):
        return "retried" if fate.is_spent else "snoozed"
    return "ok" if fate is None else "failed"
