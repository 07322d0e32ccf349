"""Signals that arrive before the reactor runs."""

from __future__ import annotations

import signal
import subprocess
import sys

from twisted.trial.unittest import TestCase

from tests import PROJECT

STARTING = """
import os, signal, sys
from twisted.internet import reactor
from alaska.daemon.signals import Signals, defer_signals

defer_signals(lambda: print("cleaned up"))
for number in sys.argv[1:]:
    os.kill(os.getpid(), int(number))
print("started", flush=True)
reactor.callWhenRunning(Signals(reactor, {signal.SIGUSR2: lambda: print("drained")}, list, lambda: None).install)
reactor.callLater(20, os._exit, 9)
reactor.run()
"""


class StartTests(TestCase):
    """A program that gets signals while it starts."""

    def run_with(self, *numbers: int) -> tuple[int, str]:
        """Return exit status and output of a program that gets these signals before its reactor runs."""
        program = [sys.executable, "-c", STARTING, *(str(int(number)) for number in numbers)]
        found = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(found.stderr, "")
        return found.returncode, found.stdout

    def test_stopped(self) -> None:
        """A program that is stopped during its start ends properly as soon as it runs."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(self.run_with(number), (0, "started\n"))

    def test_stopped_twice(self) -> None:
        """A program that is stopped twice during its start ends at once, after it has cleaned up."""
        self.assertEqual(self.run_with(signal.SIGINT, signal.SIGTERM), (-signal.SIGTERM, "cleaned up\n"))

    def test_others(self) -> None:
        """Other signals take effect when the program runs."""
        status, output = self.run_with(signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM)
        self.assertEqual((status, output), (0, "started\ndrained\n"))
