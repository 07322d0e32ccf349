"""An event loop of asyncio for tests without sockets: its time is a clock, its network is in memory."""

from __future__ import annotations

import asyncio
import selectors

from twisted.internet.task import Clock

from alaska.testing.network import MemoryNetwork

STEP_SECONDS = 0.05
MOST_SECONDS = 3600.0


class _Steps(selectors.SelectSelector):
    """Delivers messages and advances the clock, where another selector would wait."""

    def __init__(self, clock: Clock, network: MemoryNetwork) -> None:
        super().__init__()
        self._clock = clock
        self._network = network
        self._latest = clock.seconds() + MOST_SECONDS

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; before, let messages arrive, and time pass, as far as the loop waits."""
        self._network.run()
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._clock.seconds() > self._latest:
            raise AssertionError("the event loop waits for something that does not happen")
        self._clock.advance(STEP_SECONDS if timeout is None else min(timeout, STEP_SECONDS))
        self._network.run()
        return []


class MemoryLoop(asyncio.SelectorEventLoop):
    """An event loop in which time passes only while all tasks wait; then the network delivers its messages.

    Threads are not waited for: a function that runs in one may take any time of the clock.
    """

    def __init__(self, clock: Clock, network: MemoryNetwork) -> None:
        super().__init__(_Steps(clock, network))
        self._test_clock = clock

    def time(self) -> float:
        """Return the time of the clock."""
        return float(self._test_clock.seconds())
