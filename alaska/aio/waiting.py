"""How a program that uses asyncio waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Awaited(Generic[Value]):
    """A future that a program waits for, as :class:`alaska.messaging.waiting.Waiting`."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Value] = loop.create_future()

    def callback(self, result: Value, /) -> None:
        """End the wait with a result, unless the program has given up waiting."""
        if not self.future.done():
            self.future.set_result(result)

    def errback(self, fail: BaseException, /) -> None:
        """End the wait with an error, unless the program has given up waiting."""
        if not self.future.done():
            self.future.set_exception(fail)


class Change:
    """Something that tasks wait for again and again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.also: Callable[[], None] | None = None
        """Is called then, too."""

    async def wait(self) -> None:
        """Wait for the next :meth:`happened`."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if not future.done() or future.cancelled():
                self._waiting = deque(each for each in self._waiting if each is not future)

    def happened(self) -> None:
        """Wake up all tasks that wait."""
        if self.also is not None:
            self.also()
        if self._waiting:
            waiting, self._waiting = self._waiting, deque()
            for future in waiting:
                if not future.done():
                    future.set_result(None)
