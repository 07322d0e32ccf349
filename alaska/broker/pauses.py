"""Services that administrators have paused: nothing of them is delivered, also after a restart."""

from __future__ import annotations

from collections.abc import Callable

from alaska.broker.queue import Queue
from alaska.broker.queue_table import ALL, PAUSED, QueueTable
from alaska.interfaces import IStore
from alaska.message import QueueKind


class Pauses:
    """Pauses services, and ends their pauses. ``dispatch`` delivers what waits in a queue, at a time."""

    def __init__(self, store: IStore, table: QueueTable, dispatch: Callable[[Queue, float], int]) -> None:
        self._store = store
        self._table = table
        self._dispatch = dispatch

    def pause(self, service: bytes) -> None:
        """Deliver nothing of a service until :meth:`resume`; its requests are accepted."""
        self._table.paused.add(service)
        self._table.open(QueueKind.SERVICE, service).pause()
        self._store.set_entry(PAUSED, service, b"")

    def resume(self, service: bytes, now: float) -> bool:
        """End the pause of a service; return False if it is not paused."""
        if service not in self._table.paused:
            return False
        self._table.paused.discard(service)
        self._store.set_entry(PAUSED, service, None)
        queue = self._table.open(QueueKind.SERVICE, service)
        if self._table.is_all_paused:
            self._table.remove_if_unused(queue)
            return True
        queue.resume()
        self._dispatch(queue, now)
        self._table.remove_if_unused(queue)
        return True

    def pause_all(self) -> bool:
        """Deliver nothing of any service until :meth:`resume_all`; return False if that is so."""
        if self._table.is_all_paused:
            return False
        self._table.is_all_paused = True
        self._store.set_entry(PAUSED, ALL, b"")
        for queue in self._table.services():
            queue.pause()
        return True

    def resume_all(self) -> bool:
        """End the pause of all services; return False if there is none.

        What was paused for itself stays so. The next tick begins to deliver.
        """
        if not self._table.is_all_paused:
            return False
        self._table.is_all_paused = False
        self._store.set_entry(PAUSED, ALL, None)
        for queue in self._table.services():
            if queue.name.address not in self._table.paused:
                queue.resume()
        return True
