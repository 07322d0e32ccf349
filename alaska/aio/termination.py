"""SIGTERM: services in Python finish their requests before the program ends."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_calls: list[Callable[[], object]] = []


@contextmanager
def calls_at_sigterm(call: Callable[[], object]) -> Iterator[None]:
    """Call a function at the first SIGTERM during the block; the second one ends the process at once.

    Nothing is changed in other threads than the main one, or if the program itself does something at SIGTERM.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not (_calls or signal.getsignal(signal.SIGTERM) is signal.SIG_DFL):
        yield
        return
    if not _calls:
        signal.signal(signal.SIGTERM, _received)
    _calls.append(call)
    try:
        yield
    finally:
        _calls.remove(call)
        if not _calls and signal.getsignal(signal.SIGTERM) is _received:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _received(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for call in _calls:
        call()


@contextmanager
def terminated(loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.Future[None]]:
    """Give a future that is done at SIGTERM; when the last such block has ended then, the program ends.

    It ends by SystemExit in the event loop, so that asyncio.run cancels all other tasks, and waits for them.
    """
    future: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not future.done():
            future.set_result(None)

    with calls_at_sigterm(lambda: loop.call_soon_threadsafe(end)):
        yield future
    if future.done() and not _calls:
        loop.call_soon(_exit)


def _exit() -> NoReturn:
    raise SystemExit(0)
