"""The limit of file descriptors of this process, and how many a pool needs."""

from __future__ import annotations

import resource
from contextlib import suppress

from alaska.errors import TooFewDescriptors

MOST_RAISED = 65_536
"""The maximum soft limit: with millions of descriptors, some programs that scripts start become slow."""
BASE = 128
"""Descriptors for the log, the reactor, the stores, and the broker's and the worker's connections."""
A_THREAD = 5
"""Descriptors of a thread: a pipe, Lua's end of it, a clock, and the system's random numbers."""
A_PROCESS = 10
"""Descriptors of a child process: four pipes and a pidfd; while it starts, the other ends as well."""
LOST_THREADS = 64
"""The number of abandoned threads to allow for; they keep their descriptors until they end."""


def raise_limit() -> int:
    """Raise this process's soft limit as far as the system and :data:`MOST_RAISED` allow; return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_RAISED
    wanted = MOST_RAISED if hard == resource.RLIM_INFINITY else min(hard, MOST_RAISED)
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return soft


def check_pool(size: int, isolation: str, limit: int) -> None:
    """Check that a limit of descriptors is sufficient for a pool.

    :raises TooFewDescriptors: it is not; the text says what to change.
    """
    each, others = (A_PROCESS, BASE) if isolation == "process" else (A_THREAD, BASE + LOST_THREADS * A_THREAD)
    needed = size * each + others
    if needed <= limit:
        return
    most = max(0, limit - others) // each
    smaller = f", or set worker/pool/size to {most} at most" if most else ""
    raise TooFewDescriptors(
        f"a pool of {size} slots (isolation {isolation}) needs {needed} descriptors, and this process may have "
        f"{limit}: raise the limit (ulimit -Hn {needed}, LimitNOFILE={needed} in a systemd unit){smaller}"
    )
