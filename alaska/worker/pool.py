"""The pool of threads in which scripts run.

One hop between reactor and threads for each request would cost more than a small script. So the threads drain one
shared queue, and the reactor is woken once for all that was finished meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from alaska.worker.request import Outcome, Request


class Runner(Protocol):
    """What one thread of the pool does; made, used and closed in that thread alone."""

    def run(self, request: Request) -> Outcome:
        """Run the script of a request; to raise is a fault of the runner, not of the script."""

    def close(self) -> None:
        """Let go of what the runner holds."""


Finished = Callable[[Request, "Outcome | None"], None]


class AnyPool(Protocol):
    """What the worker asks of a pool: the one below, or one in a test's hand (:class:`alaska.testing.HandPool`)."""

    @property
    def pending(self) -> int:
        """How many requests are submitted and not finished."""

    def start(self) -> None:
        """Start the threads."""

    def submit(self, request: Request) -> None:
        """Let the next free thread do this."""

    def withdraw(self) -> list[Request]:
        """Take back what no thread has begun."""

    def stop(self) -> Deferred[None]:
        """Finish what is submitted, then end the threads; the Deferred fires when they have ended or are abandoned."""

    def abandon(self) -> int:
        """Wait for nothing more: what is not finished by now never is. Return how much that is."""


MakePool = Callable[[IReactorFromThreads, int, Callable[[], Runner], Finished], AnyPool]


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
        finished: Finished,
    ) -> None:
        self._reactor = reactor
        self._size = size
        self._make_runner = make_runner
        self._finished = finished
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._results: deque[tuple[Request, Outcome | None]] = deque()
        self._is_woken = False
        self._is_abandoned = False
        self._threads = 0
        self._stopping: list[Deferred[None]] = []
        self.pending = 0
        """How many requests are submitted and not finished."""

    def start(self) -> None:
        """Start the threads."""
        self._threads = self._size
        for number in range(self._size):
            # A script that never ends must not keep the process from ending, so nothing waits for these threads then.
            Thread(target=self._work, name=f"alaska-{number}", daemon=True).start()

    def submit(self, request: Request) -> None:
        """Let the next free thread do this."""
        self.pending += 1
        self._queue.put(request)

    def withdraw(self) -> list[Request]:
        """Take back what no thread has begun; a pool that stops keeps it."""
        withdrawn: list[Request] = []
        try:
            while not self._stopping and (request := self._queue.get_nowait()) is not None:
                withdrawn.append(request)
        except Empty:
            pass
        self.pending -= len(withdrawn)
        return withdrawn

    def stop(self) -> Deferred[None]:
        """Finish what is submitted, then end the threads; the Deferred fires when they have ended or are abandoned."""
        self._dismiss()
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        self._tell_stopped()
        return stopped

    def abandon(self) -> int:
        """Wait for nothing more: what is not finished by now never is. Return how much that is.

        Threads end as soon as they are done with what they have begun.
        """
        self._collect()
        self._is_abandoned = True
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            self._dismiss()
        abandoned, self.pending = self.pending, 0
        self._tell_stopped()
        return abandoned

    def _dismiss(self) -> None:
        for _ in range(self._threads):
            self._queue.put(None)

    # In the threads

    def _work(self) -> None:
        try:
            self._drain()
        finally:
            self._reactor.callFromThread(self._ended)

    def _drain(self) -> None:
        runner: Runner | None = None
        while (request := self._queue.get()) is not None:
            outcome: Outcome | None = None
            try:
                if runner is None:
                    runner = self._make_runner()
                outcome = runner.run(request)
            except Exception:  # The thread must live on, and the request has to be answered.
                self._log.failure("a runner failed")
            self._results.append((request, outcome))
            if not self._is_woken:
                self._is_woken = True
                self._reactor.callFromThread(self._collect)
        if runner is not None:
            runner.close()

    # In the reactor

    def _collect(self) -> None:
        # Lowered first: a result that comes while others are collected wakes the reactor again.
        self._is_woken = False
        while self._results:
            request, outcome = self._results.popleft()
            if self._is_abandoned:
                continue
            self.pending -= 1
            try:
                self._finished(request, outcome)
            except Exception:  # The others have to be collected all the same.
                self._log.failure("a finished request could not be dealt with")

    def _ended(self) -> None:
        self._threads -= 1
        self._tell_stopped()

    def _tell_stopped(self) -> None:
        if self._threads == 0 or self._is_abandoned:
            stopping, self._stopping = self._stopping, []
            for stopped in stopping:
                stopped.callback(None)
