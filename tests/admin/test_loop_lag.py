"""How late the event loop is, and the version."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import alaska
from alaska.admin.loop_lag import LoopLag
from alaska.admin.metrics import MetricsPage


class LoopLagTests(SynchronousTestCase):
    """How late the event loop is."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lag = LoopLag(self.clock)
        self.lag.startService()

    def test_in_time(self) -> None:
        """A loop that makes calls in time has no lag."""
        for _ in range(8):
            self.clock.advance(0.25)
        self.assertEqual((sum(self.lag.seconds.read().counts), self.lag.seconds.read().total), (8, 0.0))

    def test_late(self) -> None:
        """A loop that was busy for some time has a lag of that time."""
        self.clock.advance(1.25)
        self.assertEqual(self.lag.seconds.read().total, 1.0)

    def test_worst(self) -> None:
        """The worst lag is known for some seconds."""
        self.clock.advance(1.25)
        for _ in range(20):
            self.clock.advance(0.25)
        self.assertEqual(self.lag.worst(), 1.0)
        for _ in range(20):
            self.clock.advance(0.25)
        self.assertEqual(self.lag.worst(), 0.0)

    def test_stopped(self) -> None:
        """After the end of the service, nothing is measured."""
        self.lag.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_build(self) -> None:
        """The versions are labels."""
        text = self.successResultOf(MetricsPage([self.lag.metrics]).exposition()).octets.decode()
        self.assertIn(f'alaska_build_info{{version="{alaska.__version__}",python=', text)
