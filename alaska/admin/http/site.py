"""The endpoint's side of all connections: how many there may be, and how much they may send."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger

from alaska.admin.http.answers import SAFE_HEADERS
from alaska.admin.http.channel import Channel
from alaska.endpoints import network_of
from alaska.interfaces import Reactor
from alaska.system.events import should_log

MOST_OF_ADDRESS = 0.5
"""The part of all connections that one address may have."""
SPARE = 0.1
"""So many more connections, as a part of all, are for short answers when all have requests: probes must not fail."""
MOST_OCTETS_UNKNOWN = 65_536
"""The maximum size of a body from somebody who has not shown who they are."""
CLOSE_SECONDS = 1.0
"""How long answers may still be sent when all connections are closed."""
BODIES = 8
"""So many bodies of the maximum size may be in memory at the same time."""


class Site(ServerFactory):
    """Makes a :class:`Channel` for each connection.

    There are at most ``most_connections``, and half as many from one address. A new one above that takes the place of
    the oldest connection, of the same address or of any, that has no complete request. If all have one, it is a spare
    connection, which gets no answers that last, or is refused.
    """

    _log = Logger()
    noisy = False

    def __init__(
        self,
        reactor: Reactor,
        exchange: Callable[..., Any],
        is_known: Callable[[Any], bool],
        most_connections: int,
        most_octets: int,
    ) -> None:
        self.reactor = reactor
        self.exchange = exchange
        self._is_known = is_known
        self._most_connections = most_connections
        self._most_spare = math.ceil(most_connections * SPARE)
        self._most_octets = most_octets
        # In the order of their start.
        self._channels: dict[Channel, None] = {}
        self._closing: Deferred[None] | None = None
        self._octets = 0
        self.accepted = 0
        self.answered: Counter[int] = Counter()
        """The number of answers by status."""
        self.refused = 0
        """The number of connections and of malformed, too large or too slow requests that were refused."""

    @property
    def connections(self) -> int:
        """The number of connections."""
        return len(self._channels)

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:  # noqa: N802
        """Return the channel for a new connection, or None to close it at once."""
        host = network_of(getattr(addr, "host", ""))
        of_address = max(1, int(self._most_connections * MOST_OF_ADDRESS))
        has_room = self._make_room(of_address, lambda channel: not channel.is_spare and channel.host == host)
        has_room = has_room and self._make_room(self._most_connections, lambda channel: not channel.is_spare)
        if not has_room and not self._make_room(self._most_spare, lambda channel: channel.is_spare):
            self._note_refused()
            return None
        self.accepted += 1
        channel = Channel(self, host, is_spare=not has_room)
        self._channels[channel] = None
        return channel

    def _make_room(self, most: int, is_counted: Callable[[Channel], bool]) -> bool:
        """Return whether there are less than ``most`` channels of some kind, if need be by closing one of them."""
        channels = [channel for channel in self._channels if is_counted(channel)]
        if len(channels) < most:
            return True
        for channel in channels:
            if not channel.is_busy and channel.transport is not None:
                del self._channels[channel]
                self.refused += 1
                channel.abort()
                return True
        return False

    def _note_refused(self) -> None:
        self.refused += 1
        if should_log(self.refused):
            self._log.warn("connections and requests by HTTP that were refused: {count} so far", count=self.refused)

    def closed(self, channel: Channel) -> None:
        """Forget a connection."""
        self._channels.pop(channel, None)
        if self._closing is not None and not self._channels:
            closing, self._closing = self._closing, None
            closing.callback(None)

    async def close_all(self) -> None:
        """Close all connections; answers that have begun are sent, for a second at most."""
        closing: Deferred[None] = Deferred()
        if self._channels:
            self._closing = closing
            for channel in list(self._channels):
                channel.end()
            closing.addTimeout(CLOSE_SECONDS, self.reactor)
            with contextlib.suppress(DeferredTimeout):
                await closing
        self._closing = None
        for channel in list(self._channels):
            channel.abort()

    def most_octets(self, request: object) -> int:
        """Return how large the body of a request may be, whose headers have arrived."""
        return self._most_octets if self._is_known(request) else min(MOST_OCTETS_UNKNOWN, self._most_octets)

    def take_octets(self, count: int) -> bool:
        """Count octets of a body in memory; return False if there is no room for them."""
        if self._octets + count > BODIES * self._most_octets:
            return False
        self._octets += count
        return True

    def give_octets(self, count: int) -> None:
        """Uncount octets of a body that is not in memory any more."""
        self._octets -= count

    def bare_answer(self, status: HTTPStatus) -> bytes:
        """Return the answer to something that is no request."""
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), b"Connection: close", b"Content-Length: 0"]
        lines += [b"%s: %s" % header for header in SAFE_HEADERS.items()]
        return b"\r\n".join([*lines, b"", b""])

    def log(self, request: object) -> None:
        """Do nothing: there is no access log. This is called by Twisted."""
