"""The pace at which delayed messages that are due begin to wait for a consumer.

If a million is due at once, and a worker takes them as fast as it can, then they begin to wait only as fast: what does
not fit into memory would be moved in the store, and read again, which takes longer than to deliver it. If nobody takes
them, they begin to wait nonetheless, so that they are in order with others, and hold up no other queue.
"""

from __future__ import annotations

from collections.abc import Iterable

from alaska.broker.lanes import TOTAL_WINDOW_OCTETS
from alaska.broker.queue import Queue
from alaska.broker.queue_table import QueueTable
from alaska.interfaces import IStore
from alaska.message import QueueName

ENOUGH_WAITING = 600
"""If a queue has so many messages that wait, it needs no more; with those of a turn, they fit into memory."""
ENOUGH_OCTETS = TOTAL_WINDOW_OCTETS // 2
HOLD_SECONDS = 0.25
"""After this time, those of a turn begin to wait in any case."""
FLOWING = 100
"""If so many have ended by then, the consumers are fast: the others are held again."""
FREE_SECONDS = 0.5
"""Otherwise, nothing is held for this time."""


class DuePace:
    """Decides whether more messages that are due may begin to wait; it is told where the last ones went.

    It is not asked about few: those that one turn finds begin to wait at once.
    """

    def __init__(self, store: IStore, table: QueueTable) -> None:
        self._store = store
        self._table = table
        self._queues: set[QueueName] = set()
        self._held_since: float | None = None
        self._unfinished = 0
        self._free_until = 0.0

    def note(self, queues: Iterable[QueueName]) -> None:
        """Take over to which queues the messages of the last turn went, if it has left some; otherwise to none."""
        self._queues = set(queues)

    def may_continue(self, now: float) -> bool:
        """Return whether the messages of a turn may begin to wait."""
        if self._store.is_behind:
            return False
        queues = self._full_queues()
        if not queues or now < self._free_until:
            self._held_since = None
            return True
        unfinished = sum(queue.waiting + queue.running for queue in queues)
        if self._held_since is None:
            self._held_since, self._unfinished = now, unfinished
            return False
        if abs(now - self._held_since) < HOLD_SECONDS:
            return False
        self._held_since = None
        if self._unfinished - unfinished < FLOWING:
            self._free_until = now + FREE_SECONDS
        return True

    def _full_queues(self) -> list[Queue]:
        """Return the queues of the last turn; none if one of them needs more."""
        found = []
        for name in self._queues:
            queue = self._table.get(name)
            if queue is None or (queue.waiting < ENOUGH_WAITING and self._table.window_memory.octets < ENOUGH_OCTETS):
                return []
            found.append(queue)
        return found
