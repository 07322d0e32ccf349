"""Attempts: how often a message was delivered, which of that counts, and how often it may be delivered.

A delivery counts as an attempt, unless the receiver returns the message and says that it does not. So a message has as
many attempts as it was tried. Deliveries in a row whose receivers were lost have a limit of their own: it protects
receivers from a request that ends their processes, and a receiver that returns a request was not ended by it.
"""

from __future__ import annotations

from typing import NamedTuple

from alaska.broker.terms import attempts_of
from alaska.message import Message, QueueKind
from alaska.mlm.commands import Properties
from alaska.mlm.properties import to_number
from alaska.system.retry_plan import MOST_MILLISECONDS


class Return(NamedTuple):
    """How a receiver returns a message: to be delivered again at once, or after so many seconds.

    ``is_spent``: its delivery counts as an attempt.
    """

    delay: float | None
    is_spent: bool


def return_of(properties: Properties) -> Return:
    """Return what the properties of a confirmation say; a delay that is not valid counts as none."""
    if not properties:
        return Return(None, False)
    delay = to_number(properties.get("delay"))
    is_spent = to_number(properties.get("spent")) == 1
    # Not at once, so that a receiver that always returns a message does not keep the broker busy.
    return Return(None if delay is None else min(max(delay, 1), MOST_MILLISECONDS) / 1000, is_spent)


def note_returned(message: Message, returned: Return) -> None:
    """Count a message that its receiver has returned."""
    if not returned.is_spent:
        message.attempts -= 1
    if returned.delay is not None:
        message.snoozes += not returned.is_spent
    if returned.delay is not None or returned.is_spent:
        message.answered = message.attempts


class Attempts:
    """Decides how often a message may be delivered.

    ``most_lost`` is how many receivers in a row may be lost with a request; None: any number.
    """

    def __init__(self, most_lost: int | None) -> None:
        self.most_lost = most_lost

    def are_spent(self, message: Message) -> bool:
        """Return whether a message that was in flight, and whose receiver was lost, must not be delivered again."""
        most = self.most_lost
        if most is not None and message.attempts - message.answered >= most and message.queue.kind is QueueKind.SERVICE:
            return True
        return bool(message.properties) and self.are_all_made(message)

    def are_all_made(self, message: Message) -> bool:
        """Return whether a message was tried as often as its sender allows."""
        most = attempts_of(message.properties)
        return most is not None and message.attempts >= most

    def are_exceeded(self, message: Message) -> bool:
        """Return whether a message whose delivery is counted must not be delivered: other brokers did so too often."""
        message.attempts -= 1
        is_spent = self.are_spent(message)
        message.attempts += 1
        return is_spent
