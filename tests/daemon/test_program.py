"""One program of twistd: how it starts, what ends it, and with which status."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.testing import MemoryReactor
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from alaska.daemon.program import Program
from alaska.daemon.status import EX_CONFIG, EX_FAILED, EX_REFUSED, EX_UNAVAILABLE, status_of
from alaska.errors import AlaskaError, CannotBind, ConfigurationError, ConnectTimeout, Refused, StoreError, WrongLua
from alaska.interfaces import Reactor
from tests.network_case import LogCase


class Part(Service):
    """A service that notes when it starts and stops, and does so as the test says."""

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
        """Stop, when the Deferred fires if there is one."""
        super().stopService()
        self._notes.append(f"{self.name} stops")
        return self.stopped


class ProgramTests(LogCase):
    """Several services that are one program."""

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
        """A program is a service."""
        self.assertTrue(verifyObject(IService, self.program))

    def test_starts_in_order(self) -> None:
        """Services start in the order in which they were added."""
        self.program.startService()
        self.assertEqual(self.notes, ["broker starts", "worker starts"])
        self.assertTrue(self.program.running)

    def test_cannot_start(self) -> None:
        """What keeps a service from starting is logged, and ends the program with a status that is not 0."""
        self.broker.error = CannotBind("cannot serve tcp://*:1")
        ended = self.assertRaises(SystemExit, self.program.startService)
        self.assertEqual(ended.code, EX_FAILED)
        self.assertEqual(self.logged(LogLevel.critical), ["cannot serve tcp://*:1"])
        self.assertEqual(self.notes, ["broker starts"])

    def test_stops_one_after_the_other(self) -> None:
        """Services stop from the last to the first, each when the one before has stopped."""
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

    def test_one_does_not_stop(self) -> None:
        """A service that fails to stop is logged and keeps no other from stopping."""
        self.program.startService()
        self.notes.clear()
        self.worker.stopped = fail(OSError("no"))
        self.successResultOf(self.program.stopService())
        self.assertEqual(self.notes, ["worker stops", "broker stops"])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_pid_file(self) -> None:
        """A program that cannot start removes its pid file, and nobody else's."""
        self.broker.error = CannotBind("cannot serve tcp://*:1")
        for pid, is_left in ((os.getpid(), False), (1, True)):
            self.pidfile.write_text(str(pid))
            self.assertRaises(SystemExit, self.program.startService)
            self.assertIs(self.pidfile.exists(), is_left)

    def test_end_before_the_reactor_runs(self) -> None:
        """A program that is to end before its reactor runs ends as soon as that runs."""
        self.program.end(StoreError("gone"))
        self.addCleanup(setattr, self.program._status, "value", 0)
        self.assertFalse(self.reactor.hasStopped)
        self.reactor.run()
        self.assertTrue(self.reactor.hasStopped)
        self.assertEqual(self.program._status.value, EX_FAILED)

    def test_statuses(self) -> None:
        """Who is refused, has a bad configuration or finds no broker can be told by the status."""
        for error, status in (
            (Refused("no"), EX_REFUSED),
            (ConfigurationError("bad"), EX_CONFIG),
            (WrongLua("none"), EX_CONFIG),
            (ConnectTimeout("nobody"), EX_UNAVAILABLE),
            (StoreError("full"), EX_FAILED),
        ):
            self.assertEqual(status_of(error), status)
