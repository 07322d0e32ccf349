"""The lanes of a queue: what waits for the same clients, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from alaska.message import Message, insert_by_position

WINDOW_MESSAGES = 1000
WINDOW_OCTETS = 4 * 2**20

NOBODY: Hashable = frozenset()


class Aside(NamedTuple):
    """The lane of messages that were set aside: beside which lane, and which tracker they have."""

    lane: Hashable
    tracker: bytes


def main_of(key: Hashable) -> Hashable:
    """Return the lane that messages were in before they were set aside."""
    return key.lane if isinstance(key, Aside) else key


class Lane:
    """What waits for the same clients: its window, and whether it has left messages behind in the store.

    Of the messages up to the position ``upto`` none is left behind.
    """

    __slots__ = ("is_behind", "messages", "octets", "upto")

    def __init__(self, upto: int) -> None:
        self.messages: deque[Message] = deque()
        self.octets = 0
        self.is_behind = False
        self.upto = upto

    @property
    def has_room(self) -> bool:
        """Whether its window takes one more."""
        return len(self.messages) < WINDOW_MESSAGES and self.octets < WINDOW_OCTETS

    def append(self, message: Message) -> None:
        """Add a message behind all others."""
        self.messages.append(message)
        self.octets += message.size
        self.upto = max(self.upto, message.position)

    def insert(self, message: Message) -> None:
        """Add a message in its place."""
        if self.messages and self.messages[-1].position < message.position:
            self.messages.append(message)
        else:
            insert_by_position(self.messages, message)
        self.octets += message.size
        if not self.is_behind:
            self.upto = max(self.upto, message.position)

    def remove(self, message: Message) -> bool:
        """Remove a message; return whether it was there."""
        for waiting in self.messages:
            if waiting.position == message.position:
                self.messages.remove(waiting)
                self.octets -= message.size
                return True
        return False

    def popleft(self) -> Message:
        """Remove the first message, and return it."""
        message = self.messages.popleft()
        self.octets -= message.size
        return message
