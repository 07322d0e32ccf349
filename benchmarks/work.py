"""The work of every contender: a request is a number, 8 octets of JSON, and is recorded exactly once."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

FIRST = 10_000_000
"""The first request number; its eight digits are eight octets of JSON."""
LINE_OCTETS = 9


def requests(first: int, count: int) -> list[bytes]:
    """Return the contents of requests."""
    return [b"%d" % number for number in range(first, first + count)]


def recorder(path: Path) -> Callable[[bytes], None]:
    """Return the function that does the work: like the Lua script, it appends the content to a file."""

    def record(content: bytes) -> None:
        with path.open("ab", buffering=0) as file:
            file.write(content + b"\n")

    return record


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a run: the number of lost requests, and of repeated executions."""

    lost: int
    repeated: int

    def __str__(self) -> str:
        if not self.lost and not self.repeated:
            return "each once"
        return f"{self.lost} lost, {self.repeated} repeated"


def check(executed: Iterable[bytes], first: int, count: int) -> Check:
    """Compare executed with sent requests; an execution of an unknown request counts as repeated."""
    times = Counter(executed)
    done = sum(1 for content in requests(first, count) if content in times)
    return Check(count - done, times.total() - done)


def print_ready() -> None:
    """Print that this producer or worker is set up."""
    print("ready", flush=True)


class Stopwatch:
    """Measures a producer's run from its creation on, and reports it in the format of ``peer.c``."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()
        self._cpu = time.process_time_ns()

    def report(self, microseconds: Iterable[float] = ()) -> None:
        """End the run, and print its figures and latencies."""
        stop, cpu = time.monotonic_ns(), time.process_time_ns() - self._cpu
        print(f"start {self._start} stop {stop} cpu {cpu}")
        print(*(f"{each:.1f}" for each in microseconds), flush=True)


class Latencies:
    """Keeps ``concurrency`` requests in flight, and measures the latency of each."""

    def __init__(self, first: int, count: int, concurrency: int) -> None:
        self.left = count
        self.concurrency = concurrency
        self._contents = iter(requests(first, count))
        self._began: dict[bytes, float] = {}
        self.took: list[float] = []
        self.watch = Stopwatch()

    def next(self) -> bytes | None:
        """Return the content of the next request, or None if no request may be sent now."""
        if len(self._began) >= self.concurrency:
            return None
        content = next(self._contents, None)
        if content is not None:
            self._began[content] = time.perf_counter()
        return content

    def answered(self, content: bytes) -> bool:
        """Record the answer to a request; return whether all are answered."""
        self.took.append((time.perf_counter() - self._began.pop(content)) * 1e6)
        self.left -= 1
        return not self.left

    def report(self) -> None:
        """End the run, and print its figures and latencies."""
        self.watch.report(self.took)


def arguments() -> tuple[str, list[str]]:
    """Return the role in which a contender's file is run as a program, and the other arguments."""
    return sys.argv[1], sys.argv[2:]
