"""What a client has sent and the broker is not known to have.

A broker answers every PING, in order, so a PONG proves that it has all that was sent before its PING. Messages are
numbered from 1 in the order in which they were sent; what is proven is a count of them.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from alaska import errors
from alaska.mlm import commands as mlm

Sent = mlm.StreamSend | mlm.MailboxSend | mlm.ServiceSend | mlm.ConnectionClose


class Kept(NamedTuple):
    """A message, and the stream that it is for if it is for one."""

    command: Sent
    stream: bytes | None
    octets: int


class Outbox:
    """Keeps messages, in order, until they are proven; holds at most so many messages and octets of content."""

    def __init__(self, most_messages: int, most_octets: int) -> None:
        self._most_messages = most_messages
        self._most_octets = most_octets
        self._kept: deque[Kept] = deque()
        self._octets = 0
        self._transmitted = 0
        self._probes: deque[int] = deque()
        self.proven = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self.proven + len(self._kept)

    @property
    def is_closed(self) -> bool:
        """Whether the last message is the CLOSE, behind which nothing can be sent."""
        return bool(self._kept) and isinstance(self._kept[-1].command, mlm.ConnectionClose)

    @property
    def needs_proof(self) -> bool:
        """Whether something was transmitted and no PING is under way that would prove it."""
        return self._transmitted > 0 and not (self._probes and self._probes[-1] == self.proven + self._transmitted)

    @property
    def probes(self) -> int:
        """How many PINGs are under way."""
        return len(self._probes)

    @property
    def is_probed(self) -> bool:
        """Whether a PING is under way."""
        return bool(self._probes)

    def keep(self, command: Sent, stream: bytes | None) -> None:
        """Add a message.

        There is always room for a CLOSE.

        :raises BacklogFull: there is no room for it; nothing was done.
        """
        octets = 0 if isinstance(command, mlm.ConnectionClose) else sum(map(len, command.content))
        has_room = len(self._kept) < self._most_messages and self._octets + octets <= self._most_octets
        if not has_room and not isinstance(command, mlm.ConnectionClose):
            raise errors.BacklogFull(
                f"{len(self._kept)} messages of {self._octets} octets wait for the broker, more may not"
            )
        self._kept.append(Kept(command, stream, octets))
        self._octets += octets

    def next(self) -> Kept | None:
        """Return the oldest message that was not transmitted since the last restart, which it now is."""
        if self._transmitted >= len(self._kept):
            return None
        kept = self._kept[self._transmitted]
        self._transmitted += 1
        return kept

    def restart(self) -> None:
        """Note that all is to be transmitted again, to a broker that may have nothing of it."""
        self._transmitted = 0
        self._probes.clear()

    def probe(self) -> None:
        """Note that a PING is transmitted."""
        self._probes.append(self.proven + self._transmitted)

    def prove(self) -> None:
        """Note that the PING under way the longest was answered."""
        if self._probes:
            self._prove(self._probes.popleft())

    def prove_all(self) -> None:
        """Note that something transmitted after all messages was answered."""
        self._prove(self.proven + self._transmitted)

    def _prove(self, count: int) -> None:
        for _ in range(count - self.proven):
            self._octets -= self._kept.popleft().octets
            self._transmitted -= 1
        self.proven = max(self.proven, count)
