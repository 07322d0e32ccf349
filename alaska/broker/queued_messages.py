"""The messages of all queues that wait, are delayed or in flight: how each comes to its end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

from alaska import errors
from alaska.broker.awaited_workers import AwaitedWorkers
from alaska.broker.cancelled import Cancelled
from alaska.broker.clients import Clients, Lease
from alaska.broker.confirmations import Confirmations
from alaska.broker.counters import Counters
from alaska.broker.delays import Delays
from alaska.broker.deliveries import Deliveries, Outcomes
from alaska.broker.due_pace import DuePace
from alaska.broker.finding import Finding
from alaska.broker.ids import Ids
from alaska.broker.limits import Limits, Room
from alaska.broker.measures import Measures
from alaska.broker.message_timeouts import MessageTimeouts
from alaska.broker.past import Past
from alaska.broker.queue import Queue
from alaska.broker.queue_table import QueueTable
from alaska.broker.refusals import Refusals
from alaska.broker.served_backlog import QueueCalls
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import DELAYED, NORMAL, Message, PartName, QueueName, name_of

WORK_PER_TICK = 6000
"""The number of messages that all calls between two ticks may read from the store and deliver.

A large message that is read counts as several.
"""
WORK_PER_CALL = 1000
"""The number of messages that one call may read and deliver; those of a turn together hardly more."""


class QueuedMessages(Outcomes):
    """What arrivals and deliveries of messages have in common: their queues, and their ends.

    A class and its subclasses, and no objects that call each other: a call more for each message would cost too much.
    """

    # There are more attributes than CPython 3.11 reads fast without slots.
    __slots__ = (
        "_cancelled_positions",
        "_clients",
        "_delays",
        "_deliveries",
        "_is_shared",
        "_now",
        "_position",
        "_refusals",
        "_room",
        "_set_aside",
        "_store",
        "_timeouts",
        "_unstorable",
        "_wall_offset",
        "_work_budget",
        "awaited",
        "cancelled",
        "confirmations",
        "finding",
        "ids",
        "measures",
        "table",
    )

    def __init__(
        self, clients: Clients, counters: Counters, store: IStore, limits: Limits, report: Callable[[StoreError], None]
    ) -> None:
        self._clients = clients
        self._store = store
        self._is_shared = store.is_shared
        self._room = Room(limits)
        self._wall_offset = self._now = 0.0
        self._position: int = store.last_position
        restored_upto = self._position
        self._work_budget = WORK_PER_TICK
        self._set_aside: dict[Lease | None, dict[QueueName, None]] = {}  # mailboxes, by the tracker that is in flight
        self._unstorable: set[int] = set()
        self._deliveries = Deliveries(store, counters, limits, restored_upto, self, report)
        calls = QueueCalls(self._deliveries.deliver, self._end_expired, self._note_set_aside)
        self.measures = Measures(Past(lambda: self._now))
        self.table = QueueTable(clients, store, self._room, self.measures, calls, lambda: self._now)
        is_own = (lambda position: position <= self._position) if self._is_shared else None
        self.confirmations = Confirmations(clients, restored_upto, is_own)
        self.confirmations.progressed = self.measures.past.progressed
        self._refusals = Refusals(store, counters, self.confirmations, self.table.remove_if_unused)
        self._delays = Delays(store, self.table, self._room, self._dispatch)
        pace = DuePace(store, self.table)
        self._timeouts = MessageTimeouts(store, self._remove_waiting, self.finish, self._delays.end, pace)
        self.finding = Finding(self.table, store)
        self.ids = Ids(
            store, limits.ids, self.measures, self.confirmations, self._refusals, self.finding, self._remove_waiting,
            restored_upto, report,
        )  # fmt: skip
        self.cancelled = Cancelled(
            store, self.measures, self.confirmations, self._remove_waiting, self._forget, self.ids.end,
            self._deliveries.is_unsent,
        )  # fmt: skip
        # Asked for each message that ends.
        self._cancelled_positions = self.cancelled.positions
        self.awaited = AwaitedWorkers(
            store, clients, self.table, self._room, self._deliveries.deliver, self._requeue, self._may_come_again
        )
        self._deliveries.unstored, self._deliveries.cancelled = self.ids.unstored, self.cancelled
        self._deliveries.note = self.awaited.note

    @property
    def octets(self) -> int:
        """The octets that wait in all queues."""
        return self._room.octets

    @property
    def last_position(self) -> int:
        """The position of the newest message."""
        return self._position

    def _new_position(self) -> int:
        self._position += 1
        return self._position

    def expect_more(self, name: QueueName) -> None:
        """Note that another broker has added a message to a queue; without consumers it is read later."""
        if (queue := self.table.get(name)) is not None:
            queue.expect_more_of_all()

    # From the queues to the receivers

    def _dispatch(self, queue: Queue | None, now: float) -> int:
        self._now = now
        if queue is None or not queue.has_work:
            return 0
        before = queue.octets
        self._work_budget -= (work := queue.dispatch(now, min(self._work_budget, WORK_PER_CALL)))
        self._room.shrank(queue.name, queue.octets, before - queue.octets)
        return work

    def _note_set_aside(self, part: PartName, tracker: bytes) -> None:
        """Record that messages of a part of a queue are set aside until a tracker is no longer in flight."""
        self._set_aside.setdefault(tracker, {})[name_of(part)] = None

    def _dispatch_set_aside(self, leases: Iterable[Lease | None], now: float) -> None:
        """Deliver messages that were set aside for trackers that are no longer in flight."""
        for lease in leases:
            for name in self._set_aside.pop(lease, ()):
                self._dispatch(self.table.get(name), now)

    @abstractmethod
    def _requeue(self, messages: list[Message], now: float) -> None:
        """Let messages that were in flight wait again."""

    def _may_come_again(self, message: Message) -> bool:
        """Return whether a request may be delivered again whose worker was lost."""
        return message not in self.cancelled and not self._deliveries.attempts.are_spent(message)

    # The ends of messages that wait

    def _remove_waiting(self, message: Message) -> bool:
        """Remove a message that waits from its queue; return False if it is in flight."""
        if message.rank == DELAYED:
            return self._delays.remove(message)
        queue = self.table.open(*message.queue)
        if not queue.part(message.rank).remove(message):
            return False
        self._room.shrank(queue.name, queue.octets, message.size)
        return True

    def _store_refused(self, message: Message, reason: str) -> None:
        """Refuse a message that the store cannot write; one that is in flight stays so, without being stored."""
        if self._remove_waiting(message):
            self._refusals.unstorable(self.table.open(*message.queue), message, reason)
        else:
            self._unstorable.add(message.position)

    def _end_unread(self, message: Message) -> bool:
        """End mail that nobody reads; return False if it does not wait. Its sender is told that nobody has it."""
        return self._end_waiting(message, "unread", errors.NOT_FOUND, b"nobody reads the mailbox, and it is full")

    def end_purged(self, message: Message, now: float) -> bool:
        """End a message that an administrator deletes, and tell its sender; return False if it is in flight."""
        self._now = now
        return self._end_waiting(message, "purged", errors.FAILED, b"an administrator has purged the queue")

    def _end_waiting(self, message: Message, outcome: str, status: int, reason: bytes) -> bool:
        if not self._remove_waiting(message):
            return False
        self.ids.end(message, status, reason)
        self._store.forget(message)
        self.measures.of(message.queue).note_ended(message, outcome, status, reason)
        self._forget(message)
        self.confirmations.send(message, status, reason)
        return True

    def _end_expired(self, message: Message) -> None:
        self._timeouts.end(message)

    def hurry(self, messages: list[Message], now: float) -> None:
        """Let delayed messages wait for a consumer at once."""
        self._now = now
        self._delays.end(messages, now)

    # The ends of messages in flight

    def finish(self, message: Message, status: int, reason: bytes, error: object = None, worker: bytes = b"") -> None:
        """End a message, and notify its sender; ``error`` is that of :meth:`Confirmations.send`.

        ``worker`` had the message, unless it has expired.
        """
        if message.properties:
            self.ids.end(message, status, reason)
        self._store.forget(message)
        queue = self._forget(message)
        if queue is not None:
            queue.measures.note_finished(message, status, self._now, worker)
        self.confirmations.send(message, status, reason, error)

    def _forget(self, message: Message) -> Queue | None:
        """Forget a message that was in flight; return its queue, if that still exists."""
        if self._unstorable:
            self._unstorable.discard(message.position)
        if self._cancelled_positions:
            self.cancelled.discard(message)
        if message.properties:
            self.awaited.discard(message)
        if (queue := self.table.get(message.queue)) is not None:
            if message.rank == NORMAL:
                queue.forget(message)
            elif message.rank != DELAYED:
                # What is delayed is in no part, and asking for one would add it.
                queue.part(message.rank).forget(message)
            if not queue.depth:
                self.table.remove_if_unused(queue)
        return queue
