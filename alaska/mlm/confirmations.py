"""Credit and confirmations of a client: for what it gets, and the messages for which it has got none.

Messages with trackers that the broker has not confirmed may have to be sent again to another broker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from alaska.mlm import commands as mlm

Tracked = mlm.MailboxSend | mlm.ServiceSend
MAX_CREDIT_STEP = 2**16 - 1
MAX_ERROR_OCTETS = 32 * 1024
"""The maximum size of the reason of a confirmation, which is the property ``error`` if it is longer than 255 octets."""


class Again(NamedTuple):
    """How a returned message is delivered again: after so many ms, and whether the delivery counts as an attempt.

    With no delay, the message is not returned but refused, and ``is_spent`` says that this was its last attempt.
    """

    delay: int | None
    is_spent: bool


LAST = Again(None, True)
"""Of a message that is refused since its attempts are used up."""


def confirmation(
    tracker: bytes, status: int, reason: bytes, lease: int | None, again: Again | None = None
) -> mlm.Confirm:
    """Return the confirmation of a delivery; ``again`` is for peers that use leases."""
    properties: mlm.Properties = {} if lease is None else {"lease": lease}
    if again is not None and lease is not None:
        properties["spent"] = int(again.is_spent)
        if again.delay is not None:
            properties["delay"] = again.delay
    if len(reason) > mlm.MAX_STRING_OCTETS:
        properties["error"] = reason[:MAX_ERROR_OCTETS]
        reason = reason[: mlm.MAX_STRING_OCTETS]
    return mlm.Confirm(tracker, status, reason, properties)


def credits_of(amount: int) -> Iterator[mlm.Credit]:
    """Yield the commands that give an amount of credit, which may be 0."""
    while amount > MAX_CREDIT_STEP:
        yield mlm.Credit(MAX_CREDIT_STEP)
        amount -= MAX_CREDIT_STEP
    yield mlm.Credit(amount)


class Unconfirmed:
    """The messages by tracker, with their numbers in the outbox; several may have the same tracker."""

    def __init__(self) -> None:
        # The oldest message with each tracker, and all others: a queue for each tracker would take longer.
        self._oldest: dict[bytes, tuple[int, Tracked]] = {}
        self._others: dict[bytes, deque[tuple[int, Tracked]]] = {}

    def add(self, number: int, command: Tracked) -> None:
        """Add a message that was sent."""
        added = number, command
        if self._oldest.setdefault(command.tracker, added) is not added:
            self._others.setdefault(command.tracker, deque()).append(added)

    def confirmed(self, tracker: bytes) -> None:
        """Remove the oldest message with a tracker."""
        self._oldest.pop(tracker, None)
        if self._others and (others := self._others.get(tracker)):
            self._oldest[tracker] = others.popleft()
            if not others:
                del self._others[tracker]

    def upto(self, number: int) -> list[Tracked]:
        """Return the messages up to a number, in order."""
        known = [*self._oldest.values(), *(each for others in self._others.values() for each in others)]
        found = [each for each in known if each[0] <= number]
        return [command for _, command in sorted(found, key=lambda each: each[0])]

    def clear(self) -> None:
        """Remove all messages."""
        self._oldest.clear()
        self._others.clear()
