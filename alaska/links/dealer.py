"""A client's connection to a broker, in Twisted's reactor."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from zope.interface import implementer

from alaska.interfaces import ILink, LinkState
from alaska.links.reactor_loop import ReactorLoop
from alaska.links.shared_context import SharedContext
from alaska.links.sockets import Dealer, Pair, SharingFactory
from alaska.sockets.addresses import LookUp
from alaska.sockets.dealer import Received, ReconnectingLink
from alaska.sockets.security import ClientSecurity


@implementer(ILink)
class DealerLink(ReconnectingLink):
    """A client's connection; over inproc if a router of this process serves the endpoint."""

    _log = Logger()

    def __init__(
        self,
        factory: SharingFactory,
        shared: SharedContext,
        endpoint: str,
        security: ClientSecurity,
        look_up: LookUp,
    ) -> None:
        super().__init__(ReactorLoop(factory.reactor), endpoint, security, look_up)
        self.factory = factory
        self._shared = shared

    def _open_dealer(self, received: Received) -> Dealer:
        return Dealer(self.factory, received)

    def _open_pair(self, received: Received) -> Pair:
        return Pair(self.factory, received)

    def _near_endpoint(self) -> str | None:
        return self._shared.near(self._endpoint, self.factory)

    def start(self, received: Received, changed: Callable[[LinkState], None]) -> None:
        """See :class:`ILink`."""
        super().start(received, changed)
        self._shared.links.add(self)

    def reconnect_if_moved(self) -> None:
        """Reconnect if the endpoint is now reached over another transport."""
        if self._near != self._shared.near(self._endpoint, self.factory):
            self._drop()
            if self._is_up:
                self._change(LinkState.DOWN)
            if self in self._shared.links:
                self._begin()

    def close(self) -> None:
        """See :class:`ILink`."""
        self._shared.links.discard(self)
        super().close()
