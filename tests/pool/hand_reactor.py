"""A reactor in the test's hand, for what real threads ask of it."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from twisted.internet.base import DelayedCall

SECONDS = 20.0
"""How long a test waits for another thread before it fails."""
QUIET_SECONDS = 0.2
"""How long no thread wants anything before what is to be called later is."""


class HandReactor:
    """Keeps what threads want called, and what is to be called later, until the test calls it."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._due: list[DelayedCall] = []
        self._later: list[DelayedCall] = []

    def callFromThread(self, call: Callable[..., None], *arguments: Any) -> None:  # noqa: N802  # Twisted's name
        """Note a call; to be used in any thread."""
        self.calls.put(lambda: call(*arguments))

    def callLater(self, seconds: float, call: Callable[..., None], *arguments: Any) -> DelayedCall:  # noqa: N802  # as above
        """Note a call, which may be cancelled until the test does it."""
        delayed = DelayedCall(seconds, call, arguments, {}, lambda _: None, lambda _: None)
        (self._later if seconds else self._due).append(delayed)
        return delayed

    def turn(self) -> None:
        """Do what is to be done in the next turn."""
        due, self._due = self._due, []
        for delayed in due:
            self._do(delayed)

    def _do(self, delayed: DelayedCall) -> None:
        if delayed.active():
            delayed.called = 1
            delayed.func(*delayed.args)

    def step(self) -> None:
        """Do what is due, then the next call, once there is one; where none comes for a while, time passes."""
        self.turn()
        try:
            call = self.calls.get(timeout=QUIET_SECONDS if self._later else SECONDS)
        except Empty:
            later, self._later = self._later, []
            for delayed in later:
                self._do(delayed)
        else:
            call()
