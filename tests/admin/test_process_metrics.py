"""What the operating system knows of the process."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.process_metrics import system_metrics


class SystemTests(SynchronousTestCase):
    """What the operating system knows of the process."""

    def test_cached(self) -> None:
        """The numbers are read once a second at most."""
        now = 0.0
        collect = system_metrics(lambda: now)
        first = list(collect())
        self.assertIn("process_resident_memory_bytes", [each.name for each in first])
        now = 0.9
        self.assertIs(next(iter(collect())), first[0])
        now = 1.0
        self.assertIsNot(next(iter(collect())), first[0])
