"""The terms of a send: the properties that change what happens to a message (docs/protocol.md, section 7).

A broker without properties would ignore them, for example run a delayed request at once. So no message with terms is
sent to such a broker.
"""

from __future__ import annotations

from alaska.mlm.commands import Properties

AT = "at"
DELAY = "delay"
PRIORITY = "priority"
ATTEMPTS = "attempts"
BACKOFF = "backoff"
TTL = "ttl"
ID = "id"
UNIQUE_FOR = "unique-for"
UNIQUE_MODE = "unique-mode"
NAMES = frozenset({AT, DELAY, PRIORITY, ATTEMPTS, BACKOFF, TTL, ID, UNIQUE_FOR, UNIQUE_MODE})


def has_terms(properties: Properties) -> bool:
    """Return whether some of the properties of a message are terms."""
    return not NAMES.isdisjoint(properties)
