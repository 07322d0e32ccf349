"""Minimum, median and maximum of a few runs; quantiles of many requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The minimum, median and maximum of some figures."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Return the spread of figures, of which there is at least one."""
        ordered = sorted(figures)
        return cls(ordered[0], quantile(ordered, 0.5), ordered[-1])


def quantile(figures: Sequence[float], share: float) -> float:
    """Return the least figure that so large a share of them does not exceed."""
    ordered = sorted(figures)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
