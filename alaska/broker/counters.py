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
    """What the access rules, or the protection of the services of the broker, have refused (status 401)."""
    wrong_user: int = 0
    """Messages with the routing id of a session of another user."""
    opened: int = 0
    """The sessions of clients that were opened."""
    ended: dict[str, int] = field(default_factory=dict)
    """The sessions that have ended, by cause."""
    redelivered: int = 0
    dropped_for: dict[str, int] = field(default_factory=dict)
    """The messages that were dropped, by cause."""
    dead_lettered: int = 0
    dead_letters_dropped: int = 0
    dead_letters_passed_on: int = 0
    """The messages that became requests for a service for dead letters."""
    store_errors: int = 0
    admin_requests: int = 0
    """The requests for the broker's own services, and those of HTTP."""
    admin_refused: int = 0
    """Those whose sender may not do that."""
    schedules: dict[str, int] = field(default_factory=lambda: {"fired": 0, "missed": 0, "skipped": 0})
    """What has become of the times of schedules: a request was made, or it was missed or skipped."""

    def note_ended(self, cause: str) -> None:
        """Count a session that has ended."""
        self.ended[cause] = self.ended.get(cause, 0) + 1

    def note_dropped(self, cause: str) -> None:
        """Count a message that was dropped."""
        self.dropped_for[cause] = self.dropped_for.get(cause, 0) + 1
