"""What is measured of writing to the store's file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from alaska.system.disk_space import free_octets
from alaska.system.histogram import ROWS, Histogram


class Times(NamedTuple):
    """How a batch was written: the number of its rows, the seconds that it took, and those for its commits."""

    rows: int = 0
    seconds: float = 0.0
    commit_seconds: float = 0.0


class Disk(NamedTuple):
    """The octets of a store's file and its write-ahead log, and those that are free on their disk."""

    octets: int
    free: int


class WriteMeasures:
    """The sizes and times of the batches that were written.

    - ``rows``: the number of rows that a batch writes or deletes.
    - ``write``: the seconds that writing a batch took, with its commit.
    - ``commit``: the seconds of the commit, in which SQLite waits for the disk.
    - ``failures``: how many times writing failed, after which it is retried.

    ``path`` is that of the file; None for a temporary one.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.rows = Histogram(ROWS)
        self.write = Histogram()
        self.commit = Histogram()
        self.failures = 0

    def disk(self) -> Disk | None:
        """Return how much of the disk the file takes, and how much is left; None if that is unknown."""
        if self._path is None:
            return None
        try:
            octets = self._path.stat().st_size
            with suppress(FileNotFoundError):
                octets += Path(f"{self._path}-wal").stat().st_size
            free = free_octets(self._path)
        except OSError:
            return None
        return Disk(octets, free)

    def note(self, times: Times | None) -> None:
        """Count a batch; None: it could not be written."""
        if times is None:
            self.failures += 1
        else:
            self.rows.add(times.rows)
            self.write.add(times.seconds)
            self.commit.add(times.commit_seconds)
