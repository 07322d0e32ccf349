"""A part of a queue: its messages of one priority (:mod:`alaska.broker.queue`).

Waiting messages are sorted into lanes. A lane holds, in order, the messages that may go to exactly the same set of
consumers. If the first message of a lane cannot be delivered, then none of the lane can, and the other lanes are not
blocked. Messages without any consumer are in a lane of their own (``NO_CONSUMERS``), which has no messages in memory.

A client never has two messages with the same tracker in flight. Mail whose tracker is in flight to its receiver is set
aside, together with later mail with this tracker, into an additional lane; other mail is delivered meanwhile. A request
does not wait: it goes to another worker, or with an alias (:mod:`alaska.broker.tracker_aliases`).

Of the waiting messages, only the first ones of each lane are in memory (:mod:`alaska.broker.backlog`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heapreplace

from alaska.broker.backlog import Backlog
from alaska.broker.clients import Client
from alaska.broker.consumers import Consumers
from alaska.broker.lanes import NO_CONSUMERS, Aside, Lane, Limited, WindowMemory, main_lane, patterns_in
from alaska.broker.measures import QueueMeasures
from alaska.broker.service_limits import NO_LIMITS, ServiceLimits
from alaska.interfaces import IStore
from alaska.message import Message, PartName

NEVER = float("inf")
WORK_PER_TICK = 6000
"""The number of messages that all calls between two ticks may read from the store and deliver.

