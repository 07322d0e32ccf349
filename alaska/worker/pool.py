"""The pool of threads in which scripts run.

One hop between reactor and threads for each request would cost more than a small script. So the threads drain one
shared queue, and the reactor is woken once for all that was finished meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from alaska.worker.request import Outcome, Request


class Runner(Protocol):
    """What one thread of the pool does; made, used and closed in that thread alone."""

    def run(self, request: Request) -> Outcome:
        """Run the script of a request; to raise is a fault of the runner, not of the script."""

    def close(self) -> None:
        """Let go of what the runner holds."""


class Pool:
    """So many threads, each with a runner of its own.

    ``finished`` is called in the reactor's thread with each request and its outcome, or None where the runner
    itself failed.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFromThreads,
        size: int,
        make_runner: Callable[[], Runner],
        finished: Callable[[Request, Outcome | None], None],
    ) -> None:
        self._reactor = reactor
        self._size = size
        self._make_runner = make_runner
        self._finished = finished
        self._threads = ThreadPool(size, size, "alaska")
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._results: deque[tuple[Request, Outcome | None]] = deque()
        self._is_woken = False
        self._drains: list[Deferred[None]] = []
        self.pending = 0
        """How many requests are submitted and not finished."""

    def start(self) -> None:
        """Start the threads."""
        self._threads.start()
        self._drains = [deferToThreadPool(self._reactor, self._threads, self._drain) for _ in range(self._size)]

    def submit(self, request: Request) -> None:
        """Let the next free thread do this."""
        self.pending += 1
        self._queue.put(request)

    def stop(self) -> Deferred[None]:
        """Finish what is submitted, then end the threads; the Deferred fires when they have ended."""
        for _ in self._drains:
            self._queue.put(None)
        return DeferredList(self._drains).addCallback(self._stopped)

    def abandon(self) -> int:
        """Leave undone what no thread has begun; return how much that is."""
        abandoned = 0
        while not self._queue.empty():
            abandoned += self._queue.get_nowait() is not None
        self.pending -= abandoned
        for _ in self._drains:
            self._queue.put(None)
        return abandoned

    def _stopped(self, _results: object) -> None:
        self._collect()
        self._threads.stop()

    # In the threads

    def _drain(self) -> None:
        runner = self._make_runner()
        while (request := self._queue.get()) is not None:
            outcome: Outcome | None = None
            try:
                outcome = runner.run(request)
            except Exception:  # The thread must live on, and the request has to be answered.
                self._log.failure("a runner failed")
            self._results.append((request, outcome))
            if not self._is_woken:
                self._is_woken = True
                self._reactor.callFromThread(self._collect)
        runner.close()

    # In the reactor

    def _collect(self) -> None:
        # Lowered first: a result that comes while others are collected wakes the reactor again.
        self._is_woken = False
        while self._results:
            request, outcome = self._results.popleft()
            self.pending -= 1
            self._finished(request, outcome)
