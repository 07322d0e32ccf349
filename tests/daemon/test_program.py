"""A program run by twistd: startup, shutdown and exit status."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.testing import MemoryReactor
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from alaska.daemon.exit_status import EX_CONFIG, EX_FAILED, EX_REFUSED, EX_UNAVAILABLE, status_of
from alaska.daemon.program import Program
from alaska.errors import AlaskaError, CannotBind, ConfigurationError, ConnectTimeout, Refused, StoreError, WrongLua
from alaska.interfaces import Reactor
from tests.network_case import LogCase


class Part(Service):
    """A service that records its starts and stops, and whose errors and delays are set by the test."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self._notes = notes
        self.error: AlaskaError | None = None
        self.stopped: Deferred[None] | None = None

    def startService(self) -> None:
        """Start, or raise the error."""
        self._notes.append(f"{self.name} starts")
        if self.error is not None:
            raise self.error
        super().startService()

    def stopService(self) -> Deferred[None] | None:
        """Stop; return the Deferred of the test, if there is one."""
        super().stopService()
        self._notes.append(f"{self.name} stops")
        return self.stopped


class ProgramTests(LogCase):
    """A program with two services."""

    def setUp(self) -> None:
        super().setUp()
        self.notes: list[str] = []
        self.reactor: Any = MemoryReactor()
        self.pidfile = Path(self.mktemp())
        self.program = Program(cast("Reactor", self.reactor), {"pidfile": str(self.pidfile)})
        self.broker, self.worker = (Part(name, self.notes) for name in ("broker", "worker"))
        for part in (self.broker, self.worker):
            part.setServiceParent(self.program)

    def test_interface(self) -> None:
        """A program implements IService."""
        self.assertTrue(verifyObject(IService, self.program))

    def test_starts_in_order(self) -> None:
        """Services start in the order in which they were added."""
        self.program.startService()
        self.assertEqual(self.notes, ["broker starts", "worker starts"])
        self.assertTrue(self.program.running)

    def test_cannot_start(self) -> None:
        """If a service cannot start, the error is logged, and the program exits with a status other than 0."""
        self.broker.error = CannotBind("cannot serve tcp://*:1")
        ended = self.assertRaises(SystemExit, self.program.startService)
        self.assertEqual(ended.code, EX_FAILED)
        self.assertEqual(self.logged(LogLevel.critical), ["cannot serve tcp://*:1"])
        self.assertEqual(self.notes, ["broker starts"])

    def test_stops_one_after_the_other(self) -> None:
        """Services stop in reverse order, one after the other."""
        self.program.startService()
        self.notes.clear()
        self.worker.stopped, self.broker.stopped = Deferred(), Deferred()
        stopped = self.program.stopService()
        self.assertEqual(self.notes, ["worker stops"])
        self.assertFalse(self.program.running)
        self.worker.stopped.callback(None)
        self.assertEqual(self.notes, ["worker stops", "broker stops"])
        self.assertNoResult(stopped)
        self.broker.stopped.callback(None)
        self.successResultOf(stopped)

    def test_stop_fails(self) -> None:
        """If a service fails to stop, this is logged, and the other services are stopped."""
        self.program.startService()
        self.notes.clear()
        self.worker.stopped = fail(OSError("no"))
        self.successResultOf(self.program.stopService())
        self.assertEqual(self.notes, ["worker stops", "broker stops"])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_pid_file(self) -> None:
        """A program that cannot start removes its own pid file, but not that of another process."""
        self.broker.error = CannotBind("cannot serve tcp://*:1")
        for pid, is_left in ((os.getpid(), False), (1, True)):
            self.pidfile.write_text(str(pid))
            self.assertRaises(SystemExit, self.program.startService)
            self.assertIs(self.pidfile.exists(), is_left)

    def test_end_before_the_reactor_runs(self) -> None:
        """A program that is ended before its reactor runs stops as soon as the reactor runs."""
        self.program.end(StoreError("lost"))
        self.addCleanup(setattr, self.program._status, "value", 0)
        self.assertFalse(self.reactor.hasStopped)
        self.reactor.run()
        self.assertTrue(self.reactor.hasStopped)
        self.assertEqual(self.program._status.value, EX_FAILED)

    def test_statuses(self) -> None:
        """There are different statuses for a refusal, a bad configuration, an absent broker, and other errors."""
        for error, status in (
            (Refused("no"), EX_REFUSED),
            (ConfigurationError("bad"), EX_CONFIG),
            (WrongLua("none"), EX_CONFIG),
            (ConnectTimeout("nobody"), EX_UNAVAILABLE),
            (StoreError("full"), EX_FAILED),
        ):
            self.assertEqual(status_of(error), status)
