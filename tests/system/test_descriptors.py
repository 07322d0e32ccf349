"""The descriptor limit of a process, and the descriptors that a pool needs."""

from __future__ import annotations

import resource
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import TooFewDescriptors
from alaska.system.descriptors import check_pool, raise_limit


class LimitTests(SynchronousTestCase):
    """The soft limit of a process."""

    def test_raised(self) -> None:
        """The soft limit is raised to the hard limit."""
        program = (
            "import resource; from alaska.system.descriptors import raise_limit;"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200));"
            "print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
        )
        output = subprocess.check_output([sys.executable, "-c", program], text=True)
        self.assertEqual(output.split(), ["200", "200", "200"])

    def test_never_lowered(self) -> None:
        """The soft limit is never lowered."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        raise_limit()
        self.assertGreaterEqual(resource.getrlimit(resource.RLIMIT_NOFILE)[0], before[0])


class PoolTests(SynchronousTestCase):
    """The descriptors that a pool needs."""

    def test_fits(self) -> None:
        """No error is raised if the limit is sufficient."""
        check_pool(4, "thread", 1024)
        check_pool(4, "process", 1024)
        check_pool(250, "thread", 4096)
        check_pool(250, "process", 4096)

    def test_does_not_fit(self) -> None:
        """The error states what is needed, the limit, and a pool size and a limit that are sufficient."""
        for isolation in ("thread", "process"):
            text = str(self.assertRaises(TooFewDescriptors, check_pool, 250, isolation, 1024))
            self.assertIn("a pool of 250 slots", text)
            self.assertIn("1024", text)
            most = int(text.rpartition("worker/pool/size to ")[2].split()[0])
            check_pool(most, isolation, 1024)
            needed = int(text.partition("ulimit -Hn ")[2].split(",")[0])
            check_pool(250, isolation, needed)
