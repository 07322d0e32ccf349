"""Messages that are cancelled: those that wait are ended, and clients that have one are told.

What a client confirms of a cancelled message, other than success, ends it as cancelled: it is no dead letter, and is
not delivered again. Which ones are cancelled is in memory: after a restart of the broker they are delivered again.
"""

from __future__ import annotations

from collections.abc import Callable

from alaska import errors
from alaska.broker.clients import Client, Lease
from alaska.broker.confirmations import Confirmations
from alaska.broker.measures import Measures
from alaska.interfaces import IStore
from alaska.message import Message
from alaska.mlm import commands as mlm

REASON = b"cancelled"
ASK, FORCE = 1, 2
"""The values of the property ``cancel``."""


class Cancelled:
    """The cancelled messages that clients have not confirmed.

    ``remove_waiting`` removes a message that waits from its queue, and returns False if it is in flight; ``forget`` has
    the queue forget a message that has ended; ``end_id`` stores the outcome of one with an id.
    """

    def __init__(
        self,
        store: IStore,
        measures: Measures,
        confirmations: Confirmations,
        remove_waiting: Callable[[Message], bool],
        forget: Callable[[Message], object],
        end_id: Callable[[Message, int, bytes], None],
    ) -> None:
        self._store = store
        self._measures = measures
        self._confirmations = confirmations
        self._remove_waiting = remove_waiting
        self._forget = forget
        self._end_id = end_id
        self.positions: set[int] = set()
        """Those of the messages; asked for each message that ends, so without a call."""

    def __contains__(self, message: Message) -> bool:
        return message.position in self.positions

    def discard(self, message: Message) -> None:
        """Forget a message that has ended."""
        self.positions.discard(message.position)

    def end_waiting(self, message: Message) -> bool:
        """End a message that waits or is delayed, and tell its sender; return False if it is in flight."""
        if not self._remove_waiting(message):
            return False
        self.end(message)
        return True

    def tell(self, client: Client, lease: Lease, message: Message, is_forced: bool) -> bool:
        """Cancel a message that a client has not confirmed; return whether the client can be told."""
        self.positions.add(message.position)
        if not client.takes_cancel or not isinstance(lease, int):
            return False
        properties: mlm.Properties = {"lease": lease, "cancel": FORCE if is_forced else ASK}
        return client.send(mlm.Confirm(b"", errors.CANCELLED, REASON, properties))

    def end(self, message: Message) -> None:
        """End a message that no longer waits and is no longer in flight, and tell its sender."""
        if message.properties:
            self._end_id(message, errors.CANCELLED, REASON)
        self._store.forget(message)
        self._measures.of(message.queue).note_ended("cancelled")
        self._forget(message)
        self._confirmations.send(message, errors.CANCELLED, REASON)

    def end_some(self, messages: list[Message]) -> list[Message]:
        """End those of some messages that are cancelled; return the others."""
        others = [message for message in messages if message not in self]
        for message in messages:
            if message in self:
                self.end(message)
        return others
