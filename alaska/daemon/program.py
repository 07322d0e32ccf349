"""One program of twistd: its services, from the start to the end."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.logger import Logger

from alaska.daemon.background import BackgroundStart
from alaska.daemon.signals import EARLY, WITHOUT_EFFECT, Signals, hold
from alaska.daemon.status import ExitStatus, status_of
from alaska.errors import AlaskaError
from alaska.interfaces import Reactor
from alaska.system.clock import run_on_monotonic_time

_log = Logger()


class Program(MultiService):
    """The services of one program: started in order, stopped one after the other from the last to the first.

    What keeps one of them from starting is told in a sentence, also to the shell that starts it in the background, and
    ends the program with a status that is not 0. ``twistd`` are twistd's options, as they are when the program starts.
    """

    def __init__(
        self,
        reactor: Reactor,
        twistd: Mapping[str, Any] | None = None,
        background: BackgroundStart | None = None,
        reload: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._twistd = twistd or {}
        self._background = background or BackgroundStart()
        self._signals = Signals(reactor, reload, self._remove_pid_file)
        self._status = ExitStatus()

    def startService(self) -> None:
        """Start the services; what they wait for they wait by the monotonic clock.

        :raises SystemExit: one of them cannot start.
        """
        if self._twistd:
            hold((*EARLY, *WITHOUT_EFFECT))
            self._reactor.callWhenRunning(self._signals.attend)
        run_on_monotonic_time(self._reactor)
        # What a program begins with stays to its end: to look for garbage in it each time would only take time.
        gc.collect()
        gc.freeze()
        try:
            super().startService()
        except AlaskaError as error:
            raise self._failed(error) from error
        self._background.succeeded()

    def _failed(self, error: AlaskaError) -> SystemExit:
        _log.critical("{error}", error=error)
        status = status_of(error)
        self._background.failed(str(error), status)
        self._remove_pid_file()
        # twistd has put its log in the place of sys.stderr.
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
        """End the program, as soon as it runs, with the status of an error."""
        self._status.value = status_of(error)
        # A worker may be refused before its reactor runs.
        self._reactor.callWhenRunning(self._reactor.stop)

    def stopService(self) -> Deferred[None]:
        """Stop the services; fires when all have stopped."""
        Service.stopService(self)
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        for service in reversed(self.services):
            try:
                await maybeDeferred(service.stopService)
            except Exception:  # The others have to be stopped all the same.
                _log.failure("a service did not stop as it should")
