"""The work that every contender does: a request of 8 octets of JSON, a number, is recorded exactly once."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

FIRST = 10_000_000
"""The first request; a number of eight digits is eight octets of JSON."""
LINE_OCTETS = 9


def requests(first: int, count: int) -> list[bytes]:
    """Return the contents of requests."""
    return [b"%d" % number for number in range(first, first + count)]


def recorder(path: Path) -> Callable[[bytes], None]:
    """Return the function that does the work, as the Lua script does it: it appends the content to a file."""

    def record(content: bytes) -> None:
        with path.open("ab", buffering=0) as file:
            file.write(content + b"\n")

    return record


@dataclass(frozen=True, slots=True)
class Check:
    """What became of a run's requests: how many were never executed, how often one was once too much."""

    lost: int
    repeated: int

    def __str__(self) -> str:
        if not self.lost and not self.repeated:
            return "each once"
        return f"{self.lost} lost, {self.repeated} repeated"


def check(executed: Iterable[bytes], first: int, count: int) -> Check:
    """Compare what was executed with what was asked for; what is none of the requests counts as repeated."""
    times = Counter(executed)
    done = sum(1 for content in requests(first, count) if content in times)
    return Check(count - done, times.total() - done)


def tell_ready() -> None:
    """Say, as a producer or a worker, that everything is set up."""
    print("ready", flush=True)


class Stopwatch:
    """Says what a producer's run took, in the words of ``peer.c``; made when the run begins."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()
        self._cpu = time.process_time_ns()

    def tell(self, microseconds: Iterable[float] = ()) -> None:
        """Print the figures of the run, which ends now, and the latencies that were measured in it."""
        stop, cpu = time.monotonic_ns(), time.process_time_ns() - self._cpu
        print(f"start {self._start} stop {stop} cpu {cpu}")
        print(*(f"{each:.1f}" for each in microseconds), flush=True)


class Latencies:
    """Keeps so many requests under way, and notes how long each takes."""

    def __init__(self, first: int, count: int, at_once: int) -> None:
        self.left = count
        self.at_once = at_once
        self._contents = iter(requests(first, count))
        self._began: dict[bytes, float] = {}
        self.took: list[float] = []
        self.watch = Stopwatch()

    def next(self) -> bytes | None:
        """Return the content of the request that is to be sent now, if one may be."""
        if len(self._began) >= self.at_once:
            return None
        content = next(self._contents, None)
        if content is not None:
            self._began[content] = time.perf_counter()
        return content

    def answered(self, content: bytes) -> bool:
        """Note that a request was answered; return whether all are."""
        self.took.append((time.perf_counter() - self._began.pop(content)) * 1e6)
        self.left -= 1
        return not self.left

    def tell(self) -> None:
        """Print the figures."""
        self.watch.tell(self.took)


def arguments() -> tuple[str, list[str]]:
    """Return what a contender's file is asked to be when it is run as a program, and with which arguments."""
    return sys.argv[1], sys.argv[2:]
