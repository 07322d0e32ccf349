"""Decodes the messages of clients and executes their commands. A batch that takes too long continues later.

So other clients do not have to wait for it. Further messages of its client wait until the batch is executed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from alaska.broker.clients import Client
from alaska.errors import FAILED, ProtocolError, Refused
from alaska.interfaces import IRouter
from alaska.mlm.batch import decode_batch, is_batch
from alaska.mlm.codec import decode, decode_with_properties
from alaska.mlm.commands import Command, Peer

Clock = Callable[[], float]
"""Returns the time in seconds, from any start."""
TURN_SECONDS = 0.005
"""How long a batch is executed before other clients get a turn."""
CATCH_UP_OCTETS = 2**20
"""If messages of more than this size wait for a client's batch, the broker catches up before it reads more."""
CATCH_UP_SECONDS = 0.05
"""How long it catches up after each message, while all others wait; that is enough unless each command is slow."""
MAX_WAITING_OCTETS = 8 * 2**20
"""The maximum size of the messages of a client that wait for its batch."""
MESSAGE_OCTETS = 128
"""The estimated memory of a waiting message besides its frames."""


class Origin(NamedTuple):
    """Where a command comes from: :attr:`IRouter.is_local`, and :attr:`IRouter.is_on_machine`."""

    is_local: bool
    is_on_machine: bool

    @classmethod
    def of(cls, router: IRouter) -> Origin:
        """Return the origin of the message that is being received."""
        return cls(bool(router.is_local), bool(router.is_on_machine))


class _Waiting:
    """The commands of a client's batch that are not executed yet, and the messages that it has sent after the batch."""

    __slots__ = ("commands", "messages", "octets", "origin")

    def __init__(self, commands: list[Command]) -> None:
        self.commands = deque(commands)
        self.origin: Origin | None = None
        """Where the commands came from; None: as the router says, since they came just now."""
        self.messages: deque[tuple[list[bytes], Origin]] = deque()
        """The frames and origin of each message."""
        self.octets = 0


class Batches:
    """Decodes the messages of clients, and executes their commands in order.

    ``execute`` executes one command. ``end`` ends a session because of an error in what the client has sent. When a
    session ends, :meth:`remove` must be called. ``router`` is the one that receives the messages.
    """

    def __init__(
        self,
        execute: Callable[[Client, Command], None],
        end: Callable[[Client, ProtocolError | Refused], None],
        router: IRouter,
    ) -> None:
        self._execute = execute
        self._end = end
        self._router = router
        self._waiting: dict[Client, _Waiting] = {}
        self._origin: Origin | None = None

    def __bool__(self) -> bool:
        """Whether there are batches that are not executed yet."""
        return bool(self._waiting)

    def clients(self) -> Iterable[Client]:
        """Return the clients whose batches are not executed yet."""
        return self._waiting

    @property
    def origin(self) -> Origin:
        """Where the command that is being executed came from."""
        return Origin.of(self._router) if self._origin is None else self._origin

    def received(self, client: Client, frames: list[bytes], clock: Clock) -> int:
        """Execute the commands in a message, as far as there is time; return their number."""
        if self._waiting and client in self._waiting:
            self._wait(client, frames, clock)
            return 1
        try:
            commands = _decode(client, frames)
        except ProtocolError as error:
            self._end(client, error)
            return 1
        if len(commands) == 1:
            self._execute(client, commands[0])
            return 1
        waiting = self._waiting[client] = _Waiting(commands)
        self._continue(client, clock, clock() + TURN_SECONDS)
        if client in self._waiting:
            # Later the router has received messages of others.
            waiting.origin = Origin.of(self._router)
        return len(commands) or 1

    def resume(self, clock: Clock) -> None:
        """Continue with all batches as far as there is time; the next call begins with other clients."""
        end = clock() + TURN_SECONDS
        for client in list(self._waiting):
            # Move it to the end.
            self._waiting[client] = self._waiting.pop(client)
            self._continue(client, clock, end)
            if clock() >= end:
                return

    def remove(self, client: Client) -> None:
        """Remove what a client has sent, since its session has ended."""
        self._waiting.pop(client, None)

    def _wait(self, client: Client, frames: list[bytes], clock: Clock) -> None:
        waiting = self._waiting[client]
        octets = sum(map(len, frames)) + MESSAGE_OCTETS
        waiting.octets += octets
        waiting.messages.append((frames, Origin.of(self._router)))
        if waiting.octets > CATCH_UP_OCTETS:
            # Back-pressure: ZeroMQ stops the client while the broker does not read.
            self._continue(client, clock, clock() + CATCH_UP_SECONDS, CATCH_UP_OCTETS)
            # A single message may be larger.
            if client in self._waiting and waiting.octets - octets > MAX_WAITING_OCTETS:
                self._end(client, Refused("commands that take too long", FAILED))

    def _continue(self, client: Client, clock: Clock, end: float, enough: int = -1) -> None:
        """Execute commands of a client until the time ``end``, or until messages of at most ``enough`` octets wait."""
        try:
            self._execute_waiting(client, clock, end, enough)
        finally:
            self._origin = None

    def _execute_waiting(self, client: Client, clock: Clock, end: float, enough: int) -> None:
        waiting = self._waiting[client]
        execute, all_waiting, commands = self._execute, self._waiting, waiting.commands
        while True:
            self._origin = waiting.origin
            while commands:
                execute(client, commands.popleft())
                if client not in all_waiting or clock() >= end:
                    return
            if not waiting.messages:
                self.remove(client)
                return
            if waiting.octets <= enough:
                return
            frames, waiting.origin = waiting.messages.popleft()
            waiting.octets -= sum(map(len, frames)) + MESSAGE_OCTETS
            try:
                commands.extend(_decode(client, frames))
            except ProtocolError as error:
                self._end(client, error)
                return


def _decode(client: Client, frames: list[bytes]) -> list[Command]:
    if client.reads_batches and is_batch(frames):
        return decode_batch(frames, Peer.CLIENT)
    return [decode_with_properties(frames) if client.has_properties else decode(frames)]
