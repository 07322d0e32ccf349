"""What is measured of writing to the store's file."""

from __future__ import annotations

from typing import NamedTuple

from alaska.system.histogram import ROWS, Histogram


class Times(NamedTuple):
    """How a batch was written: the number of its rows, the seconds that it took, and those for its commits."""

    rows: int = 0
    seconds: float = 0.0
    commit_seconds: float = 0.0


class WriteMeasures:
    """The sizes and times of the batches that were written.

    - ``rows``: the number of rows that a batch writes or deletes.
    - ``write``: the seconds that writing a batch took, with its commit.
    - ``commit``: the seconds of the commit, in which SQLite waits for the disk.
    - ``failures``: how many times writing failed, after which it is retried.
    """

    def __init__(self) -> None:
        self.rows = Histogram(ROWS)
        self.write = Histogram()
        self.commit = Histogram()
        self.failures = 0

    def note(self, times: Times | None) -> None:
        """Count a batch; None: it could not be written."""
        if times is None:
            self.failures += 1
        else:
            self.rows.add(times.rows)
            self.write.add(times.seconds)
            self.commit.add(times.commit_seconds)
