"""What differs between Twisted and asyncio: how a program waits, what runs later, and where lines are logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from alaska.authentication import CurveKeys
from alaska.mlm.states import LinkState

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


class Link(Protocol):
    """A connection to the broker; see :class:`alaska.interfaces.ILink`."""

    @property
    def fault(self) -> str:
        """Why the last attempt to connect failed, as far as it is known, as a sentence; or empty."""

    @property
    def is_logging_in(self) -> bool:
        """Whether the broker is reached, and has not answered the user name and password yet."""

    def start(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """Connect."""

    def send(self, frames: list[bytes]) -> None:
        """Send a message."""

    def send_from(self, take: Callable[[], list[list[bytes]]]) -> None:
        """Send the messages that ``take`` returns later."""

    def close(self) -> None:
        """Disconnect."""


class Network(Protocol):
    """Makes connections; see :class:`alaska.interfaces.INetwork`."""

    def dealer(self, endpoint: str, username: str | None, password: str | None, curve: CurveKeys | None) -> Link:
        """Return a connection to the broker at an endpoint, not yet connected."""

    def close(self) -> None:
        """Close all connections."""
