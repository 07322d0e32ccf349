"""Metrics in the formats of Prometheus and OpenMetrics (docs/metrics.md).

The parts of a program measure in plain numbers. They are read when the metrics are asked for, so that nothing is done
for each message that only Prometheus needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from time import perf_counter
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from alaska.admin.families import Details, Family, Filled, Kind, Matches, Source, Values, by
from alaska.errors import Refused
from alaska.system.histogram import Reading

MOST_OF_TIME = 0.02
"""The maximum part of the time that is spent on metrics, however often they are asked for."""


class Exposition(NamedTuple):
    """Metrics as text, and the content type."""

    content_type: str
    octets: bytes


class MetricsPage:
    """The metrics of some sources as text.

    Reading and writing them takes at most :data:`MOST_OF_TIME`: somebody who asks more often gets what was written
    before. ``further`` are families of Prometheus's own, such as those of the process.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        further: Callable[[], Iterable[Metric]] = lambda: (),
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._sources = sources
        self._further = further
        self._clock = clock
        self._kept: dict[str, tuple[float, Exposition]] = {}

    def exposition(self, accept: str = "") -> Exposition:
        """Return the metrics in the format that a header ``Accept`` asks for; by default, that of Prometheus."""
        _, content_type = choose_encoder(accept)
        now = self._clock()
        fresh_until, exposition = self._kept.get(content_type, (now, None))
        if exposition is None or now >= fresh_until:
            filled = (each for source in self._sources for each in source())
            exposition = _written(filled, self._further(), accept)
            end = self._clock()
            # There are as many content types as choose_encoder knows, which are few.
            self._kept[content_type] = end + (end - now) / MOST_OF_TIME, exposition
        return exposition


LEFT_OUT = Family(
    "alaska_detailed_left_out", Kind.GAUGE, "Objects that match and are left out: ask for fewer.", ("family",)
)
MOST_OBJECTS = 500
"""The maximum number of objects in one answer with details."""


class DetailsPage:
    """The metrics of single queues, clients and so on, as text; ``details`` has the source of each family by name.

    An answer has at most :data:`MOST_OBJECTS` objects of each family, and together the answers take at most
    :data:`MOST_OF_TIME`.
    """

    def __init__(self, details: dict[str, Details], clock: Callable[[], float] = perf_counter) -> None:
        self._details = details
        self._clock = clock
        self._free_at = float("-inf")

    @property
    def names(self) -> list[str]:
        """The names of the families."""
        return list(self._details)

    def exposition(self, name: str, matches: Matches, accept: str = "") -> Exposition:
        """Return the details of one family, for the names that match.

        :raises Refused: there is no such family, or it is too early for another answer; the text says when it is not.
        """
        now = self._clock()
        details = self._details.get(name)
        if details is None:
            raise Refused(f"the family must be one of {', '.join(self._details)}")
        if now < self._free_at:
            raise Refused(f"details may be asked for again in {self._free_at - now:.1f} s")
        exposition = _written(_with_limit(name, details, matches), (), accept)
        end = self._clock()
        self._free_at = end + (end - now) / MOST_OF_TIME
        return exposition


def _with_limit(name: str, details: Details, matches: Matches) -> Iterator[Filled]:
    found = 0

    def counted(each: bytes) -> bool:
        nonlocal found
        is_found = matches(each)
        found += is_found
        return is_found

    yield from details(counted, MOST_OBJECTS)
    yield LEFT_OUT, by([(name, max(0, found - MOST_OBJECTS))])


class _Collector(Collector):
    """Passes metrics to the encoder of Prometheus's library."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._metrics


def _written(filled: Iterable[Filled], further: Iterable[Metric], accept: str) -> Exposition:
    """Return metrics in the format that a header ``Accept`` asks for.

    The library writes a line in 4 to 6 us, which would take too long for the number of lines here.
    """
    encode, content_type = choose_encoder(accept)
    is_openmetrics = content_type.startswith("application/openmetrics-text")
    lines = [line for family, values in filled for line in _lines(family, values, is_openmetrics)]
    return Exposition(content_type, "".join(lines).encode() + encode(_Collector(further)))


def _lines(family: Family, values: Values, is_openmetrics: bool) -> Iterator[str]:
    name = family.name.removesuffix("_total") if is_openmetrics else family.name
    yield f"# HELP {name} {family.doc}\n# TYPE {name} {family.kind.value}\n"
    for labels, value in values:
        pairs = [f'{label}="{_escaped(each)}"' for label, each in zip(family.labels, labels, strict=True)]
        if isinstance(value, Reading):
            yield from _buckets(family.name, pairs, value)
        else:
            yield f"{family.name}{_in_braces(pairs)} {float(value)!r}\n"


def _buckets(name: str, pairs: list[str], reading: Reading) -> Iterator[str]:
    """Write a histogram as Prometheus counts: each bucket contains those below it."""
    before = "".join(f"{pair}," for pair in pairs)
    count = 0
    for bound, more in zip(_bounds(tuple(reading.bounds)), reading.counts, strict=True):
        count += more
        yield f'{name}_bucket{{{before}le="{bound}"}} {count}.0\n'
    braces = _in_braces(pairs)
    yield f"{name}_count{braces} {count}.0\n{name}_sum{braces} {reading.total!r}\n"


@cache
def _bounds(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*map(str, bounds), "+Inf")


def _in_braces(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(text: str) -> str:
    """Return the value of a label as it is written; octets that are not UTF-8 must not get here."""
    if text.isalnum():
        return text
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
