"""A reactor, as an event loop for sockets and clients (:class:`alaska.sockets.loop.Loop`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime


class ReactorTimer:
    """A call that is due later."""

    __slots__ = ("_call",)

    def __init__(self, call: IDelayedCall) -> None:
        self._call = call

    def cancel(self) -> None:
        """Cancel the call; do nothing if it was made or cancelled already."""
        if self._call.active():
            self._call.cancel()


class ReactorLoop:
    """The event loop of a reactor, and its clock."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    def seconds(self) -> float:
        """Return the time in seconds."""
        return float(self._reactor.seconds())

    def later(self, seconds: float, call: Callable[[], object], /) -> ReactorTimer:
        """Make a call after so many seconds."""
        return ReactorTimer(self._reactor.callLater(seconds, call))

    def from_thread(self, call: Callable[[], object], /) -> None:
        """Make a call in the reactor's thread."""
        cast("IReactorFromThreads", self._reactor).callFromThread(call)
