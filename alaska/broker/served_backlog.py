"""A backlog with consumers: delivers its messages in order, as far as consumers are ready."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from alaska.broker.backlog import Backlog
from alaska.broker.clients import Client
from alaska.broker.consumers import Consumers
from alaska.broker.lanes import NO_CONSUMERS, Aside, Lane, WindowMemory, main_lane, patterns_in
from alaska.broker.measures import QueueMeasures
from alaska.broker.service_limits import ServiceLimits
from alaska.interfaces import IStore
from alaska.message import Message, PartName

NEVER = float("inf")
MIN_DELIVERIES_PER_CALL = 10
"""The number of messages that one call may deliver even if other calls have used up the number for this tick."""
PATTERNS_PER_MESSAGE = 32
"""Finding a ready consumer among this many patterns takes about as long as delivering a message."""
MANY_LANES = 128
LANES_PER_MESSAGE = 3
"""In a queue with many lanes, finding no ready consumer for so many takes at most as long as delivering a message."""
HEADS_PER_MESSAGE = 32
"""There, the same is true of putting so many of them in order."""
READS_PER_CALL = 4
"""The number of reads from the store per call. The next tick continues, so that other clients do not have to wait."""


class QueueCalls(NamedTuple):
    """What a queue calls.

    ``deliver`` is called with a client and a message for it, and ``expired`` with a message that has expired.
    ``set_aside`` is called with the name of a part and a tracker for which messages were set aside: when the tracker is
    no longer in flight, the caller has to dispatch the queue.
    """

    deliver: Callable[[Client, Message], None]
    expired: Callable[[Message], None]
    set_aside: Callable[[PartName, bytes], None]


class ServedBacklog(Backlog):
    """Delivers the waiting messages of a part of a queue; ``calls`` are those of the queue."""

    # There are more attributes than CPython 3.11 reads fast without slots.
    __slots__ = (
        "_is_interrupted",
        "_lanes_asked",
        "_latest",
        "_most_work",
        "_on_deliver",
        "_on_expired",
        "_on_set_aside",
        "above",
        "limits",
    )

    def __init__(
        self,
        name: PartName,
        consumers: Consumers,
        store: IStore,
        calls: QueueCalls,
        window_memory: WindowMemory,
        measures: QueueMeasures,
    ) -> None:
        super().__init__(name, consumers, store, window_memory, measures)
        self._on_deliver, self._on_expired, self._on_set_aside = calls
        self._most_work = 0
        self._is_interrupted = False
        self._lanes_asked = 0
        self._latest = NEVER
        self.above: Sequence[ServedBacklog] = ()
        """Those of the parts of the queue with higher priorities, which come first."""
        self.limits: ServiceLimits | None = None
        """The limits of the service; None: there are none."""

    @property
    def has_more_to_deliver(self) -> bool:
        """Whether the next tick may find messages for ready consumers that the last call did not deliver."""
        return self._is_interrupted or self.has_unloaded

    @property
    def may_precede(self) -> bool:
        """Whether it may have messages for ready consumers, which come before those of lower priorities."""
        if self._is_interrupted:
            return bool(self.depth or self._is_shared)
        if not self.has_unloaded:
            return False
        if self._has_unsorted or self._has_additions:
            return True
        return any(
            lane.has_more_in_store and key != NO_CONSUMERS and self.consumers.is_ready(main_lane(key))
            for key, lane in self._lanes.items()
        )

    @property
    def _is_preceded(self) -> bool:
        return any(part.may_precede for part in self.above)

    def longest_wait(self, now: float) -> float:
        """Return how long the message has waited that has waited longest of those that come next, in seconds.

        If the next ones are in the store only, that is not known, and taken to be longer than any time.
        """
        heads = [lane.messages[0].moved_at for lane in self._lanes.values() if lane.messages]
        return now - min(heads) if heads else NEVER

    def deliver_aged(self, now: float, most: int, since: float) -> int:
        """Do as :meth:`deliver` with the messages that have waited since a time; no more is read than is needed."""
        self._latest = since
        try:
            return self.deliver(now, most)
        finally:
            self._latest = NEVER

    def deliver(self, now: float, most: int) -> int:
        """Deliver messages, oldest first, as far as consumers are ready; return the number read and delivered.

        The call ends when that number is at least ``most``, but may deliver ``MIN_DELIVERIES_PER_CALL`` messages,
        unless there are many lanes. A message that is read counts once more per ``MESSAGE_OCTETS``.
        """
        if most <= 0 and len(self._lanes) > MANY_LANES:
            self._is_interrupted = True
            return 0
        self._work_done = 0
        self.oldest = None
        self._refilled.clear()
        self._most_work = max(most, MIN_DELIVERIES_PER_CALL)
        self._deliver_and_count(now)
        for _ in range(READS_PER_CALL):
            if (
                self._work_done >= most
                or not self.has_unloaded
                or (self._latest < NEVER and self._lanes.has_messages)
                or not self.consumers.has_ready()
                or not self._load_more()
            ):
                break
            if self._is_shared:
                self._count_loaded()
            # However much was read: it may not stay in memory.
            self._most_work = max(self._most_work, self._work_done + MIN_DELIVERIES_PER_CALL)
            self._deliver_and_count(now)
            self._shed_refilled()
        return self._work_done

    def _deliver_and_count(self, now: float) -> None:
        self._lanes_asked = 0
        lanes = len(self._lanes)
        self._deliver_lanes(now)
        if lanes > MANY_LANES:
            # Counted at the end, so that each call delivers something, however many lanes there are.
            self._work_done += self._lanes_asked // LANES_PER_MESSAGE + lanes // HEADS_PER_MESSAGE

    def _deliver_lanes(self, now: float) -> None:
        self._is_interrupted = False
        if not self.consumers.has_ready():
            return
        heads = [(lane.messages[0].position, key) for key, lane in self._lanes.items() if lane.messages]
        heapify(heads)
        upto = self._deliverable_upto() if self._lanes.asides else NEVER
        while heads and heads[0][0] <= upto:
            if self._work_done >= self._most_work:
                self._is_interrupted = True
                return
            lane = self._lanes[key := heads[0][1]]
            message = lane.messages[0]
            if message.moved_at > self._latest:
                heappop(heads)
                continue
            is_removed = message.expires is not None and self._drop_if_expired(lane, now)
            main = key.lane if isinstance(key, Aside) else key
            client = None if is_removed else self.consumers.next_of(main, message.tracker)
            if client is not None:
                is_removed = True
                self._work_done += _work_of(main)
                lane.popleft()
                self._in_memory -= 1
                self.depth -= 1
                self.depth_octets -= message.size
                self._measure_wait(message, now)
                self._on_deliver(client, message)
            elif not is_removed:
                self._lanes_asked += 1
                if not self.consumers.has_ready():
                    return
                is_removed = self._set_aside(key, lane)
            if lane.messages and is_removed:
                heapreplace(heads, (lane.messages[0].position, key))
            else:
                heappop(heads)
                if self._lanes.asides:
                    upto = min(upto, self._unread_after(key, lane))
                self._lanes.remove_if_empty(key)

    def _deliverable_upto(self) -> float:
        """Return the position up to which no message in the store is to be delivered first.

        This concerns queues with messages that were set aside: without them, a message is in one lane with all those
        that it must not overtake.
        """
        return min((self._unread_after(key, lane) for key, lane in self._lanes.items()), default=NEVER)

    def _unread_after(self, key: Hashable, lane: Lane) -> float:
        """Return the position after which a lane has its next message, if that is in the store and may be delivered."""
        if lane.messages or not lane.has_more_in_store or key == NO_CONSUMERS:
            return NEVER
        is_in_flight = isinstance(key, Aside) and self.consumers.has_tracker_in_flight(key.tracker)
        return NEVER if is_in_flight else lane.upto

    def _measure_wait(self, message: Message, now: float) -> None:
        measures = self.measures
        measures.dequeued_octets += message.size
        if self.limits is not None:
            measures.held += self.limits.was_held(message.subject, message.moved_at)
        waited, histogram = now - message.moved_at, measures.waiting
        if waited == histogram.last:
            histogram.repeats += 1
        else:
            histogram.add(waited)
        message.moved_at = now

    def _drop_if_expired(self, lane: Lane, now: float) -> bool:
        message = lane.messages[0]
        if message.expires is None or message.expires > now:
            return False
        lane.popleft()
        self._unload(message)
        self._count_removed(message)
        self._on_expired(message)
        return True

    # Trackers that are in flight

    def _open_aside(self, key: Aside, message: Message) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes.open(key, message.position - 1)
        self._on_set_aside(self.name, key.tracker)
        return lane

    def _set_aside(self, key: Hashable, lane: Lane) -> bool:
        """Set the first message of a lane aside if only its tracker prevents the delivery; return whether it was.

        A message that has been set aside before stays in its lane, and so does one beyond the limit for lanes.
        """
        tracker = lane.messages[0].tracker
        if not tracker or not self.consumers.has_tracker_in_flight(tracker):
            return False
        if isinstance(key, Aside) or not (self._lanes.may_set_aside or Aside(key, tracker) in self._lanes):
            self._on_set_aside(self.name, tracker)
            return False
        message = lane.popleft()
        if not self._put_aside(self._open_aside(Aside(key, tracker), message), message):
            self._unload(message)
            self._spill(message)
        return True


def _work_of(lane: Hashable) -> int:
    """Return the work of delivering a message of a lane, as a number of messages."""
    return 1 + patterns_in(lane) // PATTERNS_PER_MESSAGE
