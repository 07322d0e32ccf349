"""Message timeouts: a message that is not delivered in time ends with status 302 (docs/protocol.md, section 5).

The store finds delayed messages that are due by the same query.
"""

from __future__ import annotations

from collections.abc import Callable

from alaska import errors
from alaska.interfaces import IStore
from alaska.message import DELAYED, Message

OVERDUE_PER_TURN = 300
"""The number of messages that have expired, or are due, for one turn; the caller has to call again for more."""
FIRST_EXPIRY = (0.0, 0)


class MessageTimeouts:
    """Ends messages that have expired.

    ``remove`` removes a message that waits from its queue, and returns False if it is in flight. ``finish`` ends a
    message that no longer waits, and notifies its sender. ``due`` is called with delayed messages that are due.
    """

    def __init__(
        self,
        store: IStore,
        remove: Callable[[Message], bool],
        finish: Callable[[Message, int, bytes], None],
        due: Callable[[list[Message], float], None],
    ) -> None:
        self._store = store
        self._is_shared = store.is_shared
        self._remove = remove
        self._finish = finish
        self._due = due
        self.has_more = False
        """Whether the last turn has left some for the next one."""
        self._upto = FIRST_EXPIRY
        # Positions of expired messages of a shared store that have been asked for, and not taken yet.
        self._pending: set[int] = set()

    def tick(self, now: float) -> None:
        """End the waiting messages that have expired, and delays; if there are many, the next call continues."""
        late = self._store.overdue(now, self._upto, OVERDUE_PER_TURN)
        # Expired messages in flight stay in the store; continue after them, so that they do not hide later ones.
        self._upto = late.upto or FIRST_EXPIRY
        self.has_more = bool(late) and late.upto is not None
        delayed = [message for message in late if message.rank == DELAYED]
        expired = [message for message in late if message.rank != DELAYED] if delayed else late
        if delayed:
            self._due(delayed, now)
        for message in expired:
            if message.position not in self._pending and self._remove(message):
                self.end(message)

    def end(self, message: Message) -> None:
        """End a message that has expired and was removed from its queue, unless another broker has it."""
        if not self._is_shared:
            self._ended(message)
        elif message.position not in self._pending:
            self._pending.add(message.position)

            def answered(is_taken: bool) -> None:
                self._pending.discard(message.position)
                if is_taken:
                    self._ended(message)

            self._store.take(message, answered)

    def _ended(self, message: Message) -> None:
        self._finish(message, errors.TIMEOUT_EXPIRED, b"")
