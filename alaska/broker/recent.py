"""What services have done within the last five minutes: rates, run times and errors."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from alaska.admin import snapshots as shown
from alaska.broker.measures import QueueMeasures
from alaska.system.histogram import Reading, percentile

STEP_SECONDS = 10.0
MOST = 31
"""The number of readings that are kept: those of five minutes."""
NOT_FAILED = frozenset(("delivered", "cancelled", "purged"))


class _Read(NamedTuple):
    time: float
    ran: Reading
    waited: Sequence[int]
    failed: int


class Recents:
    """The readings of all services that are measured separately."""

    def __init__(self) -> None:
        self._read: dict[bytes, deque[_Read]] = {}

    def add(self, name: bytes, measures: QueueMeasures, now: float, since: float) -> None:
        """Take what a service has done so far, unless that was just taken; a new one has begun at ``since``."""
        reads = self._read.get(name)
        if reads is None:
            reads = self._read[name] = deque((_nothing(measures, since),), maxlen=MOST)
        if now - reads[-1].time >= STEP_SECONDS:
            reads.append(_now(measures, now))

    def of(self, name: bytes, measures: QueueMeasures, now: float) -> shown.Recent | None:
        """Return what a service has done since the oldest reading; None if there is none."""
        reads = self._read.get(name)
        if not reads or now <= reads[0].time:
            return None
        first, last = reads[0], _now(measures, now)
        bounds, seconds = last.ran.bounds, last.time - first.time
        ran = [after - before for before, after in zip(first.ran.counts, last.ran.counts, strict=True)]
        waited = [after - before for before, after in zip(first.waited, last.waited, strict=True)]
        succeeded, failed = sum(ran), last.failed - first.failed
        return shown.Recent(
            seconds=seconds,
            rate=(succeeded + failed) / seconds,
            succeeded=succeeded,
            failed=failed,
            p50=percentile(bounds, ran, 0.5),
            p95=percentile(bounds, ran, 0.95),
            p99=percentile(bounds, ran, 0.99),
            waited_p95=percentile(bounds, waited, 0.95),
        )


def _now(measures: QueueMeasures, now: float) -> _Read:
    failed = sum(count for outcome, count in measures.ended.items() if outcome not in NOT_FAILED)
    # Those that were delivered at once have waited for 0 s.
    waiting = measures.waiting.read().counts
    waited = [waiting[0] + measures.immediate, *waiting[1:]]
    return _Read(now, measures.running.read(), waited, failed)


def _nothing(measures: QueueMeasures, now: float) -> _Read:
    ran = measures.running.read()
    zeros = [0] * len(ran.counts)
    return _Read(now, Reading(ran.bounds, zeros, 0.0), zeros, 0)
