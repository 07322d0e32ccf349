"""The consumers of a queue: the owner of a mailbox, or the clients that offer a service."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from alaska.broker.clients import Client


class Consumers(Protocol):
    """The consumers of one queue."""

    @property
    def matched(self) -> int:
        """The number of patterns that :meth:`lane_of` has matched so far, as a measure of the time it took."""

    @property
    def is_empty(self) -> bool:
        """Whether an empty queue may be forgotten because no consumer is registered."""

    def lane_of(self, subject: bytes) -> Hashable:
        """Return the key of the lane for a subject: it identifies the set of consumers that may take such a message.

        It is :data:`alaska.broker.lanes.NO_CONSUMERS` if there are none.
        """

    def next_of(self, lane: Hashable, tracker: bytes) -> Client | None:
        """Return the next ready consumer of a lane for a message with this tracker, or None; its turn is used up."""

    def is_ready(self, lane: Hashable) -> bool:
        """Return whether any consumer of a lane is ready."""

    def has_ready(self) -> bool:
        """Return whether any consumer is ready."""

    def has_tracker_in_flight(self, tracker: bytes) -> bool:
        """Return whether a message has to wait because its consumer has another one with this tracker in flight."""

    def count(self, subject: bytes) -> int:
        """Return the number of consumers that may take a message with this subject."""
