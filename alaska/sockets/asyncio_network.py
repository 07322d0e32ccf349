"""ZeroMQ sockets in asyncio: the connections of clients. The broker's side is in :mod:`alaska.links`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

import zmq

from alaska.authentication import CurveKeys
from alaska.errors import CannotOpen
from alaska.sockets.addresses import LookUp, families_of
from alaska.sockets.asyncio_loop import AsyncioLoop, StandardLog
from alaska.sockets.dealer import Received, ReconnectingLink
from alaska.sockets.security import ClientSecurity
from alaska.sockets.transfer import Transfer

CLOSE_MILLISECONDS = 1000
_LOG = StandardLog(logging.getLogger("alaska.sockets"))
_contexts: dict[int, zmq.Context[zmq.Socket[bytes]]] = {}


def context() -> zmq.Context[zmq.Socket[bytes]]:
    """Return the ZeroMQ context of this process for all its event loops; a child after a fork gets its own.

    It stays open until the process ends: to end it would mean to wait for sockets.
    """
    found = _contexts.get(os.getpid())
    if found is None or found.closed:
        found = _contexts[os.getpid()] = zmq.Context()
    return found


class AsyncioSocket(Transfer):
    """A ZeroMQ socket in an event loop of asyncio that can watch descriptors."""

    _log = _LOG

    def __init__(self, loop: asyncio.AbstractEventLoop, kind: int, received: Callable[[list[bytes]], None]) -> None:
        super().__init__(received)
        self._loop = loop
        self.socket = zmq.Socket(context(), kind)
        self.socket.set(zmq.LINGER, CLOSE_MILLISECONDS)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.RCVHWM, 0)
        self._descriptor = int(self.socket.get(zmq.FD))
        try:
            loop.add_reader(self._descriptor, self.doRead)
        except NotImplementedError:
            self.socket.close()
            raise CannotOpen("the event loop cannot watch descriptors; use the selector event loop") from None

    def _soon(self) -> asyncio.Handle:
        return self._loop.call_soon(self.doRead)

    def connect(self, endpoint: str) -> None:
        """Connect."""
        self.socket.connect(endpoint)
        self._read_soon()

    def shutdown(self) -> None:
        """Send the posted messages and close the socket; ZeroMQ has one second to transmit what was sent."""
        self._finish()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
        self.socket.close()


class AsyncioLink(ReconnectingLink):
    """A connection that reconnects automatically."""

    _log = _LOG

    def __init__(
        self, loop: asyncio.AbstractEventLoop, endpoint: str, security: ClientSecurity, look_up: LookUp
    ) -> None:
        super().__init__(AsyncioLoop(loop), endpoint, security, look_up)
        self._event_loop = loop

    def _open_dealer(self, received: Received) -> AsyncioSocket:
        return AsyncioSocket(self._event_loop, zmq.DEALER, received)

    def _open_pair(self, received: Received) -> AsyncioSocket:
        return AsyncioSocket(self._event_loop, zmq.PAIR, received)


class AsyncioNetwork:
    """Makes connections in an event loop of asyncio."""

    def __init__(self, loop: asyncio.AbstractEventLoop, look_up: LookUp = families_of) -> None:
        self._loop = loop
        self._look_up = look_up
        self._links: list[AsyncioLink] = []

    def dealer(
        self,
        endpoint: str,
        username: str | None = None,
        password: str | None = None,
        curve: CurveKeys | None = None,
    ) -> AsyncioLink:
        """Return a connection to the broker at an endpoint, not yet connected."""
        link = AsyncioLink(self._loop, endpoint, ClientSecurity(username, password, curve), self._look_up)
        self._links.append(link)
        return link

    def close(self) -> None:
        """Close all connections; sent messages have one second to be transmitted."""
        while self._links:
            self._links.pop().close()
