"""Under how many patterns clients read and offer: each costs memory, and time for each new subject."""

from __future__ import annotations

from typing import NamedTuple

from alaska.broker.clients import Client
from alaska.errors import FAILED, Refused


class Key(NamedTuple):
    """What is asked for: the messages of a stream, or the requests of a service, that a pattern matches."""

    is_stream: bool
    name: bytes
    pattern: bytes


class Asked:
    """What each client has asked for, within a limit for each and one for all; None: no limit."""

    def __init__(self, most_of_one: int | None, most: int | None) -> None:
        self._most_of_one = most_of_one
        self._most = most
        self._asked: dict[Client, set[Key]] = {}
        self._count = 0

    def add(self, client: Client, key: Key) -> None:
        """Note what a client asks for; the same again counts once.

        :raises Refused: there is no room for it; nothing is noted.
        """
        asked = self._asked.setdefault(client, set())
        if key in asked:
            return
        if self._most_of_one is not None and len(asked) >= self._most_of_one:
            raise Refused(f"it has {len(asked)} patterns, and that is the limit for one client", FAILED)
        if self._most is not None and self._count >= self._most:
            raise Refused(f"there are {self._count} patterns, and that is the limit for all clients", FAILED)
        asked.add(key)
        self._count += 1

    def cancel(self, client: Client, stream: bytes) -> None:
        """Note that a client no longer reads a stream."""
        asked = self._asked.get(client)
        if asked:
            kept = {key for key in asked if not key.is_stream or key.name != stream}
            self._count -= len(asked) - len(kept)
            self._asked[client] = kept

    def drop(self, client: Client) -> None:
        """Forget a client."""
        self._count -= len(self._asked.pop(client, ()))
