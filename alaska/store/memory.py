"""The store that lives as long as its broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zope.interface import implementer

from alaska.interfaces import IStore
from alaska.message import Message, QueueName


@implementer(IStore)
class MemoryStore:
    """Keeps messages in memory: nothing survives the process, and nothing waits for a disk."""

    def __init__(self) -> None:
        self._queues: dict[QueueName, dict[int, Message]] = {}

    def keep(self, message: Message, stored: Callable[[Message], None] | None) -> None:
        """See :class:`IStore`."""
        self._queues.setdefault(message.queue, {})[message.position] = message
        if stored is not None:
            stored(message)

    def forget(self, message: Message) -> None:
        """See :class:`IStore`."""
        queue = self._queues.get(message.queue)
        if queue is not None:
            queue.pop(message.position, None)
            if not queue:
                del self._queues[message.queue]

    def kept(self, queue: QueueName) -> Iterator[Message]:
        """See :class:`IStore`."""
        return iter(list(self._queues.get(queue, {}).values()))

    def queues(self) -> list[QueueName]:
        """See :class:`IStore`."""
        return list(self._queues)

    def close(self) -> None:
        """See :class:`IStore`."""
        self._queues.clear()
