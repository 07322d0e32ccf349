"""What the sockets need of an event loop: of Twisted's reactor, or of asyncio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Cancel the call; do nothing if it was made or cancelled already."""


class Loop(Protocol):
    """An event loop."""

    def later(self, seconds: float, call: Callable[[], object], /) -> Timer:
        """Make a call after so many seconds."""

    def from_thread(self, call: Callable[[], object], /) -> None:
        """Make a call soon; unlike all else, this may be called in any thread. A loop that is closed makes no call."""
