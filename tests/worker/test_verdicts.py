"""Requests whose scripts end their runs by a verdict: alaska.retry, alaska.snooze and alaska.reject."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from alaska.client import Confirmation
from alaska.lua.header import read_header
from alaska.lua.request import Outcome, Verdict, VerdictKind
from alaska.mlm.commands import Properties, ServiceSend
from alaska.worker.outcomes import MANY_SNOOZES
from tests.worker.worker_case import ConfirmCase, mail


class VerdictTests(ConfirmCase):
    """A worker without a retry plan."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def ends(self, kind: VerdictKind, seconds: float | None = None, why: bytes = b"") -> None:
        """Let the script job end by a verdict from now on."""
        self.scripts.outcomes[b"job"] = Outcome(verdict=Verdict(kind, seconds, why))

    def run_until_confirmed(self, asked: Deferred[Confirmation], most: int) -> None:
        """Run the scripts of all requests until one has got a final status, at most so many times."""
        for _ in range(most):
            if asked.called:
                return
            self.run_scripts()
            self.pass_time(1)

    def test_retry(self) -> None:
        """A request is run again after the given time, as its next attempt, and its sender learns only the end."""
        self.ends(VerdictKind.RETRY, 30.0, b"no stock")
        asked = self.ask("job")
        self.run_scripts()
        self.script(b"job")
        self.pass_time(28)
        self.assertNoResult(asked)
        self.assertEqual(self.pool.pending, 0)
        self.pass_time(3)
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.assertEqual([request.attempt for request in self.scripts.requests], [1, 2])
        self.assertEqual(self.logged(LogLevel.warn), ["job failed, attempt 1; retry in 30.0 s: no stock"])
        measures = self.worker.measures
        self.assertEqual((measures.succeeded, measures.retried, measures.snoozed, measures.failed), (1, 1, 0, 0))

    def test_no_attempts_left(self) -> None:
        """After the last attempt the request has failed, with the script's reason."""
        self.ends(VerdictKind.RETRY, 0.2, b"no stock")
        asked = self.ask("job")
        self.run_until_confirmed(asked, 20)
        self.assertEqual(self.confirmed(asked), (502, "no stock"))
        self.assertEqual([request.attempt for request in self.scripts.requests], list(range(1, 12)))

    def test_snooze(self) -> None:
        """A request that is put off comes again as the same attempt, with the number of times that this happened."""
        self.ends(VerdictKind.SNOOZE, 0.2)
        asked = self.ask("job")
        for _ in range(3):
            self.run_scripts()
            self.pass_time(1)
        self.script(b"job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))
        seen = [(request.attempt, request.snoozes) for request in self.scripts.requests]
        self.assertEqual(seen, [(1, 0), (1, 1), (1, 2), (1, 3)])
        self.assertEqual((self.worker.measures.snoozed, self.worker.measures.retried), (3, 0))
        self.assertEqual(self.logged(LogLevel.warn), [])

    def test_many_snoozes(self) -> None:
        """A request that is put off very often is logged as a warning."""
        self.ends(VerdictKind.SNOOZE, 0.2)
        asked = self.ask("job")
        self.run_until_confirmed(asked, MANY_SNOOZES + 5)
        self.assertEqual(self.logged(LogLevel.warn), ["job was put off 100 times, now for 0.2 s"])

    def test_reject(self) -> None:
        """A rejected request becomes a dead letter at once, and its sender gets the reason."""
        self.ends(VerdictKind.REJECT, why=b"no such item")
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (406, "no such item"))
        self.assertEqual(self.worker.measures.scripts[b"job"].errors, {"rejected": 1})
        self.assertEqual(self.logged(LogLevel.error), ["job failed: no such item"])

    def test_messages_are_sent(self) -> None:
        """What the script has sent before its verdict is sent."""
        self.scripts.outcomes[b"job"] = Outcome((mail(b"note"),), verdict=Verdict(VerdictKind.SNOOZE, 5.0, b""))
        self.ask("job")
        self.run_scripts()
        self.assertEqual(self.notes, ["mail note"])

    def test_header(self) -> None:
        """What cannot be read in the header of a script is logged once, until it changes."""
        for text in (b"tries=1", b"tries=1", b"tries=2 x"):
            self.scripts.outcomes[b"job"] = Outcome(header=read_header(b"-- alaska: " + text))
            self.ask("job")
            self.run_scripts()
        lines = self.logged(LogLevel.warn)
        self.assertEqual(len(lines), 3)
        self.assertEqual(lines[0], "job.lua:1: its header: unknown name tries; the names are retries, backoff")

    def test_message_plan(self) -> None:
        """The properties of a request say how often it is tried."""
        self.script(b"job", error="oh no")
        properties: Properties = {"attempts": 3, "backoff": "10 10"}
        self.requester._machine.send(ServiceSend(b"default", b"job", b"", 0, (), properties))
        self.network.run()
        for _ in range(5):
            self.run_scripts()
            self.pass_time(1)
        self.assertEqual([request.attempt for request in self.scripts.requests], [1, 2, 3])
