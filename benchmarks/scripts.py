"""Our worker compared with the C worker, for different scripts; and the brokers alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import mlm
from benchmarks.contender import load
from benchmarks.measure import ask, run_once, run_pair
from benchmarks.statistics import Spread
from benchmarks.work import FIRST
from benchmarks.workspace import Unavailable, Workspace

PAIRS = ("c_pair", "alaska_on_c", "alaska_memory", "alaska_durable")


@dataclass(frozen=True, slots=True)
class Rate:
    """The requests a second of a system for one kind of work."""

    work: str
    system: str
    rates: Spread


def rates(runs: int, count: int, note: Callable[[str], None]) -> list[Rate]:
    """Measure all available systems with all scripts, then the brokers alone."""
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
    with Workspace() as workspace:
        contender.start(workspace)
        numbers = iter(range(FIRST, FIRST + 10 * (runs + 1) * count, count))
        for work, measure, share in (("no-op", _noop, 1), ("append to a file", _append, 1), ("pi.lua", _pi, 20)):
            few = max(200, count // share)
            try:
                # The warm-up run shows how many requests last half a second, which is the shortest useful run.
                few = max(few, min(count, int(few / measure(contender, workspace, next(numbers), few) / 2)))
                figures = [few / measure(contender, workspace, next(numbers), few) for _ in range(runs)]
            except Unavailable as reason:
                note(f"{contender.name}, {work}: skipped, {reason}")
                continue
            found.append(Rate(work, contender.name, Spread.of(figures)))
    return found


def _append(contender: mlm.Mlm, workspace: Workspace, first: int, count: int) -> float:
    return run_once(contender, workspace, first, count).seconds


def _noop(contender: mlm.Mlm, workspace: Workspace, first: int, count: int) -> float:
    command = contender.sender("noop", first, count)
    if not contender.window:
        command[1] = "mark"
    report = ask(command, workspace, contender.name)
    return (report.stop - report.start) / 1e9


def _pi(contender: mlm.Mlm, workspace: Workspace, first: int, count: int) -> float:
    counter = [mlm.peer(), "count", contender.endpoint, "aw.res.pi", "numbers", str(count)]
    return run_pair(counter, contender.sender("pi", first, count), workspace)


def _broker_alone(system: str, start: Callable[[Workspace, str], object], runs: int, count: int) -> list[Rate]:
    """Measure a broker between two peers in C, without and (our broker only) with confirmations."""
    found = []
    for what, credit in (("plain", 0), ("credit and confirmation", 4000)):
        if credit and system == "C broker":
            continue
        endpoint = mlm.new_endpoint()
        with Workspace() as workspace:
            start(workspace, endpoint)
            figures = []
            for run in range(runs):
                sender = [mlm.peer(), "send", endpoint, mlm.SERVICE, "x", str(FIRST + run * count), str(count)]
                taker = [mlm.peer(), "take", endpoint, mlm.SERVICE, str(count), str(credit)]
                figures.append(count / run_pair(taker, [*sender, str(credit)], workspace))
        found.append(Rate(f"broker alone, {what}", system, Spread.of(figures)))
    return found
