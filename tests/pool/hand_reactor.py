"""A reactor that the test controls, for pools with real threads."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from twisted.internet.base import DelayedCall

SECONDS = 20.0
"""How long a test waits for another thread before it fails."""
QUIET_SECONDS = 0.2
"""After this time without a call from a thread, delayed calls are made."""


class HandReactor:
    """Stores the calls of threads and delayed calls until the test makes them."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._due: list[DelayedCall] = []
        self._later: list[DelayedCall] = []

    def callFromThread(self, call: Callable[..., None], *arguments: Any) -> None:  # noqa: N802  # Twisted's name
        """Store a call; thread-safe."""
        self.calls.put(lambda: call(*arguments))

    def callLater(self, seconds: float, call: Callable[..., None], *arguments: Any) -> DelayedCall:  # noqa: N802  # as above
        """Store a delayed call, which may be cancelled until the test makes it."""
        delayed = DelayedCall(seconds, call, arguments, {}, lambda _: None, lambda _: None)
        (self._later if seconds else self._due).append(delayed)
        return delayed

    def turn(self) -> None:
        """Make the calls that were delayed by 0 seconds."""
        due, self._due = self._due, []
        for delayed in due:
            self._do(delayed)

    def _do(self, delayed: DelayedCall) -> None:
        if delayed.active():
            delayed.called = 1
            delayed.func(*delayed.args)

    def step(self) -> None:
        """Make the calls that are due, then the next call of a thread; if none comes, make the delayed calls."""
        self.turn()
        try:
            call = self.calls.get(timeout=QUIET_SECONDS if self._later else SECONDS)
        except Empty:
            later, self._later = self._later, []
            for delayed in later:
                self._do(delayed)
        else:
            call()
