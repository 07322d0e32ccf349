"""What signals and the service manager need from a service."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed


class OperatedService(Service):
    """A service that can be drained, and that describes itself; this class defines the defaults."""

    is_draining = False

    def when_ready(self) -> Deferred[None]:
        """Return a Deferred that fires once the started service does its work; a service manager is told so."""
        return succeed(None)

    def drain(self) -> None:
        """Take nothing new, and finish what was taken; the service stays."""
        self.is_draining = True

    def resume(self) -> None:
        """Take new work again."""
        self.is_draining = False

    def prepare_to_stop(self) -> None:
        """Take nothing new that would be lost: the program stops, this service possibly later than others."""

    def status(self) -> str:
        """Return the state of the service in a few numbers, for one line."""
        return ""

    def tasks(self) -> list[str]:
        """Return a line for each thing that runs at present, of a limited number; it may be called at any moment."""
        return []
