"""The clients that send what scripts send: one connection for each sender name, kept and used again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.client import Client, to_text
from alaska.names import address_of

MOST_SENDERS = 64
"""A script can name as many senders as it likes; those not used for the longest are closed."""
CLOSE_SECONDS = 5.0


class Senders:
    """Clients by sender name. ``make_client`` makes one for an address, not connected yet."""

    _log = Logger()

    def __init__(self, make_client: Callable[[str], Client]) -> None:
        self._make_client = make_client
        self._clients: OrderedDict[bytes, Client] = OrderedDict()

    def named(self, name: bytes) -> Client:
        """Return the client of a name, connected or about to be; what it is given to send waits for that."""
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self._make_client(address_of(to_text(name)))
            client.connect(timeout=None).addErrback(self._failed, name)
            if len(self._clients) > MOST_SENDERS:
                _, oldest = self._clients.popitem(last=False)
                self._close(oldest)
        else:
            self._clients.move_to_end(name)
        return client

    def close(self) -> Deferred[None]:
        """Close all clients; the Deferred fires when the broker has what they sent, or after five seconds."""
        clients, self._clients = self._clients, OrderedDict()
        return DeferredList([self._close(client) for client in clients.values()]).addCallback(lambda _: None)

    def _close(self, client: Client) -> Deferred[None]:
        return client.close(timeout=CLOSE_SECONDS).addErrback(
            lambda failure: self._log.error("{address}: {error}", address=client.address, error=failure.value)
        )

    def _failed(self, failure: Failure, name: bytes) -> None:
        self._clients.pop(name, None)
        self._log.error("cannot send as {name}: {failure.value}", name=to_text(name), failure=failure)
