"""Reading a stream, over a connection of its own: a reader that is slow holds up nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import NamedTuple

from alaska import errors
from alaska.aio.connection import Connection
from alaska.aio.deliveries import Buffer
from alaska.messaging.delivery import MOST_POSITION, Delivery, Text, check_delivery, check_flag, to_number, to_octets
from alaska.messaging.readers import check_name
from alaska.mlm import commands as mlm
from alaska.mlm.codec import check

Since = int | str | datetime | timedelta
SECONDS_TO_CLOSE = 2.0
MOST_AHEAD = 100_000
_WORDS = {"start": 0, "now": mlm.LIVE_ONLY}


def start_of(since: Since) -> tuple[int, float]:
    """Return the position from which a stream is read, and the time in seconds since 1970 before which is skipped.

    :raises TypeError, ValueError: it is not valid.
    """
    if isinstance(since, datetime):
        if since.tzinfo is None:
            raise ValueError("since must have a time zone")
        return 0, since.timestamp()
    if isinstance(since, timedelta):
        return 0, (datetime.now(timezone.utc) - since).timestamp()
    if isinstance(since, str):
        if since not in _WORDS:
            raise ValueError(f"since must be start, now, a position or a time, not {since!r}")
        return _WORDS[since], 0.0
    return to_number(since, MOST_POSITION, "since"), 0.0


class Reading(NamedTuple):
    """What a program reads of a stream."""

    command: mlm.StreamReplay
    from_time: float
    is_named: bool
    is_manual: bool
    ahead: int

    @staticmethod
    def of(stream: Text, match: Text, since: Since | None, name: Text, manual: bool, ahead: int) -> Reading:
        """Return the reading for the arguments of :meth:`alaska.aio.Client.tail`.

        :raises TypeError, ValueError: one is not valid.
        """
        octets, pattern, reader = to_octets(stream, "stream"), to_octets(match, "match"), to_octets(name, "name")
        start, from_time = start_of(("start" if reader else "now") if since is None else since)
        check_name(reader)
        check_flag(manual, "manual")
        if not to_number(ahead, MOST_AHEAD, "ahead"):
            raise ValueError(f"ahead must be a number from 1 to {MOST_AHEAD}, not 0")
        command = mlm.StreamReplay(octets, pattern, start, {"name": reader} if reader else {})
        check(command)
        return Reading(command, from_time, bool(reader), manual, ahead)


class Tail:
    """Iterates over the records of a stream; used with ``async with``, it ends the reading with the block.

    ``connect`` makes the connection. Otherwise see :meth:`alaska.aio.Client.tail`.
    """

    def __init__(self, connect: Callable[[Buffer], Connection], reading: Reading, timeout: float | None) -> None:
        self._make = connect
        self._reading = reading
        self._timeout = timeout
        self._starting = asyncio.Lock()
        self._connection: Connection | None = None
        self._buffer: Buffer | None = None
        self._given: Delivery | None = None
        self._is_closed = False

    def __aiter__(self) -> Tail:
        return self

    async def __aenter__(self) -> Tail:
        """Begin to read: records that are sent from now on are not missed.

        :raises NotConnected: the reading has ended.
        """
        if self._is_closed:
            raise errors.NotConnected("the reading of the stream has ended")
        await self._begun()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the reading; what was processed is confirmed, unless the block has raised an error."""
        if error is not None:
            self._given = None
        await self.aclose()

    async def __anext__(self) -> Delivery:
        """Return the next record."""
        buffer, connection = await self._begun()
        connection.check_usable()
        self._processed()
        while True:
            delivery = await buffer.take(connection)
            if not self._reading.from_time or (delivery.arrived or 0.0) >= self._reading.from_time:
                break
        if not self._reading.is_manual:
            self._given = delivery
        return delivery

    def give_back(self, delivery: Delivery) -> None:
        """Let the next one who asks have a record that the program has not got."""
        if self._buffer is not None:
            self._given = None
            self._buffer.give_back(delivery)

    def confirm(self, delivery: Delivery) -> None:
        """Tell the broker that a record, and all before it, are processed, by a reader with a name and ``manual``."""
        check_delivery(delivery)
        if self._connection is not None:
            self._connection.confirm(delivery)

    def _processed(self) -> None:
        if self._given is not None and self._connection is not None and self._reading.is_named:
            self._connection.confirm(self._given)
        self._given = None

    async def _begun(self) -> tuple[Buffer, Connection]:
        async with self._starting:
            if self._is_closed:
                raise StopAsyncIteration
            if self._connection is None or self._buffer is None:
                buffer = Buffer(asyncio.get_running_loop(), self._reading.ahead)
                connection = self._make(buffer)
                try:
                    await connection.connect(self._timeout)
                    await connection.begin_reading(self._reading.command)
                    if self._is_closed:
                        raise StopAsyncIteration
                except BaseException:
                    connection.abort()
                    raise
                self._buffer, self._connection = buffer, connection
                connection.ended = buffer.end
            return self._buffer, self._connection

    async def aclose(self) -> None:
        """End the reading; the last record that was returned counts as processed."""
        self._processed()
        self._is_closed = True
        if self._buffer is not None:
            self._buffer.end(None)
        if self._connection is not None:
            with suppress(errors.ClientError):
                await self._connection.close(SECONDS_TO_CLOSE)

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and connection.is_open:
            connection.abort_from_anywhere()
