"""What becomes of memory that is let go of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
# Holds small blocks between large ones when it lets go of these, and prints by how many megabytes it is larger then.
GROW = """
import os, sys
sys.path.insert(0, sys.argv[1])
from alaska.memory import give_back_large

def mapped():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20

give_back_large()
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
        """The memory of large blocks is not the process's any more, whatever is still used between them."""
        command = [sys.executable, "-I", "-c", GROW, str(ROOT)]
        grown = subprocess.run(command, check=True, capture_output=True).stdout
        self.assertLess(int(grown), 20)
