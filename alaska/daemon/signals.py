"""What signals do to a program that runs.

TERM and INT stop it in order, and at once when they come again. HUP has the configuration read again. Whatever else
would end it without a word is noted in the log.
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
EARLY = (signal.SIGHUP, signal.SIGUSR2, signal.SIGALRM)
"""What is held back from the first moment on. USR1 is left to twistd until that has its log files, to rotate them."""

_held: set[int] = set()
"""Signals that came before somebody could attend to them. A process has one set of them, as it has one of signals."""


class Signals:
    """The signals of one program. ``reload`` reads the configuration again, ``forget`` clears what it leaves behind."""

    _log = Logger()

    def __init__(self, reactor: Reactor, reload: Callable[[], None], forget: Callable[[], None]) -> None:
        self._reactor = reactor
        self._reload = reload
        self._forget = forget
        self._is_stopping = False
        self._is_reload_due = False

    def attend(self) -> None:
        """Attend to signals, once the reactor runs and has set what it does about them."""
        for stopping in STOPPING:
            signal.signal(stopping, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        for other in WITHOUT_EFFECT:
            if signal.getsignal(other) in (signal.SIG_DFL, None, _hold):
                signal.signal(other, self._note)
        while _held:
            number = _held.pop()
            self._hang_up(number, None) if number == signal.SIGHUP else self._note(number, None)

    # A signal comes between any two steps of the main thread: there is as little done as can be.

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._is_stopping:
            self._end(number)
        self._is_stopping = True
        self._reactor.callFromThread(self._begin_to_stop, number)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        if not self._is_reload_due:
            self._is_reload_due = True
            self._reactor.callFromThread(self._reload_once)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._log.warn, "{name} has no effect", name=signal.Signals(number).name)

    def _end(self, number: int) -> None:
        """End the program at once, as the signal would without us."""
        self._forget()
        for stream in (sys.__stdout__, sys.stdout):
            with suppress(Exception):  # Whatever keeps the last lines from leaving, the program ends.
                stream.flush()  # type: ignore[union-attr]
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    # In the reactor

    def _begin_to_stop(self, number: int) -> None:
        self._log.info("Received {name}, shutting down; once more to end at once", name=signal.Signals(number).name)
        if self._reactor.running:
            self._reactor.stop()

    def _reload_once(self) -> None:
        self._is_reload_due = False
        self._reload()


def rotate_at_signal(reactor: Reactor, rotate: Callable[[], object]) -> None:
    """Have a log file rotated at USR1, unless something else is done about that."""
    if signal.getsignal(signal.SIGUSR1) in (signal.SIG_DFL, None):
        signal.signal(signal.SIGUSR1, lambda _number, _frame: reactor.callFromThread(rotate))


def hold(numbers: Iterable[int] = EARLY) -> None:
    """Keep signals that only mean something once the program runs, unless something else is done about them."""
    for number in numbers:
        if signal.getsignal(number) in (signal.SIG_DFL, None):
            signal.signal(number, _hold)


def _hold(number: int, _frame: FrameType | None) -> None:
    _held.add(number)
