"""Histograms that are cheap to add to, for measurements of each message."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds for durations: from a request that is answered at once to a script that runs for minutes."""
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0)
"""Bounds for the number of rows in a batch."""


class Reading(NamedTuple):
    """The state of a histogram: the number of values in each bucket, the last of which has no bound, and their sum."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float

    def __add__(self, other: object) -> Reading:
        """Return the sum of two readings with the same bounds."""
        if not isinstance(other, Reading):
            return NotImplemented
        counts = [mine + others for mine, others in zip(self.counts, other.counts, strict=True)]
        return Reading(self.bounds, counts, self.total + other.total)


class Histogram:
    """Counts values by buckets. A bound belongs to the bucket below it.

    Values that are equal to the one before are only counted at first, since the messages of a batch have the same
    times. A caller that adds a value for each message can spare itself most calls of :meth:`add` in this way::

        if value == histogram.last:
            histogram.repeats += 1
        else:
            histogram.add(value)
    """

    __slots__ = ("_bounds", "_counts", "_total", "last", "repeats")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self.last = 0.0
        """The value that was added last."""
        self.repeats = 0
        """How many times it was added and is not counted yet."""

    def add(self, value: float) -> None:
        """Count a value."""
        repeats = self.repeats
        if repeats:
            self._counts[bisect_left(self._bounds, self.last)] += repeats
            self._total += self.last * repeats
        self.last = value
        self.repeats = 1

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(self._counts) + self.repeats

    def read(self) -> Reading:
        """Return the current state."""
        counts = list(self._counts)
        counts[bisect_left(self._bounds, self.last)] += self.repeats
        return Reading(self._bounds, counts, self._total + self.last * self.repeats)


def percentile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Return the value below which a share of the values is, estimated within its bucket; None without values.

    Above the last bound, it is the last bound.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, below, lower = share * total, 0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below += count
        lower = bound
    return lower
