"""The type of what a broker shows of a schedule (docs/schedules.md); see :mod:`alaska.admin.snapshots`."""

from __future__ import annotations

from alaska.admin.snapshots import Snapshot


class Schedule(Snapshot, frozen=True, kw_only=True):
    """A schedule, without the content of its requests, which have ``octets``.

    ``source`` is ``file`` or ``command``. ``missed`` and ``overlap`` say what is to become of such requests, ``counts``
    how many were ``fired``, ``missed`` and ``skipped`` since the broker started. ``running``: the last request has not
    ended. ``next`` has no times if it is paused; ``last`` is the time of the last request. ``fault`` says why a
    schedule has no times.
    """

    name: str
    source: str
    cron: str
    zone: str
    service: str
    subject: str
    octets: int
    missed: str
    overlap: str
    paused: bool
    running: bool
    next: list[float]
    last: float | None
    last_missed: float | None
    counts: dict[str, int]
    fault: str = ""
