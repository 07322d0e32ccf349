"""Mailboxes that nobody reads: their oldest mail is dropped beyond limits of number, size and age (docs/limits.md).

A mailbox is bounded when its owner has not been connected for a while. The owner of one that is full for a moment, or
that is slow, loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import merge

from twisted.logger import Logger

from alaska.broker.counters import Counters
from alaska.broker.limits import UnreadLimits
from alaska.broker.queue import Queue
from alaska.broker.queue_table import QueueTable
from alaska.broker.unread_limits import UnreadLimitsByName, is_for_replies
from alaska.interfaces import IStore
from alaska.message import Message, QueueKind, QueueName

CAUSE = "unread_mail"
"""The cause for which the dropped mail is counted."""
LOOK_SECONDS = 1.0
"""The interval at which it is looked for full mailboxes."""
ABSENT_SECONDS = 5.0
"""How long the owner of a full mailbox must have been away."""
DROPPED_PER_TURN = 300
MOST_AGES = 20
"""The number of mailboxes in each interval whose oldest mail is looked for; the next interval continues."""
REPORT_SECONDS = 60.0


class AbsentReaders:
    """Drops mail that nobody reads. ``drop`` ends a message that waits; it returns False if it does not wait."""

    _log = Logger()

    def __init__(
        self, store: IStore, table: QueueTable, counters: Counters, limits: UnreadLimitsByName,
        drop: Callable[[Message], bool],
    ) -> None:  # fmt: skip
        self._store = store
        self._table = table
        self._counters = counters
        self._drop = drop
        self.limits = limits
        # The full mailboxes without a reader, and since when they are known as such.
        self._full: dict[QueueName, float] = {}
        self._next_age = 0
        self._looked_at = self._reported_at = float("-inf")
        self._unreported = 0

    def tick(self, now: float, wall_offset: float) -> None:
        """Look for full mailboxes, and drop the oldest mail of one of them; times are in seconds."""
        wall = now + wall_offset
        if abs(now - self._looked_at) >= LOOK_SECONDS:
            self._looked_at = now
            self._look(now, wall)
        for name, since in list(self._full.items()):
            if now - since >= ABSENT_SECONDS:
                # At the end of the line, behind the others.
                del self._full[name]
                queue = self._table.get(name)
                if queue is not None and self._is_unread(queue) and self._drop_some(queue, wall):
                    self._full[name] = since
                break
        if self._unreported and abs(now - self._reported_at) >= REPORT_SECONDS:
            self._reported_at = now
            self._log.warn(
                "{count} messages were dropped from mailboxes that nobody reads, since they exceeded the limits of "
                "mlm_server/mailbox",
                count=self._unreported,
            )
            self._unreported = 0

    def _look(self, now: float, wall: float) -> None:
        self.limits.begin_turn(len(self._table))
        unread = [
            (each, limits)
            for each in self._table.values()
            if self._is_unread(each) and (limits := self.limits.of(each.name.address)) is not None
        ]
        full = [queue for queue, limits in unread if self._excess(queue, limits)]
        limited = [each for each in unread if each[1].most_seconds is not None]
        if limited:
            start = self._next_age % len(limited)
            some = (limited[start:] + limited[:start])[:MOST_AGES]
            self._next_age = start + len(some)
            full += [queue for queue, limits in some if self._is_old(queue, limits, wall)]
        self._full = {each.name: self._full.get(each.name, now) for each in full}

    @staticmethod
    def _is_unread(queue: Queue) -> bool:
        return queue.name.kind is QueueKind.MAILBOX and bool(queue.waiting) and not queue.consumers.count(b"")

    @staticmethod
    def _excess(queue: Queue, limits: UnreadLimits) -> bool:
        most, octets = limits.most, limits.most_octets
        # What is delayed is not dropped, so it does not count: all that waits would be dropped for it.
        waiting_octets = queue.octets - queue.delayed_octets
        return (most is not None and queue.waiting > most) or (octets is not None and waiting_octets > octets)

    def _is_old(self, queue: Queue, limits: UnreadLimits, wall: float) -> bool:
        for part in queue.parts:
            part.find_oldest(may_read=True)
        return any(part.oldest is not None and self._is_over_age(part.oldest, limits, wall) for part in queue.parts)

    @staticmethod
    def _is_over_age(since: int, limits: UnreadLimits, wall: float) -> bool:
        most = limits.most_seconds
        return most is not None and 0 < since < (wall - most) * 1000

    def _drop_some(self, queue: Queue, wall: float) -> bool:
        """Drop the oldest mail beyond the limits, for one turn; return whether there may be more."""
        limits = self.limits.of(queue.name.address)
        if limits is None:
            return True
        if not self._store.is_durable:
            # What is in memory may not be in the store.
            for part in queue.parts:
                part.leave_in_store()
        pages = [self._store.waiting(part.name, 0, DROPPED_PER_TURN) for part in queue.parts]
        dropped = 0
        for message in merge(*pages, key=lambda each: each.position):
            if not (self._excess(queue, limits) or self._is_over_age(message.since, limits, wall)):
                break
            if self._drop(message):
                dropped += 1
                self._counters.note_dropped(CAUSE)
            if dropped == DROPPED_PER_TURN:
                break
        if not is_for_replies(queue.name.address):
            self._unreported += dropped
        return dropped > 0 and (self._excess(queue, limits) or self._is_old(queue, limits, wall))
