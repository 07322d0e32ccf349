"""A few threads for calculations that take too long for the reactor's thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from alaska.interfaces import Reactor

T = TypeVar("T")


class Threads:
    """At most ``size`` threads, which are started when they are needed, after the fork of a daemon.

    When the process ends, it waits for the functions that are being called.
    """

    def __init__(self, reactor: Reactor, size: int) -> None:
        self._reactor = reactor
        self._executor = ThreadPoolExecutor(size, "alaska")

    def run(self, function: Callable[[], T], done: Callable[[T], None]) -> None:
        """Call a function, which must not raise, in a thread, and ``done`` with its result in the reactor's thread."""
        self._executor.submit(lambda: self._reactor.callFromThread(done, function()))
