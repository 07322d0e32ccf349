"""The sessions of clients: their credit and their unconfirmed deliveries (leases), by connection and by address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from alaska.access import Verb
from alaska.broker.access import Permitted
from alaska.broker.answers import Answers
from alaska.broker.flow_control import PROOF_MESSAGES, PROOF_OCTETS, REPLY_OCTETS, Flow
from alaska.broker.progress import Report
from alaska.interfaces import IRouter
from alaska.message import Message, QueueKind
from alaska.mlm.batch import Outgoing
from alaska.mlm.codec import encode
from alaska.mlm.commands import Command, Confirm
from alaska.mlm.properties import octets_of
from alaska.names import printable

LEASE_OCTETS = 1024
"""The estimated memory of a delivery that the broker holds, besides its size as limits count it, which may be 0."""
Lease: TypeAlias = "bytes | int"
"""What identifies an unconfirmed delivery of a client: a number, or its tracker if the client has no properties."""
MOST_LOOKED_AT = 100
HOLD_SECONDS = 0.1
"""How long mail is held back from a new client that may still send CREDIT (docs/protocol.md, section 5)."""


class Client:
    """The session of a client: its address, credit, flow control, and its unconfirmed deliveries.

    - ``credit``: the number of deliveries that the client is ready for. None for a plain client, to which everything is
      sent at once.
    - ``held_until``: the time until which its mail is held back, or None.
    - ``is_replaced``: a newer client has taken the address; a plain client continues without one.
    - ``is_full``: too much is unread or unconfirmed. The client gets no deliveries until it has read or confirmed some.
    - ``is_disconnected``: a message could not be sent; the next tick removes the client.
    - ``ignores_replies``: the reason for that is that the client does not read the replies to its commands.
    - ``leases``: the unconfirmed deliveries, by what a confirmation identifies them with. A plain client has some in a
      shared store, until that has answered.
    - ``acts_for``: the address of the worker whose scripts send over this connection; empty if it is not one of those.
    - ``host``, ``pid``: where the client runs, as it has announced; empty and 0 if it has not.
    - ``user``: who has opened the session (:meth:`IRouter.user_of`). ``origin`` identifies its routing id and user.
    - ``permitted``: what the access rules have permitted; None if the session may do everything. ``answers``: whom the
      user may answer, whatever the rules are. ``is_write_refused``: it may not write to its selected stream.
      ``missed``: some offers and readers that were refused, or ended by new rules.
    - ``number`` identifies the session for administrators, ``opened_at`` is when it began.
    - ``login``: what identifies the password or key with which the connection was accepted; empty without security.
    - ``unconfirmed``: the octets of the unconfirmed deliveries, with :data:`LEASE_OCTETS` for each.
    - ``progress``: what it has told about some of its unconfirmed deliveries (:mod:`alaska.broker.progress`).
    - ``reads_batches``, ``has_properties``, ``takes_progress``, ``takes_cancel``, ``takes_again``: what the client has
      announced (docs/protocol.md, section 7). ``outgoing``: what the broker has for it in this iteration of the event
      loop; None if the client gets single messages.
    """

    __slots__ = (
        "acts_for",
        "address",
        "answers",
        "credit",
        "flow",
        "has_properties",
        "held_until",
        "host",
        "ignores_replies",
        "is_disconnected",
        "is_full",
        "is_replaced",
        "is_write_refused",
        "last_heard",
        "last_lease",
        "last_probed",
        "leases",
        "login",
        "missed",
        "most_unconfirmed",
        "number",
        "opened_at",
        "origin",
        "outgoing",
        "peer",
        "permitted",
        "pid",
        "progress",
        "reads_batches",
        "refusals",
        "router",
        "stream",
        "takes_again",
        "takes_cancel",
        "takes_progress",
        "unconfirmed",
        "user",
    )

    def __init__(
        self,
        peer: bytes,
        address: bytes,
        now: float,
        router: IRouter,
        flow: Flow,
        most_unconfirmed: int | None = None,
        user: bytes | None = None,
        has_users: bool = False,
    ) -> None:
        self.peer = peer
        self.origin = peer + b"\0" + (user or b"") if has_users else peer
        self.address = address
        self.acts_for = self.host = b""
        self.pid = self.number = 0
        self.user = user
        self.permitted: Permitted | None = None
        self.answers: Answers | None = None
        self.is_write_refused = False
        self.missed: set[tuple[Verb, bytes]] = set()
        self.router = router
        self.flow = flow
        self.is_full = flow.is_full
        self.opened_at = self.last_heard = self.last_probed = now
        self.held_until: float | None = now + HOLD_SECONDS
        self.credit: int | None = None
        self.is_replaced = False
        self.is_disconnected = self.ignores_replies = False
        self.stream: bytes | None = None
        self.leases: dict[Lease, Message] = {}
        self.last_lease = self.refusals = 0
        self.progress: dict[Lease, Report] = {}
        self.login = ""
        self.reads_batches = self.has_properties = False
        self.takes_progress = self.takes_cancel = self.takes_again = False
        self.outgoing: Outgoing | None = None
        self.unconfirmed = 0
        self.most_unconfirmed = float("inf") if most_unconfirmed is None else most_unconfirmed

    def __repr__(self) -> str:
        return f"<Client {self.name}>"

    @property
    def name(self) -> str:
        """The name for log lines and administrators: the address, or the number of a client without address."""
        # Not the routing id: whoever knew that of a connection could take it over when it has ended.
        return printable(self.address) or f"anonymous {self.number}"

    @property
    def is_plain(self) -> bool:
        """Whether the client has never sent CREDIT: it cannot confirm, and does not understand a CONFIRM."""
        return self.credit is None

    @property
    def is_ready(self) -> bool:
        """Whether the client can be sent another delivery."""
        return (self.credit is None or self.credit > 0) and not (self.is_disconnected or self.is_full)

    @property
    def accepts_mail(self) -> bool:
        """Whether the client can be sent mail: it is ready, and its mail is not held back."""
        return self.held_until is None and self.is_ready

    def negotiate(self, can: Sequence[bytes]) -> None:
        """Take over what the client has announced when it opened."""
        self.reads_batches = b"batch" in can
        self.has_properties = b"properties" in can
        self.takes_progress = self.has_properties and b"progress" in can
        self.takes_cancel = self.has_properties and b"cancel" in can
        self.takes_again = self.has_properties and b"again" in can

    def add_credit(self, amount: int, most: int) -> None:
        """Add to the credit, which is then at most ``most``; from now on this is a credit client."""
        if self.credit is None and self.reads_batches:
            # A plain client gets single messages, because each counts as delivered when it is sent.
            self.outgoing = Outgoing()
        self.credit = min((self.credit or 0) + amount, most)

    def send(self, command: Command) -> bool:
        """Send a command to the client; return False if it is known to be disconnected.

        A message for a plain client counts as delivered when it is sent, so it is sent at once to learn whether that is
        possible. For a credit client, sending in a batch is enough: what is not confirmed is redelivered.
        """
        flow = self.flow
        octets = REPLY_OCTETS
        if type(command) is Confirm:
            octets += len(command.tracker) + len(command.status_reason)
            if command.properties:
                octets += octets_of(command.properties)
        flow.octets_since_proof += octets
        if flow.is_stalled and not flow.admits_reply(octets - REPLY_OCTETS):
            self.is_disconnected = self.ignores_replies = True
        elif flow.octets_since_proof >= PROOF_OCTETS:
            self._send_with_proof(command)
        elif self.outgoing:
            # As _send, which is not called here, since this is done several times per message.
            self.outgoing.append(command)
        else:
            self._send(command)
        return not self.is_disconnected

    def _send(self, command: Command) -> None:
        outgoing = self.outgoing
        if outgoing is not None:
            if not outgoing:
                self.router.post_from(self.peer, outgoing.take)
            outgoing.append(command)
        elif self.credit is not None:
            self.router.post(self.peer, encode(command))
        elif not self.router.send(self.peer, encode(command)):
            self.is_disconnected = True

    def deliver(self, command: Command, octets: int) -> bool:
        """Send a delivery with this number of octets (as limits count them); return as :meth:`send` does."""
        flow = self.flow
        flow.messages_since_proof += 1
        flow.octets_since_proof += octets
        if flow.messages_since_proof < PROOF_MESSAGES and flow.octets_since_proof < PROOF_OCTETS:
            if self.outgoing:
                self.outgoing.append(command)
            else:
                self._send(command)
        else:
            self._send_with_proof(command)
        return not self.is_disconnected

    def deliver_with_proof(self, command: Command, octets: int) -> Callable[[], bool] | None:
        """Do as :meth:`deliver`; return a function that says whether it has left this process, None if disconnected."""
        self.flow.messages_since_proof += 1
        self.flow.octets_since_proof += octets
        return self._send_with_proof(command)

    def _send_with_proof(self, command: Command) -> Callable[[], bool] | None:
        if self.outgoing is None:
            frames = encode(command)
        else:
            self.outgoing.append(command)
            *before, frames = self.outgoing.take()
            for each in before:
                self.router.post(self.peer, each)
        has_left = self.router.send_with_proof(self.peer, frames)
        if has_left is None:
            self.is_disconnected = True
            return None
        self.flow.proof_sent(has_left, self)
        self._compute_is_full()
        return has_left

    def _compute_is_full(self) -> None:
        self.is_full = self.flow.is_full or self.unconfirmed >= self.most_unconfirmed

    def recheck_is_full(self) -> None:
        """Update ``is_full`` of a full client, which may have read or confirmed something."""
        if self.is_full:
            self.flow.update()
            self._compute_is_full()

    def spend_credit(self) -> None:
        """Count a delivery of a stream against the credit."""
        if self.credit is not None:
            self.credit -= 1

    def set_answers(self, answers: Answers) -> None:
        """Set ``answers``, and add the requests that are unconfirmed."""
        self.answers = answers
        for message in self.leases.values():
            if message.queue.kind is QueueKind.SERVICE:
                answers.began(message.sender)

    def next_lease(self) -> int:
        """Return a new number for a lease."""
        self.last_lease += 1
        return self.last_lease

    def lease(self, lease: Lease, message: Message) -> None:
        """Count a delivery against the credit, and record it as unconfirmed."""
        if self.credit is not None:
            self.credit -= 1
        self.leases[lease] = message
        if self.answers is not None and message.queue.kind is QueueKind.SERVICE:
            self.answers.began(message.sender)
        self.unconfirmed += message.size + LEASE_OCTETS
        if self.unconfirmed >= self.most_unconfirmed:
            self.is_full = True

    def holds(self, lease: Lease, message: Message) -> bool:
        """Return whether a message is the unconfirmed delivery of a lease."""
        return message is self.leases.get(lease)

    def cancel_lease(self, lease: Lease) -> None:
        """Undo :meth:`lease` for a message that was not sent."""
        self.settle(lease)
        if self.credit is not None:
            self.credit += 1
        self.recheck_is_full()

    def settle(self, lease: Lease) -> Message | None:
        """Remove and return the unconfirmed delivery of a lease, or None."""
        message = self.leases.pop(lease, None)
        if message is not None:
            self.unconfirmed -= message.size + LEASE_OCTETS
            if self.progress:
                self.progress.pop(lease, None)
            if self.answers is not None and message.queue.kind is QueueKind.SERVICE:
                self.answers.ended(message.sender)
        return message

    def release_all(self) -> dict[Lease, Message]:
        """Remove and return all unconfirmed deliveries, by lease, oldest first."""
        leases, self.leases = self.leases, {}
        self.progress = {}
        if self.answers is not None:
            for message in leases.values():
                if message.queue.kind is QueueKind.SERVICE:
                    self.answers.ended(message.sender)
        self.unconfirmed = 0
        return dict(sorted(leases.items(), key=lambda lease: lease[1].position))


class Clients:
    """All open clients."""

    def __init__(self) -> None:
        self._by_peer: dict[bytes, Client] = {}
        self._by_address: dict[bytes, Client] = {}
        self._by_origin: dict[bytes, Client] = {}
        self._by_number: dict[int, Client] = {}
        self._last_number = 0
        # Bound methods, since they are called several times per message.
        self.by_peer: Callable[[bytes], Client | None] = self._by_peer.get
        """Return the client with this routing id, or None."""
        self.by_address: Callable[[bytes], Client | None] = self._by_address.get
        """Return the client that has this address at present, or None."""
        self.by_origin: Callable[[bytes], Client | None] = self._by_origin.get
        """Return the client with this routing id and user (``origin``), or None."""

    def runs_requests(self, client: Client) -> bool:
        """Return whether a client, or the worker of the same user for which it acts, has unconfirmed requests."""
        worker = self.by_address(client.acts_for) if client.acts_for else client
        if worker is None or worker.user != client.user:
            return False
        oldest = islice(worker.leases.values(), MOST_LOOKED_AT)
        return any(message.queue.kind is QueueKind.SERVICE for message in oldest)

    def by_number(self, number: int) -> Client | None:
        """Return the client whose session has this number, or None."""
        return self._by_number.get(number)

    def __len__(self) -> int:
        return len(self._by_peer)

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._by_peer.values()))

    def add(self, client: Client) -> Client | None:
        """Add a client, which takes over its address; return the client that had the address before."""
        self._last_number += 1
        client.number = self._last_number
        self._by_number[client.number] = client
        self._by_peer[client.peer] = client
        self._by_origin[client.origin] = client
        if not client.address:
            return None
        older = self._by_address.get(client.address)
        self._by_address[client.address] = client
        return older

    def remove(self, client: Client) -> None:
        """Remove a client, and its address unless a newer client has it."""
        self._by_peer.pop(client.peer, None)
        self._by_number.pop(client.number, None)
        self._by_origin.pop(client.origin, None)
        self.withdraw_address(client)

    def withdraw_address(self, client: Client) -> None:
        """Remove the address of a client, unless a newer client has it."""
        if self._by_address.get(client.address) is client:
            del self._by_address[client.address]
