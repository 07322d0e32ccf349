"""One schedule of a broker: which of its times comes next, and what is kept of it over restarts.

All times of a schedule up to ``State.upto`` are dealt with. Those at which a request was made are remembered besides,
as ranges of times one after the other, so that none is made again if the clock is set back; times that were passed over
when the clock was set forward come again then.
"""

from __future__ import annotations

from datetime import datetime, timezone

import msgspec

from alaska.errors import ScheduleError
from alaska.schedules.schedule import Schedule
from alaska.schedules.times import NEVER, Times
from alaska.schedules.zones import Zone, zone

MOST_RANGES = 8
"""The number of ranges that are remembered: there is another one whenever the clock is set, or times are missed."""
SOURCE_OF_FILE = "file"
SOURCE_OF_COMMAND = "command"


class State(msgspec.Struct):
    """What is kept of a schedule: for which expression and zone, and whether it was paused at first.

    ``paused`` is what an administrator has asked for since, ``running`` the position of the last request that has not
    ended, or 0. ``last`` is the last time at which a request was made. Times are in seconds since 1970.
    """

    cron: str
    zone: str
    initially: bool
    upto: float
    paused: bool | None = None
    running: int = 0
    last: float | None = None
    ranges: list[tuple[float, float]] = []


class Scheduled:
    """A schedule and its state. ``due`` is its next time, or None as long as that is not determined."""

    def __init__(self, schedule: Schedule, source: str, default: Zone, state: State | None) -> None:
        self.schedule = schedule
        self.source = source
        self.fired = self.missed = self.skipped = 0
        """What has become of its times since the broker started."""
        self.last_missed: float | None = None
        self.passed = 0
        """How many times have been passed over for a later one so far."""
        self.not_before = 0.0
        """The broker's time before which nothing is tried again."""
        self.due: float | None = None
        self.fault = ""
        """Why it has no times: its zone is not known any more."""
        self.zone = default
        self._times: Times | None = None
        self._continues = False
        try:
            self.zone = default if schedule.zone is None else zone(schedule.zone)
            self._times = Times(schedule.cron, self.zone.info)
        except ScheduleError as error:
            self.fault = str(error)
        self._is_new = state is None or (state.cron, state.zone) != (schedule.cron, self.zone.name)
        self.state = State(schedule.cron, self.zone.name, schedule.paused, 0.0) if state is None else state

    @property
    def name(self) -> str:
        """Its name."""
        return self.schedule.name

    @property
    def is_paused(self) -> bool:
        """Whether no requests are made."""
        return self.schedule.paused if self.state.paused is None else self.state.paused

    def begin(self, wall: float) -> bool:
        """Begin at a time of the wall clock; return whether the state has changed."""
        state, schedule = self.state, self.schedule
        changed = self._is_new
        if self._is_new:
            # What another expression has missed is of no interest.
            state.cron, state.zone, state.upto = schedule.cron, self.zone.name, wall
            self._is_new = False
        if state.initially != schedule.paused:
            # The file says something else now, which is newer.
            state.initially, state.paused = schedule.paused, None
            changed = True
        return self.set_back(wall) or changed

    def set_back(self, wall: float) -> bool:
        """Go on from an earlier time of the wall clock, if it is one; return whether the state has changed."""
        self.due = None
        self.passed = 0
        if self.state.upto <= wall:
            return False
        self.state.upto = wall
        return True

    def determine(self) -> float:
        """Determine and return the next time."""
        upto = self.state.upto
        self._continues = any(end == upto for _, end in self.state.ranges)
        self.due = self.after(upto)
        return self.due

    def after(self, moment: float) -> float:
        """Return the first time after a moment at which no request was made; it takes about 0.1 ms."""
        if self._times is None:
            return NEVER
        found = self._times.after(moment)
        for begin, end in sorted(self.state.ranges):
            if begin <= found <= end:
                found = self._times.after(end)
        return found

    def before(self, moment: float) -> float:
        """Return a time shortly before a moment, which is the time that is due or a later one."""
        assert self.due is not None
        return self.due if self._times is None else max(self.due, self._times.before(moment))

    def upcoming(self, moment: float, count: int) -> list[float]:
        """Return the next times, at most ``count``; each takes about 0.1 ms."""
        return [] if self._times is None else self._times.upcoming(moment, count)

    def pass_over(self, following: float) -> None:
        """Pass over the time that is due, since a later one is due as well."""
        self.passed += 1
        self.due = following
        self._continues = False

    def dealt_with(self, following: float, upto: float, is_fired: bool) -> None:
        """Note that the time that is due is dealt with, and all others up to a moment; another one follows."""
        due = self.due
        assert due is not None
        if is_fired:
            self._remember(due)
        self.state.upto = upto
        self._continues = is_fired and upto == due
        self.due = following
        self.passed = 0

    def _remember(self, time: float) -> None:
        ranges = self.state.ranges
        before = next((each for each in ranges if self._continues and each[1] == self.state.upto), None)
        if before is not None:
            ranges.remove(before)
        ranges.append((time if before is None else before[0], time))
        ranges.sort()
        if len(ranges) > MOST_RANGES:
            # What lies between the two oldest ones is forgotten, rather than that a request is made twice.
            (begin, _), (_, end) = ranges[:2]
            ranges[:2] = [(begin, end)]

    def id_of(self, time: float, is_exact: bool = False) -> bytes:
        """Return the id of the request for a time: the name and the minute in UTC, or more of it if needed."""
        form = "%Y-%m-%dT%H:%M"
        moment = datetime.fromtimestamp(time, timezone.utc)
        if is_exact:
            form += ":%S.%f"
        elif moment.second:
            form += ":%S"
        return f"{self.name}@{moment.strftime(form)}Z".encode()
