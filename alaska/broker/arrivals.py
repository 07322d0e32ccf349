"""Messages from their senders to the queues (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections.abc import Callable

from alaska.broker.admission import Admission
from alaska.broker.clients import Client, Clients
from alaska.broker.counters import Counters
from alaska.broker.limits import Limits
from alaska.broker.queue import Queue
from alaska.broker.queued_messages import QueuedMessages
from alaska.broker.terms import terms_of
from alaska.errors import BadTerm, StoreError
from alaska.interfaces import IStore
from alaska.message import Message, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.properties import leaves_room
from alaska.mlm.terms import TTL


class Arrivals(QueuedMessages):
    """Makes messages of what clients and the broker itself send, and admits or refuses them."""

    # There are more attributes than CPython 3.11 reads fast without slots.
    __slots__ = (
        "_admission",
        "_mailbox_ttl",
        "_resolve",
        "is_draining",
    )

    def __init__(
        self, clients: Clients, counters: Counters, store: IStore, limits: Limits, report: Callable[[StoreError], None]
    ) -> None:
        super().__init__(clients, counters, store, limits, report)
        self._mailbox_ttl = limits.mailbox_seconds
        self.is_draining = False
        """Whether new requests are refused, except those of scripts that run."""
        self._resolve = self._deliveries.aliases.resolve
        self._admission = Admission(
            store, limits, clients, self.table, self._room, self._deliveries, self.confirmations, self._refusals,
            self._delays, self.ids, self._dispatch, self._remove_waiting,
        )  # fmt: skip

    def send_mailbox(self, sender: Client, command: mlm.MailboxSend, now: float) -> None:
        """Deliver mail to the client that has the address, or let it wait for one."""
        queue = self.table.open(QueueKind.MAILBOX, command.address)
        message = self._message(queue, sender, command, now)
        if not command.address:
            self._refusals.no_address(queue, message)
            return
        if self._mailbox_ttl is not None and message.expires is None and TTL not in message.properties:
            message.expires = now + self._mailbox_ttl
        if not message.properties or self._admits_properties(queue, message):
            self._admission.accept(queue, message)

    def send_service(self, sender: Client, command: mlm.ServiceSend, now: float) -> None:
        """Deliver a request to the next ready worker, or let it wait for one."""
        queue = self.table.open(QueueKind.SERVICE, command.address)
        message = self._message(queue, sender, command, now)
        if self.is_draining and not self._clients.runs_requests(sender):
            self._refusals.draining(queue, message)
        elif not message.properties or self._admits_properties(queue, message):
            self._admission.accept(queue, message)

    def send_mail(self, command: mlm.MailboxSend, sender: bytes, now: float) -> None:
        """Send mail from the broker itself."""
        self._position += 1
        self._now = now
        queue = self.table.open(QueueKind.MAILBOX, command.address)
        message = Message(
            self._position, queue.name, sender, command.subject, command.tracker, command.content, moved_at=now,
            expires=None if self._mailbox_ttl is None else now + self._mailbox_ttl,
        )  # fmt: skip
        self._admission.accept(queue, message)

    def room_for(self, service: bytes, octets: int) -> bool | None:
        """See :meth:`Admission.room_for`."""
        return self._admission.room_for(QueueName(QueueKind.SERVICE, service), octets)

    def send_request(
        self, service: bytes, subject: bytes, content: mlm.Content, sender: bytes, properties: mlm.Properties,
        now: float, tracker: bytes = b"",
    ) -> int | None:  # fmt: skip
        """Send a request from the broker itself; return its position, or None if it is refused.

        If it has a tracker, the sender is told what becomes of it, or else ``confirmations.untold``.
        """
        self._position += 1
        self._now = now
        queue = self.table.open(QueueKind.SERVICE, service)
        message = Message(
            self._position, queue.name, sender, subject, tracker, content, bool(tracker),
            since=int((now + self._wall_offset) * 1000), properties=properties, moved_at=now,
        )  # fmt: skip
        if properties and not self._admits_properties(queue, message):
            return None
        return message.position if self._admission.accept(queue, message) else None

    def _message(self, queue: Queue, sender: Client, command: mlm.MailboxSend | mlm.ServiceSend, now: float) -> Message:
        self._position += 1
        self._now = now
        tracker, timeout = command.tracker, command.timeout
        is_tracked = bool(tracker) and not sender.is_plain
        expires = now + timeout / 1000 if timeout else None
        resolved = self._resolve(tracker)
        message = Message(
            self._position, queue.name, sender.address, command.subject, resolved, command.content,
            is_tracked, sender.origin, expires, 0, b"", int((now + self._wall_offset) * 1000), command.properties,
            now,
        )  # fmt: skip
        if resolved is not tracker:
            message.sent_as = tracker
        return message

    def _admits_properties(self, queue: Queue, message: Message) -> bool:
        """Take over the terms of a message, or refuse it because of its properties and return False."""
        if not leaves_room(message.properties):
            return self._refusals.properties(queue, message)
        try:
            terms = terms_of(message.properties)
        except BadTerm as error:
            return self._refusals.bad_term(queue, message, str(error))
        message.rank = terms.priority
        if terms.ttl:
            latest = self._now + terms.ttl
            message.expires = latest if message.expires is None else min(message.expires, latest)
        if (due := terms.due(self._now, self._wall_offset)) is not None:
            self._delays.delay(message, due)
        return terms.id is None or self.ids.admit(queue, message, terms, self._now)
