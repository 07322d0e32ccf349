"""Processor time and resident memory of processes with their children, as Linux counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time in seconds since the start, and peak resident memory in octets."""

    cpu_seconds: float = 0.0
    peak_octets: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.cpu_seconds + other.cpu_seconds, self.peak_octets + other.peak_octets)


def usage_of(pid: int) -> Usage:
    """Return the usage of a process and its running descendants; ended processes count as zero."""
    return sum((_usage(each) for each in _process_tree(pid)), Usage())


def resident_of(pid: int) -> int:
    """Return the current resident memory of a process, in octets."""
    return _status(pid, "VmRSS:")


def _process_tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for task in tasks:
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _process_tree(int(child))


def _usage(pid: int) -> Usage:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return Usage()
    # The name, in parentheses, may contain anything; user and system time are the 12th and 13th field after it.
    fields = stat[stat.rindex(")") + 2 :].split()
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, _status(pid, "VmHWM:"))


def _status(pid: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)
