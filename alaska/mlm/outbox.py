"""The buffer of messages that a client has sent and that the broker may not have received.

The broker answers PINGs in order, so a PONG proves that it has received everything that was sent before its PING.
Messages are numbered from 1 in the order in which they were sent; ``proven`` is the number of the last proven one.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from alaska import errors
from alaska.mlm import commands as mlm

PING_WORK = 4 * 2**20
"""After so much work for the broker, a PING has to follow: else the broker would seem to be silent meanwhile."""
MESSAGE_WORK = 4096
"""The work for a message besides its content: a PING follows at least each 1024 messages."""
Sent = mlm.StreamSend | mlm.MailboxSend | mlm.ServiceSend | mlm.ConnectionClose


class Pending(Struct, frozen=True):
    """A buffered message, its stream if it is for one, and the size of its content."""

    command: Sent
    stream: bytes | None
    octets: int


class Outbox:
    """Buffers messages, in order, until a PONG proves that the broker has them; its size is limited."""

    def __init__(self, most_messages: int, most_octets: int) -> None:
        self._most_messages = most_messages
        self._most_octets = most_octets
        self._pending: deque[Pending] = deque()
        self._octets = 0
        self._transmitted = 0
        self._pings: deque[int] = deque()
        self.proven = 0
        # Of what was transmitted since the last PING.
        self._work = 0

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self.proven + len(self._pending)

    @property
    def is_closed(self) -> bool:
        """Whether the last message is a CLOSE, after which nothing can be sent."""
        return bool(self._pending) and isinstance(self._pending[-1].command, mlm.ConnectionClose)

    @property
    def needs_proof(self) -> bool:
        """Whether messages were transmitted after the last PING that is in flight."""
        return self._transmitted > 0 and not (self._pings and self._pings[-1] == self.proven + self._transmitted)

    @property
    def pings_in_flight(self) -> int:
        """The number of PINGs in flight."""
        return len(self._pings)

    @property
    def wants_ping(self) -> bool:
        """Whether a PING should follow now."""
        return self._work >= PING_WORK

    def has_room(self, messages: int, octets: int) -> bool:
        """Return whether the limits allow so many more messages, of so many octets in all."""
        return len(self._pending) + messages <= self._most_messages and self._octets + octets <= self._most_octets

    def add(self, command: Sent, stream: bytes | None) -> None:
        """Add a message; the limits do not apply to a CLOSE.

        :raises BacklogFull: a limit would be exceeded; the message was not added.
        """
        octets = 0
        if not isinstance(command, mlm.ConnectionClose):
            for frame in command.content:
                octets += len(frame)
            if len(self._pending) >= self._most_messages or self._octets + octets > self._most_octets:
                raise errors.BacklogFull(
                    f"{len(self._pending)} messages of {self._octets} octets wait for the broker, which is the limit"
                )
        self._pending.append(Pending(command, stream, octets))
        self._octets += octets

    def next(self) -> Pending | None:
        """Return the oldest message that was not transmitted since the last restart, and mark it as transmitted."""
        if self._transmitted >= len(self._pending):
            return None
        pending = self._pending[self._transmitted]
        self._transmitted += 1
        self._work += MESSAGE_WORK + pending.octets
        return pending

    def restart(self) -> None:
        """Mark all messages as not transmitted, for a broker that may have none of them."""
        self._transmitted = self._work = 0
        self._pings.clear()

    def pinged(self) -> None:
        """Record that a PING was transmitted."""
        self._pings.append(self.proven + self._transmitted)
        self._work = 0

    def ponged(self) -> None:
        """Remove the messages that were transmitted before the oldest PING in flight, which was answered."""
        if self._pings:
            self._prove(self._pings.popleft())

    def prove_all(self) -> None:
        """Remove all transmitted messages, since a command that was transmitted after them was answered."""
        self._prove(self.proven + self._transmitted)

    def _prove(self, count: int) -> None:
        for _ in range(count - self.proven):
            self._octets -= self._pending.popleft().octets
            self._transmitted -= 1
        self.proven = max(self.proven, count)
