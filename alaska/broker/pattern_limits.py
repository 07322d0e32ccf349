"""Under how many patterns clients read and offer: each costs memory, and time for each new subject."""

from __future__ import annotations

from typing import NamedTuple

from alaska.broker.clients import Client
from alaska.errors import FAILED, Refused

OCTETS_PER_COUNT = 16


class PatternKey(NamedTuple):
    """What is asked for: the messages of a stream, or the requests of a service, that a pattern matches."""

    is_stream: bool
    name: bytes
    pattern: bytes

    @property
    def weight(self) -> int:
        """For how many patterns it counts: one more for each :data:`OCTETS_PER_COUNT` octets, for what they cost."""
        return 1 + len(self.pattern) // OCTETS_PER_COUNT


class PatternCounts:
    """How many patterns each of some clients, streams or services has, by weight."""

    def __init__(self, whose: str, most: int | None) -> None:
        self._whose = whose
        self._most = most
        self._counts: dict[object, int] = {}

    def check(self, owner: object, more: int) -> None:
        """Check that an owner may have so many more.

        :raises Refused: it may not.
        """
        weight = self._counts.get(owner, 0)
        if self._most is not None and weight + more > self._most:
            each = f"each {OCTETS_PER_COUNT} octets of one count for one more"
            raise Refused(f"{self._whose} {weight} of {self._most} patterns ({each})", FAILED)

    def add(self, owner: object, more: int) -> None:
        """Count more, or less; who has none is forgotten."""
        weight = self._counts.pop(owner, 0) + more
        if weight:
            self._counts[owner] = weight


class PatternLimits:
    """What each client has asked for, within a limit for each, one for each stream or service, and one for all.

    None: no limit. The same pattern of several clients counts once for its stream or service.
    """

    def __init__(self, most_of_one: int | None, most: int | None, most_different: int | None = None) -> None:
        self._patterns_of: dict[Client, set[PatternKey]] = {}
        self._uses: dict[PatternKey, int] = {}
        self._of_client = PatternCounts("it has", most_of_one)
        self._of_all = PatternCounts("all clients have", most)
        self._of_name = PatternCounts("this stream or service has", most_different)

    def add(self, client: Client, key: PatternKey) -> None:
        """Note what a client asks for; the same again counts once.

        :raises Refused: there is no room for it; nothing is noted.
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

    def cancel(self, client: Client, stream: bytes) -> None:
        """Note that a client no longer reads a stream."""
        patterns = self._patterns_of.get(client, set())
        for key in [key for key in patterns if key.is_stream and key.name == stream]:
            patterns.discard(key)
            self._remove(client, key)

    def remove_client(self, client: Client) -> None:
        """Forget a client."""
        for key in self._patterns_of.pop(client, ()):
            self._remove(client, key)
