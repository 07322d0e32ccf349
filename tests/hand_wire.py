"""A broker's wire in a test's hand."""

from __future__ import annotations

from collections.abc import Callable

from alaska.broker.broker import Broker
from alaska.mlm.commands import Command


class HandWire:
    """Carries commands to a function, which returns False where the connection is gone.

    That a posted command could not be sent is told to the broker when the test lets the turn end.
    """

    def __init__(self, transmit: Callable[[bytes, Command], bool]) -> None:
        self._transmit = transmit
        self._unsent: list[bytes] = []

    def send(self, peer: bytes, command: Command) -> bool:
        """See :class:`alaska.broker.clients.Wire`."""
        return self._transmit(peer, command)

    def post(self, peer: bytes, command: Command) -> None:
        """See :class:`alaska.broker.clients.Wire`."""
        if not self._transmit(peer, command):
            self._unsent.append(peer)

    def end_turn(self, broker: Broker) -> list[bytes]:
        """Tell a broker of the connections that are gone; return them."""
        unsent, self._unsent = self._unsent, []
        for peer in unsent:
            broker.gone(peer)
        return unsent
