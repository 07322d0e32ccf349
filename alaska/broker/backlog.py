"""The backlog of a part of a queue: its waiting messages, in memory and in the store.

The store holds all waiting messages, and memory the first ones of each lane, up to the size of a window. A store that
is not durable need not hold what is in memory. The messages in the store are read in order. Up to ``_sorted_upto``
each of them is known to be in memory, in flight to a client, in the lane ``NO_CONSUMERS``, or in a lane that has more
in the store since its window was full. Later ones are read when a consumer is ready for more. A message that needs a
lane beyond the limit for lanes stops the sorting, until there are fewer lanes.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice

from alaska.broker import lanes
from alaska.broker.consumers import Consumers
from alaska.broker.lanes import NO_CONSUMERS, Aside, Lane, Lanes, Limited, WindowMemory, main_lane
from alaska.broker.measures import QueueMeasures
from alaska.interfaces import IStore
from alaska.message import Message, Page, PartName

READ_MESSAGES = 500
READ_FOR_OLDEST = 16
"""The number of messages that are read to find the oldest that waits; those before it are in flight."""
SKIMMED_MESSAGES = 2000
"""The number of messages of which only the subjects are read, while all of them stay in the store."""
SKIMMED_PER_READ = 8
"""Reading the subjects of so many takes about as long as reading one message."""
REFILLS_PER_READ = 16
MESSAGE_OCTETS = 4096
"""A message that is read counts once more per this many octets."""
MATCHES_PER_MESSAGE = 2
"""Matching a subject against this many patterns takes about as long as reading a message."""
MAX_MATCHES = 4000
"""After this many matches, a call leaves the rest of the messages in the store; the next one continues."""


class Backlog:
    """The waiting messages of a part, sorted into lanes, and the positions of those that are in flight."""

    # There are more attributes than CPython 3.11 reads fast without slots.
    __slots__ = (
        "_has_additions", "_has_unsorted", "_in_memory", "_is_shared", "_lacks_lane", "_lanes", "_loaded",
        "_most_matched", "_read_before", "_refilled", "_skims", "_sorted_upto", "_store", "_work_done", "consumers",
        "depth", "depth_octets", "measures", "name", "oldest", "read",
    )  # fmt: skip

    def __init__(
        self,
        name: PartName,
        consumers: Consumers,
        store: IStore,
        window_memory: WindowMemory,
        measures: QueueMeasures,
    ) -> None:
        self.name = name
        self.consumers = consumers
        self.measures = measures
        self._store = store
        self._is_shared = store.is_shared
        self._lanes = Lanes(window_memory)
        self._loaded: set[int] = set()
        self._in_memory = 0
        self._work_done = 0
        self._sorted_upto = 0
        self._has_unsorted = store.is_shared
        self._lacks_lane = False
        # Whether what was read last stays in the store.
        self._skims = False
        self._has_additions = False
        # The lanes that were refilled since the last delivery, each with the end of its window before.
        self._refilled: dict[Hashable, int] = {}
        self._most_matched = MAX_MATCHES
        self.read = self._read_before = 0
        """The number of messages that were read from the store, without those for which there was no memory."""
        self.depth = 0
        """The number of messages that wait."""
        self.depth_octets = 0
        """The octets of their content."""
        self.oldest: int | None = None
        """When the oldest one arrived, in ms since 1970; None if that is unknown, see :meth:`find_oldest`."""

    @property
    def has_messages(self) -> bool:
        """Whether the part has messages that wait or are in flight."""
        return bool(self.depth or self._loaded)

    @property
    def in_flight(self) -> int:
        """The number of messages that are in flight to consumers."""
        return len(self._loaded) - self._in_memory

    @property
    def has_unloaded(self) -> bool:
        """Whether there are, or in a shared store may be, waiting messages that are not in memory."""
        return self.depth > self._in_memory or (self._is_shared and self._has_unread)

    @property
    def _has_unread(self) -> bool:
        return self._has_unsorted or self._has_additions or self._lanes.has_more_in_store

    def has_loaded(self, position: int) -> bool:
        """Return whether a message is in memory or in flight."""
        return position in self._loaded

    def loaded(self, position: int) -> Message | None:
        """Return a waiting message that is in memory, or None."""
        for lane in self._lanes.values():
            if (found := lane.find(position)) is not None:
                return found
        return None

    def hold(self, message: Message) -> None:
        """Let a message be in flight that waits, and is in the store only: a client has it from before a restart."""
        self._loaded.add(message.position)
        self._count_removed(message)

    def find_oldest(self, may_read: bool) -> bool:
        """Set ``oldest``, with ``may_read`` from the store if necessary; return whether the store was read."""
        if self.oldest is not None or not self.depth:
            return False
        heads = [lane.messages[0] for lane in self._lanes.values() if lane.messages]
        if self.has_unloaded:
            if not may_read:
                return False
            in_flight = self.positions_in_flight()
            page = self._store.waiting(self.name, 0, READ_FOR_OLDEST)
            heads += [message for message in page if message.position not in in_flight]
        if heads:
            self.oldest = min(heads, key=lambda each: each.position).since
        return self.has_unloaded

    def positions_in_flight(self) -> set[int]:
        """Return the positions of the messages that are in flight."""
        # What is loaded and not in a lane is in flight.
        return self._loaded.difference(each.position for lane in self._lanes.values() for each in lane.messages)

    def restore(self, messages: int, octets: int) -> None:
        """Take over the numbers of messages and octets that the store has: at startup and, if it is shared, later."""
        in_flight = self.in_flight
        if messages - in_flight != self.depth and not self.consumers.has_ready():
            self._read_from_start(self._lanes.remove_all())
        self.depth = max(self._in_memory, messages - in_flight)
        self.oldest = None
        self.depth_octets = octets * self.depth // max(messages, 1)

    def consumers_changed(self) -> None:
        """Sort the waiting messages into lanes again, since the lanes depend on the consumers."""
        has_unloaded = self.has_unloaded
        waiting = self._lanes.remove_all()
        self._lacks_lane = False
        self.begin_matching()
        if not has_unloaded:
            self._in_memory = 0
            self._loaded.difference_update(each.position for each in waiting)
            for message in waiting:
                if self._lacks_lane or self.has_matched_enough:
                    self._has_unsorted = True
                    self._spill(message)
                elif not self._sort_into_lane(message):
                    self._spill(message)
            return
        # Between those in memory there are others in the store: to get the order right, read all from the store.
        self._read_from_start(waiting)

    def begin_matching(self) -> None:
        """Begin to count the matches of a call."""
        self._most_matched = self.consumers.matched + MAX_MATCHES

    @property
    def has_matched_enough(self) -> bool:
        """Whether the current call has made so many matches that the next one should continue."""
        return self.consumers.matched >= self._most_matched

    def leave_in_store(self) -> None:
        """Leave all waiting messages in the store; they are sorted when a consumer is ready."""
        self._read_from_start(self._lanes.remove_all())

    def expect_more(self) -> None:
        """Record that the store has another message, at any position: after the current read, all is read again."""
        self._has_additions = True

    def _read_from_start(self, in_memory: list[Message]) -> None:
        for message in in_memory:
            self._unload(message)
            self._spill(message)
        self._sorted_upto = 0
        self._has_unsorted = True
        self._lacks_lane = False

    def _page(self, after: int) -> Page[Message, int]:
        page = self._store.waiting(self.name, after, READ_MESSAGES)
        self.measures.restore_times(page)
        self.read += len(page)
        self._work_done += sum(1 + message.size // MESSAGE_OCTETS for message in page)
        return page

    def _load_more(self) -> bool:
        """Read more messages from the store; return whether there may now be one to deliver."""
        self.begin_matching()
        matched = self.consumers.matched
        may_deliver = self._read_more()
        self._work_done += (self.consumers.matched - matched) // MATCHES_PER_MESSAGE
        return may_deliver

    def _read_more(self) -> bool:
        if self._has_additions and not self._has_unsorted:
            self._has_additions = False
            self._read_from_start(self._lanes.remove_all())
        is_refilled = self._refill_lanes()
        if not self._has_unsorted:
            return is_refilled
        before = self._sorted_upto
        if not self._lacks_lane or self._lanes.may_add:
            self._sort_more()
        return is_refilled or self._sorted_upto > before

    def _sort_more(self) -> None:
        """Sort the next messages of the store into lanes."""
        self._lacks_lane = False
        if self._skims and self._skim():
            return
        in_memory = self._in_memory
        page = self._page(self._sorted_upto)
        for message in page:
            if message.position in self._loaded:
                self._sorted_upto = message.position
            else:
                self._sort_into_lane(message)
                if self._lacks_lane or self.has_matched_enough:
                    return
        self._has_unsorted = page.upto is not None
        self._sorted_upto = max(self._sorted_upto, page.upto or 0)
        self._skims = bool(page) and self._in_memory == in_memory and not self._is_shared
        self._recount()

    def _skim(self) -> bool:
        """Sort the next messages of the store as far as they stay there, for which their subjects suffice.

        Return whether there was one.
        """
        page = self._store.subjects(self.name, self._sorted_upto, SKIMMED_MESSAGES)
        stays = {subject: self._stays_in_store(subject) for subject in {subject for _, subject in page}}
        self._work_done += len(page) // SKIMMED_PER_READ
        if all(stays.values()):
            count, upto = len(page), page.upto
        else:
            count = next(at for at, (_, subject) in enumerate(page) if not stays[subject])
            upto = page[count - 1][0] if count else self._sorted_upto
            self._skims = False
        self.read += count
        if not count:
            self._skims = False
            return False
        self._has_unsorted = upto is not None
        self._sorted_upto = page[count - 1][0] if upto is None else upto
        self._recount()
        return True

    def _stays_in_store(self, subject: bytes) -> bool:
        """Return whether the next message with a subject stays in the store, since others of its lane do."""
        lane = self._lanes.get(self.consumers.lane_of(subject))
        return lane is not None and lane.has_more_in_store and not self._lanes.asides

    def _refill_lanes(self) -> bool:
        """Refill the windows of a few lanes whose consumers are ready; the next call continues with the others.

        Return whether there was one.
        """
        refillable = (
            (key, lane)
            for key, lane in self._lanes.items()
            if lane.has_more_in_store
            and key != NO_CONSUMERS
            and lane.has_room_for_next
            and len(lane.messages) < lanes.WINDOW_MESSAGES // 2
            and self.consumers.is_ready(main_lane(key))
        )
        some = list(islice(refillable, REFILLS_PER_READ if self._lanes.has_room_for_refilled else 1))
        for key, lane in some:
            # Move it to the end, whether anything is found for it or not, so that the others come next.
            del self._lanes[key]
            self._lanes[key] = lane
            self._refilled.setdefault(key, lane.upto)
            self._refill_lane(key, lane)
            if self.has_matched_enough:
                break
        return bool(some)

    def _shed_refilled(self) -> None:
        """Leave in the store what was read and could not be delivered, if there is too much in memory."""
        if not (self._lanes.has_room_for_refilled or self._lanes.asides):
            for key, before in self._refilled.items():
                lane = self._lanes.get(key)
                while lane is not None and lane.messages and lane.messages[-1].position > before:
                    self._unload(lane.leave_last_in_store())
            self.read = self._read_before
        self._read_before = self.read
        self._refilled.clear()

    def _count_loaded(self) -> None:
        """Count messages of other brokers in a shared store: at least those in memory are waiting."""
        self.depth = max(self.depth, self._in_memory)
        self.depth_octets = max(self.depth_octets, sum(lane.octets for lane in self._lanes.values()))
        self._recount()

    def _recount(self) -> None:
        """Correct the counts: messages that the store has found to be damaged do not wait any more."""
        if not self._has_unsorted and self._lanes.are_in_memory:
            self.depth = self._in_memory
            self.depth_octets = sum(lane.octets for lane in self._lanes.values())

    def _spill(self, message: Message) -> None:
        if not self._store.is_durable:
            self._store.keep(message, None)

    def _lane_for(self, message: Message) -> tuple[Hashable, Lane | None]:
        return self._lanes.lane_for(self.consumers.lane_of(message.subject), message.tracker)

    def _sort_into_lane(self, message: Message) -> bool:
        """Add the next message to its lane; return False if it stays in the store."""
        return self._add_to_lane(message, *self._lane_for(message))

    def _add_to_lane(self, message: Message, key: Hashable, lane: Lane | None) -> bool:
        if lane is None:
            if isinstance(key, frozenset | Limited) and key != NO_CONSUMERS and not self._lanes.may_add:
                # It is sorted later, before all that follow it.
                self._has_unsorted = self._lacks_lane = True
                return False
            lane = self._lanes.open(key, message.position - 1)
        self._sorted_upto = message.position
        if key == NO_CONSUMERS or lane.has_more_in_store or not lane.has_room:
            if not lane.has_more_in_store:
                # Not the position of the window's last message: a requeued one in the window may have a higher one.
                lane.has_more_in_store = True
                lane.upto = message.position - 1
            return False
        lane.append(message)
        self._loaded.add(message.position)
        self._in_memory += 1
        return True

    def _refill_lane(self, key: Hashable, lane: Lane) -> None:
        """Read messages of a lane from the store into its window, as far as there is room."""
        page = self._page(lane.upto)
        lane.has_more_in_store = page.upto is not None and page.upto < self._sorted_upto
        for message in page:
            if message.position > self._sorted_upto:
                lane.has_more_in_store = False
                break
            if not lane.has_room_for_next or self.has_matched_enough:
                lane.has_more_in_store = True
                break
            lane.upto = message.position
            if message.position not in self._loaded and self._belongs_to(key, message):
                aside = self._lanes.get(Aside(key, message.tracker)) if self._lanes.asides else None
                if aside is None:
                    lane.append(message)
                elif not self._put_aside(aside, message):
                    continue
                self._loaded.add(message.position)
                self._in_memory += 1
        else:
            lane.upto = max(lane.upto, min(page.upto or 0, self._sorted_upto))
        self._lanes.remove_if_empty(key)

    def _put_aside(self, aside: Lane, message: Message) -> bool:
        """Add a message to those set aside; return False if it stays in the store, since the window is full."""
        if message.position > aside.upto:
            if not aside.has_more_in_store and not aside.has_room:
                aside.has_more_in_store = True
                aside.upto = message.position - 1
            if aside.has_more_in_store:
                return False
        aside.insert(message)
        return True

    def _belongs_to(self, key: Hashable, message: Message) -> bool:
        """Return whether a message from the store belongs to a lane."""
        main = self.consumers.lane_of(message.subject)
        return main == key or (isinstance(key, Aside) and key == Aside(main, message.tracker))

    def _unload(self, message: Message) -> None:
        self._in_memory -= 1
        self._loaded.discard(message.position)

    def _count_removed(self, message: Message) -> None:
        self.oldest = None
        self.depth -= 1
        self.depth_octets -= message.size
