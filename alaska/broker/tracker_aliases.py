"""Trackers that stand for others, where a worker has two requests by the same one at a time.

Two senders may call their requests by the same tracker, and a confirmation has to say which of them it means: to a
worker that has one of them the other is delivered by an alias. What the worker sends with the alias goes on with the
tracker that it stands for, so a sender finds its own in the answer.
"""

from __future__ import annotations

import secrets

from alaska.broker.clients import Client
from alaska.message import Message

MAX_ALIASES = 10_000
_MAX_POSITION = 2**63


class Aliases:
    """The latest aliases; nobody can guess one that was not delivered to them."""

    def __init__(self) -> None:
        self._trackers: dict[bytes, bytes] = {}

    def make(self, tracker: bytes) -> bytes:
        """Return a new alias of a tracker; of more than :data:`MOST_ALIASES` the oldest stands for itself."""
        if len(self._trackers) >= MAX_ALIASES:
            del self._trackers[next(iter(self._trackers))]
        alias = b"alias-" + secrets.token_hex(8).encode()
        self._trackers[alias] = tracker
        return alias

    def resolve(self, tracker: bytes) -> bytes:
        """Return the tracker that a tracker stands for: mostly itself."""
        return self._trackers.get(tracker, tracker) if self._trackers else tracker


def own_tracker(client: Client, message: Message) -> bytes:
    """Return a tracker for a message that has none, which is on no other one that the client has.

    It tells a worker that the sender gave none.
    """
    number = message.position
    while (tracker := b"broker-%d-%d" % (number, message.attempts)) in client.leases:
        number += _MAX_POSITION
    return tracker
