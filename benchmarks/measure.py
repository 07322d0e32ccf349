"""Measures one contender: checked runs for throughput, then latency, then the cost of its processes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.statistics import Spread, quantile
from benchmarks.work import FIRST, Check, check
from benchmarks.workspace import PACKAGE, Unavailable, Workspace, last_line

WARM_UP = 500
RUN_SECONDS = 1.5
"""A slow contender gets a number of requests that lasts about this long."""
STUCK_SECONDS = 5.0
MAX_SECONDS = 120.0
CONCURRENCIES = (1, 32)
LATENCY_REQUESTS = 3000
LATENCY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """A producer's report: start and stop in monotonic nanoseconds, processor time, latencies in microseconds."""

    start: int
    stop: int
    cpu_seconds: float
    latencies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its duration, the processor time of each process, and whether each request was executed once."""

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
        """The busiest process, and the share of a core that it used."""
        name = max(self.cpu_seconds, key=lambda name: self.cpu_seconds[name])
        return f"{name} ({self.cpu_seconds[name] / self.seconds:.0%} of a core)"


@dataclass(frozen=True, slots=True)
class Result:
    """All measurements of a contender."""

    name: str
    promise: str
    versions: str
    runs: tuple[Run, ...]
    latencies: dict[int, tuple[float, ...]] = field(default_factory=dict)
    peak_octets: dict[str, int] = field(default_factory=dict)

    @property
    def rates(self) -> Spread:
        """The spread of requests a second over the runs."""
        return Spread.of([run.rate for run in self.runs])

    @property
    def middle(self) -> Run:
        """The run whose rate is the median."""
        return sorted(self.runs, key=lambda run: run.rate)[len(self.runs) // 2]

    @property
    def verdict(self) -> str:
        """Whether all requests of all runs were executed once, as a text."""
        return str(Check(sum(run.check.lost for run in self.runs), sum(run.check.repeated for run in self.runs)))


def measure(contender: Contender, runs: int, count: int) -> Result:
    """Measure a contender in a new workspace.

    :raises Unavailable: it cannot take part.
    """
    with Workspace() as workspace:
        contender.start(workspace)
        numbers = _Numbers()
        rate = run_once(contender, workspace, numbers.take(WARM_UP), WARM_UP).rate
        # The first run starts with cold caches, so its rate is too low: hence the factor 2.
        count = max(WARM_UP, min(count, int(2 * rate * RUN_SECONDS)))
        done = [run_once(contender, workspace, numbers.take(count), count) for _ in range(runs)]
        latencies = {}
        for concurrency in CONCURRENCIES if contender.is_asked else ():
            latencies[concurrency] = _ask(contender, workspace, numbers, concurrency)
        peaks = {program.name: program.usage.peak_octets for program in workspace.programs}
        return Result(contender.name, contender.promise, contender.versions, tuple(done), latencies, peaks)


class _Numbers:
    """Allocates request numbers, none of them twice."""

    def __init__(self) -> None:
        self._next = FIRST

    def take(self, count: int) -> int:
        first = self._next
        self._next += count
        return first


def run_once(contender: Contender, workspace: Workspace, first: int, count: int) -> Run:
    """Run ``count`` requests, and check that each was executed once.

    :raises Unavailable: the producer fails.
    """
    before = {program.name: program.usage.cpu_seconds for program in workspace.programs}
    report, executed_at = _produce(contender, workspace, contender.producer(workspace, first, count), count)
    used = {program.name: program.usage.cpu_seconds - before[program.name] for program in workspace.programs}
    result = check(contender.executed(workspace), first, count)
    used["producer"] = report.cpu_seconds
    return Run((max(report.stop, executed_at) - report.start) / 1e9, count, used, result)


def _produce(contender: Contender, workspace: Workspace, command: Sequence[str], count: int) -> tuple[RunReport, int]:
    """Run a producer until it has ended and everything is executed; return its report and the time of execution."""
    output = workspace.folder / "producer"
    with output.open("wb") as file:
        producer = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment(workspace))
    executed_at = progress_at = time.monotonic_ns()
    started = progress_at
    executed = 0
    while producer.poll() is None or executed < count:
        time.sleep(0.001)
        now = time.monotonic_ns()
        done = contender.count_executed(workspace)
        if done is None:
            executed = count if producer.poll() is not None else executed
        elif done > executed:
            executed = done
            executed_at = progress_at = now
        is_stuck = producer.poll() is not None and now - progress_at > STUCK_SECONDS * 1e9
        if is_stuck or now - started > MAX_SECONDS * 1e9 or producer.poll():
            break
    if producer.poll() is None:
        producer.kill()
    if producer.wait():
        raise Unavailable(f"the producer of {contender.name} fails: {last_line(output)}")
    return _parse_report(output, contender.name), executed_at


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the environment variables of producers."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "WORKSPACE": str(workspace.folder)}


def ask(command: Sequence[str], workspace: Workspace, name: str) -> RunReport:
    """Run a producer that waits for answers, and return its report.

    :raises Unavailable: the producer fails.
    """
    output = workspace.folder / "producer"
    with output.open("wb") as file:
        asked = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment(workspace), check=False)
    if asked.returncode:
        raise Unavailable(f"the producer of {name} fails: {last_line(output)}")
    return _parse_report(output, name)


def _ask(contender: Contender, workspace: Workspace, numbers: _Numbers, concurrency: int) -> tuple[float, ...]:
    """Return the latencies of requests in microseconds, with ``concurrency`` of them in flight."""
    few = ask(contender.asker(workspace, numbers.take(200), 200, concurrency), workspace, contender.name)
    seconds = max((few.stop - few.start) / 1e9, 1e-3)
    count = max(200, min(LATENCY_REQUESTS, int(200 / seconds * LATENCY_SECONDS)))
    report = ask(contender.asker(workspace, numbers.take(count), count, concurrency), workspace, contender.name)
    contender.executed(workspace)
    return report.latencies


def run_pair(receiver: Sequence[str], sender: Sequence[str], workspace: Workspace) -> float:
    """Run a sender and a receiver that counts its messages; return the seconds from the first to the last message.

    :raises Unavailable: one of them fails.
    """
    output = workspace.folder / "receiver"
    with output.open("wb") as file:
        receiving = subprocess.Popen(receiver, stdout=file, stderr=subprocess.STDOUT, env=environment(workspace))
    try:
        while not output.read_bytes():
            time.sleep(0.005)
        start = ask(sender, workspace, "a series").start
        if receiving.wait(MAX_SECONDS):
            raise Unavailable(f"a series fails: {last_line(output)}")
    finally:
        receiving.kill()
        receiving.wait()
    return (_parse_report(output, "a series").stop - start) / 1e9


def _parse_report(output: Path, name: str) -> RunReport:
    lines = output.read_text(errors="replace").splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith("start ")), None)
    if at is None:
        raise Unavailable(f"the producer of {name} printed no report: {last_line(output)}")
    words = lines[at].split()
    latencies = lines[at + 1].split() if at + 1 < len(lines) else []
    return RunReport(int(words[1]), int(words[3]), int(words[5]) / 1e9, tuple(map(float, latencies)))


def percentiles(latencies: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p99 and p99.9 of latencies."""
    return quantile(latencies, 0.5), quantile(latencies, 0.99), quantile(latencies, 0.999)
