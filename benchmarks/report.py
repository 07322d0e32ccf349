"""Writes the measurements to ``RESULTS.md`` and ``results.svg``."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import matplotlib as mpl

from benchmarks.growth import Series
from benchmarks.measure import CONCURRENCIES, Result, percentiles
from benchmarks.scripts import Rate

_PACKAGES = ("redis-server", "rabbitmq-server", "nats-server", "gearman-job-server", "tarantool", "libzmq5")


def number(value: float) -> str:
    """Return a number with a space between thousands."""
    return f"{value:,.0f}".replace(",", " ")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _throughput(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        cells = [result.name, *(number(rate) for rate in result.rates), result.verdict]
        for concurrency in CONCURRENCIES:
            latencies = result.latencies.get(concurrency)
            cells.append(" / ".join(f"{each / 1000:.2f}" for each in percentiles(latencies)) if latencies else "")
        rows.append([*cells, result.middle.limit])
    heads = "contender", "min", "median", "max", "executed", "ms, 1 at once", "ms, 32 at once", "busiest process"
    return table(heads, rows)


def _costs(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        run = result.middle
        cpu = (f"{name} {seconds / run.count * 1e6:.0f}" for name, seconds in run.cpu_seconds.items())
        memory = (f"{name} {octets / 2**20:.0f}" for name, octets in result.peak_octets.items())
        rows.append([result.name, ", ".join(cpu), ", ".join(memory), result.promise])
    return table(("contender", "processor, µs a request", "peak resident memory, MB", "what is promised"), rows)


def _scripts(rates: Sequence[Rate]) -> str:
    base = {rate.work: rate.rates.median for rate in rates if rate.system.startswith("C ")}
    rows = []
    for rate in sorted(rates, key=lambda rate: rate.work):
        known = base.get(rate.work) or base.get("broker alone, plain" if "alone" in rate.work else "")
        ratio = f"{rate.rates.median / known:.2f}" if known else ""
        rows.append([rate.work, rate.system, *(number(each) for each in rate.rates), ratio])
    return table(("work", "system", "min", "median", "max", "times C"), rows)


def _machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GB, {system}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def _server_versions() -> str:
    command = ["dpkg-query", "-W", "-f", "${Package} ${Version}, ", *_PACKAGES]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
    return ", ".join(each for each in found.split(", ") if len(each.split()) == 2)


def plot(results: Sequence[Result], path: Path) -> None:
    """Write a plot of throughput with its spread, and of latency."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "alaska"
    from matplotlib import pyplot  # noqa: PLC0415  # after the backend is selected

    shown = list(reversed(results))
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 0.45 * len(shown) + 1.5), sharey=True)
    names = [result.name for result in shown]
    colours = ["tab:blue" if "Alaska" in name else "tab:gray" for name in names]
    medians = [result.rates.median for result in shown]
    spread = [
        [result.rates.median - result.rates.minimum for result in shown],
        [result.rates.maximum - result.rates.median for result in shown],
    ]
    left.barh(names, medians, xerr=spread, color=colours, capsize=3)
    left.set_xlabel("requests/s (median; bars from minimum to maximum)")
    asked = [result for result in shown if result.latencies]
    for quantile, marker in ((0, "o"), (1, "|")):
        values = [percentiles(result.latencies[1])[quantile] / 1000 for result in asked]
        right.plot(values, [result.name for result in asked], marker, color="black", label=("p50", "p99")[quantile])
    right.set_xscale("log")
    right.set_xlabel("request to reply, one at a time, ms")
    right.legend()
    right.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def write(
    folder: Path,
    results: Sequence[Result],
    rates: Sequence[Rate],
    series: Sequence[Series],
    notes: Sequence[str],
    command: str,
) -> None:
    """Write the report and the plot into a folder."""
    ordered = sorted(results, key=lambda result: -result.rates.median)
    plot(ordered, folder / "results.svg")
    versions = dict.fromkeys(each for result in ordered for each in result.versions.split(", ") if each)
    parts = [
        "# Results\n",
        f"Measured on {datetime.now(timezone.utc):%Y-%m-%d} by `{command}`: {_machine()}. "
        f"Servers: {_server_versions()}. Python: {', '.join(versions)}.\n",
        "What is measured, and how: [README.md](README.md).\n",
        "![throughput and latency](results.svg)\n",
        "## Throughput and latency\n",
        "Requests/s, each recorded in a file and acknowledged; latency from request to reply as p50 / p99 / p99.9.\n",
        _throughput(ordered),
        "## What each process costs\n",
        _costs(ordered),
    ]
    if rates:
        parts += ["## By script, and the brokers alone\n", "Requests/s.\n", _scripts(rates)]
    if series:
        parts.append("## How the cost grows\n")
    for each in series:
        parts += [f"### {each.title}\n", table(each.columns, each.rows)]
    if notes:
        parts += ["## Not measured\n", "".join(f"- {note}\n" for note in notes)]
    (folder / "RESULTS.md").write_text("\n".join(parts))
