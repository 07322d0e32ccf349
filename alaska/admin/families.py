"""What metrics consist of: families, and the values that the parts of a program return for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from alaska.system.histogram import Reading


class Kind(Enum):
    """The kinds of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """The metrics of one name, which ends with the unit, and for a counter with ``_total``."""

    name: str
    kind: Kind
    doc: str
    labels: tuple[str, ...] = ()


Value: TypeAlias = "float | Reading"
"""The value of a metric; a reading for a histogram."""
Values: TypeAlias = "Iterable[tuple[tuple[str, ...], Value]]"
"""Values, each with the values of its labels."""
Filled: TypeAlias = "tuple[Family, Values]"
Source: TypeAlias = Callable[[], Iterable[Filled]]
"""Returns the current metrics of one part of the program."""
Matches: TypeAlias = Callable[[bytes], bool]
"""Returns whether a name is asked for."""
Details: TypeAlias = Callable[[Matches, int], Iterable[Filled]]
"""Returns the metrics of single objects whose names match, of at most so many objects."""


def one(value: Value) -> Values:
    """Return the only value of a family without labels."""
    return (((), value),)


def by(values: Iterable[tuple[str, Value]]) -> Values:
    """Return values by one label."""
    return [((name,), value) for name, value in values]
