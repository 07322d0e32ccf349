"""Who is connected: one record a client, found by its connection or by its address."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from alaska.broker.flow_control import PROOF_MESSAGES, PROOF_OCTETS, Flow
from alaska.interfaces import IRouter
from alaska.message import Message
from alaska.mlm.codec import encode
from alaska.mlm.commands import Command
from alaska.names import printable

HOLD_SECONDS = 0.1
"""How long mail waits for a new client to say whether it gives credit (docs/protocol.md, section 5)."""


class Client:
    """An open client: its address, what it has asked for, and what it has been sent and not confirmed.

    ``credit`` is None for a plain client, which is sent everything at once; else the number of deliveries that it
    is ready for. ``held_until`` is the time until which its mailbox waits, or None. A plain client whose address
    a newer one took goes on without it (``is_replaced``). One that ``is_full`` does not read what it is sent, or does
    not confirm it, and gets no more deliveries until it has done so with some; one that ``is_deaf`` is gone because it
    does not read. ``leases`` has the messages that are with the client, by the trackers that they were delivered with:
    no two have the same one, or a confirmation could be for either.
    """

    __slots__ = (
        "address",
        "credit",
        "flow",
        "held_until",
        "ignores_replies",
        "is_disconnected",
        "is_full",
        "is_replaced",
        "last_heard",
        "last_probed",
        "leases",
        "most_unconfirmed",
        "peer",
        "refusals",
        "router",
        "stream",
        "unconfirmed",
    )

    def __init__(
        self,
        peer: bytes,
        address: bytes,
        now: float,
        router: IRouter,
        flow: Flow,
        most_unconfirmed: int | None = None,
    ) -> None:
        self.peer = peer
        self.address = address
        self.router = router
        self.flow = flow
        self.is_full = flow.is_full
        self.last_heard = now
        self.last_probed = now
        self.held_until: float | None = now + HOLD_SECONDS
        self.credit: int | None = None
        self.is_replaced = False
        self.is_disconnected = False
        self.ignores_replies = False
        self.refusals = 0
        self.stream: bytes | None = None
        self.leases: dict[bytes, Message] = {}
        self.unconfirmed = 0
        """How many octets those have."""
        self.most_unconfirmed = float("inf") if most_unconfirmed is None else most_unconfirmed

    def __repr__(self) -> str:
        return f"<Client {self.name}>"

    @property
    def name(self) -> str:
        """What logs call the client: its address, or its routing id where it has none."""
        return printable(self.address) or f"anonymous {self.peer.hex()}"

    @property
    def is_plain(self) -> bool:
        """Whether the client has never sent CREDIT, and so can neither confirm nor bear a CONFIRM."""
        return self.credit is None

    @property
    def is_ready(self) -> bool:
        """Whether one more delivery may be sent to the client."""
        return (self.credit is None or self.credit > 0) and not (self.is_disconnected or self.is_full)

    @property
    def accepts_mail(self) -> bool:
        """Whether the client's mailbox is open to it and one more delivery may be sent."""
        return self.held_until is None and self.is_ready

    def send(self, command: Command) -> bool:
        """Send a command to the client; return False if its connection is known to be gone.

        A plain client has a message as soon as it is sent, so whether it can be sent must be known at once. What goes
        to another comes back if it is not confirmed.
        """
        if self.credit is not None:
            self.router.post(self.peer, encode(command))
        elif not self.router.send(self.peer, encode(command)):
            self.is_disconnected = True
        return not self.is_disconnected

    def deliver(self, command: Command, octets: int) -> bool:
        """Send a delivery, of so many octets as limits count them; return as :meth:`send` does."""
        flow = self.flow
        flow.messages_since_proof += 1
        flow.octets_since_proof += octets
        if flow.messages_since_proof < PROOF_MESSAGES and flow.octets_since_proof < PROOF_OCTETS:
            return self.send(command)
        has_left = self.router.prove(self.peer, encode(command))
        if has_left is None:
            self.is_disconnected = True
            return False
        flow.proof_sent(has_left, self)
        self._compute_is_full()
        return True

    def _compute_is_full(self) -> None:
        self.is_full = self.flow.is_full or self.unconfirmed >= self.most_unconfirmed

    def recheck_is_full(self) -> None:
        """Find out whether a client that is full has read or confirmed something."""
        if self.is_full:
            self.flow.update()
            self._compute_is_full()

    def spend_credit(self) -> None:
        """Note one more delivery."""
        if self.credit is not None:
            self.credit -= 1

    def lease(self, tracker: bytes, message: Message) -> None:
        """Note one more delivery: a message that is with the client until it confirms this tracker."""
        if self.credit is not None:
            self.credit -= 1
        self.leases[tracker] = message
        self.unconfirmed += message.size
        if self.unconfirmed >= self.most_unconfirmed:
            self.is_full = True

    def holds(self, tracker: bytes, message: Message) -> bool:
        """Return whether a message is with the client under this tracker."""
        return message is self.leases.get(tracker)

    def settle(self, tracker: bytes) -> Message | None:
        """Return the message that is with the client under this tracker, and note that it is no longer."""
        message = self.leases.pop(tracker, None)
        if message is not None:
            self.unconfirmed -= message.size
        return message

    def release_all(self) -> dict[bytes, Message]:
        """Return all that is with the client, oldest first, by its trackers, and note that nothing is."""
        leases, self.leases = self.leases, {}
        self.unconfirmed = 0
        return dict(sorted(leases.items(), key=lambda lease: lease[1].position))


class Clients:
    """All open clients."""

    def __init__(self) -> None:
        self._by_peer: dict[bytes, Client] = {}
        self._by_address: dict[bytes, Client] = {}
        # Asked for several times for each message.
        self.by_peer: Callable[[bytes], Client | None] = self._by_peer.get
        """The client of this connection."""
        self.by_address: Callable[[bytes], Client | None] = self._by_address.get
        """The client that has this address now."""

    def __len__(self) -> int:
        return len(self._by_peer)

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._by_peer.values()))

    def add(self, client: Client) -> Client | None:
        """Add a client, which takes its address; return the one that had it before."""
        self._by_peer[client.peer] = client
        if not client.address:
            return None
        older = self._by_address.get(client.address)
        self._by_address[client.address] = client
        return older

    def remove(self, client: Client) -> None:
        """Forget a client; the address stays with whoever has it now."""
        self._by_peer.pop(client.peer, None)
        if self._by_address.get(client.address) is client:
            del self._by_address[client.address]
