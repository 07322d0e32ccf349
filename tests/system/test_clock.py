"""The steady clock across changes of the wall clock, restarts of programs and reboots."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.system import clock
from alaska.system.clock import Mark, continued, run_on_monotonic_time

YEAR = 365 * 24 * 3600.0


class MarkTests(SynchronousTestCase):
    """The steady clock's reading after an earlier one."""

    last = Mark("boot", 100.0, 5000.0)

    def later(self, last: Mark | None, boot: str, up: float, wall: float) -> Mark:
        """Return the reading for a boot id, an uptime and a wall clock."""
        return continued(last, lambda: boot, lambda: up, lambda: wall)

    def test_first(self) -> None:
        """The first reading is that of the wall clock."""
        self.assertEqual(self.later(None, "boot", 7.0, 5000.0), Mark("boot", 7.0, 5000.0))

    def test_same_boot(self) -> None:
        """During one boot the clock advances with the uptime, whatever the wall clock shows."""
        for wall in (0.0, 5010.0, YEAR):
            self.assertEqual(self.later(self.last, "boot", 110.0, wall), Mark("boot", 110.0, 5010.0))

    def test_another_boot(self) -> None:
        """After a reboot the clock is set from the wall clock, but never back."""
        self.assertEqual(self.later(self.last, "other", 3.0, 9000.0), Mark("other", 3.0, 9000.0))
        self.assertEqual(self.later(self.last, "other", 3.0, 1000.0), Mark("other", 3.0, 5000.0))

    def test_unknown_boot(self) -> None:
        """Without a boot id, or if the uptime is lower than before, the clock is set from the wall clock."""
        unknown = self.last._replace(boot="")
        self.assertEqual(self.later(unknown, "", 110.0, 9000.0), Mark("", 110.0, 9000.0))
        self.assertEqual(self.later(self.last, "boot", 50.0, 9000.0), Mark("boot", 50.0, 9000.0))

    def test_this_machine(self) -> None:
        """With the machine's real boot id and uptime, the clock advances with the uptime."""
        first = continued(None)
        again = continued(first._replace(since_1970=0.0))
        if first.boot:
            self.assertAlmostEqual(again.since_1970, again.uptime - first.uptime)
        self.assertGreaterEqual(again.uptime, first.uptime)

    def test_no_boot_id(self) -> None:
        """The boot id is empty on a system that does not provide one."""
        self.patch(clock, "_BOOT_ID", Path(self.mktemp()))
        self.assertEqual(clock.boot_id(), "")


class ReactorTests(SynchronousTestCase):
    """A reactor that uses the monotonic clock."""

    def test_seconds(self) -> None:
        """The reactor's time is that of the monotonic clock, and a second call changes nothing."""
        reactor = SelectReactor()
        for _ in range(2):
            run_on_monotonic_time(reactor)
            self.assertIs(reactor.seconds, time.monotonic)

    def test_calls_that_wait(self) -> None:
        """Pending timers keep their remaining time, and new ones use the monotonic clock."""
        reactor = SelectReactor()
        call = reactor.callLater(60, lambda: None)
        run_on_monotonic_time(reactor)
        self.assertLess(abs(call.getTime() - time.monotonic() - 60), 30)
        self.assertLess(abs(reactor.callLater(60, lambda: None).getTime() - time.monotonic() - 60), 30)

    def test_others(self) -> None:
        """A test's own clock is not changed."""
        own = Clock()
        run_on_monotonic_time(own)
        self.assertEqual(own.seconds(), 0)

    def test_step(self) -> None:
        """A timer fires in time although the wall clock was set back an hour in the meantime."""
        program = """
import time
real = time.time
time.time = lambda: real() + step
step = 0
from twisted.internet import reactor
from alaska.system.clock import run_on_monotonic_time
def back():
    global step
    step = -3600
    reactor.callLater(0.05, reactor.stop)
reactor.callLater(0.01, back)
run_on_monotonic_time(reactor)
reactor.run()
print("over")
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, check=False)
        self.assertEqual(done.stdout, b"over\n", done.stderr)
