"""Aliases of trackers, for a worker that would have two requests with the same tracker in flight.

Two senders may use the same tracker, but a confirmation has to identify one request. If a worker already has a request
with the tracker, the second request is delivered with an alias as its tracker. In what the worker sends with the alias,
the broker replaces the alias by the original tracker, so that the sender finds its own tracker in the reply.
"""

from __future__ import annotations

import secrets

from alaska.broker.clients import Client
from alaska.message import Message

MAX_ALIASES = 10_000
_MAX_POSITION = 2**63


class Aliases:
    """The latest aliases. An alias is random, so that a client cannot guess one that it was not sent."""

    def __init__(self) -> None:
        self._trackers: dict[bytes, bytes] = {}

    def make(self, tracker: bytes) -> bytes:
        """Return a new alias of a tracker; beyond :data:`MAX_ALIASES` the oldest alias is forgotten."""
        if len(self._trackers) >= MAX_ALIASES:
            del self._trackers[next(iter(self._trackers))]
        alias = b"alias-" + secrets.token_hex(8).encode()
        self._trackers[alias] = tracker
        return alias

    def resolve(self, tracker: bytes) -> bytes:
        """Return the tracker that an alias stands for; any other tracker is returned as it is."""
        return self._trackers.get(tracker, tracker) if self._trackers else tracker


def own_tracker(client: Client, message: Message) -> bytes:
    """Return a tracker for a message that has none, different from all trackers in flight to the client.

    Its form shows the worker that the sender gave no tracker.
    """
    number = message.position
    while (tracker := b"broker-%d-%d" % (number, message.attempts)) in client.leases:
        number += _MAX_POSITION
    return tracker
