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

from alaska.broker.clients import Client
from alaska.broker.consumers import Consumers
from alaska.broker.lanes import NO_CONSUMERS, Aside, Limited
from alaska.broker.served_backlog import NEVER, ServedBacklog
from alaska.broker.service_limits import NO_LIMITS, ServiceLimits
from alaska.message import Message


class Part(ServedBacklog):
    """Takes new messages, and those that wait again."""

    __slots__ = ()

    def use_limits(self, limits: ServiceLimits | None, consumers: Consumers) -> None:
        """Use other limits from now on, and the consumers that belong to them."""
        self.limits, self.consumers = limits, consumers

    def take_no_short_cut(self) -> None:
        """Let the next messages wait until the next :meth:`deliver`."""
        # An interrupted part takes no short cut, so that nothing else has to be asked for each message.
        self._is_interrupted = True

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
