"""New messages: each is delivered at once, waits, or is refused, and is stored before its sender is told so."""

from __future__ import annotations

from collections.abc import Callable

from alaska import errors
from alaska.broker.clients import Client, Clients
from alaska.broker.confirmations import Confirmations
from alaska.broker.delays import Delays
from alaska.broker.deliveries import Deliveries
from alaska.broker.ids import Ids
from alaska.broker.limits import Limits, Room
from alaska.broker.part import Part
from alaska.broker.queue import Queue
from alaska.broker.queue_table import QueueTable
from alaska.broker.refusals import Refusals
from alaska.interfaces import IStore
from alaska.message import DELAYED, NORMAL, REPLAYED, Message, QueueName


class Admission:
    """Accepts new messages, within the limits.

    ``dispatch`` delivers what waits in a queue, at a time. ``remove_waiting`` removes a message from its queue, and
    returns False if it does not wait there.
    """

    def __init__(
        self,
        store: IStore,
        limits: Limits,
        clients: Clients,
        table: QueueTable,
        room: Room,
        deliveries: Deliveries,
        confirmations: Confirmations,
        refusals: Refusals,
        delays: Delays,
        ids: Ids,
        dispatch: Callable[[Queue, float], int],
        remove_waiting: Callable[[Message], bool],
    ) -> None:
        self._store = store
        self._is_durable = store.is_durable
        self._is_shared = store.is_shared
        self._clients = clients
        self._table = table
        self._room = room
        self._deliveries = deliveries
        self._confirmations = confirmations
        self._refusals = refusals
        self._delays = delays
        self._ids = ids
        self._dispatch = dispatch
        self._remove_waiting = remove_waiting
        self.configure(limits)

    def configure(self, limits: Limits) -> None:
        """Change the maximum size of messages that arrive from now on."""
        known = [each for each in (limits.content_octets, self._store.most_octets) if each is not None]
        self._most_octets = min(known, default=None)

    def room_for(self, name: QueueName, octets: int) -> bool | None:
        """Return whether a request of this size may be added to a queue now; None if it never may."""
        most = self._most_octets
        if (most is not None and octets > most) or self._room.is_larger(name, octets):
            return None
        if not self._store.has_room:
            return False
        queue, queues = self._table.get(name), len(self._table)
        if queue is not None and queue.has_any:
            return self._room.admits(name, queue.octets, octets)
        queues += queue is None
        is_admitted = queues <= self._room.most_queues or self._room.admits_new(name, queues, len(self._clients))
        has_no_consumer = queue is None or queue.consumers.is_empty
        return is_admitted and self._room.admits(name, 0, octets, queues if has_no_consumer else 0)

    def accept(self, queue: Queue, message: Message) -> bool:  # noqa: PLR0911  # another method would be a call more
        """Deliver a new message or let it wait; if there is no room for it, refuse it and return False."""
        most = self._most_octets
        if most is not None and message.size > most:
            return self._refusals.too_large(queue, message, most)
        if self._is_durable and not self._store.has_room:
            return self._refusals.store_failed(queue, message)
        is_admitted = len(self._table) <= self._room.most_queues or self._admits_new(queue)
        rank = message.rank
        if rank == DELAYED:
            return self._delay(queue, message) if is_admitted else self._refusals.no_room(queue, message)
        part: Part = queue if rank == NORMAL else queue.part(rank)
        consumer = part.consumer_for(message)
        if consumer is not None and consumer.credit is None and self._ends_at_once(consumer, message):
            return self._deliver_to_plain(queue, consumer, message, is_admitted)
        if not is_admitted:
            part.forget(message)
            return self._refusals.no_room(queue, message)
        if consumer is None:
            return self._enqueue(queue, part, message)
        queue.measures.immediate += 1
        queue.measures.immediate_octets += message.size
        self._store_or_confirm(message, self._is_durable)
        self._deliveries.deliver(consumer, message)
        return True

    def _ends_at_once(self, consumer: Client, message: Message) -> bool:
        """Return whether a message for a plain client is finished as soon as it is sent."""
        return not self._is_shared and not (self._is_durable and self._is_held_back(consumer, message))

    def _deliver_to_plain(self, queue: Queue, consumer: Client, message: Message, is_admitted: bool) -> bool:
        """Deliver a message that is finished as soon as it is sent; return False if that fails and there is no room."""
        queue.measures.immediate += 1
        queue.measures.immediate_octets += message.size
        # There is nothing to store, and no 201, which would promise durability.
        if not self._is_durable:
            self._store_or_confirm(message, is_needed=False)
        if self._is_durable and message.origin == REPLAYED:
            # It was stored as a dead letter, which is deleted now.
            self._store.keep(message, None)
            self._deliveries.deliver(consumer, message)
        else:
            self._deliveries.deliver_unstored(consumer, message)
        if consumer.is_disconnected:
            self._room.octets += message.size
            if not is_admitted and self._remove_waiting(message):
                self._store.forget(message)
                return self._refusals.no_room(queue, message)
            self._dispatch(queue, message.moved_at)
        return True

    def _delay(self, queue: Queue, message: Message) -> bool:
        """Store a new message that is delayed, or refuse it."""
        if not self._store.has_room:
            return self._refusals.store_failed(queue, message)
        if not self._room.admits(queue.name, queue.octets, message.size, 0):
            return self._refusals.no_room(queue, message)
        self._delays.add(queue, message)
        self._store_or_confirm(message, True)
        return True

    def _enqueue(self, queue: Queue, part: Part, message: Message) -> bool:
        """Let a new message wait, or refuse it."""
        if not self._store.has_room:
            return self._refusals.store_failed(queue, message)
        has_no_consumer = not queue.waiting and not queue.consumers.count(message.subject)
        if not self._room.admits(queue.name, queue.octets, message.size, len(self._table) if has_no_consumer else 0):
            return self._refusals.no_room(queue, message)
        self._room.octets += message.size
        queue.measures.enqueued += 1
        queue.measures.enqueued_octets += message.size
        is_in_memory = part.enqueue(message)
        self._store_or_confirm(message, self._is_durable or not is_in_memory or message.expires is not None)
        return True

    def _store_or_confirm(self, message: Message, is_needed: bool) -> None:
        """Store a message if that is needed; otherwise the store is no safer than memory, so confirm it at once."""
        if message.properties and self._ids.is_admitted(message):
            self._ids.accept(message)
            if is_needed:
                self._store.keep(message, self._stored_with_id)
            else:
                self._stored_with_id(message)
        elif is_needed:
            self._store.keep(message, self._confirm_stored if message.is_tracked else None)
        elif message.is_tracked:
            self._confirm_stored(message)

    def _stored_with_id(self, message: Message) -> None:
        # It may have been replaced before it was stored.
        if message.position in self._ids.unstored:
            if message.is_tracked:
                self._confirm_stored(message)
            self._ids.stored(message)

    def _is_held_back(self, consumer: Client, message: Message) -> bool:
        """Return whether a message for a consumer has to be stored before it is sent."""
        return (bool(message.properties) and self._ids.is_admitted(message)) or self._deliveries.holds_back(
            consumer, message
        )

    def _admits_new(self, queue: Queue) -> bool:
        return queue.has_messages or self._room.admits_new(queue.name, len(self._table), len(self._clients))

    def _confirm_stored(self, message: Message) -> None:
        queue = self._table.get(message.queue) or self._table.open(*message.queue)
        self._confirmations.send(message, errors.STORED, b"offers=%d" % queue.consumers.count(message.subject))
