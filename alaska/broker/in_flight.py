"""Whether a request is with a worker: broker and wire know requests by their place, their senders by their trackers."""

from __future__ import annotations

from alaska.admin.pages import TURN_ITEMS, Work
from alaska.broker.clients import Clients
from alaska.message import QueueKind, QueueName


def is_in_flight(clients: Clients, service: bytes, tracker: bytes) -> Work[bool]:
    """Return whether any client has an unconfirmed request for a service with this tracker."""
    queue, seen = QueueName(QueueKind.SERVICE, service), 0
    for client in clients:
        if seen > TURN_ITEMS:
            seen = 0
            yield
        seen += 1 + len(client.leases)
        if any(message.tracker == tracker and message.queue == queue for message in client.leases.values()):
            return True
    return False
