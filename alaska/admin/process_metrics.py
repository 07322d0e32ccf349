"""What the operating system knows of the process, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic

from prometheus_client import Metric, ProcessCollector

CACHE_SECONDS = 1.0


def system_metrics(clock: Callable[[], float] = monotonic) -> Callable[[], Iterable[Metric]]:
    """Return a function that returns memory, processor time and descriptors as ``process_*``.

    It reads them once a second at most, since counting many descriptors takes some time.
    """
    collector = ProcessCollector(registry=None)
    return partial(_collect, collector, clock, [])


def _collect(
    collector: ProcessCollector, clock: Callable[[], float], cache: list[tuple[float, list[Metric]]]
) -> Iterable[Metric]:
    now = clock()
    if not cache or now - cache[0][0] >= CACHE_SECONDS:
        cache[:] = [(now, list(collector.collect()))]
    return cache[0][1]
