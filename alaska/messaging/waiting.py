"""What differs between Twisted and asyncio: how a program waits, what runs later, and where lines are logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

Value_contra = TypeVar("Value_contra", contravariant=True)


class Waiting(Protocol[Value_contra]):
    """What a program waits for: a Deferred of Twisted, or :class:`alaska.aio.waiting.Awaited`.

    Exactly one of the methods is called, once, unless the program has given up waiting.
    """

    def callback(self, result: Value_contra, /) -> None:
        """End the wait with a result."""

    def errback(self, fail: BaseException, /) -> None:
        """End the wait with an error."""


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Cancel the call; do nothing if it was made or cancelled already."""


class Clock(Protocol):
    """The time, and calls that are due later."""

    def seconds(self) -> float:
        """Return the time in seconds, counted from anywhere."""

    def later(self, seconds: float, call: Callable[[], object], /) -> Timer:
        """Make a call after so many seconds."""


class Log(Protocol):
    """Where lines are logged: the formats have the fields in braces. Twisted's Logger is one."""

    def info(self, format: str, **fields: object) -> None:  # noqa: A002  # as Twisted names it
        """Log what is of interest to operators."""

    def warn(self, format: str, **fields: object) -> None:  # noqa: A002
        """Log what may be a fault."""

    def error(self, format: str, **fields: object) -> None:  # noqa: A002
        """Log a fault."""

    def failure(self, format: str) -> None:  # noqa: A002
        """Log the exception that is being handled."""
