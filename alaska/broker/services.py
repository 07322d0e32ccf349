"""Services: a request goes to one client that offers its service, in turn (docs/protocol.md, section 4).

Requests that nobody can take now wait in lanes. A lane holds, in order, the requests whose subjects are matched by
exactly the same patterns, so what can be said of the first of a lane can be said of all: whether anybody offers it,
and who. A request that no offer matches waits in the lane of no pattern, where it is in nobody's way.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from alaska.broker.clients import Client
from alaska.broker.subjects import Matches, SubjectIndex
from alaska.message import Message, insert_by_position
from alaska.mlm.patterns import Pattern

Deliver = Callable[[Client, Message], None]


class Service:
    """The offers of one service, and the requests that wait for it."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._index = SubjectIndex()
        # Per pattern, the clients that offer it, the one whose turn is next first.
        self._offers: dict[Pattern, OrderedDict[Client, int]] = {}
        self._turn = 0
        self._lanes: dict[Matches, deque[Message]] = {}
        self.waiting = 0
        self.octets = 0

    def __bool__(self) -> bool:
        return bool(self._offers or self.waiting)

    def offer(self, client: Client, pattern: Pattern) -> None:
        """Add an offer; nothing is delivered yet."""
        known = self._offers.setdefault(pattern, OrderedDict())
        if client in known:
            return
        # A new offer comes after all that are there, so it gets the turn of the newest.
        self._turn += 1
        known[client] = self._turn
        if self._index.add(pattern):
            self._sort_into_lanes()

    def withdraw(self, client: Client) -> None:
        """Remove a client's offers."""
        gone = False
        for pattern in [pattern for pattern, clients in self._offers.items() if client in clients]:
            del self._offers[pattern][client]
            if self._index.discard(pattern):
                del self._offers[pattern]
                gone = True
        if gone:
            self._sort_into_lanes()

    def offers_for(self, subject: bytes) -> int:
        """Count the offers that match a subject, each client once."""
        return len({client for pattern in self._index.matching(subject) for client in self._offers[pattern]})

    def next_for(self, subject: bytes) -> Client | None:
        """Return the client whose turn it is to take a new request with this subject, and give the turn to the next.

        None if no client that offers it is ready, or if another request of its lane waits already.
        """
        matching = self._index.matching(subject)
        if not matching or matching in self._lanes:
            return None
        return self._next_of(matching)

    def wait(self, message: Message) -> None:
        """Let a request wait behind all of its lane."""
        self._lanes.setdefault(self._index.matching(message.subject), deque()).append(message)
        self._count(message, 1)

    def put_back(self, message: Message) -> None:
        """Let a request wait again, before all that arrived after it."""
        lane = self._lanes.setdefault(self._index.matching(message.subject), deque())
        insert_by_position(lane, message)
        self._count(message, 1)

    def drop(self, message: Message) -> bool:
        """Remove a request that waits; return False for one that does not."""
        matching = self._index.matching(message.subject)
        lane = self._lanes.get(matching, deque())
        try:
            lane.remove(message)
        except ValueError:
            return False
        self._count(message, -1)
        if not lane:
            del self._lanes[matching]
        return True

    def dispatch(self) -> None:
        """Deliver, oldest first, all that waits and that somebody can take."""
        open_lanes = {matching: lane for matching, lane in self._lanes.items() if matching}
        while open_lanes:
            matching = min(open_lanes, key=lambda matching: open_lanes[matching][0].position)
            client = self._next_of(matching)
            if client is None:
                del open_lanes[matching]
                continue
            lane = self._lanes[matching]
            message = lane.popleft()
            self._count(message, -1)
            if not lane:
                del self._lanes[matching], open_lanes[matching]
            self._deliver(client, message)

    def _next_of(self, matching: Matches) -> Client | None:
        best: tuple[int, Client, Pattern] | None = None
        for pattern in matching:
            for client, turn in self._offers[pattern].items():
                if client.is_ready:
                    if best is None or turn < best[0]:
                        best = turn, client, pattern
                    break
        if best is None:
            return None
        _, client, pattern = best
        self._turn += 1
        self._offers[pattern][client] = self._turn
        self._offers[pattern].move_to_end(client)
        return client

    def _sort_into_lanes(self) -> None:
        """Sort what waits anew, after a pattern came or went."""
        waiting = sorted((message for lane in self._lanes.values() for message in lane), key=lambda m: m.position)
        self._lanes = {}
        for message in waiting:
            self._lanes.setdefault(self._index.matching(message.subject), deque()).append(message)

    def _count(self, message: Message, sign: int) -> None:
        self.waiting += sign
        self.octets += sign * message.size


class Services:
    """All services that are offered or asked for, by address."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._services: dict[bytes, Service] = {}
        self._offered_by: dict[Client, dict[bytes, None]] = {}

    def _at(self, address: bytes) -> Service:
        service = self._services.get(address)
        if service is None:
            service = self._services[address] = Service(self._deliver)
        return service

    def _tidy(self, address: bytes) -> None:
        """Forget a service that nobody offers and nobody waits for."""
        if not self._services[address]:
            del self._services[address]

    # What clients offer

    def offer(self, address: bytes, client: Client, pattern: Pattern) -> None:
        """Add an offer; nothing is delivered yet."""
        self._offered_by.setdefault(client, {})[address] = None
        self._at(address).offer(client, pattern)

    def withdraw(self, client: Client) -> None:
        """Remove all that a client offers."""
        for address in self._offered_by.pop(client, ()):
            self._services[address].withdraw(client)
            self._tidy(address)

    def dispatch_to(self, client: Client) -> None:
        """Deliver what waits for the services that a client offers."""
        for address in self._offered_by.get(client, ()):
            self._services[address].dispatch()

    # What waits: the same five as of mailboxes

    def next_for(self, message: Message) -> Client | None:
        """Return the client that takes a new request at once, or None if it has to wait; it then has had its turn."""
        service = self._services.get(message.queue.address)
        return service.next_for(message.subject) if service else None

    def takers(self, message: Message) -> int:
        """Count the clients that offer what a request asks for."""
        service = self._services.get(message.queue.address)
        return service.offers_for(message.subject) if service else 0

    def wait(self, message: Message) -> None:
        """Let a request wait behind all that it could overtake."""
        self._at(message.queue.address).wait(message)

    def put_back(self, message: Message) -> None:
        """Let a request wait again, before all that arrived after it."""
        self._at(message.queue.address).put_back(message)

    def drop(self, message: Message) -> bool:
        """Remove a request that waits; return False for one that does not."""
        address = message.queue.address
        if address not in self._services or not self._services[address].drop(message):
            return False
        self._tidy(address)
        return True

    def dispatch(self, address: bytes) -> None:
        """Deliver what waits for a service, as far as clients are ready."""
        if address in self._services:
            self._services[address].dispatch()

    def octets_in(self, address: bytes) -> int:
        """Return the octets of content that wait for a service."""
        service = self._services.get(address)
        return service.octets if service else 0
