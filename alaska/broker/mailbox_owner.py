"""The consumer of a mailbox: the client that has its address (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections.abc import Hashable

from alaska.broker.clients import Client, Clients


class MailboxOwner:
    """The client that has an address at present, if any. A mailbox has one lane; its key is the address."""

    def __init__(self, clients: Clients, address: bytes) -> None:
        self._clients = clients
        self._address = address

    # Consumers

    is_empty = True
    matched = 0

    def lane_of(self, _subject: bytes) -> Hashable:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return self._address

    def next_of(self, lane: Hashable, tracker: bytes) -> Client | None:
        """See :class:`alaska.broker.consumers.Consumers`."""
        del lane
        owner = self._clients.by_address(self._address)
        return owner if owner is not None and owner.accepts_mail and tracker not in owner.leases else None

    def is_ready(self, lane: Hashable) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        del lane
        return self.has_ready()

    def has_ready(self) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        owner = self._clients.by_address(self._address)
        return owner is not None and owner.accepts_mail

    def has_tracker_in_flight(self, tracker: bytes) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        owner = self._clients.by_address(self._address)
        return owner is not None and owner.accepts_mail and tracker in owner.leases

    def count(self, _subject: bytes) -> int:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return 0 if self._clients.by_address(self._address) is None else 1
