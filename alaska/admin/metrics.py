"""Metrics in the formats of Prometheus and OpenMetrics (docs/metrics.md).

The parts of a program measure in plain numbers. They are read when the metrics are asked for, so that nothing is done
for each message that only Prometheus needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from math import inf, isinf
from time import perf_counter
from typing import NamedTuple

from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.python.failure import Failure

from alaska.admin.families import Details, Family, Filled, Kind, Source, Values, by
from alaska.admin.pages import Matches
from alaska.errors import Refused
from alaska.system.histogram import Reading

MOST_OF_TIME = 0.01
"""The maximum part of the time in which metrics of one format are made, however often they are asked for."""


class Format(NamedTuple):
    """A format of metrics: its content type, and what encodes the families of Prometheus's own."""

    content_type: str
    encode: Callable[[Collector], bytes]


TEXT = Format("text/plain; version=0.0.4; charset=utf-8", generate_latest)
OPENMETRICS = Format("application/openmetrics-text; version=1.0.0; charset=utf-8", openmetrics.generate_latest)


def _format_for(accept: str) -> Format:
    """Return the format that a header ``Accept`` asks for.

    The library chooses as many content types as there are versions to ask for, and fails if one is no number.
    """
    wanted = {each.partition(";")[0].strip().lower() for each in accept.split(",")}
    return OPENMETRICS if "application/openmetrics-text" in wanted else TEXT


class Exposition(NamedTuple):
    """Metrics as text, and the content type."""

    content_type: str
    octets: bytes


class MetricsPage:
    """The metrics of some sources as text.

    Reading and writing them takes at most :data:`MOST_OF_TIME`: somebody who asks more often gets what was written
    before, and all who ask while it is being made get the same. ``further`` are families of Prometheus's own, such as
    those of the process.
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
        # Here and below, by content type, of which there are two.
        self._kept: dict[str, tuple[float, Exposition]] = {}
        self._waiting: dict[str, list[Deferred[Exposition]]] = {}

    def exposition(self, accept: str = "") -> Deferred[Exposition]:
        """Return the metrics in the format that a header ``Accept`` asks for; by default, that of Prometheus.

        The Deferred fails if a source does.
        """
        content_type = _format_for(accept).content_type
        fresh_until, exposition = self._kept.get(content_type, (0.0, None))
        if exposition is not None and self._clock() < fresh_until:
            return succeed(exposition)
        asked: Deferred[Exposition] = Deferred()
        waiting = self._waiting.setdefault(content_type, [])
        waiting.append(asked)
        if len(waiting) == 1:
            ensureDeferred(self._make(accept)).addBoth(self._answer, content_type)
        return asked

    async def _make(self, accept: str) -> Exposition:
        begin = self._clock()
        read: list[Iterable[Filled]] = []
        for source in self._sources:
            found = source()
            read.append(await found if isinstance(found, Deferred) else found)
        exposition = _written(chain.from_iterable(read), self._further(), accept)
        end = self._clock()
        self._kept[exposition.content_type] = end + (end - begin) / MOST_OF_TIME, exposition
        return exposition

    def _answer(self, result: Exposition | Failure, content_type: str) -> None:
        for asked in self._waiting.pop(content_type):
            asked.callback(result)


LEFT_OUT = Family(
    "alaska_detailed_left_out", Kind.GAUGE, "Objects that match and are left out: ask for fewer.", ("family",)
)
MOST_OBJECTS = 500
"""The maximum number of objects in one answer with details."""


class DetailsPage:
    """The metrics of single queues, clients and so on, as text; ``details`` has the source of each family by name.

    An answer has at most :data:`MOST_OBJECTS` objects, and the answers with one family take at most
    :data:`MOST_OF_TIME`.
    """

    def __init__(self, details: dict[str, Details], clock: Callable[[], float] = perf_counter) -> None:
        self._details = details
        self._clock = clock
        self._free_at: dict[str, float] = {}

    @property
    def names(self) -> list[str]:
        """The names of the families."""
        return list(self._details)

    def wait(self, name: str) -> float:
        """Return in how many seconds details of a family may be asked for; infinite while they are being made."""
        return max(0.0, self._free_at.get(name, 0.0) - self._clock())

    def exposition(self, name: str, matches: Matches, accept: str = "") -> Deferred[Exposition]:
        """Return the details of one family, for the names that match; the Deferred fails if the source does.

        :raises Refused: there is no such family, or it is too early for another answer; the text says when it is not.
        """
        details = self._details.get(name)
        if details is None:
            raise Refused(f"the family must be one of {', '.join(self._details)}")
        wait = self.wait(name)
        if wait > 0.0:
            raise Refused("these details are being made" if isinf(wait) else f"ask for details again in {wait:.1f} s")
        self._free_at[name] = inf
        begin = self._clock()
        return ensureDeferred(self._make(name, details, matches, accept, begin))

    async def _make(self, name: str, details: Details, matches: Matches, accept: str, begin: float) -> Exposition:
        try:
            found = details(matches, MOST_OBJECTS)
            selected = await found if isinstance(found, Deferred) else found
            return _written([*selected.filled, (LEFT_OUT, by([(name, selected.left_out)]))], (), accept)
        finally:
            end = self._clock()
            self._free_at[name] = end + (end - begin) / MOST_OF_TIME


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
    chosen = _format_for(accept)
    lines = [line for family, values in filled for line in _lines(family, values, chosen is OPENMETRICS)]
    return Exposition(chosen.content_type, "".join(lines).encode() + chosen.encode(_Collector(further)))


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
