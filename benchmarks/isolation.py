"""Requests a second through the pool to a script that does nothing: in threads, and in processes.

    python benchmarks/isolation.py [requests] [threads] [5.4 | luajit]

The runs alternate, and the best of three counts, because other load on the machine only makes a run slower. The first
requests, which start threads and processes, are not counted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from alaska.config import WorkerSettings
from alaska.links import default_reactor
from alaska.lua.request import Outcome, Request
from alaska.pool.pool import SPREAD_SECONDS, Pool
from alaska.pool.runners import runner_maker

RUNS = 3
FIRST = 1000
MAX_PENDING = 4096  # the most that a worker requests


def run_until(holds: Callable[[], bool]) -> None:
    """Run the reactor until a condition holds."""
    while not holds():
        default_reactor().iterate(SPREAD_SECONDS)


def no_answer(_request: Request, _octets: bytes) -> bytes:
    """Return no answer: the script calls nothing."""
    return b""


class Run:
    """One pool, and the requests that are submitted to it."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._pool = Pool(
            default_reactor(),
            settings.pool_size,
            lambda: runner_maker(settings)(no_answer),
            self._finished,
            settings.scripts_limit,
        )
        self._left = 0

    def _finished(self, _request: Request, outcome: Outcome | None) -> None:
        if outcome is None or outcome.error is not None:
            raise SystemExit(f"a script that does nothing failed: {outcome}")
        if self._left:
            self._submit()

    def _submit(self) -> None:
        self._left -= 1
        self._pool.submit(Request(b"sender", b"default", b"noop", b"tracker", (b'{"n":1}',)))

    def _serve(self, count: int) -> None:
        self._left = count
        for _ in range(min(count, MAX_PENDING)):
            self._submit()
        run_until(lambda: self._pool.pending == 0)

    def rate(self, count: int) -> float:
        """Return the requests that are served a second, measured over ``count`` requests."""
        self._pool.start()
        self._serve(FIRST)
        started = time.perf_counter()
        self._serve(count)
        seconds = time.perf_counter() - started
        stopped: list[None] = []
        self._pool.stop().addCallback(stopped.append)
        run_until(lambda: bool(stopped))
        return count / seconds


def main() -> None:
    """Print the rates of threads and processes."""
    given = sys.argv[1:] + ["20000", "4", "5.4"][len(sys.argv) - 1 :]
    count, threads, version = int(given[0]), int(given[1]), given[2]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "noop.lua").touch()
        rates: dict[str, list[float]] = {"thread": [], "process": []}
        for _ in range(RUNS):
            for isolation, found in rates.items():
                settings = WorkerSettings(
                    scripts_dir=Path(folder), pool_size=threads, pool_isolation=isolation, lua_version=version
                )
                found.append(Run(settings).rate(count))
    print(f"{count} requests, {threads} threads, {os.cpu_count()} cores, Lua {version}")
    for isolation, found in rates.items():
        print(f"{isolation:8} {max(found):8.0f}/s  (runs: {', '.join(f'{rate:.0f}' for rate in found)})")
    print(f"process to thread: {max(rates['process']) / max(rates['thread']):.2f}")


if __name__ == "__main__":
    main()
