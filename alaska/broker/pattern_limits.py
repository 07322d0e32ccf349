"""Limits for the number of patterns of offers and readers: each costs memory, and time for each new subject."""

from __future__ import annotations

from typing import NamedTuple

from alaska.broker.clients import Client
from alaska.errors import FAILED, Refused

OCTETS_PER_COUNT = 16


class PatternKey(NamedTuple):
    """A pattern of a client: for the messages of a stream, or for the requests of a service."""

    is_stream: bool
    name: bytes
    pattern: bytes

    @property
    def weight(self) -> int:
        """The number of patterns that it counts as: a long one counts once more per :data:`OCTETS_PER_COUNT` octets."""
        return 1 + len(self.pattern) // OCTETS_PER_COUNT


class PatternCounts:
    """The weight of the patterns of each client, stream or service, and the limit for it; None: no limit."""

    def __init__(self, whose: str, most: int | None) -> None:
        self._whose = whose
        self.most = most
        self._counts: dict[object, int] = {}

    def check(self, owner: object, more: int) -> None:
        """Check that the limit allows an owner this additional weight.

        :raises Refused: the limit would be exceeded.
        """
        weight = self._counts.get(owner, 0)
        if self.most is not None and weight + more > self.most:
            each = f"every {OCTETS_PER_COUNT} octets of a pattern count as one more"
            raise Refused(f"{self._whose} {weight} of {self.most} patterns ({each})", FAILED)

    def add(self, owner: object, more: int) -> None:
        """Add to the weight of an owner, or subtract if negative; an owner with weight 0 is forgotten."""
        weight = self._counts.pop(owner, 0) + more
        if weight:
            self._counts[owner] = weight


class PatternLimits:
    """The patterns of all clients, within a limit per client, one for all clients, and one per stream or service.

    None: no limit. For a stream or service, the same pattern of several clients counts once.
    """

    def __init__(self, most_of_one: int | None, most: int | None, most_different: int | None = None) -> None:
        self._patterns_of: dict[Client, set[PatternKey]] = {}
        self._uses: dict[PatternKey, int] = {}
        self._of_client = PatternCounts("this client has", most_of_one)
        self._of_all = PatternCounts("all clients have", most)
        self._of_name = PatternCounts("this stream or service has", most_different)

    def configure(self, most_of_one: int | None, most: int | None, most_different: int | None) -> None:
        """Change the limits for patterns that are added from now on."""
        self._of_client.most, self._of_all.most, self._of_name.most = most_of_one, most, most_different

    def add(self, client: Client, key: PatternKey) -> None:
        """Record a pattern of a client; a duplicate counts once.

        :raises Refused: a limit would be exceeded; nothing is recorded.
        """
        patterns = self._patterns_of.setdefault(client, set())
        if key in patterns:
            return
        weight = key.weight
        self._of_client.check(client, weight)
        self._of_all.check(None, weight)
        if key not in self._uses:
            self._of_name.check(key[:2], weight)
            self._of_name.add(key[:2], weight)
        patterns.add(key)
        self._uses[key] = self._uses.get(key, 0) + 1
        self._of_client.add(client, weight)
        self._of_all.add(None, weight)

    def _remove(self, client: Client, key: PatternKey) -> None:
        weight = key.weight
        self._of_client.add(client, -weight)
        self._of_all.add(None, -weight)
        uses = self._uses.pop(key) - 1
        if uses:
            self._uses[key] = uses
        else:
            self._of_name.add(key[:2], -weight)

    def cancel(self, client: Client, name: bytes, *, is_stream: bool = True) -> None:
        """Remove the patterns with which a client reads a stream, or offers a service."""
        patterns = self._patterns_of.get(client, set())
        for key in [key for key in patterns if key.is_stream is is_stream and key.name == name]:
            patterns.discard(key)
            self._remove(client, key)

    def remove_client(self, client: Client) -> None:
        """Remove all patterns of a client."""
        for key in self._patterns_of.pop(client, ()):
            self._remove(client, key)
