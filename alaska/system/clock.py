"""Clocks that are independent of changes of the wall clock.

NTP, an operator or a resumed virtual machine may set the wall clock forward or back. So durations are measured by the
monotonic clock, and the wall clock is used only for timestamps that people read. Some timeouts outlast a process: a
stored message expires even if the broker is restarted in the meantime. Such times are stored in seconds since 1970 of a
steady clock: it was set from the wall clock once, and then advances with the machine's uptime, which all processes
share.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from twisted.internet.base import ReactorBase

_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Mark(NamedTuple):
    """A reading of the steady clock, with the boot id and the uptime of the machine (seconds) at that moment."""

    boot: str
    uptime: float
    since_1970: float


def uptime() -> float:
    """Return the machine's uptime in seconds, including the time for which it was suspended."""
    return time.clock_gettime(_UPTIME)


def boot_id() -> str:
    """Return the id of the machine's current boot, or an empty string if the system does not provide one."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def continued(
    last: Mark | None,
    boot: Callable[[], str] = boot_id,
    up: Callable[[], float] = uptime,
    wall: Callable[[], float] = time.time,
) -> Mark:
    """Return the steady clock's current reading, given its last one, if any.

    After a reboot only the wall clock says how much time has passed; if that is behind the last reading, the clock
    continues from there.
    """
    now = Mark(boot(), up(), wall())
    if last is None:
        return now
    if last.boot and last.boot == now.boot and last.uptime <= now.uptime:
        return now._replace(since_1970=last.since_1970 + now.uptime - last.uptime)
    return now._replace(since_1970=max(now.since_1970, last.since_1970))


def run_on_monotonic_time(reactor: object, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Let a reactor's timers use the monotonic clock; pending timers keep their remaining time.

    Twisted's reactors use the wall clock: if that is set back by an hour, no timer fires for an hour. Afterwards the
    reactor's ``seconds()`` are not since 1970 any more, which concerns everything that runs in it. So only a program as
    a whole can decide this; Alaska's programs do.
    """
    if not isinstance(reactor, ReactorBase) or reactor.seconds is monotonic:
        return
    step = monotonic() - reactor.seconds()
    reactor.seconds = monotonic  # shadows the method of the class
    for call in reactor.getDelayedCalls():
        call.delay(step)
