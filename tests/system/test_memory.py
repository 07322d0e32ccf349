"""Freed memory is returned to the operating system."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from alaska.system.memory import MemoryReturner
from tests import PROJECT

# Frees large blocks while it keeps small ones between them, and prints by how many megabytes the process has grown.
GROW = """
import os, sys
sys.path.insert(0, sys.argv[1])
from alaska.system.memory import return_large_blocks

def mapped():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20

return_large_blocks()
before = mapped()
del (largest := [b"x" * 2**24])[0]
blocks = [b"x" * size for _ in range(100) for size in (2**20, 2**10)]
assert mapped() > before + 90
del blocks[::2]
print(mapped() - before)
"""


class GiveBackTests(SynchronousTestCase):
    """Large blocks."""

    def test_large_blocks(self) -> None:
        """The memory of freed large blocks is returned, even if small blocks between them are still used."""
        command = [sys.executable, "-I", "-c", GROW, str(PROJECT)]
        grown = subprocess.run(command, check=True, capture_output=True).stdout
        self.assertLess(int(grown), 20)


class WasteTests(SynchronousTestCase):
    """Temporarily used memory."""

    def setUp(self) -> None:
        self.now = 10.0
        self.given: list[float] = []
        self.waste = MemoryReturner(0.25, lambda: self.now, lambda: self.given.append(self.now))

    def test_nothing_noted(self) -> None:
        """Without a call of ``note``, nothing is returned."""
        self.waste.return_memory()
        self.assertEqual((self.given, self.waste.rounds), ([], 0))

    def test_twice(self) -> None:
        """After a call of ``note``, memory is returned at once and once more after the pause, and then no more."""
        self.waste.note()
        for _ in range(10):
            self.waste.return_memory()
            self.now += 0.125
        self.assertEqual(self.given, [10.0, 10.25])
        self.assertEqual(self.waste.rounds, 0)
