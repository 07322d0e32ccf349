"""A program run by twistd: startup and shutdown of its services."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, maybeDeferred
from twisted.logger import Logger

from alaska.daemon import log
from alaska.daemon.background import BackgroundStart
from alaska.daemon.exit_status import ExitStatus, status_of
from alaska.daemon.operated import OperatedService
from alaska.daemon.pid_file import lock
from alaska.daemon.reload import Reload
from alaska.daemon.service_manager import Notifier, ServiceManager
from alaska.daemon.signals import Signals, defer_signals
from alaska.errors import AlaskaError
from alaska.interfaces import Reactor
from alaska.system.clock import run_on_monotonic_time

_log = Logger()


class Program(MultiService):
    """The services of one program: started in order, and stopped in reverse order, one after the other.

    If a service cannot start, the error is logged and printed, also for a start in the background, and the program
    exits with a status other than 0. ``twistd`` are twistd's options.
    """

    def __init__(
        self,
        reactor: Reactor,
        twistd: Mapping[str, Any] | None = None,
        background: BackgroundStart | None = None,
        reload: Reload | None = None,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._twistd = twistd or {}
        self._background = background or BackgroundStart()
        self.reload = reload or Reload(reactor)
        effects: dict[int, Callable[[], None]] = {
            signal.SIGHUP: self.reload.soon,
            signal.SIGUSR1: log.reopen,
            signal.SIGUSR2: self.drain,
        }
        self._manager = ServiceManager(reactor, Notifier(), self.status)
        self.reload.began, self.reload.ended = self._manager.reloading, self._manager.reloaded
        self._signals = Signals(reactor, effects, self._running, self._remove_pid_file)
        self._status = ExitStatus()

    def startService(self) -> None:
        """Start the services. The reactor's timers use the monotonic clock.

        :raises SystemExit: one of them cannot start.
        """
        if self._twistd:
            defer_signals(self._remove_pid_file)
            self._pid_lock = lock(Path(self._twistd.get("pidfile") or os.devnull))
            self._reactor.callWhenRunning(self._signals.install)
        run_on_monotonic_time(self._reactor)
        # The objects of startup live until the end, so the garbage collector need not scan them each time.
        gc.collect()
        gc.freeze()
        try:
            super().startService()
        except AlaskaError as error:
            raise self._failed(error) from error
        self._background.succeeded()
        self._manager.start()
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        def ready(_results: object) -> None:
            if self.running:
                self._manager.ready()

        DeferredList([service.when_ready() for service in self.operated]).addCallback(ready)

    def _failed(self, error: AlaskaError) -> SystemExit:
        _log.critical("{error}", error=error)
        status = status_of(error)
        # First: who starts the program may look for the file as soon as it knows.
        self._remove_pid_file()
        self._background.failed(str(error), status)
        # twistd has replaced sys.stderr by its log.
        if sys.__stderr__ is not None:
            with suppress(OSError, ValueError):
                print(error, file=sys.__stderr__, flush=True)
        return SystemExit(status)

    def _remove_pid_file(self) -> None:
        path = self._twistd.get("pidfile")
        with suppress(OSError, ValueError):
            if path and int(Path(path).read_bytes()) == os.getpid():
                Path(path).unlink()

    def end(self, error: AlaskaError) -> None:
        """End the program with the exit status of an error, as soon as the reactor runs."""
        self._status.value = status_of(error)
        # A worker may be refused before the reactor runs.
        self._reactor.callWhenRunning(self._signals.stop_reactor)

    @property
    def operated(self) -> list[OperatedService]:
        """The services that can be drained."""
        return [service for service in self.services if isinstance(service, OperatedService)]

    @property
    def is_draining(self) -> bool:
        """Whether the services take nothing new."""
        return any(service.is_draining for service in self.operated)

    def drain(self) -> None:
        """Let the services take nothing new, finish what they have, and stay; again, this changes nothing."""
        _log.warn("draining: nothing new is taken, until an administrator resumes or the program is restarted")
        for service in self.operated:
            service.drain()

    def status(self) -> str:
        """Return the state of the program in one line."""
        state = "draining; " if self.is_draining else ""
        if not self.running:
            state = "stopping; "
        return state + "; ".join(text for text in (service.status() for service in self.operated) if text)

    def _running(self) -> list[str]:
        return [line for service in self.operated for line in service.tasks()]

    def stopService(self) -> Deferred[None]:
        """Stop the services; the Deferred fires when all have stopped."""
        Service.stopService(self)
        self._manager.stopping()
        for service in self.operated:
            service.prepare_to_stop()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        for service in reversed(self.services):
            try:
                await maybeDeferred(service.stopService)
            except Exception:  # One failure must not keep the other services from being stopped.
                _log.failure("a service failed to stop")
