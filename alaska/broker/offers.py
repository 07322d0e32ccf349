"""The consumers of a service: the clients that offer it, served round-robin (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from itertools import islice
from typing import cast

from alaska.broker.clients import Client
from alaska.broker.subject_index import CacheMemory, Matches, SubjectIndex
from alaska.mlm.patterns import Pattern


class Offers:
    """The offers of one service. The key of a lane is the set of patterns that match a subject."""

    def __init__(self, cache_memory: CacheMemory | None = None) -> None:
        self._index = SubjectIndex(cache_memory)
        # By the source of a pattern: the clients that offer it, each with the number of its last turn; oldest first.
        self._offers: dict[bytes, OrderedDict[Client, int]] = {}
        self._turn = 0

    @property
    def is_empty(self) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return not self._offers

    @property
    def clients(self) -> set[Client]:
        """The clients that offer the service."""
        return {client for clients in self._offers.values() for client in clients}

    def add(self, client: Client, pattern: Pattern) -> bool:
        """Add an offer; return whether it is the first with its pattern, which changes the lanes."""
        known = self._offers.setdefault(pattern.source, OrderedDict())
        if client in known:
            return False
        # A new offer is served after all existing ones.
        self._turn += 1
        known[client] = self._turn
        return self._index.add(pattern)

    def withdraw(self, client: Client) -> bool:
        """Remove a client's offers; return whether one was the last with its pattern, which changes the lanes."""
        has_changed = False
        for pattern in [each for each in self._index.patterns if client in self._offers[each.source]]:
            del self._offers[pattern.source][client]
            if self._index.discard(pattern):
                del self._offers[pattern.source]
                has_changed = True
        return has_changed

    def has(self, client: Client, subject: bytes) -> bool:
        """Return whether a client offers the service for a subject."""
        return any(client in self._offers[pattern.source] for pattern in self._index.matching(subject))

    def patterns(self, most: int) -> list[bytes]:
        """Return the first patterns, at most ``most``."""
        return list(islice(self._offers, most))

    # Consumers

    @property
    def matched(self) -> int:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return self._index.matched

    def lane_of(self, subject: bytes) -> Hashable:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return self._index.matching(subject)

    def next_of(self, lane: Hashable, tracker: bytes) -> Client | None:
        """See :class:`alaska.broker.consumers.Consumers`; clients that have this tracker in flight come last."""
        best: tuple[bool, int, Client, OrderedDict[Client, int]] | None = None
        patterns = cast("Matches", lane)
        is_only = len(patterns) == 1
        for pattern in patterns:
            offers = self._offers[pattern.source]
            for client in offers:
                if not client.is_ready:
                    continue
                is_second = tracker in client.leases
                if is_only and not is_second:
                    # The usual case: the first one is the best.
                    self._turn = offers[client] = self._turn + 1
                    offers.move_to_end(client)
                    return client
                turn = offers[client]
                if best is None or (is_second, turn) < best[:2]:
                    best = is_second, turn, client, offers
                if not is_second:
                    break
        if best is None:
            return None
        _, _, client, offers = best
        self._turn = offers[client] = self._turn + 1
        offers.move_to_end(client)
        return client

    def is_ready(self, lane: Hashable) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return any(client.is_ready for pattern in cast("Matches", lane) for client in self._offers[pattern.source])

    def has_ready(self) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return any(client.is_ready for clients in self._offers.values() for client in clients)

    def has_tracker_in_flight(self, tracker: bytes) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        del tracker
        return False

    def count(self, subject: bytes) -> int:
        """See :class:`alaska.broker.consumers.Consumers`."""
        patterns = self._index.matching(subject)
        if len(patterns) == 1:
            # The usual case: no client can be counted twice, so that nothing has to be iterated for each request.
            (pattern,) = patterns
            return len(self._offers[pattern.source])
        return len({client for pattern in patterns for client in self._offers[pattern.source]})
