"""Our worker beside the one in C, by what their scripts do; and the brokers alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import mlm
from benchmarks.contender import load
from benchmarks.measure import ask, run_once, together
from benchmarks.room import Room, Unavailable
from benchmarks.statistics import Spread
from benchmarks.work import FIRST

PAIRS = ("c_pair", "alaska_on_c", "alaska_memory", "alaska_durable")


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests a second a system does of some work."""

    work: str
    system: str
    rates: Spread


def rates(runs: int, count: int, note: Callable[[str], None]) -> list[Rate]:
    """Measure all systems that are there with all scripts, then the brokers."""
    found: list[Rate] = []
    for name in PAIRS:
        try:
            found += _rates_of(name, runs, count, note)
        except Unavailable as reason:
            note(f"{name}, scripts: skipped, {reason}")
    for system, start in (("C broker", mlm.c_broker), ("our broker", mlm.our_broker)):
        try:
            found += _broker_alone(system, start, runs, count)
        except Unavailable as reason:
            note(f"{system} alone: skipped, {reason}")
    return found


def _rates_of(name: str, runs: int, count: int, note: Callable[[str], None]) -> list[Rate]:
    contender = load(name)
    assert isinstance(contender, mlm.Mlm)
    found = []
    with Room() as room:
        contender.start(room)
        numbers = iter(range(FIRST, FIRST + 10 * (runs + 1) * count, count))
        for work, measure, share in (("no-op", _noop, 1), ("append to a file", _append, 1), ("pi.lua", _pi, 20)):
            few = max(200, count // share)
            try:
                # The first run is for warming up, and tells how many last half a second: less says too little.
                few = max(few, min(count, int(few / measure(contender, room, next(numbers), few) / 2)))
                figures = [few / measure(contender, room, next(numbers), few) for _ in range(runs)]
            except Unavailable as reason:
                note(f"{contender.name}, {work}: skipped, {reason}")
                continue
            found.append(Rate(work, contender.name, Spread.of(figures)))
    return found


def _append(contender: mlm.Mlm, room: Room, first: int, count: int) -> float:
    return run_once(contender, room, first, count).seconds


def _noop(contender: mlm.Mlm, room: Room, first: int, count: int) -> float:
    command = contender.sender("noop", first, count)
    if not contender.window:
        command[1] = "mark"
    told = ask(command, room, contender.name)
    return (told.stop - told.start) / 1e9


def _pi(contender: mlm.Mlm, room: Room, first: int, count: int) -> float:
    counter = [mlm.peer(), "count", contender.endpoint, "aw.res.pi", "numbers", str(count)]
    return together(counter, contender.sender("pi", first, count), room)


def _broker_alone(system: str, start: Callable[[Room, str], object], runs: int, count: int) -> list[Rate]:
    """Measure a broker between two peers in C, of which the receiver confirms nothing, and where it can, confirms."""
    found = []
    for what, credit in (("plain", 0), ("credit and confirmation", 4000)):
        if credit and system == "C broker":
            continue
        endpoint = mlm.new_endpoint()
        with Room() as room:
            start(room, endpoint)
            figures = []
            for run in range(runs):
                sender = [mlm.peer(), "send", endpoint, mlm.SERVICE, "x", str(FIRST + run * count), str(count)]
                taker = [mlm.peer(), "take", endpoint, mlm.SERVICE, str(count), str(credit)]
                figures.append(count / together(taker, [*sender, str(credit)], room))
        found.append(Rate(f"broker alone, {what}", system, Spread.of(figures)))
    return found
