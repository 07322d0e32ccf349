"""Delayed messages: they are in the store only, in a part of their queue, until they are due.

There they have the time when they are due as their expiry, by which the store finds them (:meth:`IStore.overdue`).
Times are the broker's, which changes of the wall clock do not affect.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from alaska.broker.limits import Room
from alaska.broker.queue import Queue
from alaska.broker.queue_table import QueueTable
from alaska.broker.terms import priority_of
from alaska.interfaces import IStore
from alaska.message import DELAYED, Message, QueueName


class Delays:
    """Delays messages, and lets those wait for a consumer that are due.

    ``dispatch`` delivers what waits in a queue, at a time. ``room`` counts the octets of all messages.
    """

    def __init__(
        self, store: IStore, table: QueueTable, room: Room, dispatch: Callable[[Queue | None, float], int]
    ) -> None:
        self._store = store
        self._table = table
        self._room = room
        self._dispatch = dispatch

    def delay(self, message: Message, due: float) -> None:
        """Let a new message be delayed until a time; what it may wait then is what it may wait now.

        The caller stores it, and counts it with :meth:`add`.
        """
        message.patience = None if message.expires is None else max(0.0, message.expires - message.moved_at)
        message.rank, message.expires = DELAYED, due

    def add(self, queue: Queue, message: Message) -> None:
        """Count a delayed message."""
        queue.delayed += 1
        queue.delayed_octets += message.size
        self._room.octets += message.size

    def delay_again(self, message: Message, due: float) -> Message:
        """Delay a message that was in flight, and that its queue has forgotten; return it as it is stored now."""
        before = message.part
        message = _another(message)
        message.patience = None
        message.rank, message.expires = DELAYED, due
        self._store.move(message, before)
        if not self._store.is_durable:
            # What was in memory need not have been in the store.
            self._store.keep(message, None)
        queue = self._table.open(*message.queue)
        queue.put_off += 1
        self.add(queue, message)
        return message

    def remove(self, message: Message) -> bool:
        """Take a delayed message out; the caller deletes it from the store."""
        queue = self._table.open(*message.queue)
        if not queue.delayed:
            return False
        self._remove(queue, message)
        self._room.shrank(queue.name, queue.octets, message.size)
        return True

    @staticmethod
    def _remove(queue: Queue, message: Message) -> None:
        queue.delayed -= 1
        queue.delayed_octets -= message.size
        # Those that were put off before the broker has started are not counted.
        if queue.put_off and (message.attempts or message.snoozes):
            queue.put_off -= 1

    def end(self, messages: list[Message], now: float) -> None:
        """Let delayed messages wait for a consumer, and deliver them as far as consumers are ready."""
        names: dict[QueueName, None] = {}
        for message in messages:
            self._end(message, now)
            names[message.queue] = None
        for name in names:
            self._dispatch(self._table.get(name), now)

    def _end(self, message: Message, now: float) -> None:
        before, due = message.part, now if message.expires is None else message.expires
        message = _another(message)
        queue = self._table.open(*message.queue)
        self._remove(queue, message)
        message.rank = priority_of(message.properties)
        message.expires = None if message.patience is None else due + message.patience
        message.moved_at = now
        self._store.move(message, before)
        queue.measures.enqueued += 1
        queue.measures.enqueued_octets += message.size
        queue.part(message.rank).join(message)


def _another(message: Message) -> Message:
    """Return a copy, whose part and expiry may change: the store may be writing the message in its part before."""
    return copy(message)
