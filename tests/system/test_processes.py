"""Processes and the sockets on which they listen, as the system shows them, and in an invented ``/proc``."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.system import processes
from alaska.system.processes import Listener, Process

STAT = "7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 5 5 0 0 20 0 1 0 {start} 1000 {pages} 0 0"


class InventedTests(SynchronousTestCase):
    """Reading files of ``/proc``."""

    def setUp(self) -> None:
        self.proc = Path(self.mktemp())
        (self.proc / "net").mkdir(parents=True)
        (self.proc / "uptime").write_text("1000.00 5.00\n")

    def process(self, pid: int, arguments: bytes, stat: str) -> None:
        """Write a process."""
        folder = self.proc / str(pid)
        folder.mkdir()
        (folder / "cmdline").write_bytes(arguments)
        (folder / "stat").write_text(stat)

    def test_process(self) -> None:
        """A process has its arguments, also odd ones, its age and memory; one that cannot be read is left out."""
        start = 900 * os.sysconf("SC_CLK_TCK")
        self.process(7, b"twistd\0-n\0two words\0\xff\0", STAT.format(start=start, pages=3))
        self.process(8, b"x\0", "8 (x")
        self.process(9, b"", STAT.format(start=start, pages=0).replace("S 1", "T 1"))
        octets = 3 * os.sysconf("SC_PAGE_SIZE")
        first, second = processes.processes(self.proc)
        self.assertEqual(first, Process(7, ("twistd", "-n", "two words", "\udcff"), os.getuid(), 100.0, octets))
        self.assertEqual((second.pid, second.arguments, second.unusual), (9, (), "stopped"))

    def test_listeners(self) -> None:
        """Sockets that listen are listed, of both versions of IP; connections and broken lines are not."""
        head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        line = "   0: 0100007F:270F 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 {} 1\n"
        (self.proc / "net/tcp").write_text(head + line.format("0A", 33) + line.format("01", 34) + "   1: 01\n")
        six = line.replace("0100007F", "00000000000000000000000001000000").format("0A", 35)
        (self.proc / "net/tcp6").write_text(head + six)
        self.assertEqual(processes.listeners(self.proc), [Listener("127.0.0.1", 9999, 33), Listener("::1", 9999, 35)])
        self.process(7, b"twistd\0", STAT.format(start=0, pages=0))
        (self.proc / "7/fd").mkdir()
        (self.proc / "7/fd/3").symlink_to("socket:[35]")
        (self.proc / "7/fd/4").symlink_to("/dev/null")
        self.assertEqual(processes.listening_on(9999, self.proc), (7,))
        self.assertIsNone(processes.listening_on(9998, self.proc))

    def test_nothing(self) -> None:
        """Without such files, there is nothing, and no error."""
        empty = self.proc / "none"
        self.assertFalse(processes.is_available(empty))
        self.assertEqual(list(processes.processes(empty)), [])
        self.assertEqual((processes.listeners(empty), processes.sockets_of(1, empty)), ([], set()))
        self.assertEqual((processes.environment(1, empty), processes.folder_of(1, empty)), ({}, None))
        self.assertIsNone(processes.locking(self.proc / "uptime", empty))


class RealTests(SynchronousTestCase):
    """What this system shows of this process."""

    def setUp(self) -> None:
        if not processes.is_available():
            raise SkipTest("this system has no /proc")

    def test_self(self) -> None:
        """This process is listed, with its folder and environment."""
        found = {each.pid: each for each in processes.processes()}[os.getpid()]
        self.assertTrue(found.arguments)
        self.assertGreater(found.octets, 2**20)
        self.assertEqual(processes.folder_of(found.pid), Path.cwd())
        self.assertIn("PATH", processes.environment(found.pid))

    def test_socket(self) -> None:
        """A port on which this process listens is found."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.assertIn(os.getpid(), processes.listening_on(listening.getsockname()[1]) or ())

    def test_lock(self) -> None:
        """The process that has locked a file is found."""
        path = Path(self.mktemp())
        path.touch()
        self.assertIsNone(processes.locking(path))
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            found = processes.locking(path)
        if found is None:
            raise SkipTest("this file system shows other devices in /proc/locks")
        self.assertEqual(found, os.getpid())
