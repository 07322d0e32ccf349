"""What the machine gives to programs: file descriptors, and a clock that is right."""

from __future__ import annotations

import ctypes
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from alaska.commands.diagnosis.findings import Finding, Level
from alaska.commands.diagnosis.programs import Program
from alaska.errors import TooFewDescriptors
from alaska.system import descriptors

FEW_DESCRIPTORS: Final = 4096
_NOT_SYNCHRONIZED: Final = 5
"""What adjtimex returns (TIME_ERROR)."""
_TIMEX_OCTETS: Final = 512
"""More than any system's ``struct timex`` has."""
LEAST_TIME: Final = 1_767_225_600
"""2026: no clock that is right shows less."""


def examine_descriptors(programs: Sequence[Program], hard: int | None = None) -> Iterator[Finding]:
    """Examine the limit of file descriptors, to which the programs raise theirs; ``hard`` is that of this shell."""
    about = "descriptors"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if hard is None else hard
    limit = descriptors.MOST_RAISED if hard == resource.RLIM_INFINITY else min(hard, descriptors.MOST_RAISED)
    problems = []
    for program in programs:
        if program.worker is not None:
            try:
                descriptors.check_pool(program.worker.pool_size, program.worker.pool_isolation, limit)
            except TooFewDescriptors as error:
                problems.append(Finding(Level.FAULT, about, f"{program.name}: {error}"))
    yield from problems
    if limit < FEW_DESCRIPTORS:
        what = f"a program that is started here may open {limit} files and connections"
        to_do = f"ulimit -Hn {descriptors.MOST_RAISED}, or LimitNOFILE={descriptors.MOST_RAISED} in a systemd unit"
        yield Finding(Level.WARNING, about, what, to_do)
    elif not problems:
        yield Finding(Level.OK, about, f"a program that is started here may open {limit} files and connections")


def examine_clock(
    wall: Callable[[], float] = time.time, is_synchronized: Callable[[], bool | None] | None = None
) -> Finding:
    """Examine the wall clock, by which schedules and ``--at`` are due."""
    about = "clock"
    synchronized = (is_synchronized or _is_synchronized)()
    if wall() < LEAST_TIME:
        what = f"it is {time.strftime('%Y-%m-%d %H:%M', time.gmtime(wall()))} by the clock, which is too early"
        return Finding(Level.FAULT, about, what, "set the clock: timedatectl set-ntp true")
    if synchronized is None:
        return Finding(Level.OK, about, "whether the clock is synchronized is not known on this system")
    if not synchronized:
        what = "the clock is not synchronized: schedules and messages with a time may come early or late"
        return Finding(Level.WARNING, about, what, "timedatectl set-ntp true")
    return Finding(Level.OK, about, "the clock is synchronized")


def _is_synchronized() -> bool | None:
    """Return whether the kernel's clock is synchronized; None if that cannot be told."""
    try:
        # With a structure of zeros, it changes nothing.
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_OCTETS))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _NOT_SYNCHRONIZED
