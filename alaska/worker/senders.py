"""The clients that send what scripts send: one connection for each sender name, kept and used again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.client import Client, to_text
from alaska.errors import ClientError
from alaska.names import address_of, printable

MOST_SENDERS = 64
"""A script can name as many senders as it likes; those not used for the longest are closed."""
CLOSE_SECONDS = 5.0


class Senders:
    """Clients by sender name. ``make_client`` makes one for an address, not connected yet."""

    _log = Logger()

    def __init__(self, make_client: Callable[[str], Client]) -> None:
        self._make_client = make_client
        self._clients: OrderedDict[bytes, Client] = OrderedDict()
        self._closing: dict[Client, Deferred[None]] = {}

    def named(self, name: bytes) -> Client:
        """Return the client of a name, connected or about to be; what it is given to send waits for that.

        :raises ClientError: it cannot even begin to connect.
        """
        client = self._clients.get(name)
        if client is None:
            client = self._make_client(address_of(to_text(name)))
            client.connect(timeout=None).addErrback(self._failed, name, client)
            self._clients[name] = client
            if len(self._clients) > MOST_SENDERS:
                _, oldest = self._clients.popitem(last=False)
                self._close(oldest)
        else:
            self._clients.move_to_end(name)
        return client

    def close(self) -> Deferred[None]:
        """Close all clients; the Deferred fires when the broker has what they sent, or after five seconds."""
        clients, self._clients = self._clients, OrderedDict()
        for client in clients.values():
            self._close(client)
        return DeferredList(list(self._closing.values())).addCallback(lambda _: None)

    def _close(self, client: Client) -> None:
        closing = self._closing[client] = client.close(timeout=CLOSE_SECONDS)
        closing.addErrback(self._lost, client).addCallback(self._closed, client)

    def _lost(self, failure: Failure, client: Client) -> None:
        failure.trap(ClientError)
        self._log.error("{address}: {error}", address=printable(client.address), error=failure.value)

    def _closed(self, _: None, client: Client) -> None:
        del self._closing[client]

    def _failed(self, failure: Failure, name: bytes, client: Client) -> None:
        failure.trap(ClientError)
        # Of a client that was closed before it was connected, its close tells what is lost.
        if self._clients.get(name) is client:
            del self._clients[name]
            self._log.error("cannot send as {name}: {error}", name=printable(name), error=failure.value)