A large message that is read counts as several.
"""
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


class Part(Backlog):
    """A backlog with consumers: takes new messages, and delivers waiting ones.

    ``deliver`` is called with a client and a message for it, and ``expired`` with a message that has expired.
    ``set_aside`` is called with the part's name and a tracker for which messages were set aside: when the tracker is no
    longer in flight, the caller has to dispatch the queue.
    """

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
        deliver: Callable[[Client, Message], None],
        expired: Callable[[Message], None],
        set_aside: Callable[[PartName, bytes], None],
        window_memory: WindowMemory,
        measures: QueueMeasures,
    ) -> None:
        super().__init__(name, consumers, store, window_memory, measures)
        self._on_deliver = deliver
        self._on_expired = expired
        self._on_set_aside = set_aside
        self._most_work = 0
        self._is_interrupted = False
        self._lanes_asked = 0
        self._latest = NEVER
        self.above: list[Part] = []
        """The parts of the queue with higher priorities, which come first."""
        self.limits: ServiceLimits | None = None
        """The limits of the service; None: there are none."""

    def use_limits(self, limits: ServiceLimits | None, consumers: Consumers) -> None:
        """Use other limits from now on, and the consumers that belong to them."""
        self.limits, self.consumers = limits, consumers

    def take_no_short_cut(self) -> None:
        """Let the next messages wait until the next :meth:`deliver`."""
        # An interrupted part takes no short cut, so that nothing else has to be asked for each message.
        self._is_interrupted = True

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

    # Incoming messages

    def consumer_for(self, message: Message) -> Client | None:
        """Return the consumer that takes a new message at once, or None if it has to wait."""
        if self._has_unsorted or self._is_interrupted or (self.above and self._is_preceded):
            return None
        if self.limits is not None and self.limits.holds(message.subject):
            return None
        lane = self.consumers.lane_of(message.subject)
        if lane in self._lanes or lane == NO_CONSUMERS:
            return None
        if self._lanes.asides and (Aside(lane, message.tracker) in self._lanes or self._deliverable_upto() < NEVER):
            return None
        client = self.consumers.next_of(lane, message.tracker)
        if client is not None:
            self._loaded.add(message.position)
        return client

    @property
    def _is_preceded(self) -> bool:
        return any(part.may_precede for part in self.above)

    def enqueue(self, message: Message) -> bool:
        """Append a new message, which waits in order; return whether it is in memory."""
        if not self.depth:
            self.oldest = message.since
        self.depth += 1
        self.depth_octets += message.size
        self._has_additions = self._has_additions or message.position < self._sorted_upto
        if self._has_unsorted or self._has_additions:
            return False
        key, lane = self._lane_for(message)
        tracker = message.tracker
        if lane is None and tracker and self._lanes.may_set_aside and self.consumers.has_tracker_in_flight(tracker):
            key = Aside(key, tracker)
            lane = self._open_aside(key, message)
        return self._add_to_lane(message, key, lane)

    def requeue(self, message: Message) -> None:
        """Let a message that was in flight wait again, in its original position."""
        if self.limits is not None:
            self._count_ended(message, self.limits)
        self._wait_again(message)

    def _wait_again(self, message: Message) -> None:
        self.oldest = None
        self.depth += 1
        self.depth_octets += message.size
        if self._has_unsorted and message.position > self._sorted_upto:
            self._loaded.discard(message.position)
            return
        key, lane = self._lane_for(message)
        stays_in_store = lane is not None and lane.has_more_in_store and message.position > lane.upto
        if key == NO_CONSUMERS or stays_in_store:
            self._loaded.discard(message.position)
            if key == NO_CONSUMERS and lane is None:
                self._lanes.open(key, 0)
            return
        if lane is None:
            lane = self._lanes.open(key, message.position)
        lane.insert(message)
        self._in_memory += 1
        if not self._has_unsorted:
            self._sorted_upto = max(self._sorted_upto, message.position)
        if lane.is_too_large and self._lanes.asides:
            # What is set aside may not overtake what its lane has in the store.
            self.leave_in_store()
            return
        while lane.is_too_large:
            last = lane.leave_last_in_store()
            self._unload(last)
            self._spill(last)

    def join(self, message: Message) -> None:
        """Let a message wait that was delayed, and is in the store, in the order of positions."""
        if not message.content and message.size:
            # It is large, so its content has not been read yet.
            self.depth += 1
            self.depth_octets += message.size
            self.expect_more()
            return
        if not self._has_unsorted:
            # If its lane has more in the store, it stays there, and is found only up to this position.
            self._sorted_upto = max(self._sorted_upto, message.position)
        self._loaded.add(message.position)
        self._wait_again(message)

    def forget(self, message: Message) -> None:
        """Forget a message that was in flight and is finished."""
        if self.limits is not None:
            self._count_ended(message, self.limits)
        self._loaded.discard(message.position)

    def _count_ended(self, message: Message, limits: ServiceLimits) -> None:
        if message.position in self._loaded:
            limits.ended(message.subject)

    def remove(self, message: Message) -> bool:
        """Remove a message that waits; return False if it is in flight."""
        if message.position in self._loaded and not self._remove_from_window(message):
            return False
        self._count_removed(message)
        return True

    def _remove_from_window(self, message: Message) -> bool:
        """Remove a message from its window; return False if it is not there."""
        main = self.consumers.lane_of(message.subject)
        for key in (main, Aside(main, message.tracker)):
            lane = self._lanes.get(key)
            if lane is not None and lane.remove(message):
                self._unload(message)
                self._lanes.remove_if_empty(key)
                return True
        return False

    def held(self) -> int:
        """Return how many waiting messages the limits hold back, as far as that is known.

        Those in the store only are counted if all of them are held back, since their lanes are.
        """
        if self.limits is None:
            return 0
        found, are_all_held = 0, not (self._has_unsorted or self._has_additions)
        for key, lane in self._lanes.items():
            if key != NO_CONSUMERS and self.limits.holds_lane(key.limits if isinstance(key, Limited) else NO_LIMITS):
                found += len(lane.messages)
            elif lane.has_more_in_store or key == NO_CONSUMERS:
                are_all_held = False
        return found + (self.depth - self._in_memory if are_all_held else 0)

    # Outgoing messages

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
            _, key = heads[0]
            lane = self._lanes[key]
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
