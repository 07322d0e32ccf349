"""The deliveries over which a program iterates, and which the broker sends only as fast as it takes them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from alaska import errors
from alaska.aio.waiting import Change
from alaska.messaging.delivery import Delivery

if TYPE_CHECKING:
    from alaska.aio.connection import Connection

RETURN_SECONDS = 1.0
"""When the broker delivers mail again for which there was no room."""


class Buffer:
    """The deliveries of a connection that the program has not taken yet; ``size`` of them are asked for ahead."""

    def __init__(self, loop: asyncio.AbstractEventLoop, size: int) -> None:
        self.size = size
        self._deliveries: deque[Delivery] = deque()
        self._added = Change(loop)
        self._taken = 0
        self._is_ended = False
        self._error: errors.ClientError | None = None
        self._abandoned: deque[Delivery] = deque()

    def __len__(self) -> int:
        return len(self._deliveries)

    def add(self, delivery: Delivery) -> None:
        """Add a delivery."""
        self._deliveries.append(delivery)
        self._added.happened()

    def give_back(self, delivery: Delivery) -> None:
        """Let the next one who asks have a delivery that was taken, and not processed."""
        self._deliveries.appendleft(delivery)
        self._taken -= 1
        self._added.happened()

    def end(self, error: errors.ClientError | None) -> None:
        """End the iteration after the deliveries that are here: with an error, if there is one."""
        if not self._is_ended:
            self._is_ended, self._error = True, error
            self._added.happened()

    def abandon(self, delivery: Delivery) -> None:
        """Keep a mail whose iterator is not used any more, until it counts as processed; callable in any thread."""
        self._abandoned.append(delivery)

    def confirm_abandoned(self, connection: Connection) -> None:
        """Confirm these mails."""
        while self._abandoned:
            connection.confirm(self._abandoned.popleft())

    async def take(self, connection: Connection) -> Delivery:
        """Return the next delivery; let the broker send more.

        :raises StopAsyncIteration: the client was closed.
        :raises ClientError: the broker has ended it.
        """
        while True:
            while not self._deliveries:
                if self._is_ended:
                    raise StopAsyncIteration if self._error is None else self._error.with_traceback(None)
                await self._added.wait()
            delivery = self._deliveries.popleft()
            self._taken += 1
            if self._taken * 2 >= self.size and connection.is_open:
                taken, self._taken = self._taken, 0
                connection.give_credit(taken)
            # The broker delivers mail again that was not confirmed when the session was lost.
            if delivery.kind == "stream" or delivery.session == connection.session:
                return delivery


class Inbox:
    """Iterates over the mail of a client in one task; others may have iterators, too, and each mail is for one of them.

    Without ``manual``, a mail is confirmed when the one after it is asked for, or when the client is closed.
    """

    def __init__(self, connection: Connection, buffer: Buffer, manual: bool) -> None:
        self._connection = connection
        self._buffer = buffer
        self._is_manual = manual
        self._given: Delivery | None = None

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Delivery:
        """Return the next mail; the iteration ends when the client is closed."""
        self._connection.check_usable()
        self._buffer.confirm_abandoned(self._connection)
        self.confirm_given()
        delivery = await self._buffer.take(self._connection)
        if not self._is_manual:
            self._given = delivery
        return delivery

    def give_back(self, delivery: Delivery) -> None:
        """Let the next one who asks have a mail that the program has not got."""
        self._given = None
        self._buffer.give_back(delivery)

    def confirm_given(self) -> None:
        """Confirm the mail that the program has processed."""
        if self._given is not None:
            self._connection.confirm(self._given)
            self._given = None

    def __del__(self) -> None:
        given = getattr(self, "_given", None)
        if given is not None:
            self._buffer.abandon(given)
