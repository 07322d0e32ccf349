"""What administrators see of schedules, and do with them."""

from __future__ import annotations

from alaska import errors
from alaska.admin import requests, scheduled
from alaska.admin import snapshots as shown
from alaska.admin.pages import Key, Work, matcher, page_of
from alaska.admin.text import to_name, to_text
from alaska.broker.broker_state import BrokerState
from alaska.broker.scheduled import SOURCE_OF_COMMAND, Scheduled
from alaska.errors import OperationFailed, ScheduleError
from alaska.schedules.schedule import MOST_SCHEDULES, Schedule, checked

TIMES_PER_TURN = 50
"""The number of next times that are found at a time, in about 5 ms."""


class ScheduleOperations:
    """The operations on the schedules of a broker."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._schedules = state.schedules

    def page(self, query: requests.ScheduleQuery) -> Work[shown.Page[scheduled.Schedule]]:
        """Return a page of the schedules, with the next times of each."""
        matches = matcher(query.match)
        names = (each.name.encode() for each in self._schedules)
        keys = ((name,) if matches is None or matches(name) else None for name in names)

        def show(key: Key) -> scheduled.Schedule | None:
            entry = self._schedules.get(key[0].decode("utf-8", "replace"))
            return None if entry is None else self._show(entry, query.next)

        return (yield from page_of(keys, query, (bytes,), show, max(1, TIMES_PER_TURN // max(1, query.next))))

    def _show(self, entry: Scheduled, count: int) -> scheduled.Schedule:
        schedule, wall = entry.schedule, self._schedules.wall
        return scheduled.Schedule(
            name=entry.name,
            source=entry.source,
            cron=schedule.cron,
            zone=entry.zone.name,
            service=to_text(schedule.service),
            subject=to_text(schedule.subject),
            octets=len(schedule.content),
            missed=schedule.missed,
            overlap=schedule.overlap,
            paused=entry.is_paused,
            running=self._schedules.is_running(entry),
            next=[] if entry.is_paused or not count else entry.upcoming(wall, count),
            last=entry.state.last,
            last_missed=entry.last_missed,
            counts={"fired": entry.fired, "missed": entry.missed, "skipped": entry.skipped},
            fault=entry.fault,
        )

    def add(self, request: requests.NewSchedule) -> shown.Done:
        """Add a schedule."""
        if self._schedules.get(request.name) is not None:
            raise OperationFailed(f"there is a schedule {request.name} already", errors.RESOURCE_LOCKED)
        if len(self._schedules) >= MOST_SCHEDULES:
            raise OperationFailed(f"there can be {MOST_SCHEDULES} schedules", errors.TOO_LARGE)
        schedule = Schedule(
            name=request.name,
            cron=request.cron,
            service=to_name(request.service),
            subject=to_name(request.subject),
            content=request.content.encode("utf-8", "surrogatepass"),
            zone=request.zone,
            missed=request.missed,
            overlap=request.overlap,
            paused=request.paused,
        )
        try:
            self._schedules.add(checked(schedule))
        except ScheduleError as error:
            raise OperationFailed(str(error)) from None
        return shown.Done(note="" if self._state.store.is_durable else "until the broker ends")

    def remove(self, request: requests.OneSchedule) -> shown.Done:
        """Remove a schedule that was added."""
        if self._entry(request).source != SOURCE_OF_COMMAND:
            raise OperationFailed("this schedule is in the settings file: it can be paused", errors.RESOURCE_LOCKED)
        self._schedules.remove(request.name)
        return shown.Done()

    def run(self, request: requests.RunSchedule, now: float) -> shown.Done:
        """Make a request of a schedule now."""
        entry = self._entry(request)
        if entry.schedule.overlap == "skip" and not request.force and self._schedules.is_running(entry):
            raise OperationFailed(
                "the last request of this schedule has not ended; with force, another one is made",
                errors.RESOURCE_LOCKED,
            )
        if self._state.queues.is_draining:
            raise OperationFailed("the broker is drained and takes no new requests", errors.TOO_LARGE)
        if not self._schedules.run(entry, now):
            raise OperationFailed(
                "there is no room for the request, or one was made at this moment; try again", errors.TOO_LARGE
            )
        return shown.Done(count=1)

    def pause(self, request: requests.OneSchedule) -> shown.Done:
        """Make no requests of a schedule."""
        if not self._schedules.pause(self._entry(request)):
            raise OperationFailed("this schedule is paused already", errors.RESOURCE_LOCKED)
        return shown.Done(note="until resumed" if self._state.store.is_durable else "until the broker ends")

    def resume(self, request: requests.OneSchedule) -> shown.Done:
        """Make the requests of a schedule again."""
        if not self._schedules.resume(self._entry(request)):
            raise OperationFailed("this schedule is not paused", errors.NOT_FOUND)
        return shown.Done()

    def _entry(self, request: requests.OneSchedule) -> Scheduled:
        entry = self._schedules.get(request.name)
        if entry is None:
            raise OperationFailed("there is no such schedule", errors.NOT_FOUND)
        return entry
