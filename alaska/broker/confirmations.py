"""Confirmations to senders: what has become of their messages (docs/protocol.md, section 5)."""

from __future__ import annotations

from alaska.broker.clients import Clients
from alaska.message import Message
from alaska.mlm import commands as mlm


class Confirmations:
    """Sends CONFIRM to senders. Messages from before a restart have positions up to ``restored_upto``."""

    def __init__(self, clients: Clients, restored_upto: int) -> None:
        self._clients = clients
        self._restored_upto = restored_upto

    def send(self, message: Message, status: int, reason: bytes) -> None:
        """Send a CONFIRM to the sender of a tracked message, if it is connected, possibly over a new connection."""
        if message.is_tracked:
            # Routing ids from before a restart are not valid: another client may have them now.
            origin = message.origin if message.position > self._restored_upto else b""
            sender = self._clients.by_peer(origin) or self._clients.by_address(message.sender)
            if sender is not None and sender.credit is not None:
                sender.send(mlm.Confirm(message.sent_as or message.tracker, status, reason))
