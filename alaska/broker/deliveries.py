"""Deliveries: from a queue to a client, with a lease in the store where that is needed (docs/store.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator
from functools import partial
from itertools import islice
from typing import Protocol

from alaska import errors
from alaska.broker.attempts import Attempts
from alaska.broker.cancelled import Cancelled
from alaska.broker.clients import LEASE_OCTETS, Client, Lease
from alaska.broker.counters import Counters
from alaska.broker.limits import Limits
from alaska.broker.round_robin import RoundRobin
from alaska.broker.tracker_aliases import Aliases, own_tracker
from alaska.broker.untransmitted import Untransmitted
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import Message, QueueKind
from alaska.mlm import commands as mlm
from alaska.mlm.properties import BROKER_PROPERTIES

_NO_TRACKER = bytes(mlm.MAX_STRING_OCTETS)
"""A prefix that makes a key of ``Client.leases`` longer than any tracker, so that it is different from all of them."""
FINISHED_PER_TICK = 6000
"""The number of deliveries to clients that do not confirm that are finished per tick; the next tick continues."""
FINISHED_PER_DELIVERY = 10
"""The number of earlier ones that are finished with each new delivery to such a client."""


class Outcomes(Protocol):
    """What can become of a message that is to be delivered (:class:`alaska.broker.queues.Queues`)."""

    __slots__ = ()

    def finish(self, message: Message, status: int, reason: bytes, error: object, worker: bytes) -> None:
        """End the message, which this worker had, and notify its sender."""

    def give_up(self, message: Message) -> None:
        """Make it a dead letter."""

    def leave_to_other(self, message: Message) -> None:
        """Forget it, since another broker has it, or had it when it was asked for."""

    def return_unsent(self, message: Message) -> None:
        """Let it wait again, within the call of :meth:`Deliveries.deliver`."""

    def return_taken(self, message: Message) -> None:
        """Let it wait again, after that call, or deliver it to another client."""

    def dispatch_again(self, client: Client, lease: Lease) -> None:
        """Deliver something else to a client that does not get the message of this lease."""


class Deliveries:
    """Sends messages to clients. Those from before a restart have positions up to ``restored_upto``.

    Those in ``unstored`` are sent only when they are stored, as those that follow to the same client until then.
    """

    def __init__(
        self,
        store: IStore,
        counters: Counters,
        limits: Limits,
        restored_upto: int,
        outcomes: Outcomes,
        report_error: Callable[[StoreError], None],
    ) -> None:
        self._store = store
        self._is_durable = store.is_durable
        self._is_shared = store.is_shared
        self._counters = counters
        self.attempts = Attempts(limits.attempts)
        self._restored_upto = restored_upto
        self._outcomes = outcomes
        self._report_error = report_error
        self._pending: set[tuple[Client, Lease]] = set()  # leases of clients that the store has not answered
        self._restoring: set[tuple[Client, Lease]] = set()  # the same of requests from before a restart
        self.unstored: Container[int] = ()
        self.cancelled: Cancelled | None = None
        self.note: Callable[[Client, Message], bool] = lambda _client, _message: False
        """Is called with each delivery of a message with properties; returns whether it has to wait for the store."""
        # The number of deliveries to each client that wait until they are stored.
        self._held: Counter[Client] = Counter()
        self.aliases = Aliases()
        self._untransmitted: dict[Client, Untransmitted] = {}
        self._round_robin = RoundRobin()

    def deliver(self, client: Client, message: Message) -> None:
        """Send a message to a client that is ready for it; give up a request that has been delivered too often."""
        if message.position <= self._restored_upto and not self._is_shared and self.attempts.are_spent(message):
            self._outcomes.give_up(message)
            return
        message.attempts += 1
        self._counters.delivered += 1
        if client.credit is None:
            self._deliver_unconfirmed(client, message)
        else:
            self._deliver_to_confirm(client, message)

    def _deliver_unconfirmed(self, client: Client, message: Message) -> None:
        if self._is_shared or self.holds_back(client, message):
            # Until it is taken, it is unconfirmed: if the client leaves, it waits again.
            tracker = _NO_TRACKER + b"%d" % message.position
            client.lease(tracker, message)
            self._take(client, message, tracker, self._deliver_taken)
        elif not self._send(client, message):
            self._return_unsent(message)

    def holds_back(self, client: Client, message: Message) -> bool:
        """Return whether a message is sent to a client only when it is stored, since one with an id is, or precedes."""
        return (bool(self._held) and client in self._held) or (
            bool(message.properties) and message.position in self.unstored
        )

    def deliver_unstored(self, client: Client, message: Message) -> None:
        """Send a new message to a client that does not confirm: it is finished, so that it need not be stored."""
        message.attempts += 1
        self._counters.delivered += 1
        if client.deliver(_unleased(client, message), message.size):
            self._outcomes.finish(message, errors.DELIVERED, b"", None, client.address)
        else:
            self._return_unsent(message)

    def _return_unsent(self, message: Message) -> None:
        """Let a message wait as if it had never been delivered: the client has disconnected."""
        message.attempts -= 1
        self._store.keep(message, None)
        self._outcomes.return_unsent(message)

    def _send(self, client: Client, message: Message) -> bool:
        """Send a stored message to a client that does not confirm; return False if that has disconnected.

        The sender may have got 201 for it: then it stays stored until it has left this process.
        """
        if not (self._is_durable and message.is_promised):
            is_sent = client.deliver(_unleased(client, message), message.size)
            if is_sent:
                self._outcomes.finish(message, errors.DELIVERED, b"", None, client.address)
            return is_sent
        # The broker holds the message until it has left, so its memory counts besides its octets.
        octets = message.size + LEASE_OCTETS
        has_left = client.deliver_with_proof(_unleased(client, message), octets)
        if has_left is None:
            return False
        untransmitted = self._untransmitted.setdefault(client, Untransmitted())
        untransmitted.add(message, has_left)
        self._finish_sent(client, untransmitted, FINISHED_PER_DELIVERY)
        return True

    def _finish_sent(self, client: Client, untransmitted: Untransmitted, most: int) -> int:
        finished = 0
        for message in islice(untransmitted.pop_left(), most):
            self._outcomes.finish(message, errors.DELIVERED, b"", None, client.address)
            finished += 1
        if untransmitted.is_empty:
            self._untransmitted.pop(client, None)
        return finished

    def tick(self) -> None:
        """Finish deliveries to clients that do not confirm, as far as they have left this process."""
        sent = list(self._untransmitted.items())
        self._round_robin.run(sent, FINISHED_PER_TICK, lambda each, most: self._finish_sent(*each, most))

    def untransmitted(self) -> Iterator[Message]:
        """Return the deliveries to clients that do not confirm that may still be in this process."""
        for each in self._untransmitted.values():
            yield from each.encoded()
            yield from each.unsent()

    def remove_client(self, client: Client) -> list[Message]:
        """Return the deliveries to a client that has left, and does not confirm, that may still be in this process."""
        untransmitted = self._untransmitted.pop(client, None)
        if untransmitted is None:
            return []
        for message in untransmitted.pop_left():
            self._outcomes.finish(message, errors.DELIVERED, b"", None, client.address)
        unsent = untransmitted.unsent()
        for message in unsent:
            self._undo(message)
        return [*untransmitted.encoded(), *unsent]

    def _take(
        self, client: Client, message: Message, lease: Lease, taken: Callable[[Client, Message, Lease, bool], None]
    ) -> None:
        """Take the lease of a message of a shared store; call ``taken`` with the result unless the client has left."""
        self._pending.add((client, lease))
        self._held[client] += 1

        def answered(is_taken: bool) -> None:
            self._pending.discard((client, lease))
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]
            if not client.holds(lease, message):
                return
            try:
                taken(client, message, lease, is_taken)
            except StoreError as error:
                # From the dispatch that follows; the next tick continues it.
                self._report_error(error)

        self._store.take(message, answered)

    def _deliver_taken(self, client: Client, message: Message, lease: Lease, is_taken: bool) -> None:
        """Deliver a message of a shared store to a client that does not confirm, or has begun to since."""
        if is_taken and self._is_cancelled(message):
            self._end_cancelled(client, message, lease)
            return
        was_full = client.is_full
        client.settle(lease)
        client.recheck_is_full()
        if not is_taken or self.attempts.are_exceeded(message):
            self._withdraw(client, message, lease, is_taken)
        elif client.is_plain and self._send(client, message):
            if was_full:
                self._outcomes.dispatch_again(client, lease)
        else:
            self._undo(message)
            self._store.release(message)
            self._outcomes.return_taken(message)

    def undo_pending(self, client: Client, leases: dict[Lease, Message]) -> None:
        """Do not count the deliveries to a client that has left before the store has answered."""
        for lease, message in leases.items():
            if (client, lease) in self._pending:
                self._undo(message)

    def _undo(self, message: Message) -> None:
        message.attempts -= 1
        self._counters.delivered -= 1

    def _withdraw(self, client: Client, message: Message, lease: Lease, is_taken: bool) -> None:
        """Give up a message that was taken, forget one that another broker has; the client can have another one."""
        self._undo(message)
        if is_taken:
            self._outcomes.give_up(message)
        else:
            self._outcomes.leave_to_other(message)
        self._outcomes.dispatch_again(client, lease)

    def _deliver_to_confirm(self, client: Client, message: Message) -> None:
        lease = self._lease_for(client, message)
        client.lease(lease, message)
        if self._is_shared:
            self._take(client, message, lease, self._deliver_leased)
            return
        is_noted = bool(message.properties) and self.note(client, message)
        # A request from before a restart may have crashed this process, if the worker is in it: its attempt is stored
        # before the delivery. Mail cannot crash it, and must stay in order.
        if message.position <= self._restored_upto and message.queue.kind is QueueKind.SERVICE:
            self._restoring.add((client, lease))
            self._store.take(message, partial(self._deliver_restored, client, message, lease))
            return
        if self._is_durable:
            # As holds_back(), without the call.
            is_unstored = is_noted or (message.properties and message.position in self.unstored)
            if is_unstored or (self._held and client in self._held):
                self._take(client, message, lease, self._deliver_leased)
                return
            self._store.take(message, None)
        client.deliver(_leased(message, lease), message.size)

    def _lease_for(self, client: Client, message: Message) -> Lease:
        if client.has_properties:
            return client.next_lease()
        # The confirmation has nothing but the tracker to identify the delivery.
        tracker = message.tracker
        if not tracker:
            return own_tracker(client, message)
        return self.aliases.make(tracker) if tracker in client.leases else tracker

    def _deliver_restored(self, client: Client, message: Message, lease: Lease, _is_taken: bool) -> None:
        """Deliver a request whose attempt is stored, unless the client has left."""
        self._restoring.discard((client, lease))
        if not client.holds(lease, message):
            return
        if self._is_cancelled(message):
            try:
                self._end_cancelled(client, message, lease)
            except StoreError as error:
                self._report_error(error)
        elif not client.is_disconnected:
            client.deliver(_leased(message, lease), message.size)

    def _deliver_leased(self, client: Client, message: Message, lease: Lease, is_taken: bool) -> None:
        """Deliver a message of a shared store that a client has to confirm."""
        if not is_taken or self.attempts.are_exceeded(message):
            client.cancel_lease(lease)
            self._withdraw(client, message, lease, is_taken)
        elif self._is_cancelled(message):
            self._end_cancelled(client, message, lease)
        elif not client.is_disconnected:
            client.deliver(_leased(message, lease), message.size)

    def is_unsent(self, client: Client, lease: Lease) -> bool:
        """Return whether a message is assigned to a client, and not sent to it before the store answers."""
        return (client, lease) in self._pending or (client, lease) in self._restoring

    def _end_cancelled(self, client: Client, message: Message, lease: Lease) -> None:
        """End a message that was cancelled before it was sent; the client can have another one."""
        client.cancel_lease(lease)
        self._undo(message)
        assert self.cancelled is not None
        self.cancelled.end(message)
        self._outcomes.dispatch_again(client, lease)

    def _is_cancelled(self, message: Message) -> bool:
        """Return whether a message was cancelled after it was assigned to a client."""
        return self.cancelled is not None and message in self.cancelled


def _leased(message: Message, lease: Lease) -> mlm.Command:
    """Return the delivery of a message with a lease: a number, or the tracker to send."""
    if isinstance(lease, bytes):
        return _delivery(message, lease, {})
    properties: mlm.Properties = {"lease": lease, "attempt": message.attempts, "since": message.since}
    # Where the sender's properties leave no room for it, the receiver does not learn it.
    if message.snoozes and len(message.properties) < mlm.MAX_PROPERTIES - BROKER_PROPERTIES:
        properties["snoozes"] = message.snoozes
    return _delivery(
        message, message.tracker, {**message.properties, **properties} if message.properties else properties
    )


def _unleased(client: Client, message: Message) -> mlm.Command:
    """Return the delivery of a message to a client that does not confirm it; its number is never used again."""
    if client.answers is not None and message.queue.kind is QueueKind.SERVICE:
        client.answers.allow_some(message.sender)
    return _leased(message, client.next_lease() if client.has_properties else message.tracker)


def _delivery(message: Message, tracker: bytes, properties: mlm.Properties) -> mlm.Command:
    deliver = mlm.MailboxDeliver if message.queue.kind is QueueKind.MAILBOX else mlm.ServiceDeliver
    return deliver(message.sender, message.queue.address, message.subject, tracker, message.content, properties)
