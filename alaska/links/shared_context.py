"""What the networks of one process share, so that a client needs no TCP to a broker in the same process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import zmq

from alaska.links.sockets import SharingFactory


class MovableLink(Protocol):
    """A link that can reconnect over another transport."""

    factory: SharingFactory

    def reconnect_if_moved(self) -> None:
        """Reconnect if the endpoint is now reached over another transport."""

    def close(self) -> None:
        """Disconnect."""


class SharedContext:
    """What the networks of one process share: the ZeroMQ context, and the endpoints that their routers serve.

    A dealer connects to a router of another such network over inproc. When a router binds or closes the endpoint of a
    dealer, the dealer reconnects, over inproc or over the endpoint itself. Its client sees the link go down and up.
    """

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.links: set[MovableLink] = set()
        self._served: dict[str, tuple[str, SharingFactory]] = {}
        self._networks = 0

    @property
    def is_open(self) -> bool:
        """Whether any network still uses the context."""
        return self._networks > 0

    def join(self) -> None:
        """Add a network."""
        self._networks += 1

    def leave(self) -> None:
        """Remove a network; the last one terminates the context, which waits for sent messages to be transmitted."""
        self._networks -= 1
        if not self.is_open:
            self.context.term()

    def near(self, endpoint: str, factory: SharingFactory) -> str | None:
        """Return the inproc endpoint to use instead of an endpoint, if another network than this one serves it."""
        near, owner = self._served.get(endpoint, (None, None))
        return None if owner is factory else near

    def serve(self, endpoints: Iterable[str], near: str, factory: SharingFactory) -> None:
        """Register the inproc endpoint ``near`` for endpoints that a network serves from now on."""
        self._served.update(dict.fromkeys(endpoints, (near, factory)))
        self._reconnect_moved_links()

    def withdraw(self, near: str) -> None:
        """Unregister an inproc endpoint."""
        self._served = {endpoint: served for endpoint, served in self._served.items() if served[0] != near}
        self._reconnect_moved_links()

    def _reconnect_moved_links(self) -> None:
        for link in list(self.links):
            link.reconnect_if_moved()
