"""One queue: the messages that wait for the owner of a mailbox, or for the workers of a service.

A queue has a part for each priority (:mod:`alaska.broker.part`). Most queues have messages of the normal priority only;
the queue itself is their part, so that they take no detour. A consumer gets nothing of a part while one with a higher
priority has a message for it. Delayed messages are in the store only (:mod:`alaska.broker.delays`).
"""

from __future__ import annotations

from alaska.broker.consumers import Consumers
from alaska.broker.lanes import WindowMemory
from alaska.broker.measures import QueueMeasures
from alaska.broker.part import Part
from alaska.broker.served_backlog import QueueCalls
from alaska.broker.service_limits import ServiceLimits
from alaska.interfaces import IStore
from alaska.message import DELAYED, NORMAL, PRIORITIES, QueueName, part_of


class Queue(Part):
    """A queue, and its part of the normal priority; the arguments are those of :class:`Part`."""

    # There are more attributes than CPython 3.11 reads fast without slots.
    __slots__ = (
        "_others",
        "_ranks",
        "_shared",
        "ageing",
        "delayed",
        "delayed_octets",
        "is_paused",
        "parts",
        "put_off",
    )

    def __init__(
        self,
        name: QueueName,
        consumers: Consumers,
        store: IStore,
        calls: QueueCalls,
        window_memory: WindowMemory,
        measures: QueueMeasures,
    ) -> None:
        super().__init__(name, consumers, store, calls, window_memory, measures)
        self.name: QueueName = name
        self._shared = calls, window_memory
        self._others: dict[int, Part] = {}
        self.parts: list[Part] = [self]
        """The parts, that of the highest priority first."""
        self.delayed = 0
        """The number of delayed messages."""
        self.delayed_octets = 0
        """The octets of their content."""
        self.put_off = 0
        """The number of those that receivers have put off since the broker has started."""
        self._ranks = [NORMAL]
        self.ageing: float | None = None
        """After how many seconds a message counts as one with the next higher priority; None: never."""
        self.is_paused = False
        """Whether nothing is delivered; see :meth:`pause`."""

    def part(self, rank: int) -> Part:
        """Return the part for a priority; add it if there is none."""
        if rank == NORMAL:
            return self
        found = self._others.get(rank)
        if found is None:
            found = self._others[rank] = Part(
                part_of(self.name, rank), self.consumers, self._store, *self._shared, self.measures
            )
            found.limits = self.limits
            if self.is_paused:
                found.take_no_short_cut()
            self._order()
        return found

    def _order(self) -> None:
        by_rank = {NORMAL: self, **self._others}
        ranks = sorted(by_rank, reverse=True)
        self._ranks = ranks
        self.parts = [by_rank[rank] for rank in ranks]
        for at, part in enumerate(self.parts):
            part.above = self.parts[:at]

    def drop_empty_parts(self) -> None:
        """Forget the parts without messages, but for that of the normal priority."""
        if not self._others or self._is_shared:
            return
        empty = [rank for rank, part in self._others.items() if not part.has_messages]
        if empty:
            for rank in empty:
                del self._others[rank]
            self._order()

    # Totals of all parts

    @property
    def waiting(self) -> int:
        """The number of messages that wait for a consumer, without delayed ones."""
        return self.depth if not self._others else sum([part.depth for part in self.parts])

    @property
    def octets(self) -> int:
        """The octets of the content of all messages that wait, delayed ones included."""
        if self._others:
            return self.delayed_octets + sum([part.depth_octets for part in self.parts])
        return self.depth_octets + self.delayed_octets

    @property
    def running(self) -> int:
        """The number of messages that are in flight to consumers."""
        return sum([part.in_flight for part in self.parts])

    def size_of(self, rank: int) -> int:
        """The number of messages of a rank that wait."""
        return self.delayed if rank == DELAYED else self.part(rank).depth

    @property
    def has_any(self) -> bool:
        """Whether it has messages: waiting, delayed or in flight."""
        return self.has_messages or self.delayed > 0 or any(part.has_messages for part in self._others.values())

    @property
    def is_needed(self) -> bool:
        """Whether the queue must be kept: it has messages, or consumers."""
        if self.depth or self._loaded or not self.consumers.is_empty:
            return True
        return bool(self.has_any or (self._is_shared and self.consumers.count(b"")))

    @property
    def has_work(self) -> bool:
        """Whether a dispatch may find messages."""
        if self._others:
            return any(part.depth or part.has_unloaded for part in self.parts)
        return self.depth > 0 or self.has_unloaded

    @property
    def is_unfinished(self) -> bool:
        """Whether the next tick may find messages for ready consumers that the last call did not deliver."""
        return not self.is_paused and any(part.has_more_to_deliver for part in self.parts)

    @property
    def progress(self) -> tuple[int, int]:
        """Two numbers that change when messages are delivered, or read from the store."""
        return self.waiting, sum([part.read for part in self.parts])

    def oldest_of(self, may_read: bool) -> tuple[int | None, bool]:
        """Return when the oldest waiting message arrived, in ms since 1970, and whether the store was read for it.

        Without ``may_read`` it may be unknown, which is None, as without messages.
        """
        has_read, found = False, []
        for part in self.parts:
            if part.depth:
                has_read = part.find_oldest(may_read) or has_read
                if part.oldest is None:
                    return None, has_read
                found.append(part.oldest)
        return min(found, default=None), has_read

    # Changes that concern all parts

    def restore_part(self, rank: int, messages: int, octets: int) -> None:
        """Take over the size of a part that the store has: at startup and, if it is shared, later."""
        if rank == DELAYED:
            self.delayed, self.delayed_octets = messages, octets
        else:
            self.part(rank).restore(messages, octets)

    @property
    def ranks(self) -> list[int]:
        """The ranks of the parts that there are, and of the delayed messages."""
        return [NORMAL, *self._others, DELAYED]

    def use_measures(self, measures: QueueMeasures) -> None:
        """Measure with these from now on."""
        for part in self.parts:
            part.measures = measures

    def limit(self, limits: ServiceLimits | None, consumers: Consumers) -> None:
        """Use these limits from now on, and the consumers that belong to them."""
        for part in self.parts:
            part.use_limits(limits, consumers)

    def match_again(self) -> None:
        """Sort the waiting messages into lanes again, since the consumers have changed."""
        for part in self.parts:
            part.consumers_changed()

    def leave_all_in_store(self) -> None:
        """Leave all waiting messages in the store; they are sorted when a consumer is ready."""
        for part in self.parts:
            part.leave_in_store()

    def expect_more_of_all(self) -> None:
        """Record that the store has another message, of any priority and at any position."""
        for part in self.parts:
            part.expect_more()

    def pause(self) -> None:
        """Deliver nothing until :meth:`resume`; what arrives waits."""
        self.is_paused = True
        for part in self.parts:
            part.take_no_short_cut()

    def resume(self) -> None:
        """Deliver again; the caller has to dispatch the queue."""
        self.is_paused = False

    def dispatch(self, now: float, most: int) -> int:
        """Deliver messages, the highest priority first; return the number read and delivered, as :meth:`deliver`."""
        if self.is_paused:
            return 0
        if not self._others:
            return self.deliver(now, most)
        if self.ageing is not None:
            return self._dispatch_by_age(now, most, self.ageing)
        work = 0
        for part in self.parts:
            if part.depth or part.has_unloaded:
                work += part.deliver(now, most - work)
                if part.may_precede:
                    break
        return work

    def _dispatch_by_age(self, now: float, most: int, ageing: float) -> int:
        """Do as :meth:`dispatch`; before the messages of a priority, those come that have waited until they count so.

        The lowest ones first, since they have waited longest. Otherwise they would never be delivered while there are
        always some with the highest priority.
        """
        work = 0
        waiting = [(rank, part) for rank, part in zip(self._ranks, self.parts, strict=True) if part.depth]
        lifts = {rank: part.longest_wait(now) / ageing for rank, part in waiting}
        for level in reversed(PRIORITIES):
            for rank, part in reversed(waiting):
                if rank < level and lifts[rank] >= level - rank and self.consumers.has_ready():
                    work += part.deliver_aged(now, most - work, now - ageing * (level - rank))
            if level in self._ranks:
                own = self.part(level)
                if own.depth or own.has_unloaded:
                    work += own.deliver(now, most - work)
                    if own.may_precede:
                        break
        return work
