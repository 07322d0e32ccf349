"""Time that no step of the wall clock changes.

NTP, an operator or a resumed virtual machine may set the wall clock forward or back. So durations are measured by the
monotonic clock, and the wall clock only dates what somebody reads. Some durations outlast a process: a stored message
expires even if the broker is restarted meanwhile. Their ends are kept in seconds since 1970 of an even clock: one that
was set by the wall clock once and then advances with the uptime of the machine, which all processes share.
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
    """What an even clock showed at some uptime, in seconds, of the boot of the machine that ``boot`` names."""

    boot: str
    uptime: float
    since_1970: float


def uptime() -> float:
    """Return for how many seconds the machine is up, those included in which it was suspended."""
    return time.clock_gettime(_UPTIME)


def boot_id() -> str:
    """Return what names this boot of the machine; nothing where the system does not say."""
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
    """Return what an even clock shows now that showed ``last`` when it was looked at last, if it ever was.

    Since another boot, only the wall clock tells how much time has passed; none has if that is behind.
    """
    now = Mark(boot(), up(), wall())
    if last is None:
        return now
    if last.boot and last.boot == now.boot and last.uptime <= now.uptime:
        return now._replace(since_1970=last.since_1970 + now.uptime - last.uptime)
    return now._replace(since_1970=max(now.since_1970, last.since_1970))


def run_on_monotonic_time(reactor: object, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Let a reactor's calls wait by the monotonic clock; those that wait already wait on for as long.

    Twisted's reactors go by the wall clock: when that is set back by an hour, nothing is called for an hour. What else
    runs in the reactor has to know that its ``seconds()`` are not since 1970 any more, so only a program as a whole can
    decide this: ours do.
    """
    if not isinstance(reactor, ReactorBase) or reactor.seconds is monotonic:
        return
    step = monotonic() - reactor.seconds()
    reactor.seconds = monotonic  # found before the method of the class
    for call in reactor.getDelayedCalls():
        call.delay(step)
