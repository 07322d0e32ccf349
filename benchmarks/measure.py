"""One contender's figures: runs of throughput, each checked, then latency, then what its processes have cost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.room import PACKAGE, Room, Unavailable
from benchmarks.statistics import Spread, quantile
from benchmarks.work import FIRST, Check, check

WARM_UP = 500
RUN_SECONDS = 1.5
"""A contender that is slow is given so many requests as last about so long."""
STUCK_SECONDS = 5.0
MOST_SECONDS = 120.0
CONCURRENCIES = (1, 32)
ASKED = 3000
ASK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a producer said of its run: monotonic nanoseconds, its processor time, latencies in microseconds."""

    start: int
    stop: int
    cpu_seconds: float
    latencies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: how long it took, what each process used of the processor meanwhile, and whether all was done."""

    seconds: float
    count: int
    cpu_seconds: dict[str, float]
    check: Check

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.count / self.seconds

    @property
    def limit(self) -> str:
        """The process that was busiest, and how much of a core it had."""
        name = max(self.cpu_seconds, key=lambda name: self.cpu_seconds[name])
        return f"{name} ({self.cpu_seconds[name] / self.seconds:.0%} of a core)"


@dataclass(frozen=True, slots=True)
class Result:
    """All that is known of a contender."""

    name: str
    promise: str
    versions: str
    runs: tuple[Run, ...]
    latencies: dict[int, tuple[float, ...]] = field(default_factory=dict)
    peak_octets: dict[str, int] = field(default_factory=dict)

    @property
    def rates(self) -> Spread:
        """Requests a second over the runs."""
        return Spread.of([run.rate for run in self.runs])

    @property
    def middle(self) -> Run:
        """The run whose rate is the median."""
        return sorted(self.runs, key=lambda run: run.rate)[len(self.runs) // 2]

    @property
    def verdict(self) -> str:
        """Whether all requests of all runs were executed once."""
        return str(Check(sum(run.check.lost for run in self.runs), sum(run.check.repeated for run in self.runs)))


def measure(contender: Contender, runs: int, count: int) -> Result:
    """Measure a contender in a room of its own.

    :raises Unavailable: it cannot take part.
    """
    with Room() as room:
        contender.start(room)
        numbers = _Numbers()
        rate = run_once(contender, room, numbers.take(WARM_UP), WARM_UP).rate
        # The first run finds caches and just-in-time tables empty, so its rate says too little.
        count = max(WARM_UP, min(count, int(2 * rate * RUN_SECONDS)))
        done = [run_once(contender, room, numbers.take(count), count) for _ in range(runs)]
        latencies = {}
        for at_once in CONCURRENCIES if contender.is_asked else ():
            latencies[at_once] = _ask(contender, room, numbers, at_once)
        peaks = {program.name: program.usage.peak_octets for program in room.programs}
        return Result(contender.name, contender.promise, contender.versions, tuple(done), latencies, peaks)


class _Numbers:
    """Hands out the numbers of requests, none of them twice."""

    def __init__(self) -> None:
        self._next = FIRST

    def take(self, count: int) -> int:
        first = self._next
        self._next += count
        return first


def run_once(contender: Contender, room: Room, first: int, count: int) -> Run:
    """Have so many requests executed, and check that they were.

    :raises Unavailable: its producer fails.
    """
    before = {program.name: program.usage.cpu_seconds for program in room.programs}
    told, executed_at = _produce(contender, room, contender.producer(room, first, count), count)
    used = {program.name: program.usage.cpu_seconds - before[program.name] for program in room.programs}
    result = check(contender.executed(room), first, count)
    used["producer"] = told.cpu_seconds
    return Run((max(told.stop, executed_at) - told.start) / 1e9, count, used, result)


def _produce(contender: Contender, room: Room, command: Sequence[str], count: int) -> tuple[Told, int]:
    """Run a producer, and wait until it has ended and everything is executed; return when the latter was."""
    output = room.folder / "producer"
    with output.open("wb") as file:
        producer = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment(room))
    executed_at = progress_at = time.monotonic_ns()
    started = progress_at
    most = 0
    while producer.poll() is None or most < count:
        time.sleep(0.001)
        now = time.monotonic_ns()
        done = contender.count_executed(room)
        if done is None:
            most = count if producer.poll() is not None else most
        elif done > most:
            most = done
            executed_at = progress_at = now
        is_stuck = producer.poll() is not None and now - progress_at > STUCK_SECONDS * 1e9
        if is_stuck or now - started > MOST_SECONDS * 1e9 or producer.poll():
            break
    if producer.poll() is None:
        producer.kill()
    if producer.wait():
        raise Unavailable(f"the producer of {contender.name} fails: {_said(output)}")
    return _told(output, contender.name), executed_at


def environment(room: Room) -> dict[str, str]:
    """Return the environment in which producers run."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "ROOM": str(room.folder)}


def ask(command: Sequence[str], room: Room, name: str) -> Told:
    """Run a producer that waits for answers.

    :raises Unavailable: it fails.
    """
    output = room.folder / "producer"
    with output.open("wb") as file:
        asked = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment(room), check=False)
    if asked.returncode:
        raise Unavailable(f"the producer of {name} fails: {_said(output)}")
    return _told(output, name)


def _ask(contender: Contender, room: Room, numbers: _Numbers, at_once: int) -> tuple[float, ...]:
    """Return the latencies of requests in microseconds, so many under way at a time."""
    few = ask(contender.asker(room, numbers.take(200), 200, at_once), room, contender.name)
    seconds = max((few.stop - few.start) / 1e9, 1e-3)
    count = max(200, min(ASKED, int(200 / seconds * ASK_SECONDS)))
    told = ask(contender.asker(room, numbers.take(count), count, at_once), room, contender.name)
    contender.executed(room)
    return told.latencies


def together(receiver: Sequence[str], sender: Sequence[str], room: Room) -> float:
    """Run two peers, of which one counts what the other has sent; return the seconds from first to last.

    :raises Unavailable: one of them fails.
    """
    output = room.folder / "receiver"
    with output.open("wb") as file:
        receiving = subprocess.Popen(receiver, stdout=file, stderr=subprocess.STDOUT, env=environment(room))
    try:
        while not output.read_bytes():
            time.sleep(0.005)
        start = ask(sender, room, "a series").start
        if receiving.wait(MOST_SECONDS):
            raise Unavailable(f"a series fails: {_said(output)}")
    finally:
        receiving.kill()
        receiving.wait()
    return (_told(output, "a series").stop - start) / 1e9


def _said(output: Path) -> str:
    return (output.read_text(errors="replace").strip().splitlines() or ["it says nothing"])[-1]


def _told(output: Path, name: str) -> Told:
    lines = output.read_text(errors="replace").splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith("start ")), None)
    if at is None:
        raise Unavailable(f"the producer of {name} says nothing of its run: {_said(output)}")
    words = lines[at].split()
    latencies = lines[at + 1].split() if at + 1 < len(lines) else []
    return Told(int(words[1]), int(words[3]), int(words[5]) / 1e9, tuple(map(float, latencies)))


def percentiles(latencies: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p99 and p99.9 of latencies."""
    return quantile(latencies, 0.5), quantile(latencies, 0.99), quantile(latencies, 0.999)
