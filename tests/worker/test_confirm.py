"""Confirmation of requests."""

from __future__ import annotations

from alaska.client import Client
from alaska.errors import ScriptError, ScriptNotFound
from alaska.lua.request import LogLine, Outcome
from alaska.worker import service
from alaska.worker.outcomes import NOT_PROCESSED
from alaska.worker.output import Output
from tests.worker.worker_case import ConfirmCase, mail


class ConfirmTests(ConfirmCase):
    """Requests whose scripts succeed or fail."""

    def test_done(self) -> None:
        """A request is confirmed when its script has ended, not when it is delivered."""
        self.script(b"job")
        self.start()
        asked = self.ask("job")
        self.pass_time(1)
        self.assertNoResult(asked)
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))

    def test_after_what_it_sent(self) -> None:
        """A request is confirmed only after the broker has the messages of its script."""
        self.script(b"job", mail(b"1"), mail(b"2"))
        self.start()
        self.ask("job").addCallback(lambda _: self.notes.append("confirmed"))
        self.run_scripts()
        self.assertEqual(self.notes, ["mail 1", "mail 2", "confirmed"])

    def test_failed(self) -> None:
        """A failed request is confirmed with status 502 and the error message, without the stack trace."""
        self.script(b"job", error=ScriptError("oh no", traceback=("job.lua:1: in main chunk",)))
        self.start()
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, "oh no"))

    def test_long_message(self) -> None:
        """A reason that is longer than a string on the wire reaches the sender as a whole."""
        self.script(b"job", error="x" * 300)
        self.start()
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, "x" * 300))

    def test_not_found(self) -> None:
        """A request without a script is confirmed with status 404 and not retried."""
        self.worker = self.make_worker(errors_retries=3)
        self.scripts.outcomes[b"job"] = Outcome(error=ScriptNotFound("no such script"))
        self.start()
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (404, "no such script"))

    def test_sends_lost(self) -> None:
        """A request fails if the broker refuses the connection for its messages."""
        self.script(b"job", mail(b"1"))
        self.start()
        asked = self.ask("job")
        self.may_connect = False
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, "messages that it sent are lost"))


class FaultTests(ConfirmCase):
    """Faults of the worker while it processes an outcome."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_output(self) -> None:
        """A request whose output cannot be logged is confirmed as failed, and the next one is served."""
        self.script(b"job", output=b"text")
        patch = self.patch(Output, "write", lambda *_: int("no number"))
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, NOT_PROCESSED))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        patch.restore()
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked)[0], 200)

    def test_partial_results(self) -> None:
        """If an outcome cannot be processed, nothing of its request is kept."""
        self.script(b"job", mail(b"note"))
        self.scripts.partial = Outcome(log=(LogLine("info", b"text"),))
        self.scripts.outcomes[b"job"].log = (LogLine("no level", b"text"),)
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, NOT_PROCESSED))
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertFalse(self.worker._partial._summaries)

    def test_no_connection(self) -> None:
        """A request fails if no connection can be opened for its messages."""

        def no_more(*_: object, **_more: object) -> Client:
            raise OSError(24, "Too many open files")

        self.patch(service, "Client", no_more)
        self.script(b"job", mail(), error=None)
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked)[0], 502)
        self.assertTrue(self.flushLoggedErrors(OSError))
