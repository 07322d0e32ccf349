"""Counters of the broker."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """The number of events of each kind since the broker started."""

    received: int = 0
    delivered: int = 0
    malformed: int = 0
    invalid: int = 0
    refused: int = 0
    access_refused: int = 0
    """Commands that the access rules have refused."""
    wrong_user: int = 0
    """Messages with the routing id of a session of another user."""
    over_limit: int = 0
    timed_out: int = 0
    expired_clients: int = 0
    redelivered: int = 0
    dropped: int = 0
    dropped_for: dict[str, int] = field(default_factory=dict)
    """The messages that were dropped, by cause."""
    dead_lettered: int = 0
    dead_letters_dropped: int = 0
    store_errors: int = 0
    store_refused: int = 0
