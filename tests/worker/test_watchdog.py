"""The watchdog of the pool."""

from __future__ import annotations

from twisted.logger import LogLevel

from tests.worker.worker_case import ConfirmCase


class WatchdogTests(ConfirmCase):
    """Slow scripts and stuck threads."""

    def test_returned(self) -> None:
        """Requests that wait behind slow scripts are returned, and another worker gets them."""
        self.worker = self.make_worker(pool_size=2)
        self.script(b"quick")
        self.start()
        # After short scripts, the worker gives more credit than it has threads.
        for _ in range(8):
            self.ask("quick")
        while self.pool.pending:
            self.pool.run()
            self.clock.advance(0)
            self.network.run()
        for number in range(4):
            self.ask(f"slow {number}")
        self.pool.begin(2)
        self.assertEqual(self.pool.pending, 4)
        got = self.offer()
        self.assertEqual(got, [])
        self.pass_time(0.3)
        self.assertEqual(sorted(delivery.subject for delivery in got), ["slow 2", "slow 3"])

    def test_all_returned(self) -> None:
        """A worker that has returned all its requests gives new credit."""
        self.worker = self.make_worker(pool_size=2)
        for subject in (b"quick", b"late"):
            self.script(subject)
        self.start()
        for _ in range(8):
            self.ask("quick")
        while self.pool.pending:
            self.pool.run()
            self.clock.advance(0)
            self.network.run()
        trackers = [self.ask("late") for _ in range(4)]
        self.pass_time(1)
        while self.pool.pending:
            self.pool.run()
            self.pass_time(0.05)
        self.assertEqual([self.confirmed(tracker) for tracker in trackers], [(200, "")] * 4)

    def test_checks(self) -> None:
        """The pool gets the time limit of scripts, and is checked as long as scripts run, also during shutdown."""
        self.worker = self.make_worker(scripts_timeout=1500)
        self.script(b"job")
        self.start()
        self.assertEqual(self.pool.limit, 1.5)
        self.ask("job")
        self.pool.begin()
        self.pool.watched.clear()
        self.pass_time(1)
        self.assertEqual(len(self.pool.watched), 20)
        self.run_scripts()
        self.pass_time(1)
        self.pool.watched.clear()
        self.pass_time(1)
        self.assertEqual(self.pool.watched, [])
        self.ask("job")
        self.pool.begin()
        self.pool.watched.clear()
        stopped = self.worker.stopService()
        self.pass_time(1)
        self.assertEqual(len(self.pool.watched), 20)
        self.run_scripts()
        self.pass_time(1)
        self.successResultOf(stopped)

    def test_exhausted(self) -> None:
        """A worker with too many stuck threads logs this once, and its requests go to other workers."""
        self.script(b"begun")
        self.start()
        self.assertTrue(self.worker.is_ready)
        self.ask("begun")
        self.pool.begin()
        self.ask("waiting")
        self.pool.is_exhausted = True
        got = self.offer()
        self.pass_time(1)
        self.ask("late")
        self.assertEqual([delivery.subject for delivery in got], ["waiting", "late"])
        self.assertFalse(self.worker.is_ready)
        (line,) = self.logged(LogLevel.critical)
        self.assertIn("takes no more requests", line)

    def test_recovered(self) -> None:
        """When enough of the stuck threads have ended, the worker takes requests again."""
        self.script(b"job")
        self.start()
        self.pool.is_exhausted = True
        self.pass_time(0.1)
        asked = self.ask("job")
        self.pool.is_exhausted = False
        self.pass_time(1)
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.assertTrue(self.worker.is_ready)
