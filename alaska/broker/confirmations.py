"""Confirmations to senders: what has become of their messages (docs/protocol.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable

from alaska import errors
from alaska.broker.clients import Client, Clients, Lease
from alaska.broker.progress import Report
from alaska.message import Message
from alaska.mlm import commands as mlm
from alaska.mlm.progress import Progress, read_progress

NOT_FINAL = frozenset({errors.STORED, errors.KNOWN_ID, errors.PROGRESS})
"""The statuses after which another one follows."""


class Confirmations:
    """Sends CONFIRM to senders. Messages from before a restart have positions up to ``restored_upto``.

    ``is_own`` says of the position of a later message whether this broker has accepted it; None: it has accepted all.
    """

    def __init__(self, clients: Clients, restored_upto: int, is_own: Callable[[int], bool] | None) -> None:
        self._clients = clients
        self._restored_upto = restored_upto
        self._is_own = is_own
        self.untold: Callable[[int, int], None] = lambda _position, _status: None
        """Called with the position and status of a message whose sender is not connected, or has no address."""
        self.ended: Callable[[Message, int, bytes], None] = lambda _message, _status, _reason: None
        """Called with messages that have properties when their senders were told the outcome."""
        self.progressed: Callable[[Message, bytes, Progress], None] = lambda _message, _worker, _progress: None
        """Called with a message, and what its worker has told about it."""

    def send(self, message: Message, status: int, reason: bytes, error: object = None) -> None:
        """Send a CONFIRM to the sender of a tracked message, if it is connected, possibly over a new connection.

        ``error`` is the value of the property with the whole text of the reason, or None.
        """
        if message.is_tracked:
            sender = None
            if message.position > self._restored_upto and self._is_own is None:
                # As sender_of(), without the call in the most frequent case.
                sender = self._clients.by_origin(message.origin)
            sender = sender or self.sender_of(message)
            if sender is None:
                self.untold(message.position, status)
            elif sender.credit is not None:
                properties: mlm.Properties = {"error": error} if error is not None and sender.has_properties else {}
                sender.send(mlm.Confirm(message.sent_as or message.tracker, status, reason, properties))
        if message.properties and status not in NOT_FINAL:
            self.ended(message, status, reason)

    def take_progress(self, client: Client, lease: Lease | None, reason: bytes, now: float) -> bool:
        """Take over what a client has told about one of its deliveries, and tell the sender.

        Return False if it has no such delivery, or the reason is not valid.
        """
        message = None if lease is None else client.leases.get(lease)
        progress = read_progress(reason)
        if lease is None or message is None or progress is None:
            return False
        report = client.progress.get(lease)
        if report is None:
            report = client.progress[lease] = Report(progress, now)
        self.progressed(message, client.address, progress)
        if report.may_pass_on(progress, now):
            self._send_progress(message, reason)
        return True

    def _send_progress(self, message: Message, reason: bytes) -> None:
        """Tell the sender of a tracked message how far it is, if the sender understands that and reads what it gets."""
        sender = self.sender_of(message) if message.is_tracked else None
        if sender is not None and sender.credit is not None and sender.takes_progress and not sender.flow.is_stalled:
            sender.send(mlm.Confirm(message.sent_as or message.tracker, errors.PROGRESS, reason))

    def sender_of(self, message: Message) -> Client | None:
        """Return the client that is told what becomes of a message, if it is connected."""
        # Routing ids from before a restart or of another broker are not valid: another client may have them here.
        is_later = message.position > self._restored_upto
        origin = message.origin if is_later and (self._is_own is None or self._is_own(message.position)) else b""
        return self._clients.by_origin(origin) or self._clients.by_address(message.sender)

    def listener(self, message: Message) -> tuple[Client | None, bytes]:
        """Return who is told what becomes of a message, and as which tracker."""
        sender = self.sender_of(message) if message.is_tracked else None
        return sender, message.sent_as or message.tracker
