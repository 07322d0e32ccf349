"""The messages that threads hand over to the event loop, many of them with one wake-up."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from alaska import errors
from alaska.aio.connection import SENDS_IN_A_TURN, Connection
from alaska.aio.waiting import Change
from alaska.messaging.sending import SendCommand, add_trace
from alaska.messaging.terms import SendTerms
from alaska.sync.background import Background
from alaska.traces.context import TraceContext

Result = TypeVar("Result")
MOST_AHEAD = 1000
"""A thread that sends waits until the event loop has taken all but so many messages."""
LOOK_SECONDS = 1.0
"""How often a thread that waits for room looks whether the event loop still runs."""


class _Queued(NamedTuple):
    """A message."""

    command: SendCommand
    stream: bytes | None
    octets: int


class SendQueue:
    """The messages of a blocking client that are not in the send buffer of its connection yet.

    There is room in that buffer for each of them: a thread adds one only if the limits allow it. The event loop takes
    them in the order in which they were added, as soon as it is woken up; it is woken up only if it does not take any.
    """

    def __init__(self, background: Background, connection: Connection) -> None:
        self._background = background
        self._connection = connection
        self._messages: deque[_Queued] = deque()
        # Guards all that threads change; the event loop alone changes what it has taken.
        self._changed = threading.Condition()
        self._octets_added = self._octets_taken = 0
        self._taken = 0
        self._waiting = 0
        self._is_awake = False
        self._is_full = False
        self._progress = Change(background.loop)
        connection.room.also = self._room

    def __len__(self) -> int:
        """Return the number of messages that are not in the send buffer."""
        return len(self._messages)

    # In the threads of the program

    def send(
        self,
        command: SendCommand,
        trace: TraceContext | None,
        terms: SendTerms,
        stream: bytes | None,
        seconds: float | None,
    ) -> None:
        """Send a message whose arguments were checked, after those that were sent before; record it.

        :raises BacklogFull: there was no room in the send buffer for so many seconds; nothing was sent.
        :raises NotConnected: the client is closed.
        :raises Refused: the broker does not support the terms.
        """
        self._connection.check_terms(terms)
        record = self._connection.begin_send(command, trace, stream)
        try:
            if record.context is not None:
                add_trace(command, record.context)
            self._add(_Queued(command, stream, sum(map(len, command.content))), seconds)
        except BaseException as error:
            record.end(error)
            raise
        record.end()

    def _add(self, message: _Queued, seconds: float | None) -> None:
        with self._changed:
            if not self._has_room(message.octets):
                self._wait_for_room(message.octets, seconds)
            self._messages.append(message)
            self._octets_added += message.octets
            if not self._is_awake:
                self._background.soon(self._take)
                self._is_awake = True

    def _has_room(self, octets: int) -> bool:
        ahead = len(self._messages)
        octets += self._octets_added - self._octets_taken
        return self._connection.has_room(ahead + 1, octets) and ahead < MOST_AHEAD

    def _wait_for_room(self, octets: int, seconds: float | None) -> None:
        self._connection.check_size(octets)
        end = None if seconds is None else monotonic() + seconds
        self._waiting += 1
        self._background.soon(self._connection.make_room)
        try:
            while not self._has_room(octets):
                left = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - monotonic())
                if left <= 0:
                    raise errors.BacklogFull(
                        f"there was no room in the send buffer for {seconds:g} s; nothing was sent"
                    )
                self._changed.wait(left)
                self._background.check()
        finally:
            self._waiting -= 1

    def before(self, coroutine: Coroutine[Any, Any, Result]) -> Coroutine[Any, Any, Result]:
        """Return a coroutine that runs when the messages that were sent before it are in the send buffer.

        While that is full, nothing is waited for.
        """
        return self._before(coroutine) if self._messages else coroutine

    async def _before(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        count = self._taken + len(self._messages)
        try:
            while self._taken < count and not self._is_full:
                await self._some_taken()
        except BaseException:
            coroutine.close()
            raise
        return await coroutine

    # In the event loop

    async def taken(self) -> None:
        """Wait until all messages that were sent so far are in the send buffer, or lost with the connection."""
        count = self._taken + len(self._messages)
        while self._taken < count:
            await self._some_taken()

    async def _some_taken(self) -> None:
        """Wait until some more are taken; take them here, if a thread was interrupted before it woke up the loop."""
        if self._is_awake:
            await self._progress.wait()
        else:
            self._take()

    async def emptied(self, seconds: float) -> int:
        """Do as :meth:`taken` for so many seconds; return how many messages are left."""
        while self._messages and not self._is_full:
            self._take()
        taking = asyncio.ensure_future(self.taken())
        await asyncio.wait([taking], timeout=seconds)
        taking.cancel()
        return len(self._messages)

    def _take(self) -> None:
        """Take some messages into the send buffer, and the others when the loop has done what else there is to do."""
        is_full = False
        try:
            for _ in range(min(len(self._messages), SENDS_IN_A_TURN)):
                message = self._messages[0]
                self._connection.send_command(message.command, None, message.stream)
                self._forget_first()
        except errors.BacklogFull:
            is_full = True
            self._connection.make_room()
        except errors.ClientError:  # It is closed, which the next call says.
            while self._messages:
                self._forget_first()
        with self._changed:
            self._is_full, self._is_awake = is_full, bool(self._messages)
            if self._messages and not is_full:
                self._background.loop.call_soon(self._take)
            if self._waiting:
                self._changed.notify_all()
        self._progress.happened()

    def _forget_first(self) -> None:
        octets = self._messages.popleft().octets
        self._taken += 1
        self._octets_taken += octets

    def _room(self) -> None:
        """There is room in the send buffer again, or the connection is closed."""
        if self._is_full:
            self._is_full = False
            self._background.loop.call_soon(self._take)
        if self._waiting:
            with self._changed:
                self._changed.notify_all()
