"""Retries of failed requests."""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel

from alaska.lua.request import Outcome, Verdict, VerdictKind
from alaska.mlm import commands as mlm
from alaska.testing import ScriptedBroker
from tests.network_case import ENDPOINT
from tests.worker.worker_case import ConfirmCase, ServedCase, WorkerCase


class RetryTests(ConfirmCase):
    """Requests that are retried."""

    def setUp(self) -> None:
        super().setUp()
        self.worker = self.make_worker(errors_retries=2)
        self.start()

    def test_succeeds_at_last(self) -> None:
        """A failed request is retried after a backoff, and reported only as done if the retry succeeds."""
        self.script(b"job", error="oh no")
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual((self.pool.pending, self.worker.measures.failed), (0, 0))
        (line,) = self.logged(LogLevel.warn)
        self.assertRegex(line, r"^job failed, attempt 1; retry in (0\.[5-9]|1\.0) s: oh no$")
        self.script(b"job")
        self.pass_time(1)
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.assertEqual([request.attempt for request in self.scripts.requests], [1, 2])

    def test_fails_for_good(self) -> None:
        """A request that fails in all its attempts is reported and confirmed once."""
        self.script(b"job", error="oh no")
        asked = self.ask("job")
        for _ in range(4):
            self.run_scripts()
            self.pass_time(4)
        self.assertEqual(self.confirmed(asked), (502, "oh no"))
        self.assertEqual([request.attempt for request in self.scripts.requests], [1, 2, 3])
        self.assertEqual(self.logged(LogLevel.error), ["job failed: oh no"])

    def test_equal_requests(self) -> None:
        """Two equal requests are both retried."""
        self.script(b"job", error="oh no")
        for _ in range(2):
            self.requester.send_for("default", "job", tracker="same")
        self.network.run()
        self.run_scripts()
        self.script(b"job")
        self.pass_time(1)
        self.run_scripts()
        self.assertEqual(self.worker.measures.executed, 4)

    def test_others_come_meanwhile(self) -> None:
        """Requests in backoff do not delay other requests, however many they are."""
        self.script(b"bad", error="oh no")
        self.script(b"good")
        for _ in range(20):
            self.ask("bad")
        asked = self.ask("good")
        for _ in range(10):
            self.pool.run()
            self.clock.advance(0)
            self.network.run()
        self.assertEqual(self.confirmed(asked), (200, ""))

    def test_stop_during_backoff(self) -> None:
        """When a worker stops, another one gets the requests that wait for their retries."""
        self.script(b"job", error="oh no")
        asked = self.ask("job")
        self.run_scripts()
        stopped = self.worker.stopService()
        got = self.offer()
        self.pass_time(5)
        self.successResultOf(stopped)
        self.assertEqual([(delivery.subject, delivery.attempt) for delivery in got], [("job", 2)])
        self.assertEqual(len(self.scripts.requests), 1)
        self.assertNoResult(asked)

    def test_nothing_is_kept(self) -> None:
        """While a request waits for its retry, it is in the broker: the worker has nothing of it."""
        self.script(b"job", error="oh no")
        self.ask("job")
        self.run_scripts()
        self.assertEqual((self.worker.intake.unconfirmed, self.worker._outcomes._retries._waiting), (0, {}))


class WithoutPropertiesTests(WorkerCase):
    """Requests that are run again for a broker that cannot delay them."""

    def setUp(self) -> None:
        super().setUp()
        self.remote = ScriptedBroker(self.network, ENDPOINT)
        self.worker = self.make_worker(errors_retries=2)
        self.start()
        self.remote.send(mlm.Ok(200, b""), mlm.Ok(200, b""))

    def give(self, outcome: Outcome) -> None:
        """Let the broker deliver a request with this outcome, and run it."""
        self.scripts.outcomes[b"job"] = outcome
        self.remote.send(mlm.ServiceDeliver(b"requester", b"default", b"job", b"", ()))
        self.pool.run()

    def test_retry(self) -> None:
        """They wait in the worker, and their attempts are counted there."""
        self.give(Outcome(verdict=Verdict(VerdictKind.RETRY, 30.0, b"why")))
        self.pass_time(29)
        self.assertEqual(self.pool.pending, 0)
        for _ in range(3):
            self.pass_time(31)
            self.pool.run()
        self.assertEqual([request.attempt for request in self.scripts.requests], [1, 2, 3])
        self.assertEqual((self.worker.measures.retried, self.worker.measures.failed), (2, 1))

    def test_snooze(self) -> None:
        """So do those that are put off, whose number is counted."""
        self.give(Outcome(verdict=Verdict(VerdictKind.SNOOZE, 10.0, b"")))
        for _ in range(3):
            self.pass_time(11)
            self.pool.run()
        seen = [(request.attempt, request.snoozes) for request in self.scripts.requests]
        self.assertEqual(seen, [(1, 0), (1, 1), (1, 2), (1, 3)])


class CauseTests(ServedCase):
    """Why a request that has failed is a dead letter."""

    def causes(self, **settings: Any) -> list[tuple[str, bytes, int]]:
        """Let a request fail for good; return the cause, reason and attempts of the dead letters."""
        self.worker = self.make_worker(**settings)
        self.start()
        self.script(b"job", error="oh no")
        self.ask("job")
        for _ in range(4):
            self.run_scripts()
            self.pass_time(4)
        assert self.broker.broker is not None
        letters = self.broker.broker.queues.dead_letters.summaries(0, 10)
        return [(letter.cause.value, letter.reason, letter.message.attempts) for letter in letters]

    def test_attempts(self) -> None:
        """If its attempts are used up, the cause says so, and the reason is the error of the last one."""
        self.assertEqual(self.causes(errors_retries=2), [("attempts", b"oh no", 3)])

    def test_failed(self) -> None:
        """Without retries, it has failed."""
        self.assertEqual(self.causes(), [("failed", b"oh no", 1)])
