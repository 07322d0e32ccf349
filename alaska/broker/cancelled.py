"""Messages that are cancelled: those that wait are ended, and clients that have one are told.

What a client confirms of a cancelled message, other than success, ends it as cancelled: it is no dead letter, and is
not delivered again. After a restart of the broker, which is the loss of all clients, those that were cancelled are
ended; they are noted in the store for that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from alaska import errors
from alaska.broker.clients import Client, Lease
from alaska.broker.confirmations import Confirmations
from alaska.broker.measures import Measures
from alaska.broker.notes import Notes
from alaska.interfaces import IStore
from alaska.message import Message
from alaska.mlm import commands as mlm

REASON = b"cancelled"
KIND = "cancelled"
"""The kind of the entries in the store."""
ASK, FORCE = 1, 2
"""The values of the property ``cancel``."""


class Cancelled:
    """The cancelled messages that clients have not confirmed.

    ``remove_waiting`` removes a message that waits from its queue, and returns False if it is in flight; ``forget`` has
    the queue forget a message that has ended; ``end_id`` stores the outcome of one with an id. ``is_unsent`` says
    whether a client was not sent the message of a lease yet; then it is not sent.
    """

    def __init__(
        self,
        store: IStore,
        measures: Measures,
        confirmations: Confirmations,
        remove_waiting: Callable[[Message], bool],
        forget: Callable[[Message], object],
        end_id: Callable[[Message, int, bytes], None],
        is_unsent: Callable[[Client, Lease], bool],
    ) -> None:
        self._store = store
        self._measures = measures
        self._confirmations = confirmations
        self._remove_waiting = remove_waiting
        self._forget = forget
        self._end_id = end_id
        self._is_unsent = is_unsent
        self._notes = Notes(store, KIND)
        self.positions = self._notes.positions
        """Those of the messages; asked for each message that ends, so without a call."""

    def __contains__(self, message: Message) -> bool:
        return message.position in self.positions

    def discard(self, message: Message) -> None:
        """Forget a message that has ended."""
        self._notes.discard(message)

    def restore(self) -> None:
        """End the messages that were cancelled, and not confirmed, when the broker ended.

        :raises StoreError: the store cannot be read.
        """
        for message, _ in self._notes.restore():
            self.end_waiting(message)

    def end_waiting(self, message: Message) -> bool:
        """End a message that waits or is delayed, and tell its sender; return False if it is in flight."""
        if not self._remove_waiting(message):
            return False
        self.end(message)
        return True

    def tell(self, client: Client, lease: Lease, message: Message, is_forced: bool) -> bool:
        """Cancel a message that a client has not confirmed; return False if the client has it and cannot be told."""
        self._notes.add(message)
        if self._is_unsent(client, lease):
            return True
        if not client.takes_cancel or not isinstance(lease, int):
            return False
        properties: mlm.Properties = {"lease": lease, "cancel": FORCE if is_forced else ASK}
        return client.send(mlm.Confirm(b"", errors.CANCELLED, REASON, properties))

    def end(self, message: Message, worker: bytes = b"") -> None:
        """End a message that no longer waits and is no longer in flight, and tell its sender; ``worker`` had it."""
        if message.properties:
            self._end_id(message, errors.CANCELLED, REASON)
        self._store.forget(message)
        self._measures.of(message.queue).note_ended(message, "cancelled", errors.CANCELLED, REASON, worker)
        self._forget(message)
        # Whoever is told that it was cancelled relies on it: it must not come again after a restart.
        self._store.when_durable(partial(self._confirmations.send, message, errors.CANCELLED, REASON))

    def end_some(self, messages: list[Message]) -> list[Message]:
        """End those of some messages that are cancelled; return the others."""
        others = [message for message in messages if message not in self]
        for message in messages:
            if message in self:
                self.end(message)
        return others
