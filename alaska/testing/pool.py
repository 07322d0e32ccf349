"""A worker's pool without threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from alaska.interfaces import Reactor
from alaska.lua.request import Outcome, Request
from alaska.pool.pool import Finished, PoolState, Runner


class HandPool:
    """A worker's pool without threads: requests begin and end when the test calls :meth:`begin` and :meth:`run`."""

    _log = Logger()

    def __init__(
        self,
        _reactor: Reactor,
        size: int,
        make_runner: Callable[[], Runner],
        finished: Finished,
        limit: float | None = None,
    ) -> None:
        self.size = size
        self.limit = limit
        self.is_exhausted = False
        self.watched: list[float] = []
        self._make_runner = make_runner
        self._finished = finished
        self._runner: Runner | None = None
        self._submitted: deque[Request] = deque()
        self._begun: deque[Request] = deque()
        self._stopped: Deferred[None] | None = None

    @property
    def pending(self) -> int:
        """See :class:`alaska.pool.pool.Pool`."""
        return len(self._submitted) + len(self._begun)

    def start(self) -> None:
        """See :class:`alaska.pool.pool.Pool`."""
        self._runner = self._make_runner()

    def submit(self, request: Request) -> None:
        """See :class:`alaska.pool.pool.Pool`."""
        self._submitted.append(request)

    def state(self) -> PoolState:
        """See :class:`alaska.pool.pool.Pool`."""
        running = len(self._begun)
        return PoolState(max(0, self.size - running), running, queued=len(self._submitted))

    def withdraw(self) -> list[Request]:
        """See :class:`alaska.pool.pool.Pool`."""
        withdrawn = list(self._submitted)
        self._submitted.clear()
        return withdrawn

    def tell(self, call: Callable[[], None]) -> None:
        """Call it at once; see :class:`alaska.pool.pool.Pool`."""
        call()

    def unfinished(self) -> list[Request]:
        """See :class:`alaska.pool.pool.Pool`."""
        return list(self._begun)

    def watch(self, now: float) -> None:
        """Record the time of the worker's watchdog check; see :class:`alaska.pool.pool.Pool`."""
        self.watched.append(now)

    def begin(self, most: int | None = None) -> None:
        """Begin submitted requests, at most ``most``; they end in the next :meth:`run`."""
        while self._submitted and (most is None or len(self._begun) < most):
            self._begun.append(self._submitted.popleft())

    def run(self) -> None:
        """Begin and finish all submitted requests, in order."""
        assert self._runner is not None, "the pool is not started"
        self.begin()
        while self._begun:
            request = self._begun.popleft()
            outcome: Outcome | None = None
            try:
                outcome = self._runner.run(request)
            except Exception:  # As in the real pool.
                self._log.failure("a runner failed")
            self._finished(request, outcome)
        self._tell_stopped()

    def stop(self) -> Deferred[None]:
        """See :class:`alaska.pool.pool.Pool`."""
        stopped = self._stopped = Deferred()
        self._tell_stopped()
        return stopped

    def abandon(self) -> int:
        """See :class:`alaska.pool.pool.Pool`."""
        abandoned = self.pending
        self._submitted.clear()
        self._begun.clear()
        self._tell_stopped()
        return abandoned

    def _tell_stopped(self) -> None:
        if self._stopped is not None and not self.pending:
            stopped, self._stopped = self._stopped, None
            if self._runner is not None:
                self._runner.close()
            stopped.callback(None)
