"""The services that have limits: changes of the limits, and deliveries when a limit admits requests again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from alaska.broker.awaited_workers import AwaitedWorkers
from alaska.broker.clients import Clients
from alaska.broker.deliveries import Deliveries
from alaska.broker.queue import Queue
from alaska.broker.queue_table import QueueTable
from alaska.broker.service_limits import ServiceLimits
from alaska.message import Message, QueueKind
from alaska.service_limits import ServiceLimit


class LimitedServices:
    """Applies limits to the services of a table.

    ``dispatch`` delivers what waits in a queue, at a time. ``clients``, ``deliveries`` and ``awaited`` know what is in
    flight.
    """

    def __init__(
        self,
        table: QueueTable,
        dispatch: Callable[[Queue, float], int],
        clients: Clients,
        deliveries: Deliveries,
        awaited: AwaitedWorkers,
    ) -> None:
        self._table = table
        self._dispatch = dispatch
        self._clients = clients
        self._deliveries = deliveries
        self._awaited = awaited
        self._given: tuple[ServiceLimit, ...] = ()
        self.freed: dict[bytes, None] = {}
        """The services of which a request may be delivered, since another one is not running any more."""

    def configure(self, given: Sequence[ServiceLimit], now: float) -> None:
        """Replace the limits; those for the same requests as before keep their counts."""
        given = tuple(given)
        if given == self._given:
            return
        before = self._by_service(self._given)
        after = self._by_service(given)
        self._given = given
        changed = [each for each in {**before, **after} if before.get(each) != after.get(each)]
        for service in changed:
            self._change(service, after.get(service, []), now)
        self._recount(changed)
        for service in changed:
            if (queue := self._table.get((QueueKind.SERVICE, service))) is not None:
                self._dispatch(queue, now)

    @staticmethod
    def _by_service(given: Iterable[ServiceLimit]) -> dict[bytes, list[ServiceLimit]]:
        found: dict[bytes, list[ServiceLimit]] = {}
        for each in given:
            found.setdefault(each.service, []).append(each)
        return found

    def _change(self, service: bytes, given: list[ServiceLimit], now: float) -> None:
        table = self._table
        limits = table.limits.get(service) or ServiceLimits(service, self.freed, table.cache_memory)
        has_other_lanes = limits.configure(given, now)
        if given:
            table.limits[service] = limits
        else:
            del table.limits[service]
            self.freed.pop(service, None)
        if (queue := table.get((QueueKind.SERVICE, service))) is not None:
            table.use_limits(queue)
            if has_other_lanes:
                queue.match_again()

    def _recount(self, services: Iterable[bytes]) -> None:
        """Count the running requests of services again: those without limits were not counted."""
        running: dict[bytes, list[bytes]] = {each: [] for each in services if each in self._table.limits}
        if not running:
            return
        for message in self._in_flight():
            kind, address = message.queue
            if kind is QueueKind.SERVICE and address in running:
                running[address].append(message.subject)
        for service, subjects in running.items():
            self._table.limits[service].recount(subjects)

    def _in_flight(self) -> Iterator[Message]:
        for client in self._clients:
            yield from client.leases.values()
        yield from self._deliveries.untransmitted()
        yield from self._awaited.requests()

    def dispatch_freed(self, now: float) -> None:
        """Deliver what was held back until a running request was confirmed."""
        while self.freed:
            service, _ = self.freed.popitem()
            limits = self._table.limits.get(service)
            queue = self._table.get((QueueKind.SERVICE, service))
            if limits is not None and queue is not None and limits.is_due(now):
                self._dispatch(queue, now)

    def due(self, now: float) -> list[Queue]:
        """Return the queues of which a request was held back that may be delivered now."""
        found = []
        for service, limits in self._table.limits.items():
            if limits.is_due(now):
                queue = self._table.get((QueueKind.SERVICE, service))
                if queue is not None and queue.has_work:
                    found.append(queue)
        self.freed.clear()
        return found
