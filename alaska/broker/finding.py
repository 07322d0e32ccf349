"""Finds single messages of queues by their positions."""

from __future__ import annotations

from alaska.broker.queue_table import QueueTable
from alaska.interfaces import IStore
from alaska.message import DELAYED, Message, QueueName, part_of


class Finding:
    """Finds messages in memory and in the store."""

    def __init__(self, table: QueueTable, store: IStore) -> None:
        self._table = table
        self._store = store

    def waiting(self, name: QueueName, position: int) -> Message | None:
        """Return a message that waits or is delayed; None if there is none, or if it is in flight.

        A large one may lack its content.

        :raises StoreError: the store cannot be read.
        """
        queue = self._table.get(name)
        for part in [] if queue is None else queue.parts:
            if part.has_loaded(position):
                return part.loaded(position)
            if part.has_unloaded and (found := self._store.message_at(part.name, position)) is not None:
                return found
        return None if queue is None or not queue.delayed else self._store.message_at(part_of(name, DELAYED), position)

    def exists(self, name: QueueName, position: int) -> bool:
        """Return whether there is a message: it waits, is delayed, or is in flight.

        :raises StoreError: the store cannot be read.
        """
        queue = self._table.get(name)
        is_loaded = queue is not None and any(part.has_loaded(position) for part in queue.parts)
        return is_loaded or self.waiting(name, position) is not None
