"""The progress of running scripts: what the broker and who looks are told."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.client.client import Progress
from alaska.lua.request import Outcome, Request
from alaska.worker.progress import ProgressReports
from tests.worker.worker_case import ConfirmCase

ONE = Request(b"me", b"default", b"one", b"t", ())
OTHER = Request(b"me", b"default", b"other", b"t", ())


class ReportsTests(SynchronousTestCase):
    """Reports of two requests, with a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[bytes, bytes]] = []
        self.reports = ProgressReports(self.clock, lambda request, reason: self.told.append((request.subject, reason)))

    def test_newest_wins(self) -> None:
        """The first report is told at once; of those that follow quickly, only the newest, a little later."""
        for percent in range(50):
            self.reports.add(ONE, b"%.2f step" % (percent / 100))
        self.assertEqual(self.told, [(b"one", b"0 step")])
        self.clock.advance(0.25)
        self.assertEqual(self.told[1:], [(b"one", b"0.49 step")])
        self.clock.advance(10.0)
        self.assertEqual((len(self.told), self.clock.getDelayedCalls()), (2, []))

    def test_rate(self) -> None:
        """A script that tells its progress all the time causes at most four reports in a second."""
        for number in range(1000):
            self.reports.add(ONE, b"%.4f" % (number / 1000))
            self.clock.advance(0.01)
        self.assertIn(len(self.told), range(20, 42))

    def test_last_is_not_lost(self) -> None:
        """What was told last before the end is told, and nothing afterwards."""
        self.reports.add(ONE, b"0.1")
        self.reports.add(ONE, b"0.2")
        self.reports.ended(ONE, b"0.3 last")
        self.clock.advance(5.0)
        self.assertEqual([reason for _, reason in self.told], [b"0.1", b"0.3 last"])
        self.assertFalse(self.reports.told)

    def test_separate(self) -> None:
        """Requests do not delay each other."""
        self.reports.add(ONE, b"0.1")
        self.reports.add(OTHER, b"0.5")
        self.assertEqual(self.told, [(b"one", b"0.1"), (b"other", b"0.5")])

    def test_invalid(self) -> None:
        """What a hostile process tells is checked: no progress, or a text that is too long."""
        for text in (b"x", b"nan y", b"7", b" 0.5"):
            self.reports.add(ONE, text)
        self.assertEqual(self.told, [])
        self.reports.add(ONE, b"0.5 " + b"x" * 100_000)
        self.assertEqual(self.told, [(b"one", b"0.5 " + b"x" * 240)])

    def test_stop(self) -> None:
        """Nothing is told after the end of the worker."""
        self.reports.add(ONE, b"0.1")
        self.reports.add(ONE, b"0.2")
        self.reports.stop()
        self.clock.advance(1.0)
        self.assertEqual((len(self.told), self.clock.getDelayedCalls()), (1, []))


class WorkerProgressTests(ConfirmCase):
    """A worker whose script tells its progress."""

    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.told: list[Progress] = []

    def test_sender_is_told(self) -> None:
        """The sender is told during the run, and what was told last arrives before the end."""
        asked = self.requester.track_for("default", "job", progress=self.told.append)
        asked.addCallback(lambda confirmation: self.told.append(Progress("end", confirmation.status, "")))
        self.network.run()
        self.script(b"job")
        self.scripts.partial = Outcome(progress=b"0.5 half")
        self.scripts.outcomes[b"job"].progress = b"1 all"
        self.run_scripts()
        self.assertEqual([told[1:] for told in self.told], [(0.5, "half"), (1.0, "all"), (200.0, "")])

    def test_shown(self) -> None:
        """Running requests are shown with their progress, also in what the broker is told, until they end."""
        self.ask("job")
        self.script(b"job")
        self.scripts.partial = Outcome(progress=b"0.5 half")
        snapshots = self.worker.administration.snapshots
        shown: list[object] = []
        self.scripts.after_partial = lambda: shown.append([(each.subject, each.text) for each in snapshots.progress()])
        self.pool.run()
        self.assertEqual((shown, snapshots.progress()), ([[("job", "half")]], []))
