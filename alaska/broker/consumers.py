"""Who takes the messages of a queue: the owner of a mailbox, or the clients that offer a service."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from alaska.broker.clients import Client


class Consumers(Protocol):
    """Who takes the messages of a queue."""

    @property
    def is_empty(self) -> bool:
        """Whether a queue that has nothing need not be remembered for their sake."""

    def lane_of(self, subject: bytes) -> Hashable:
        """Return what stands for the clients that may take a message with this subject; :data:`NOBODY` for none."""

    def next_of(self, lane: Hashable, tracker: bytes) -> Client | None:
        """Return the client of a lane whose turn it is to take a message with this tracker, if one is ready.

        It has had its turn then.
        """

    def has_ready(self) -> bool:
        """Return whether any client is ready."""

    def has_tracker_in_flight(self, tracker: bytes) -> bool:
        """Return whether a message has to wait because who would take it has another one with this tracker."""

    def count(self, subject: bytes) -> int:
        """Count the clients that may take a message with this subject."""
