"""Message timeouts: a message that is not delivered in time ends with status 302 (docs/protocol.md, section 5).

The store finds delayed messages that are due by the same query.
"""

from __future__ import annotations

from collections.abc import Callable

from alaska import errors
from alaska.broker.due_pace import DuePace
from alaska.interfaces import IStore
from alaska.message import DELAYED, MOST_POSITION, Message, Page

OVERDUE_PER_TURN = 200
"""The number of messages that have expired, or are due, for one turn; the caller has to call again for more."""
FIRST_EXPIRY = (0.0, 0)


class MessageTimeouts:
    """Ends messages that have expired, and delays.

    ``remove`` removes a message that waits from its queue, and returns False if it is in flight. ``finish`` ends a
    message that no longer waits, and notifies its sender. ``due`` is called with delayed messages that are due; if
    there are many, at this ``pace``.

    If there are more than one turn takes, those whose times come meanwhile are not kept waiting by them: these are
    found in every tick.
    """

    def __init__(
        self,
        store: IStore,
        remove: Callable[[Message], bool],
        finish: Callable[[Message, int, bytes], None],
        due: Callable[[list[Message], float], None],
        pace: DuePace,
    ) -> None:
        self._store = store
        self._is_shared = store.is_shared
        self._remove = remove
        self._finish = finish
        self._due = due
        self._pace = pace
        self.has_more = False
        """Whether the last turn has left some for the next one."""
        self.is_held = False
        """Whether it has left all of them, so that the next one need not follow at once."""
        self._upto = FIRST_EXPIRY
        # While there are more: up to which time those are that the turns continue with, and where later ones begin.
        self._bound: float | None = None
        self._later = FIRST_EXPIRY
        # Positions of expired messages of a shared store that have been asked for, and not taken yet.
        self._pending: set[int] = set()

    def tick(self, now: float) -> None:
        """End the waiting messages that have expired, and delays; if there are many, :meth:`resume` continues."""
        if self._bound is not None and not self._store.is_behind:
            late = self._store.overdue(now, self._later, OVERDUE_PER_TURN)
            self._later = late.upto or (now, MOST_POSITION)
            self._end_all(late, now)
        self.resume(now)

    def resume(self, now: float) -> None:
        """Continue with those of which there were many."""
        self.is_held = not self._pace.may_continue(now)
        if self.is_held:
            return
        late = self._store.overdue(now if self._bound is None else self._bound, self._upto, OVERDUE_PER_TURN)
        self.has_more = bool(late) and late.upto is not None
        if late.upto is not None:
            self._upto = late.upto
        elif self._bound is not None:
            # The next turn continues with those, if there are any.
            self._upto, self._bound, self.has_more = self._later, None, True
        else:
            # Expired messages in flight stay in the store; they have not hidden later ones.
            self._upto = FIRST_EXPIRY
        if late and late.upto is not None and self._bound is None:
            self._bound, self._later = now, (now, MOST_POSITION)
        self._pace.note({message.queue for message in late} if self.has_more else ())
        self._end_all(late, now)

    def _end_all(self, late: Page[Message, tuple[float, int]], now: float) -> None:
        delayed = [message for message in late if message.rank == DELAYED]
        expired = [message for message in late if message.rank != DELAYED] if delayed else late
        # Those that have expired first: what is due may begin a dispatch of their queue, which ends them as well.
        for message in expired:
            if message.position not in self._pending and self._remove(message):
                self.end(message)
        self._due(delayed, now)

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
