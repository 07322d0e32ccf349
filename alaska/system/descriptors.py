"""How many descriptors this process may have, and how many it will need."""

from __future__ import annotations

import resource
from contextlib import suppress

from alaska.errors import TooFewDescriptors

MOST_RAISED = 65_536
"""The soft limit is raised to this at most: with millions of them, some programs that scripts start take long."""
BASE = 128
"""Log, reactor, stores, the broker's and the worker's connections."""
A_THREAD = 5
"""A pipe, Lua's end of it, a clock, and the system's random numbers."""
A_PROCESS = 10
"""Four pipes and what tells the end of a process; while it starts, the other ends as well."""
LOST_THREADS = 64
"""Threads that were given up keep what they have until they end."""


def raise_limit() -> int:
    """Raise this process's limit as far as the system and :data:`MOST_RAISED` allow; return what it is then."""
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
    """Compare what a pool needs with a limit of descriptors.

    :raises TooFewDescriptors: it does not suffice; the text says what would.
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
