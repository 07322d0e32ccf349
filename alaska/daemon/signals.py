"""The signal handlers of a program.

SIGTERM and SIGINT shut it down, and a second one ends it at once. SIGHUP reloads the configuration. Other signals
that would end it silently are only logged.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType

from twisted.logger import Logger

from alaska.interfaces import Reactor

STOPPING = (signal.SIGTERM, signal.SIGINT)
WITHOUT_EFFECT = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
DEFERRED = (signal.SIGHUP, signal.SIGUSR2, signal.SIGALRM)
"""Signals that are deferred during startup. Not SIGUSR1: log rotation installs its handler only if there is none."""

_pending: set[int] = set()
"""Signals that arrived before their handlers were installed; global, like the handlers."""


class Signals:
    """The signal handlers.

    ``reload`` is called after SIGHUP, and ``clean_up`` before the program is killed.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, reload: Callable[[], None], clean_up: Callable[[], None]) -> None:
        self._reactor = reactor
        self._reload = reload
        self._clean_up = clean_up
        self._is_stopping = False
        self._is_reload_due = False

    def install(self) -> None:
        """Install the handlers; to be called when the reactor runs and has installed its own."""
        for stopping in STOPPING:
            signal.signal(stopping, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        for other in WITHOUT_EFFECT:
            if signal.getsignal(other) in (signal.SIG_DFL, None, _defer):
                signal.signal(other, self._log_signal)
        while _pending:
            number = _pending.pop()
            self._hang_up(number, None) if number == signal.SIGHUP else self._log_signal(number, None)

    # The handlers interrupt the main thread anywhere, so they only schedule calls in the reactor.

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._is_stopping:
            self._end(number)
        self._is_stopping = True
        self._reactor.callFromThread(self._begin_to_stop, number)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        if not self._is_reload_due:
            self._is_reload_due = True
            self._reactor.callFromThread(self._reload_once)

    def _log_signal(self, number: int, _frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._log.warn, "{name} has no effect", name=signal.Signals(number).name)

    def _end(self, number: int) -> None:
        """End the program at once, as by the default action of the signal."""
        self._clean_up()
        for stream in (sys.__stdout__, sys.stdout):
            with suppress(Exception):  # The program must end even if the last lines cannot be written.
                stream.flush()  # type: ignore[union-attr]
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    # In the reactor

    def _begin_to_stop(self, number: int) -> None:
        self._log.info("Received {name}, shutting down; send it again to end at once", name=signal.Signals(number).name)
        if self._reactor.running:
            self._reactor.stop()

    def _reload_once(self) -> None:
        self._is_reload_due = False
        self._reload()


def rotate_at_signal(reactor: Reactor, rotate: Callable[[], object]) -> None:
    """Rotate a log file at SIGUSR1, unless the signal has a handler already."""
    if signal.getsignal(signal.SIGUSR1) in (signal.SIG_DFL, None):
        signal.signal(signal.SIGUSR1, lambda _number, _frame: reactor.callFromThread(rotate))


def defer_signals(numbers: Iterable[int] = DEFERRED) -> None:
    """Defer signals until :meth:`Signals.install`, unless they have a handler already."""
    for number in numbers:
        if signal.getsignal(number) in (signal.SIG_DFL, None):
            signal.signal(number, _defer)


def _defer(number: int, _frame: FrameType | None) -> None:
    _pending.add(number)
