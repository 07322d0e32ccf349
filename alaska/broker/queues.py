"""The life of a message that must arrive, from its sender to its confirmation (docs/protocol.md, sections 4 and 5)."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from twisted.logger import Logger

from alaska import errors
from alaska.broker.clients import Client, Clients
from alaska.broker.counters import Counters
from alaska.broker.mailboxes import Mailboxes
from alaska.broker.services import Services
from alaska.interfaces import IStore
from alaska.message import Message, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.names import printable

REFUSED_FROM = 400
"""The status from which on a confirmation says that the message is refused for good."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many octets of content may wait in one queue, and from how many on a warning is due; None: no limit."""

    most_octets: int | None = None
    warn_octets: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker allows: a client's silence, in seconds, and the limits of each kind of queue."""

    client_timeout: float = 5.0
    mailbox: QueueLimits = field(default_factory=QueueLimits)
    service: QueueLimits = field(default_factory=QueueLimits)


class Queues:
    """All mailboxes and service queues, and what is with clients and not confirmed."""

    _log = Logger()

    def __init__(self, clients: Clients, counters: Counters, store: IStore, limits: Limits) -> None:
        self._clients = clients
        self._counters = counters
        self._store = store
        self.mailboxes = Mailboxes(clients, self._deliver)
        self.services = Services(self._deliver)
        self._of: dict[QueueKind, Mailboxes | Services] = {
            QueueKind.MAILBOX: self.mailboxes,
            QueueKind.SERVICE: self.services,
        }
        self._limits = {QueueKind.MAILBOX: limits.mailbox, QueueKind.SERVICE: limits.service}
        self._positions = 0
        self._expiring: list[tuple[float, int, Message]] = []
        self._warned: set[QueueName] = set()

    # From the sender

    def send_mailbox(self, sender: Client, command: mlm.MailboxSend, now: float) -> None:
        """Deliver a message to the client with its address, or let it wait for one."""
        message = self._message(QueueKind.MAILBOX, sender, command, now)
        if command.address:
            self._accept(message)
        else:
            self._refuse(message, errors.FAILED, "the empty address has no mailbox")

    def send_service(self, sender: Client, command: mlm.ServiceSend, now: float) -> None:
        """Deliver a request to the client whose turn it is, or let it wait for one."""
        self._accept(self._message(QueueKind.SERVICE, sender, command, now))

    def _message(
        self, kind: QueueKind, sender: Client, command: mlm.MailboxSend | mlm.ServiceSend, now: float
    ) -> Message:
        self._positions += 1
        return Message(
            self._positions,
            QueueName(kind, command.address),
            sender.address,
            command.subject,
            command.tracker,
            command.content,
            origin=b"" if sender.is_plain or not command.tracker else sender.peer,
            expires=now + command.timeout / 1000 if command.timeout else None,
        )

    def _accept(self, message: Message) -> None:
        queues = self._of[message.queue.kind]
        taker = queues.next_for(message)
        if taker is None and not self._admit(message):
            return
        # A plain client's message is done with when it is sent, so there is nothing to keep.
        if taker is None or not taker.is_plain:
            self._store.keep(message, self._tell_stored if message.origin else None)
        elif message.origin:
            self._tell_stored(message)
        if taker is not None:
            self._deliver(taker, message)
        else:
            self._note_timeout(message)
            queues.wait(message)

    def _admit(self, message: Message) -> bool:
        """Return whether a message may wait; warn each time that its queue grows past its mark."""
        limits = self._limits[message.queue.kind]
        if limits.most_octets is None and limits.warn_octets is None:
            return True
        octets = self._of[message.queue.kind].octets_in(message.queue.address) + message.size
        if limits.most_octets is not None and octets > limits.most_octets:
            self._counters.over_limit += 1
            self._refuse(message, errors.TOO_LARGE, f"{message.queue} is full")
            return False
        if limits.warn_octets is None or octets < limits.warn_octets:
            self._warned.discard(message.queue)
        elif message.queue not in self._warned:
            self._warned.add(message.queue)
            self._log.warn("{queue} holds {octets} octets", queue=message.queue, octets=octets)
        return True

    # To the receiver

    def _deliver(self, client: Client, message: Message) -> None:
        message.attempts += 1
        self._counters.delivered += 1
        tracker = message.tracker
        if not client.is_plain:
            tracker = tracker or b"broker-%d" % message.position
            client.spend()
            client.lease(tracker, message)
        deliver = mlm.MailboxDeliver if message.queue.kind is QueueKind.MAILBOX else mlm.ServiceDeliver
        client.send(deliver(message.sender, message.queue.address, message.subject, tracker, message.content))
        if client.is_plain:
            self._end(message, errors.DELIVERED, b"")

    def dispatch_to(self, client: Client) -> None:
        """Deliver what waits for a client, as far as it is ready."""
        self.mailboxes.dispatch_to(client)
        self.services.dispatch_to(client)

    def confirm(self, client: Client, command: mlm.Confirm) -> bool:
        """Do what a client's confirmation says; return False if nothing with this tracker is with the client."""
        message = client.settle(command.tracker)
        if message is None:
            return False
        if command.status_code < errors.FAILED:
            self._end(message, errors.SUCCESS, command.status_reason)
        elif command.status_code < REFUSED_FROM:
            self._put_back([message])
        else:
            self._end(message, command.status_code, command.status_reason)
        return True

    def take_back(self, client: Client) -> None:
        """Withdraw a client's offers, and let what is with it wait again, in order, for others."""
        self.services.withdraw(client)
        self._put_back(client.surrender())

    def _put_back(self, messages: list[Message]) -> None:
        for message in messages:
            self._counters.redelivered += 1
            self._note_timeout(message)
            self._of[message.queue.kind].put_back(message)
        for queue in {message.queue for message in messages}:
            self._of[queue.kind].dispatch(queue.address)

    # The end of a message

    def expire(self, now: float) -> None:
        """Throw away what has waited longer than its timeout."""
        while self._expiring and self._expiring[0][0] <= now:
            message = heapq.heappop(self._expiring)[2]
            if self._of[message.queue.kind].drop(message):
                self._counters.timed_out += 1
                self._end(message, errors.TIMEOUT_EXPIRED, b"")

    def _note_timeout(self, message: Message) -> None:
        if message.expires is not None:
            heapq.heappush(self._expiring, (message.expires, message.position, message))

    def _refuse(self, message: Message, status: int, reason: str) -> None:
        self._counters.dropped += 1
        self._log.warn("a message from {sender} is not kept: {reason}", sender=printable(message.sender), reason=reason)
        self._tell_sender(message, status, reason.encode()[: mlm.MAX_STRING_OCTETS])

    def _end(self, message: Message, status: int, reason: bytes) -> None:
        self._store.forget(message)
        self._tell_sender(message, status, reason)

    def _tell_stored(self, message: Message) -> None:
        takers = self._of[message.queue.kind].takers(message)
        self._tell_sender(message, errors.STORED, b"offers=%d" % takers)

    def _tell_sender(self, message: Message, status: int, reason: bytes) -> None:
        """Confirm a message to its sender, if that waits for it and is still there, be it over a new connection."""
        if not message.origin:
            return
        sender = self._clients.at(message.origin) or self._clients.named(message.sender)
        if sender is not None and not sender.is_plain:
            sender.send(mlm.Confirm(message.tracker, status, reason))
