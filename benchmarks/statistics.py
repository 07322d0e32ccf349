"""Minimum, median and maximum of a few runs, and quantiles of many requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The minimum, median and maximum of some figures."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Return the spread of at least one figure."""
        ordered = sorted(figures)
        return cls(ordered[0], quantile(ordered, 0.5), ordered[-1])


def quantile(figures: Sequence[float], share: float) -> float:
    """Return the smallest figure that is not exceeded by ``share`` of the figures."""
    ordered = sorted(figures)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
