"""Iterators over mail and records that block."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol

from alaska import aio
from alaska.messaging.delivery import Delivery
from alaska.sync.background import Background


class _Source(Protocol):
    """What is iterated over in the event loop."""

    async def __anext__(self) -> Delivery:
        """Return the next delivery."""

    def give_back(self, delivery: Delivery) -> None:
        """Let the next one who asks have a delivery."""


class _Handover:
    """Takes one delivery in the event loop, for a thread that may be interrupted while it waits for it."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._taken: Delivery | None = None
        self._is_abandoned = False

    async def take(self, timeout: float | None) -> Delivery | None:
        """Return the next delivery; None at the end, or if there is none in time."""
        try:
            if timeout is None:
                self._taken = await self._source.__anext__()
            else:
                self._taken = await asyncio.wait_for(self._source.__anext__(), timeout)
        except (StopAsyncIteration, asyncio.TimeoutError):
            return None
        taken = self._taken
        if self._is_abandoned:
            self.abandon()
        return taken

    def abandon(self) -> None:
        """Give back what was taken, now or as soon as it is, since the thread has not got it."""
        self._is_abandoned = True
        if self._taken is not None:
            taken, self._taken = self._taken, None
            self._source.give_back(taken)


class Waits:
    """What both iterators do: wait for the next delivery, and end after ``timeout`` seconds without one."""

    def __init__(self, background: Background, source: _Source, timeout: float | None) -> None:
        self._background = background
        self._source = source
        self._timeout = timeout

    def __next__(self) -> Delivery:
        """Return the next delivery; wait for it."""
        handover = _Handover(self._source)
        try:
            found = self._background.call(handover.take(self._timeout))
        except (KeyboardInterrupt, SystemExit):  # those of signals
            self._background.soon(handover.abandon)
            raise
        if found is None:
            raise StopIteration
        return found


class Inbox(Waits):
    """Iterates over the mail of a client in one thread; other iterators may share it: each mail is for one of them."""

    def __iter__(self) -> Inbox:
        return self


class Tail(Waits):
    """Iterates over the records of a stream; used with ``with``, it ends the reading with the block."""

    def __init__(self, background: Background, tail: aio.Tail, timeout: float | None) -> None:
        super().__init__(background, tail, timeout)
        self._tail = tail

    def __iter__(self) -> Tail:
        return self

    def __enter__(self) -> Tail:
        """Begin to read: records that are sent from now on are not missed."""
        self._background.call(self._tail.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the reading; what was processed is confirmed, unless the block has raised an error."""
        if self._background.is_running:
            self._background.call(self._tail.__aexit__(kind, error, trace))

    def confirm(self, delivery: Delivery) -> None:
        """Tell the broker that a record, and all before it, are processed; see :meth:`alaska.aio.Tail.confirm`."""
        self._background.call(_later(self._tail, delivery))

    def close(self) -> None:
        """End the reading; the last record that was returned counts as processed."""
        if self._background.is_running:
            self._background.call(self._tail.aclose())


async def _later(tail: aio.Tail, delivery: Delivery) -> None:
    tail.confirm(delivery)
