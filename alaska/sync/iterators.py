"""Iterators over mail and records that block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TypeVar

from alaska import aio
from alaska.messaging.delivery import Delivery
from alaska.sync.background import Background

Given = TypeVar("Given", bound="AsyncIterator[Delivery]")


class Waits:
    """What both iterators do: wait for the next delivery, and end after ``timeout`` seconds without one."""

    def __init__(self, background: Background, source: AsyncIterator[Delivery], timeout: float | None) -> None:
        self._background = background
        self._source = source
        self._timeout = timeout

    def __next__(self) -> Delivery:
        """Return the next delivery; wait for it."""
        found = self._background.call(_next(self._source, self._timeout))
        if found is None:
            raise StopIteration
        return found


class Inbox(Waits):
    """Iterates over the mail of a client; several threads may do so, and each mail is for one of them."""

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


async def _next(source: AsyncIterator[Delivery], timeout: float | None) -> Delivery | None:
    """Return the next delivery; None at the end, or if there is none in time."""
    try:
        if timeout is None:
            return await source.__anext__()
        return await asyncio.wait_for(source.__anext__(), timeout)
    except (StopAsyncIteration, asyncio.TimeoutError):
        return None


async def _later(tail: aio.Tail, delivery: Delivery) -> None:
    tail.confirm(delivery)
