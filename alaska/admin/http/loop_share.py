"""A share of the event loop for requests that take long, however many of them there are at the same time.

A page of many queues takes milliseconds. Without a limit, a hundred connections that ask for one at the same time would
keep the broker from its clients for a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T")

BUSY_SECONDS = 0.005
"""After calls that have taken so long together,"""
PAUSE_SECONDS = 0.01
"""the next ones wait for so long."""


class LoopShare:
    """Makes calls in turn, so that they leave time for others."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._waiting: deque[Deferred[None]] = deque()
        self._used = 0.0
        self._ended = 0.0
        self._pause: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def do(self, call: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Make a call, now or later, and return what it returns."""
        if self._pause is None:
            if self._reactor.seconds() - self._ended >= PAUSE_SECONDS:
                self._used = 0.0
            return self._make(call)
        turn: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(turn)
        return turn.addCallback(lambda _: self._make(call))

    def _make(self, call: Callable[[], Deferred[T]]) -> Deferred[T]:
        begun = self._reactor.seconds()
        try:
            return maybeDeferred(call)
        finally:
            self._ended = self._reactor.seconds()
            self._used += self._ended - begun
            if self._used >= BUSY_SECONDS and self._pause is None:
                self._pause = self._reactor.callLater(PAUSE_SECONDS, self._continue)

    def _continue(self) -> None:
        self._pause = None
        self._used = 0.0
        while self._waiting and self._pause is None:
            self._waiting.popleft().callback(None)

    def close(self) -> None:
        """Make no more calls."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        for turn in list(self._waiting):
            turn.cancel()
