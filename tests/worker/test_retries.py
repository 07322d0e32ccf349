"""Retries of failed requests."""

from __future__ import annotations

from twisted.logger import LogLevel

from tests.worker.worker_case import ConfirmCase


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
        """A stopping worker leaves requests in backoff unconfirmed, so that another worker gets them."""
        self.script(b"job", error="oh no")
        asked = self.ask("job")
        self.run_scripts()
        stopped = self.worker.stopService()
        got = self.offer()
        self.pass_time(5)
        self.successResultOf(stopped)
        self.assertEqual([delivery.subject for delivery in got], ["job"])
        self.assertEqual(len(self.scripts.requests), 1)
        self.assertNoResult(asked)
