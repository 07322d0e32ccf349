"""Schedules through any steps: time that passes, a clock that is set, and crashes between any two writes."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker import schedules
from alaska.broker.counters import Counters
from alaska.broker.queues import Queues
from alaska.broker.schedules import Schedules
from alaska.interfaces import IStore
from alaska.schedules.schedule import Plan, parse
from alaska.schedules.times import Times
from alaska.schedules.zones import zone

BERLIN = zone("Europe/Berlin")
BEGIN = datetime.fromisoformat("2026-10-25T00:30+02:00").timestamp()
"""Before the hour that comes twice in Berlin."""
CRONS = ("* * * * *", "*/7 * * * *", "30 2 * * *", "*/20 2 * * *", "*/15 * * * * *")
DURATIONS = st.sampled_from([0.05, 1.0, 14.0, 59.0, 61.0, 150.0, 3600.0]) | st.floats(0.01, 4000.0)
ADVANCES = st.tuples(st.just("pass"), DURATIONS)
STEPS = st.one_of(
    ADVANCES,
    st.tuples(st.just("set"), DURATIONS | DURATIONS.map(lambda seconds: -seconds)),
    st.tuples(st.sampled_from(["write", "crash", "pause", "resume", "end"]), st.just(0.0)),
)
OPTIONS = st.sampled_from(["", "missed=once", "overlap=skip", "missed=once overlap=skip"])


class Disk:
    """What a store and its queues have: entries, and the requests that were made."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, bytes], bytes] = {}
        self.made: list[bytes] = []


class World:
    """A broker's schedules with a store, of which a crash loses what was not written."""

    def __init__(self, line: str) -> None:
        self.plan = Plan((parse(line),), BERLIN)
        self.wall = BEGIN
        self.now = 0.0
        self.early: list[bytes] = []
        self.written = Disk()
        self.start()

    def start(self) -> None:
        """Start a broker with what is written."""
        self.disk = deepcopy(self.written)
        self.counters = Counters()
        self.running: dict[int, bytes] = {}
        self.confirmations = SimpleNamespace()
        queues: Any = SimpleNamespace(
            is_draining=False, confirmations=self.confirmations, send_request=self.send,
            table=SimpleNamespace(get=lambda _name: SimpleNamespace(has_any=bool(self.running))),
        )  # fmt: skip
        store: Any = SimpleNamespace(has_ids=True, entries=self.entries, set_entry=self.set_entry)
        self.schedules = Schedules(cast("IStore", store), cast("Queues", queues), self.counters)
        self.schedules.configure(self.plan)
        self.tick()

    def entries(self, kind: str) -> dict[bytes, bytes]:
        """See :class:`IStore`."""
        return {name: value for (each, name), value in self.disk.entries.items() if each == kind}

    def set_entry(self, kind: str, name: bytes, value: bytes | None) -> None:
        """See :class:`IStore`."""
        self.disk.entries.pop((kind, name), None)
        if value is not None:
            self.disk.entries[kind, name] = value

    def send(self, _service: bytes, _subject: bytes, _content: object, _sender: bytes, properties: Any, *_: Any) -> int:
        """Take a request."""
        name = properties["id"]
        self.disk.made.append(name)
        if time_of(name) > self.wall:
            self.early.append(name)
        self.running[len(self.disk.made)] = name
        return len(self.disk.made)

    def tick(self) -> None:
        """Do all that is due."""
        for _ in range(300):
            self.now += 0.05
            self.schedules.tick(self.now, self.wall)
            (entry,) = self.schedules
            if entry.is_paused or (entry.due is not None and entry.due > self.wall):
                break

    def step(self, what: str, seconds: float) -> None:
        """Do one step."""
        (entry,) = self.schedules
        if what in ("pass", "set"):
            self.wall += seconds
            self.now += max(seconds, 0.0) if what == "pass" else 0.05
            self.tick()
        elif what == "write":
            self.written = deepcopy(self.disk)
        elif what == "crash":
            self.start()
        elif what == "end":
            for position in list(self.running):
                del self.running[position]
                self.confirmations.untold(position, 200)
        else:
            (self.schedules.pause if what == "pause" else self.schedules.resume)(entry)


def time_of(name: bytes) -> float:
    """Return the time in the id of a request."""
    return datetime.fromisoformat(name.decode().partition("@")[2].replace("Z", "+00:00")).timestamp()


class StepTests(SynchronousTestCase):
    """What holds after any steps."""

    @given(st.sampled_from(CRONS), OPTIONS, st.lists(STEPS, max_size=12))
    def test_any_steps(self, cron: str, options: str, steps: list[tuple[str, float]]) -> None:
        """No request is made twice, none early, and each at a time of its expression."""
        world = World(f"n '{cron}' {options} s t")
        for step in steps:
            world.step(*step)
            made = world.disk.made
            self.assertEqual(len(made), len(set(made)), made)
        self.assertEqual(world.early, [])
        times = Times(cron, BERLIN.info)
        for name in world.disk.made:
            self.assertEqual(times.after(time_of(name) - 0.5), time_of(name))

    @given(st.sampled_from(CRONS), OPTIONS, st.lists(ADVANCES, max_size=12))
    def test_none_is_lost(self, cron: str, options: str, steps: list[tuple[str, float]]) -> None:
        """As long as the clock is not set, each time has come to a request, or was counted as skipped or missed."""
        self.patch(schedules, "MOST_PASSED", 10**6)
        world = World(f"n '{cron}' {options} s t")
        for step in steps:
            world.step(*step)
        due = [each for each in Times(cron, BERLIN.info).upcoming(BEGIN, 5000) if each <= world.wall]
        counts = world.counters.schedules
        extra = counts["fired"] + counts["skipped"] + counts["missed"] - len(due)
        made_up = {time_of(name) for name in world.disk.made}
        self.assertLessEqual(made_up, set(due))
        self.assertTrue(0 <= extra <= (len(steps) if "once" in options else 0), (counts, len(due)))

    @given(st.sampled_from(CRONS), st.lists(st.tuples(st.just("pass"), st.floats(0.05, 59.0)), max_size=40))
    def test_in_time(self, cron: str, steps: list[tuple[str, float]]) -> None:
        """If no more than a minute passes between two looks, each time comes to a request."""
        world = World(f"n '{cron}' s t")
        for step in steps:
            world.step(*step)
        due = [each for each in Times(cron, BERLIN.info).upcoming(BEGIN, 5000) if each <= world.wall]
        self.assertEqual([time_of(name) for name in world.disk.made], due)
