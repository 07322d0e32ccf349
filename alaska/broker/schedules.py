"""The broker's schedules: requests that it makes itself, at their times (docs/schedules.md).

A request and the state of its schedule are given to the store together, so that after the end of the process, however
it ended, neither is there without the other. The id of a request is the name of its schedule and its time.

The work of each tick is bounded: finding the next time of a schedule is one step, with the request that is made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush

import msgspec
from twisted.logger import Logger

from alaska import errors
from alaska.broker.confirmations import NOT_FINAL
from alaska.broker.counters import Counters
from alaska.broker.queues import Queues
from alaska.broker.scheduled import SOURCE_OF_COMMAND, SOURCE_OF_FILE, Scheduled, State
from alaska.errors import ScheduleError
from alaska.interfaces import IStore
from alaska.message import QueueKind
from alaska.mlm.commands import Properties
from alaska.mlm.terms import ID
from alaska.schedules.schedule import MOST_SCHEDULES, Plan, Schedule, checked
from alaska.schedules.times import NEVER

ADDED = "schedule"
"""The kind of the entries in the store for schedules that were added by command."""
STATE = "schedule-state"
"""The kind of those for the states of all schedules."""
STEPS_PER_TICK = 20
"""Each step takes up to 0.2 ms, and 2 ms for an expression that has a time in decades only."""
LATE_SECONDS = 60.0
"""A time that is so long ago was missed, although the broker ran: the clock was set forward, or the process slept."""
BACK_SECONDS = 1.0
"""If the clock was set back by more than this, all schedules go on from there."""
MOST_PASSED = 100
"""The maximum number of missed times of a schedule that are counted one by one."""
RETRY_SECONDS = 10.0
"""The time after which a request is made again for which there was no room."""
UNKNOWN_TIME = float("-inf")
_MOMENT = 0.001
_NOT_FINAL = NOT_FINAL | {errors.PROGRESS}
"""The statuses with which a message has not ended."""


class Schedules:
    """The schedules of the settings, and those that were added by command.

    Nothing is done while the broker drains: a time that passes meanwhile was missed.
    """

    _log = Logger()

    def __init__(self, store: IStore, queues: Queues, counters: Counters) -> None:
        self._store = store
        self._queues = queues
        self._counts = counters.schedules
        self._plan = Plan()
        self._table: dict[str, Scheduled] = {}
        self._added: dict[str, Schedule] = {}
        self._states: dict[str, State] = {}
        self._wall = self._began = UNKNOWN_TIME
        self._earliest = NEVER
        self._undetermined: deque[Scheduled] = deque()
        self._running: dict[int, Scheduled] = {}
        self._ended_at_once: set[int] | None = None
        self._is_known = False
        queues.confirmations.untold = self._ended
        self._restore()

    def _restore(self) -> None:
        for name, octets in self._store.entries(ADDED).items():
            try:
                schedule = checked(msgspec.msgpack.decode(octets, type=Schedule))
            except (msgspec.MsgspecError, RecursionError, ScheduleError) as error:
                self._log.error("the schedule {name} in the store is not used: {error}", name=name, error=error)
            else:
                self._added[schedule.name] = schedule
        for name, octets in self._store.entries(STATE).items():
            try:
                self._states[name.decode()] = msgspec.msgpack.decode(octets, type=State)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                self._log.error("the state of the schedule {name} is not used: {error}", name=name, error=error)
        for schedule in self._added.values():
            self._enter(schedule, SOURCE_OF_COMMAND)

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Scheduled]:
        return iter(list(self._table.values()))

    def get(self, name: str) -> Scheduled | None:
        """Return the schedule with a name, or None."""
        return self._table.get(name)

    @property
    def wall(self) -> float:
        """The time of the wall clock at the last tick."""
        return self._wall

    # What is scheduled

    def configure(self, plan: Plan) -> None:
        """Replace the schedules of the settings. One that keeps its name keeps its state, as far as it still applies.

        Where there is one with the name of one that was added, it has precedence.
        """
        self._plan = plan
        wanted = {name: (each, SOURCE_OF_COMMAND) for name, each in self._added.items()}
        for each in plan.schedules[:MOST_SCHEDULES]:
            if each.name in self._added:
                self._log.warn("the schedule {name} of the file replaces the one that was added", name=each.name)
            wanted[each.name] = each, SOURCE_OF_FILE
        for name in self._table.keys() - wanted.keys():
            self._leave(name)
        for schedule, source in wanted.values():
            before = self._table.get(schedule.name)
            zone = plan.zone if before is None or schedule.zone is None else before.zone
            if before is None or (before.schedule, before.source, before.zone) != (schedule, source, zone):
                self._enter(schedule, source)
        for name in self._states.keys() - wanted.keys():
            del self._states[name]
            self._store.set_entry(STATE, name.encode(), None)

    def add(self, schedule: Schedule) -> None:
        """Add a schedule, which has a new name; it is kept over restarts if the store is durable."""
        self._added[schedule.name] = schedule
        self._store.set_entry(ADDED, schedule.name.encode(), msgspec.msgpack.encode(schedule))
        self._enter(schedule, SOURCE_OF_COMMAND)

    def remove(self, name: str) -> None:
        """Remove a schedule that was added. What it has requested before goes on."""
        del self._added[name]
        self._store.set_entry(ADDED, name.encode(), None)
        self._leave(name)

    def _enter(self, schedule: Schedule, source: str) -> None:
        before = self._table.pop(schedule.name, None)
        state = self._states.pop(schedule.name, None) if before is None else before.state
        entry = self._table[schedule.name] = Scheduled(schedule, source, self._plan.zone, state)
        if before is not None:
            entry.fired, entry.missed, entry.skipped = before.fired, before.missed, before.skipped
        if entry.fault:
            self._log.error("the schedule {name} has no times: {fault}", name=entry.name, fault=entry.fault)
        if entry.state.running:
            self._running[entry.state.running] = entry
        if self._wall != UNKNOWN_TIME:
            self._begin(entry)

    def _leave(self, name: str) -> None:
        entry = self._table.pop(name)
        self._running.pop(entry.state.running, None)
        self._store.set_entry(STATE, name.encode(), None)

    def _begin(self, entry: Scheduled) -> None:
        if entry.begin(self._wall):
            self._save(entry)
        self._undetermined.append(entry)

    def pause(self, entry: Scheduled) -> bool:
        """Make no requests for a schedule until it is resumed; return False if it is paused."""
        if entry.is_paused:
            return False
        entry.state.paused = True
        self._save(entry)
        return True

    def resume(self, entry: Scheduled) -> bool:
        """Make requests again, at its times from now on; return False if it is not paused."""
        if not entry.is_paused:
            return False
        entry.state.paused = False
        if self._wall != UNKNOWN_TIME:
            entry.state.upto = self._wall
            self._begin(entry)
        self._save(entry)
        return True

    def _save(self, entry: Scheduled) -> None:
        self._store.set_entry(STATE, entry.name.encode(), msgspec.msgpack.encode(entry.state))

    # Time

    def tick(self, now: float, wall: float) -> None:
        """Make the requests that are due by the wall clock; to be called several times a second."""
        if self._queues.is_draining:
            return
        before, self._wall = self._wall, wall
        if before == UNKNOWN_TIME:
            self._began = wall
            for entry in self._table.values():
                self._begin(entry)
        elif wall < before - BACK_SECONDS:
            self._set_back(before - wall)
        steps = STEPS_PER_TICK
        while self._undetermined and steps:
            entry = self._undetermined.popleft()
            if self._table.get(entry.name) is entry and entry.due is None and not entry.is_paused:
                self._earliest = min(self._earliest, entry.determine())
                steps -= 1
        if wall >= self._earliest:
            self._work(now, steps)

    def _set_back(self, seconds: float) -> None:
        if self._table:
            self._log.warn("the clock was set back by {seconds:.0f} s: schedules go on from there", seconds=seconds)
        self._began = min(self._began, self._wall)
        self._undetermined.clear()
        for entry in self._table.values():
            if entry.set_back(self._wall):
                self._save(entry)
            self._undetermined.append(entry)

    def _work(self, now: float, steps: int) -> None:
        """Do what is due. What is not late comes first: it must not become late because much was missed."""
        due = [item for each in self._table.values() if (item := self._item(each, now)) is not None]
        heapify(due)
        while due and steps:
            steps -= 1
            entry = heappop(due)[-1]
            self._step(entry, now)
            if (item := self._item(entry, now)) is not None:
                heappush(due, item)
        times = [each.due for each in self._table.values() if each.due is not None and not each.is_paused]
        self._earliest = min(times, default=NEVER)

    def _item(self, entry: Scheduled, now: float) -> tuple[bool, float, str, Scheduled] | None:
        """Return a schedule that is due with what it is sorted by; None if it is not due."""
        due = entry.due
        if due is None or due > self._wall or entry.is_paused or entry.not_before > now:
            return None
        return self._is_late(due), due, entry.name, entry

    def _is_late(self, due: float) -> bool:
        return due < self._began or self._wall - due > LATE_SECONDS

    def _step(self, entry: Scheduled, now: float) -> None:
        """Deal with the time that is due."""
        due, wall = entry.due, self._wall
        assert due is not None
        is_late = self._is_late(due)
        following = entry.after(due)
        if is_late and following <= wall and entry.passed < MOST_PASSED:
            entry.pass_over(following)
            return
        upto = due
        if following <= wall and is_late:
            # The others that were missed are not counted.
            upto = max(self._began, wall - LATE_SECONDS) - _MOMENT
            due = entry.due = entry.before(upto)
            following = entry.after(upto)
        is_fired = not is_late or entry.schedule.missed == "once"
        if is_fired and not self._request_in_time(entry, due, now):
            entry.not_before = now + RETRY_SECONDS
            return
        missed = entry.passed + is_late
        if missed:
            self._note_missed(entry, missed, due, is_fired)
        entry.dealt_with(following, upto, is_fired)
        self._save(entry)

    def _note_missed(self, entry: Scheduled, missed: int, last: float, is_fired: bool) -> None:
        entry.missed += missed
        entry.last_missed = last
        self._counts["missed"] += missed
        more = " or more" if entry.passed >= MOST_PASSED else ""
        what = "one request is made for them" if is_fired else "none is made for them"
        self._log.warn(
            "the schedule {name} has missed {missed}{more} requests, the last one {id}: {what}",
            name=entry.name, missed=missed, more=more, id=entry.id_of(last).decode(), what=what,
        )  # fmt: skip

    # Requests

    def _request_in_time(self, entry: Scheduled, due: float, now: float) -> bool:
        """Make the request for a time, or skip it; return False if there is no room for it.

        If the queue knows its id, it was made before, whatever the state says.
        """
        if entry.schedule.overlap == "skip" and self.is_running(entry):
            entry.skipped += 1
            self._counts["skipped"] += 1
            self._log.info(
                "the schedule {name} skips {id}: its last request has not ended",
                name=entry.name, id=entry.id_of(due).decode(),
            )  # fmt: skip
            return True
        self._is_known = False
        is_made = self._request(entry, entry.id_of(due), now)
        if self._is_known:
            self._log.warn("the request {id} is not made: its queue knows this id", id=entry.id_of(due).decode())
        elif not is_made:
            self._log.warn(
                "the request {id} is not accepted; trying again in {seconds:.0f} s",
                id=entry.id_of(due).decode(), seconds=RETRY_SECONDS,
            )  # fmt: skip
            return False
        entry.state.last = due
        return True

    def run(self, entry: Scheduled, now: float) -> bool:
        """Make a request now, also if the schedule is paused; return False if there is no room for it."""
        is_accepted = self._request(entry, entry.id_of(self._wall, is_exact=True), now)
        self._save(entry)
        return is_accepted

    def _request(self, entry: Scheduled, name: bytes, now: float) -> bool:
        """Make a request with this id; return whether it was accepted."""
        schedule = entry.schedule
        content = (schedule.content,)
        properties: Properties = {ID: name} if self._store.has_ids else {}
        ended: set[int] = set()
        self._ended_at_once = ended
        try:
            position = self._queues.send_request(
                schedule.service, schedule.subject, content, b"", properties, now, name
            )
        finally:
            self._ended_at_once = None
        if position is None:
            return False
        entry.fired += 1
        self._counts["fired"] += 1
        self._running.pop(entry.state.running, None)
        entry.state.running = 0 if position in ended else position
        if entry.state.running:
            self._running[position] = entry
        return True

    def is_running(self, entry: Scheduled) -> bool:
        """Return whether the last request of a schedule has not ended."""
        if not entry.state.running:
            return False
        # What was damaged in the store has not ended in a way that is told.
        queue = self._queues.table.get((QueueKind.SERVICE, entry.schedule.service))
        return queue is not None and queue.has_any

    def _ended(self, position: int, status: int) -> None:
        """Note that a message has ended whose sender cannot be told: that has no address, or is not connected."""
        if status in _NOT_FINAL:
            self._is_known = self._is_known or status == errors.KNOWN_ID
            return
        entry = self._running.pop(position, None)
        if entry is not None:
            entry.state.running = 0
            self._save(entry)
        elif self._ended_at_once is not None:
            self._ended_at_once.add(position)
