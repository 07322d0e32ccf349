"""What metrics consist of: families, and the values that the parts of a program return for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from twisted.internet.defer import Deferred

from alaska.admin.pages import Matches
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
Source: TypeAlias = "Callable[[], Iterable[Filled] | Deferred[Iterable[Filled]]]"
"""Returns the current metrics of one part of the program; if it has much to look at, later, and in turns."""


class Selected(NamedTuple):
    """The metrics of single objects, and the number of objects that match and were left out."""

    filled: Iterable[Filled]
    left_out: int = 0


Details: TypeAlias = "Callable[[Matches, int], Selected | Deferred[Selected]]"
"""Returns the metrics of single objects whose names match, of at most so many objects."""


def one(value: Value) -> Values:
    """Return the only value of a family without labels."""
    return (((), value),)


def by(values: Iterable[tuple[str, Value]]) -> Values:
    """Return values by one label."""
    return [((name,), value) for name, value in values]
