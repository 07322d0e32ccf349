"""The lanes of a queue: what waits for the same clients, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from alaska.message import Message, insert_by_position

WINDOW_MESSAGES = 1000
WINDOW_OCTETS = 4 * 2**20
TOTAL_WINDOW_OCTETS = 16 * 2**20
"""When so much of all lanes together is in memory, each has a narrow window, for what is about to be delivered."""
MESSAGE_OCTETS = 512
"""What a message is reckoned to take there beside its content."""
NARROW_WINDOW_OCTETS = 64 * 2**10

NOBODY: Hashable = frozenset()


class Aside(NamedTuple):
    """The lane of messages that were set aside: beside which lane, and which tracker they have."""

    lane: Hashable
    tracker: bytes


def main_lane(key: Hashable) -> Hashable:
    """Return the lane that messages were in before they were set aside."""
    return key.lane if isinstance(key, Aside) else key


class WindowMemory:
    """What is in memory of all lanes of all queues together."""

    __slots__ = ("octets",)

    def __init__(self) -> None:
        self.octets = 0


class Lane:
    """What waits for the same clients: its window, and whether it has left messages behind in the store.

    Of the messages up to the position ``upto`` none is left behind.
    """

    __slots__ = ("has_more_in_store", "messages", "octets", "upto", "window_memory")

    def __init__(self, upto: int, window_memory: WindowMemory) -> None:
        self.window_memory = window_memory
        self.messages: deque[Message] = deque()
        self.octets = 0
        self.has_more_in_store = False
        self.upto = upto

    @property
    def has_room(self) -> bool:
        """Whether its window takes one more that has just come."""
        return (
            len(self.messages) < WINDOW_MESSAGES
            and self.octets < WINDOW_OCTETS
            and self.window_memory.octets < TOTAL_WINDOW_OCTETS
        )

    @property
    def has_room_for_next(self) -> bool:
        """Whether its window takes one more that is about to be delivered."""
        if self.window_memory.octets < TOTAL_WINDOW_OCTETS:
            return self.has_room
        return self.memory_octets < NARROW_WINDOW_OCTETS

    @property
    def memory_octets(self) -> int:
        """What is in memory of it."""
        return self.octets + MESSAGE_OCTETS * len(self.messages)

    def _add(self, message: Message) -> None:
        self.octets += message.size
        self.window_memory.octets += message.size + MESSAGE_OCTETS

    def _subtract(self, message: Message) -> None:
        self.octets -= message.size
        self.window_memory.octets -= message.size + MESSAGE_OCTETS

    def clear(self) -> None:
        """Have nothing in memory."""
        self.window_memory.octets -= self.memory_octets
        self.messages.clear()
        self.octets = 0

    def append(self, message: Message) -> None:
        """Add a message behind all others."""
        self.messages.append(message)
        self._add(message)
        self.upto = max(self.upto, message.position)

    def insert(self, message: Message) -> None:
        """Add a message in its place."""
        if self.messages and self.messages[-1].position < message.position:
            self.messages.append(message)
        else:
            insert_by_position(self.messages, message)
        self._add(message)
        if not self.has_more_in_store:
            self.upto = max(self.upto, message.position)

    def remove(self, message: Message) -> bool:
        """Remove a message; return whether it was there."""
        for waiting in self.messages:
            if waiting.position == message.position:
                self.messages.remove(waiting)
                self._subtract(message)
                return True
        return False

    def popleft(self) -> Message:
        """Remove the first message, and return it."""
        message = self.messages.popleft()
        self._subtract(message)
        return message
