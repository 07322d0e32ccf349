"""Confirmations of a client: for what it has got, and the messages for which it has got none.

Messages with trackers that the broker has not confirmed may have to be sent again to another broker.
"""

from __future__ import annotations

from collections import deque

from alaska.mlm import commands as mlm

Tracked = mlm.MailboxSend | mlm.ServiceSend
MAX_ERROR_OCTETS = 32 * 1024
"""The maximum size of the reason of a confirmation, which is the property ``error`` if it is longer than 255 octets."""


def confirmation(tracker: bytes, status: int, reason: bytes, lease: int | None) -> mlm.Confirm:
    """Return the confirmation of a delivery."""
    properties: mlm.Properties = {} if lease is None else {"lease": lease}
    if len(reason) > mlm.MAX_STRING_OCTETS:
        properties["error"] = reason[:MAX_ERROR_OCTETS]
        reason = reason[: mlm.MAX_STRING_OCTETS]
    return mlm.Confirm(tracker, status, reason, properties)


class Unconfirmed:
    """The messages by tracker, with their numbers in the outbox; several may have the same tracker."""

    def __init__(self) -> None:
        self._by_tracker: dict[bytes, deque[tuple[int, Tracked]]] = {}

    def add(self, number: int, command: Tracked) -> None:
        """Add a message that was sent."""
        self._by_tracker.setdefault(command.tracker, deque()).append((number, command))

    def confirmed(self, tracker: bytes) -> None:
        """Remove the oldest message with a tracker."""
        waiting = self._by_tracker.get(tracker)
        if waiting is not None:
            waiting.popleft()
            if not waiting:
                del self._by_tracker[tracker]

    def upto(self, number: int) -> list[Tracked]:
        """Return the messages up to a number, in order."""
        found = [each for waiting in self._by_tracker.values() for each in waiting if each[0] <= number]
        return [command for _, command in sorted(found, key=lambda each: each[0])]

    def clear(self) -> None:
        """Remove all messages."""
        self._by_tracker.clear()
