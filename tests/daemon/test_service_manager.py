"""Messages to systemd."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.daemon.service_manager import STATUS_SECONDS, Notifier, ServiceManager
from alaska.interfaces import Reactor


class ManagerCase(SynchronousTestCase):
    """A socket as the service manager has it."""

    def setUp(self) -> None:
        # Paths of sockets are short.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "notify")
        self.socket = self.listen(self.path)

    def listen(self, address: str) -> socket.socket:
        """Return a socket that receives messages."""
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(found.close)
        found.bind(address)
        return found

    def received(self, at: socket.socket | None = None) -> list[str]:
        """Return all messages that have arrived."""
        messages = []
        while True:
            try:
                messages.append((at or self.socket).recv(65536).decode())
            except BlockingIOError:
                return messages


class NotifierTests(ManagerCase):
    """The socket and the environment."""

    def test_path(self) -> None:
        """A message is one datagram of lines."""
        Notifier({"NOTIFY_SOCKET": self.path}).send(READY=1, STATUS="two words")
        self.assertEqual(self.received(), ["READY=1\nSTATUS=two words"])

    def test_abstract(self) -> None:
        """The name of the socket may be abstract."""
        name = f"alaska-test-{secrets.token_hex(8)}"
        other = self.listen(f"\0{name}")
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).send(READY=1)
        self.assertEqual(self.received(other), ["READY=1"])

    def test_none(self) -> None:
        """Without a socket, or with one of an unknown kind, nothing is sent and nothing is raised."""
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}):
            notifier = Notifier(dict(environ))
            notifier.send(READY=1)
            self.assertFalse(notifier.is_active)

    def test_gone(self) -> None:
        """A manager that has gone, or does not read, is no error."""
        notifier = Notifier({"NOTIFY_SOCKET": self.path})
        for _ in range(2000):
            notifier.send(STATUS="x" * 1000)
        self.socket.close()
        notifier.send(READY=1)

    def test_children(self) -> None:
        """The variables are removed, so that child processes send nothing."""
        environ = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
        self.assertEqual(Notifier(environ).watchdog_seconds, 1.0)
        self.assertEqual(environ, {"A": "b"})

    def test_watchdog_of_another(self) -> None:
        """A watchdog for another process, or a bad interval, does not count."""
        self.assertIsNone(Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog_seconds)
        self.assertIsNone(Notifier({"WATCHDOG_USEC": "soon"}).watchdog_seconds)


class ServiceManagerTests(ManagerCase):
    """The states of a program."""

    def manager(self, **environ: str) -> ServiceManager:
        """Return the object under test."""
        self.clock = Clock()
        self.status = "3 clients"
        notifier = Notifier({"NOTIFY_SOCKET": self.path, **environ})
        return ServiceManager(cast("Reactor", self.clock), notifier, lambda: self.status)

    def test_status(self) -> None:
        """The status is sent at an interval, as one line."""
        self.manager().start()
        self.received()
        self.status = "4 clients\nREADY=1"
        self.clock.advance(STATUS_SECONDS)
        self.assertEqual(self.received(), ["STATUS=4 clients\\nREADY=1\nWATCHDOG=1"])

    def test_watchdog(self) -> None:
        """A sign of life is sent twice in the time that the manager waits for one."""
        self.manager(WATCHDOG_USEC="2000000").start()
        self.received()
        self.clock.pump([0.5] * 8)
        self.assertEqual(len([text for text in self.received() if "WATCHDOG=1" in text]), 4)

    def test_ready(self) -> None:
        """The program is ready with a status."""
        self.manager().ready()
        self.assertEqual(self.received(), ["READY=1\nSTATUS=3 clients"])

    def test_reloading(self) -> None:
        """A reload has the time of the monotonic clock, as systemd requires."""
        manager = self.manager()
        manager.ready()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.reloading()
        manager.reloaded()
        _, text, ready = self.received()
        self.assertTrue(ready.startswith("READY=1\n"))
        self.assertTrue(text.startswith("RELOADING=1\nMONOTONIC_USEC="))
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.assertTrue(before <= int(text.rpartition("=")[2]) <= after)

    def test_reloading_before_ready(self) -> None:
        """A reload during startup does not make the program ready."""
        manager = self.manager()
        manager.reloading()
        manager.reloaded()
        self.assertEqual(self.received(), [])

    def test_stopping(self) -> None:
        """While the program stops, it asks for more time at each interval."""
        manager = self.manager()
        manager.start()
        manager.stopping()
        self.received()
        for _ in range(2):
            self.clock.advance(STATUS_SECONDS)
            self.assertIn("EXTEND_TIMEOUT_USEC=15000000", self.received())

    def test_defect(self) -> None:
        """If the status cannot be determined, signs of life are sent all the same."""
        manager = self.manager()
        manager._status = lambda: str(1 // 0)
        manager.start()
        self.assertEqual(self.received(), ["STATUS=unknown (ZeroDivisionError)\nWATCHDOG=1"])
