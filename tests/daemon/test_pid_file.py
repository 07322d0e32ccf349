"""PID files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.daemon.pid_file import lock, remove_stale


class PidFileTests(SynchronousTestCase):
    """Files of running, killed and other programs."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def start(self, *arguments: str) -> int:
        """Start a process that waits; return its id."""
        command = [sys.executable, "-c", "print(flush=True); input()", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.communicate, b"\n")
        # Its command line can be read only once the program has begun.
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    def assert_removed(self, content: object) -> None:
        """Check that a file with this content is removed."""
        self.path.write_text(f"{content}", encoding="utf-8")
        self.assertTrue(remove_stale(self.path))
        self.assertFalse(self.path.exists())

    def assert_left(self, content: object) -> None:
        """Check that a file with this content stays."""
        self.path.write_text(f"{content}", encoding="utf-8")
        self.assertFalse(remove_stale(self.path))
        self.assertTrue(self.path.exists())

    def test_ended(self) -> None:
        """The file of a process that has ended is removed."""
        process = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
        )
        self.assert_removed(process.stdout.decode())

    def test_foreign(self) -> None:
        """A file with the number of any other process is removed, and the process is left alone."""
        if not Path("/proc/self/cmdline").exists():
            raise SkipTest("this system has no /proc")
        self.assert_removed(self.start())

    def test_running(self) -> None:
        """The file of another twistd that is running stays, even if it is not locked."""
        self.assert_left(self.start("twistd"))

    def test_locked(self) -> None:
        """A file that its program has locked stays."""
        self.path.write_text(str(os.getpid()), encoding="ascii")
        descriptor = lock(self.path)
        assert descriptor is not None
        self.addCleanup(os.close, descriptor)
        self.assert_left(os.getpid())

    def test_empty(self) -> None:
        """An empty file, whose program was killed before it wrote its number, is removed."""
        self.assert_removed("")

    def test_other_content(self) -> None:
        """A file that is no PID file stays."""
        for content in ("important", "12 34", "1" * 100):
            self.assert_left(content)

    def test_missing(self) -> None:
        """Nothing happens without a file."""
        self.assertFalse(remove_stale(self.path))
        self.assertIsNone(lock(self.path))

    def test_lock_of_another(self) -> None:
        """The file of another process is not locked."""
        self.path.write_text("1", encoding="ascii")
        self.assertIsNone(lock(self.path))
