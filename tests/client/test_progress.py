"""Progress in programs: what a worker reports, and what the sender of the request is told."""

from __future__ import annotations

from alaska.client import Delivery
from alaska.client.client import Progress
from tests.network_case import NetworkCase


class ProgressTests(NetworkCase):
    """A broker, a worker that does not confirm by itself, and a sender."""

    def setUp(self) -> None:
        super().setUp()
        self.start_broker()
        self.taken: list[Delivery] = []
        self.worker = self.client("worker", self.taken.append, credit=100)
        self.worker.offer("svc")
        self.told: list[Progress] = []
        self.sender = self.client("sender", credit=0)
        self.network.run()

    def report(self, fraction: float, text: str = "") -> None:
        """Let the worker report about the request that it has taken last."""
        self.worker.report_progress(self.taken[-1], fraction, text)
        self.network.run()

    def test_tracked(self) -> None:
        """A tracked request tells its progress until it has ended."""
        tracked = self.sender.track_for("svc", "job", progress=self.told.append)
        self.network.run()
        self.report(0.25, "half of the half")
        self.report(1)
        self.assertNoResult(tracked)
        self.worker.confirm(self.taken[0])
        self.network.run()
        tracker = self.successResultOf(tracked).tracker
        self.assertEqual(self.told, [Progress(tracker, 0.25, "half of the half"), Progress(tracker, 1.0, "")])

    def test_asked(self) -> None:
        """A request whose reply is awaited tells its progress; the reply still arrives."""
        asked = self.sender.ask("svc", "job", progress=self.told.append)
        self.network.run()
        self.report(0.5)
        self.worker.send_to("sender", "job", b"done", tracker=self.taken[0].tracker)
        self.network.run()
        self.assertEqual(self.successResultOf(asked).content, (b"done",))
        self.report(0.75)
        self.assertEqual([progress.fraction for progress in self.told], [0.5])

    def test_all_messages(self) -> None:
        """A client can be told about all its messages, and gets no confirmation for them."""
        confirmed: list[object] = []
        sender = self.client("other", credit=0, progressed=self.told.append, confirmed=confirmed.append)
        sender.send_for("svc", "job", tracker="t")
        self.network.run()
        confirmed.clear()
        self.report(0.5)
        self.assertEqual((self.told, confirmed), ([Progress("t", 0.5, "")], []))

    def test_unconfirmed_after_progress(self) -> None:
        """Progress does not count as the confirmation that the broker has the message."""
        tracked = self.sender.track_for("svc", "job", progress=self.told.append)
        self.network.run()
        self.report(0.5)
        self.assertNoResult(tracked)

    def test_bad_arguments(self) -> None:
        """A callback that is no function, and a fraction out of range, are errors, and nothing is sent."""
        for call in (self.sender.ask, self.sender.track_for):
            with self.assertRaises(TypeError):
                call("svc", "job", progress=1)  # type: ignore[arg-type]  # a wrong type
        self.network.run()
        self.assertEqual(self.taken, [])
        self.sender.send_for("svc", "job")
        self.network.run()
        with self.assertRaises(ValueError):
            self.report(1.5)
