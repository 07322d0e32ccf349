"""An event loop in a thread of its own, in which calls of other threads are made."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import queue
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from alaska.errors import NotConnected

Result = TypeVar("Result")
SECONDS_TO_STOP = 5.0
_FORKED = "this client was connected before a fork; connect another one in the child"
_CLOSED = "the client is closed"
_all: weakref.WeakSet[Background] = weakref.WeakSet()
_EVENT_DONE = object()


class Background:
    """An event loop in a thread that does not keep the program from ending.

    ``at_exit`` is run in the loop when the program ends, if the loop was not stopped before.
    """

    def __init__(
        self,
        at_exit: Callable[[], Coroutine[Any, Any, None]],
        make_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        self._at_exit = at_exit
        self._pid = os.getpid()
        self.loop = make_loop()
        self._thread = threading.Thread(target=self._run, name="alaska-client", daemon=True)
        self._thread.start()
        _all.add(self)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.wait(left, timeout=SECONDS_TO_STOP))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    @property
    def is_forked(self) -> bool:
        """Whether this is a child of the process in which the thread runs."""
        return os.getpid() != self._pid

    @property
    def is_running(self) -> bool:
        """Whether calls can be made."""
        return not self.is_forked and self._thread.is_alive()

    def check(self) -> None:
        """Check that a call can be made.

        :raises NotConnected: this is a child after a fork, or the loop was stopped.
        :raises RuntimeError: this is the loop's own thread, which would wait for itself.
        """
        if self.is_forked:
            raise NotConnected(_FORKED)
        if threading.current_thread() is self._thread:
            raise RuntimeError("a blocking client cannot be used in a function that it calls in its own thread")
        if not self._thread.is_alive():
            raise NotConnected(_CLOSED)

    def call(self, coroutine: Coroutine[Any, Any, Result], seconds: float | None = None) -> Result:
        """Run a coroutine in the loop, and return its result; it is cancelled if this thread is interrupted.

        :raises TimeoutError: it takes longer than ``seconds``, and was cancelled.
        :raises NotConnected: the client was closed meanwhile.
        """
        future = self._submit(coroutine)
        try:
            return future.result(seconds)
        except concurrent.futures.CancelledError:
            raise NotConnected(_CLOSED) from None
        except concurrent.futures.TimeoutError:
            if future.done():
                return future.result()
            future.cancel()
            raise TimeoutError(f"not done within {seconds:g} s") from None
        except BaseException:
            future.cancel()
            raise

    def call_with_events(
        self, coroutine: Coroutine[Any, Any, Result], events: queue.SimpleQueue[Any], happened: Callable[[Any], None]
    ) -> Result:
        """Do as :meth:`call`, and call ``happened`` with each of the ``events`` meanwhile, in this thread."""
        future = self._submit(coroutine)
        future.add_done_callback(lambda _: events.put(_EVENT_DONE))
        try:
            while (event := events.get()) is not _EVENT_DONE:
                happened(event)
            return future.result()
        except concurrent.futures.CancelledError:
            raise NotConnected(_CLOSED) from None
        except BaseException:
            future.cancel()
            raise

    def soon(self, call: Callable[[], object]) -> None:
        """Make a call in the loop, and do not wait for it; the thread was checked.

        :raises NotConnected: the client was closed meanwhile.
        """
        try:
            self.loop.call_soon_threadsafe(call)
        except RuntimeError:
            raise NotConnected(_CLOSED) from None

    def _submit(self, coroutine: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        try:
            self.check()
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except BaseException:
            coroutine.close()
            raise

    def stop(self) -> None:
        """Stop the loop, and wait until its thread has ended."""
        if not self.is_running:
            return
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(SECONDS_TO_STOP)

    def begin_to_finish(self) -> concurrent.futures.Future[None] | None:
        """Begin to run ``at_exit``; return its future, or None if the loop does not run."""
        with suppress(NotConnected, RuntimeError):
            return self._submit(self._at_exit())
        return None

    def finish(self, ending: concurrent.futures.Future[None]) -> None:
        """Wait until ``at_exit`` has run, and stop."""
        with suppress(Exception):
            ending.result(SECONDS_TO_STOP)
        self.stop()


@atexit.register
def finish_all() -> None:
    """Finish all loops of this process at once, since the program ends."""
    endings = [(background, background.begin_to_finish()) for background in list(_all)]
    for background, ending in endings:
        if ending is not None:
            background.finish(ending)
