"""``python -m benchmarks``: measure all available contenders, and write the report."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from benchmarks import mlm
from benchmarks.contender import load, names
from benchmarks.growth import all_series
from benchmarks.measure import Result, measure, percentiles
from benchmarks.report import number, table, write
from benchmarks.scripts import rates
from benchmarks.workspace import PACKAGE, Unavailable


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    result.add_argument("--runs", type=int, default=5, help="runs of each contender (%(default)s)")
    result.add_argument("--count", type=int, default=20_000, help="requests in a run, at most (%(default)s)")
    result.add_argument(
        "--only", default="", help="contenders, scripts or growth, separated by commas; writes no report"
    )
    result.add_argument("--quick", action="store_true", help="leave out the longest step of each series")
    result.add_argument("--folder", type=Path, default=PACKAGE, help="where the report is written")
    return result


class Bench:
    """One run of the harness: its options, and notes about what could not be measured."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.only = [name for name in options.only.split(",") if name]
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        """Print that something is not measured, and add it to the report."""
        print(sentence, flush=True)
        self.notes.append(sentence)

    def wants(self, name: str) -> bool:
        """Return whether the command line selects something."""
        return not self.only or name in self.only

    def contenders(self) -> list[Result]:
        """Measure the selected contenders."""
        results = []
        for name in filter(self.wants, names()):
            try:
                result = measure(load(name), self.options.runs, self.options.count)
            except Unavailable as reason:
                self.note(f"{name}: skipped, {reason}")
                continue
            figures = " ".join(number(rate) for rate in result.rates)
            latency = ", ".join(
                f"{concurrency} at once {' / '.join(f'{each / 1000:.2f}' for each in percentiles(took))} ms"
                for concurrency, took in result.latencies.items()
            )
            print(
                f"{result.name}: {figures} requests/s, {result.verdict}; {latency}; {result.middle.limit}", flush=True
            )
            results.append(result)
        return results


def main() -> None:
    """Run the harness; the exit status is 1 if one of ours did not execute each request once."""
    options = parser().parse_args()
    # TERM has to raise an exception, so that the started programs are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options)
    started = time.monotonic()
    try:
        results = bench.contenders()
        by_script = rates(options.runs, options.count, bench.note) if bench.wants("scripts") else []
        series = all_series(bench.note, options.quick) if bench.wants("growth") else []
    finally:
        mlm.remove_peer()
    if bench.only:
        for rate in by_script:
            print(f"{rate.work}, {rate.system}: {' '.join(number(each) for each in rate.rates)} requests/s")
        for each in series:
            print(f"\n{each.title}\n{table(each.columns, each.rows)}")
    else:
        command = f"make bench RUNS={options.runs} N={options.count}" + (" QUICK=1" if options.quick else "")
        write(options.folder, results, by_script, series, bench.notes, command)
        print(f"{options.folder / 'RESULTS.md'}, after {time.monotonic() - started:.0f} s")
    wrong = [each.name for each in results if each.name.startswith("Alaska,") and each.verdict != "each once"]
    if wrong:
        sys.exit(f"not each request was executed once: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
