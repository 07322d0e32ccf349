"""The watchdog of the pool: it replaces stuck threads and returns requests that would wait too long."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from alaska.interfaces import Reactor
from alaska.pool.pool import AnyPool
from alaska.worker.intake import Intake, Pause

CHECK_SECONDS = 0.04

T = TypeVar("T")


class Watchdog:
    """Checks the pool at intervals while it has requests. ``intake`` returns the worker's intake once it has started.

    Unless ``is_running``, call :meth:`start` before a request is submitted. While ``is_stopping``, stuck threads are
    still replaced, but no more requests are returned.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, pool: AnyPool, intake: Callable[[], Intake]) -> None:
        self._reactor = reactor
        self._pool = pool
        self._intake = intake
        self._loop = LoopingCall(self._check)
        self._loop.clock = reactor
        self.is_running = False
        self.is_stopping = False
        self.is_exhausted = False

    def start(self) -> None:
        """Start the checks."""
        # The pool measures from its last check, and the time without requests must not count.
        self._pool.watch(self._reactor.seconds())
        self.is_running = True
        self._loop.start(CHECK_SECONDS, now=False).addBoth(self._stopped)

    def stop(self) -> None:
        """Stop the checks."""
        if self._loop.running:
            self._loop.stop()

    def _stopped(self, result: T) -> T:
        self.is_running = False
        return result

    def _check(self) -> None:
        """Replace stuck threads, and return requests to the broker if all threads are busy for long."""
        self._pool.watch(self._reactor.seconds())
        if self.is_stopping:
            return
        intake = self._intake()
        if self._pool.is_exhausted is not self.is_exhausted:
            self.is_exhausted = self._pool.is_exhausted
            self._pause(intake) if self.is_exhausted else self._resume(intake)
        is_stalled = intake.is_stalled()
        if intake.can_return and (is_stalled or self.is_exhausted):
            intake.return_to_broker(self._pool.withdraw())
        if not self._pool.pending and not self.is_exhausted:
            self.stop()

    def _pause(self, intake: Intake) -> None:
        self._log.critical(
            "too many threads are stuck in scripts that cannot be stopped: the worker takes no more requests until "
            'some have ended or it is restarted; with worker/pool/isolation = "process" they would be killed'
        )
        if intake.can_return:
            intake.pause(Pause.STUCK)

    def _resume(self, intake: Intake) -> None:
        self._log.info("enough of the stuck threads have ended: the worker takes requests again")
        if intake.can_return:
            intake.resume(Pause.STUCK)
