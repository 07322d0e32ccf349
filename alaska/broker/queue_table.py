"""The table of all mailboxes and service queues: which exist, who offers each service, and their sizes."""

from __future__ import annotations

from collections.abc import Callable

from alaska.broker.clients import Client, Clients
from alaska.broker.lanes import WindowMemory
from alaska.broker.limited_offers import LimitedOffers
from alaska.broker.limits import Room
from alaska.broker.mailbox_owner import MailboxOwner
from alaska.broker.measures import Measures
from alaska.broker.offers import Offers
from alaska.broker.queue import Queue
from alaska.broker.served_backlog import QueueCalls
from alaska.broker.service_limits import ServiceLimits
from alaska.broker.subject_index import CacheMemory
from alaska.interfaces import IStore
from alaska.message import QueueKind, QueueName, QueueSize, name_of, part_of, rank_of
from alaska.mlm.patterns import Pattern

PAUSED = "paused"
"""The kind of the entries in the store for paused services."""
ALL = b""
"""The name of the entry of this kind if all services are paused."""


class QueueTable(dict[tuple[QueueKind, bytes], Queue]):
    """The queues by kind and address. A queue exists while it has messages or offers.

    ``calls`` are those of each :class:`alaska.broker.queue.Queue`; ``room`` counts the octets that wait in all queues;
    ``now`` returns the time of the call that is being carried out.
    """

    def __init__(
        self,
        clients: Clients,
        store: IStore,
        room: Room,
        measures: Measures,
        calls: QueueCalls,
        now: Callable[[], float],
    ) -> None:
        super().__init__()
        self._clients = clients
        self._store = store
        self._room = room
        self._measures = measures
        self._calls = calls
        self._offers: dict[bytes, Offers] = {}
        self.limits: dict[bytes, ServiceLimits] = {}
        """The limits of the services that have some (:mod:`alaska.broker.limited_services`)."""
        self._now = now
        self._ageing: float | None = None
        self.cache_memory = CacheMemory()
        self.offered_by: dict[Client, dict[bytes, None]] = {}
        """The services that each client offers."""
        self.window_memory = WindowMemory()
        self.paused: set[bytes] = set()
        """The services that are paused, each for itself."""
        self.is_all_paused = False
        """Whether all services are paused, also those that there will be."""

    def age(self, seconds: float | None) -> None:
        """Set after how long messages count as those with the next higher priority; None: never."""
        self._ageing = seconds
        for queue in self.values():
            queue.ageing = seconds

    def restore(self) -> None:
        """Add the queues that the store has at startup."""
        self.paused.update(self._store.entries(PAUSED))
        self.is_all_paused = ALL in self.paused
        self.paused.discard(ALL)
        for size in self._store.queues():
            self.open(*name_of(size.part)).restore_part(rank_of(size.part), size.messages, size.octets)
            self._room.octets += size.octets
        for service in self.paused:
            self.open(QueueKind.SERVICE, service)

    def open(self, kind: QueueKind, address: bytes) -> Queue:
        """Return the queue with this name; add it if there is none."""
        queue = self.get((kind, address))
        if queue is None:
            name = QueueName(kind, address)
            consumers = self._offers_of(address) if kind is QueueKind.SERVICE else MailboxOwner(self._clients, address)
            shared = self.window_memory, self._measures.of(name)
            queue = self[name] = Queue(name, consumers, self._store, self._calls, *shared)
            queue.ageing = self._ageing
            if kind is QueueKind.SERVICE and address in self.limits:
                self.use_limits(queue)
            if kind is QueueKind.SERVICE and (self.is_all_paused or address in self.paused):
                queue.pause()
        return queue

    def services(self) -> list[Queue]:
        """Return the queues of all services."""
        return [queue for queue in self.values() if queue.name.kind is QueueKind.SERVICE]

    def use_limits(self, queue: Queue) -> None:
        """Let the limits of its service apply to a queue, or none if there are none any more."""
        address = queue.name.address
        offers, limits = self._offers_of(address), self.limits.get(address)
        queue.limit(limits, offers if limits is None else LimitedOffers(offers, limits, self._now))

    def _offers_of(self, address: bytes) -> Offers:
        return self._offers.setdefault(address, Offers(self.cache_memory))

    def is_offered_by(self, client: Client, service: bytes, subject: bytes) -> bool:
        """Return whether a client offers a service for a subject."""
        offers = self._offers.get(service)
        return offers is not None and offers.has(client, subject)

    def offer(self, address: bytes, client: Client, pattern: Pattern) -> None:
        """Add a client's offer of a service."""
        self.offered_by.setdefault(client, {})[address] = None
        if self._offers_of(address).add(client, pattern):
            queue = self.open(QueueKind.SERVICE, address)
            queue.use_measures(self._measures.offered(address))
            queue.match_again()

    def withdraw_offers(self, client: Client) -> None:
        """Remove all offers of a client."""
        for address in list(self.offered_by.get(client, ())):
            self.withdraw_offer(client, address)

    def withdraw_offer(self, client: Client, address: bytes) -> None:
        """Remove a client's offer of one service."""
        services = self.offered_by[client]
        del services[address]
        if not services:
            del self.offered_by[client]
        queue = self.open(QueueKind.SERVICE, address)
        if self._offers[address].withdraw(client):
            queue.match_again()
        self.remove_if_unused(queue)

    def remove_if_unused(self, queue: Queue) -> None:
        """Remove a queue that has neither messages nor offers, and the parts without messages of one that has.

        A service that is paused for itself stays, so that it is shown.
        """
        if len(queue.parts) > 1:
            queue.drop_empty_parts()
        if queue.is_needed or (queue.is_paused and queue.name.address in self.paused):
            return
        if self.pop(queue.name, None) is not None:
            self._room.octets -= queue.octets  # not 0 if another broker has delivered what was counted
            if queue.name.kind is QueueKind.SERVICE:
                self._offers.pop(queue.name.address, None)

    def recount(self) -> None:
        """Correct the numbers of waiting messages in a shared store, since other brokers deliver them too."""
        sizes = {size.part: size for size in self._store.queues()}
        ranks: dict[QueueName, set[int]] = {}
        for part in sizes:
            ranks.setdefault(name_of(part), set()).add(rank_of(part))
        for queue in list(self.values()):
            before = queue.octets
            for rank in ranks.get(queue.name, set()).union(queue.ranks):
                _, messages, octets = sizes.get(part := part_of(queue.name, rank), QueueSize(part, 0, 0))
                queue.restore_part(rank, messages, octets)
            self._room.shrank(queue.name, queue.octets, before - queue.octets)
            self.remove_if_unused(queue)
