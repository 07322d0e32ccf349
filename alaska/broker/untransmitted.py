"""Deliveries to a client that does not confirm, which ZeroMQ may not have transmitted yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from alaska.message import Message

ENCODER_OCTETS = 8192
"""ZeroMQ is done with a message when it has encoded it; up to this many octets may still wait in its buffer."""
HEADER_OCTETS = 8
"""The minimum size of a delivery without names and content."""


class _Sent(NamedTuple):
    has_left: Callable[[], bool]
    message: Message


class Untransmitted:
    """The deliveries to one client, oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[_Sent] = deque()
        self._encoded: deque[Message] = deque()
        self._encoded_octets = 0

    @property
    def is_empty(self) -> bool:
        """Whether all deliveries have left."""
        return not (self._waiting or self._encoded)

    def add(self, message: Message, has_left: Callable[[], bool]) -> None:
        """Add a delivery, with its proof (:meth:`alaska.interfaces.IRouter.send_with_proof`)."""
        self._waiting.append(_Sent(has_left, message))

    def pop_left(self) -> Iterator[Message]:
        """Remove and yield the deliveries that have left: all, or those that others have pushed out of the buffer."""
        while self._waiting and self._waiting[0].has_left():
            message = self._waiting.popleft().message
            self._encoded.append(message)
            self._encoded_octets += message.size + HEADER_OCTETS
        while self._encoded:
            octets = self._encoded_octets - self._encoded[0].size - HEADER_OCTETS
            if self._waiting and octets < ENCODER_OCTETS:
                return
            self._encoded_octets = octets
            yield self._encoded.popleft()

    def unsent(self) -> list[Message]:
        """Return the deliveries that have not left: a client that disconnects has not got them."""
        return [sent.message for sent in self._waiting]

    def encoded(self) -> list[Message]:
        """Return those before them that may still have been in ZeroMQ's buffer."""
        return list(self._encoded)
