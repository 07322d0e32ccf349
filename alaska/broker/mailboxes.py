"""Mailboxes: what is sent to an address waits for the client that has it (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from alaska.broker.clients import Client, Clients
from alaska.message import Message, insert_by_position

Deliver = Callable[[Client, Message], None]


class Mailbox:
    """What waits for one address, first in, first out."""

    __slots__ = ("messages", "octets")

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.octets = 0


class Mailboxes:
    """All mailboxes with mail in them, by address."""

    def __init__(self, clients: Clients, deliver: Deliver) -> None:
        self._clients = clients
        self._deliver = deliver
        self._boxes: dict[bytes, Mailbox] = {}

    def dispatch_to(self, client: Client) -> None:
        """Deliver to a client what waits for its address."""
        if self._clients.named(client.address) is client:
            self.dispatch(client.address)

    # What waits: the same five as of services

    def next_for(self, message: Message) -> Client | None:
        """Return the client that takes a new message at once, or None if it has to wait."""
        address = message.queue.address
        owner = self._clients.named(address)
        return owner if owner and owner.takes_mail and address not in self._boxes else None

    def takers(self, message: Message) -> int:
        """Count the clients that have the message's address: one or none."""
        return 0 if self._clients.named(message.queue.address) is None else 1

    def wait(self, message: Message) -> None:
        """Let a message wait behind all of its mailbox."""
        box = self._boxes.setdefault(message.queue.address, Mailbox())
        box.messages.append(message)
        box.octets += message.size

    def put_back(self, message: Message) -> None:
        """Let a message wait again, before all that arrived after it."""
        box = self._boxes.setdefault(message.queue.address, Mailbox())
        insert_by_position(box.messages, message)
        box.octets += message.size

    def drop(self, message: Message) -> bool:
        """Remove a message that waits; return False for one that does not."""
        box = self._boxes.get(message.queue.address)
        if box is None or message not in box.messages:
            return False
        box.messages.remove(message)
        self._count_out(message, box)
        return True

    def dispatch(self, address: bytes) -> None:
        """Deliver what waits for an address, as far as the client that has it is ready."""
        owner = self._clients.named(address)
        box = self._boxes.get(address)
        while box and box.messages and owner and owner.takes_mail:
            message = box.messages.popleft()
            self._count_out(message, box)
            self._deliver(owner, message)

    def octets_in(self, address: bytes) -> int:
        """Return the octets of content that wait for an address."""
        box = self._boxes.get(address)
        return box.octets if box else 0

    def _count_out(self, message: Message, box: Mailbox) -> None:
        box.octets -= message.size
        if not box.messages:
            del self._boxes[message.queue.address]
