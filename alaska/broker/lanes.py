"""The lanes of a queue: each holds the messages for one set of consumers, in order."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from alaska.broker.subject_index import Matches
from alaska.message import Message, insert_by_position

WINDOW_MESSAGES = 1000
WINDOW_OCTETS = 4 * 2**20
TOTAL_WINDOW_OCTETS = 16 * 2**20
"""If the windows of all lanes together reach this size, each lane has a narrow window for the next deliveries."""
MAX_REFILLED_OCTETS = 32 * 2**20
"""If they reach this size, what was read from the store for a lane and cannot be delivered at once is not kept."""
MESSAGE_OCTETS = 512
"""The estimated memory of a message besides its content."""
NARROW_WINDOW_OCTETS = 64 * 2**10

FREE_LANES = 16
"""The number of lanes that each queue may have, however many the others have."""
MAX_LANE_OCTETS = 16 * 2**20
"""If all further lanes together reach this size, a queue does not sort a message that needs another lane."""
MAX_ASIDE_OCTETS = 16 * 2**20
"""If they reach this size, no message is set aside for its tracker: later mail to its receiver waits for it."""
LANE_OCTETS = 1024
"""The estimated memory of a lane besides its messages and the patterns in its key."""
PATTERN_OCTETS = 64

NO_CONSUMERS: Hashable = frozenset()


class Aside(NamedTuple):
    """The key of a lane of messages that were set aside: their original lane, and their tracker."""

    lane: Hashable
    tracker: bytes


class Limited(NamedTuple):
    """The key of a lane of requests with limits for their subjects: the lane that they would be in, and the limits.

    Those that a limit holds back do not block the others with the same consumers.
    """

    lane: Matches
    limits: Matches


def main_lane(key: Hashable) -> Hashable:
    """Return the key of the original lane of messages that were set aside; any other key is returned as it is."""
    return key.lane if isinstance(key, Aside) else key


def memory_of_lane(key: Hashable) -> int:
    """Return the estimated memory of the lane with a key, without its messages."""
    return LANE_OCTETS + PATTERN_OCTETS * patterns_in(main_lane(key))


def patterns_in(key: Hashable) -> int:
    """Return the number of patterns in the key of a lane; 0 for the lanes of a mailbox."""
    if isinstance(key, Limited):
        return patterns_in(key.lane) + len(key.limits)
    return len(key) if isinstance(key, frozenset) else 0


class WindowMemory:
    """The memory, in octets, of the windows of all lanes of all queues."""

    __slots__ = ("lane_octets", "octets")

    def __init__(self) -> None:
        self.octets = 0
        self.lane_octets = 0
        """The memory of the lanes themselves, without the free lanes of each queue."""


class Lane:
    """One lane: its window, which is the part in memory, and whether it has more messages in the store.

    The window holds all waiting messages of the lane up to the position ``upto``. ``lane_octets`` is the memory that
    counts for the lane itself.
    """

    __slots__ = ("has_more_in_store", "lane_octets", "messages", "octets", "upto", "window_memory")

    def __init__(self, upto: int, window_memory: WindowMemory, lane_octets: int = 0) -> None:
        self.window_memory = window_memory
        self.lane_octets = lane_octets
        window_memory.lane_octets += lane_octets
        self.messages: deque[Message] = deque()
        self.octets = 0
        self.has_more_in_store = False
        self.upto = upto

    @property
    def has_room(self) -> bool:
        """Whether the window has room for a message that has just arrived."""
        return (
            len(self.messages) < WINDOW_MESSAGES
            and self.octets < WINDOW_OCTETS
            and self.window_memory.octets < TOTAL_WINDOW_OCTETS
        )

    @property
    def has_room_for_next(self) -> bool:
        """Whether the window has room for a message that is to be delivered next."""
        if self.window_memory.octets < TOTAL_WINDOW_OCTETS:
            return self.has_room
        return self.memory_octets < NARROW_WINDOW_OCTETS

    @property
    def is_too_large(self) -> bool:
        """Whether the window exceeds its limits, after a message was put back."""
        return bool(self.messages) and (
            len(self.messages) > WINDOW_MESSAGES
            or self.octets > WINDOW_OCTETS
            or self.window_memory.octets > TOTAL_WINDOW_OCTETS
        )

    @property
    def memory_octets(self) -> int:
        """The estimated memory of the window, in octets."""
        return self.octets + MESSAGE_OCTETS * len(self.messages)

    def _add(self, message: Message) -> None:
        self.octets += message.size
        self.window_memory.octets += message.size + MESSAGE_OCTETS

    def _subtract(self, message: Message) -> None:
        self.octets -= message.size
        self.window_memory.octets -= message.size + MESSAGE_OCTETS

    def clear(self) -> None:
        """Remove all messages from the window, and the lane from the count of lanes."""
        self.window_memory.octets -= self.memory_octets
        self.messages.clear()
        self.octets = 0
        self.window_memory.lane_octets -= self.lane_octets
        self.lane_octets = 0

    def append(self, message: Message) -> None:
        """Add a message at the end."""
        # As _add(), without the call: this and popleft() are for each message that waits.
        self.messages.append(message)
        self.octets += message.size
        self.window_memory.octets += message.size + MESSAGE_OCTETS
        self.upto = max(self.upto, message.position)

    def insert(self, message: Message) -> None:
        """Add a message in the order of positions."""
        insert_by_position(self.messages, message)
        self._add(message)
        if not self.has_more_in_store:
            self.upto = max(self.upto, message.position)

    def leave_last_in_store(self) -> Message:
        """Remove and return the last message, which is in the store from now on."""
        message = self.messages.pop()
        self._subtract(message)
        self.has_more_in_store = True
        self.upto = message.position - 1
        return message

    def find(self, position: int) -> Message | None:
        """Return the message at a position if it is in the window."""
        at = bisect_left(self.messages, position, key=lambda message: message.position)
        return self.messages[at] if at < len(self.messages) and self.messages[at].position == position else None

    def remove(self, message: Message) -> bool:
        """Remove a message; return whether it was in the window."""
        for waiting in self.messages:
            if waiting.position == message.position:
                self.messages.remove(waiting)
                self._subtract(message)
                return True
        return False

    def popleft(self) -> Message:
        """Remove and return the first message."""
        message = self.messages.popleft()
        self.octets -= message.size
        self.window_memory.octets -= message.size + MESSAGE_OCTETS
        return message


class Lanes(dict[Hashable, Lane]):
    """The lanes of a queue, by their keys."""

    def __init__(self, window_memory: WindowMemory) -> None:
        super().__init__()
        self._window_memory = window_memory
        self.asides = 0
        """The number of lanes of messages that were set aside."""

    def open(self, key: Hashable, upto: int) -> Lane:
        """Add a lane whose window holds its messages up to this position, and return it."""
        is_free = len(self) < FREE_LANES
        lane = self[key] = Lane(upto, self._window_memory, 0 if is_free else memory_of_lane(key))
        self.asides += isinstance(key, Aside)
        return lane

    @property
    def may_add(self) -> bool:
        """Whether the limits allow another lane of a service; requeued messages get one in any case."""
        return len(self) < FREE_LANES or self._window_memory.lane_octets < MAX_LANE_OCTETS

    @property
    def has_room_for_refilled(self) -> bool:
        """Whether the limits allow messages that were read from the store and cannot be delivered at once."""
        return self._window_memory.octets < MAX_REFILLED_OCTETS

    @property
    def may_set_aside(self) -> bool:
        """Whether the limits allow another lane of messages that are set aside."""
        return self._window_memory.lane_octets < MAX_ASIDE_OCTETS

    def lane_for(self, main: Hashable, tracker: bytes) -> tuple[Hashable, Lane | None]:
        """Return the lane of a message, given its main lane and its tracker.

        While the main lane has more in the store, the message is not set aside yet.
        """
        lane = self.get(main)
        if self.asides and (lane is None or not lane.has_more_in_store):
            aside = Aside(main, tracker)
            if aside in self:
                return aside, self[aside]
        return main, lane

    def remove_if_empty(self, key: Hashable) -> None:
        """Remove a lane that has no messages, neither in memory nor in the store."""
        lane = self.get(key)
        if lane is not None and not lane.messages and not lane.has_more_in_store:
            del self[key]
            lane.clear()
            self.asides -= isinstance(key, Aside)

    def remove_all(self) -> list[Message]:
        """Remove all lanes; return the messages of their windows in order."""
        messages = sorted((each for lane in self.values() for each in lane.messages), key=lambda each: each.position)
        for lane in self.values():
            lane.clear()
        self.clear()
        self.asides = 0
        return messages

    @property
    def has_messages(self) -> bool:
        """Whether any window has a message."""
        return any(lane.messages for lane in self.values())

    @property
    def are_in_memory(self) -> bool:
        """Whether all messages of all lanes are in the windows."""
        return NO_CONSUMERS not in self and not self.has_more_in_store

    @property
    def has_more_in_store(self) -> bool:
        """Whether any lane has more messages in the store."""
        return any(lane.has_more_in_store for lane in self.values())
