"""A fake of the broker's router."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from alaska.broker.broker import Broker
from alaska.interfaces import IRouter
from alaska.mlm.codec import decode
from alaska.mlm.commands import Command


@implementer(IRouter)
class FakeRouter:
    """Passes commands to a function, which returns False for a peer that has disconnected.

    Failures of posted messages are reported to the broker by :meth:`end_turn`. Deliveries to the peers in ``unread``
    stay in flight.
    """

    is_local = True

    def __init__(self, transmit: Callable[[bytes, Command], bool]) -> None:
        self.bound: list[str] = []
        self._transmit = transmit
        self._unsent: list[bytes] = []
        self.unread: set[bytes] = set()

    def start(self, received: Callable[[bytes, list[bytes]], None], gone: Callable[[bytes, bool], None]) -> None:
        """See :class:`IRouter`; the test calls the broker itself."""

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        return self._transmit(peer, decode(frames))

    def send_with_proof(self, peer: bytes, frames: list[bytes]) -> Callable[[], bool] | None:
        """See :class:`IRouter`."""
        return (lambda: peer not in self.unread) if self.send(peer, frames) else None

    def post(self, peer: bytes, frames: list[bytes]) -> None:
        """See :class:`IRouter`."""
        if not self.send(peer, frames):
            self._unsent.append(peer)

    def end_turn(self, broker: Broker) -> list[bytes]:
        """Report the peers to which posted messages could not be sent to a broker; return them."""
        unsent, self._unsent = self._unsent, []
        for peer in unsent:
            broker.send_failed(peer)
        return unsent

    def close(self) -> None:
        """See :class:`IRouter`."""
