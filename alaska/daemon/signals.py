"""The signals of a program.

SIGTERM and SIGINT shut it down, and a second one ends it at once. The program defines the effect of others. Signals
without an effect that would end it silently are only logged.
"""

from __future__ import annotations

import os
import signal
import sys
from _thread import start_new_thread
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import FrameType

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from alaska.daemon.dump import stacks
from alaska.interfaces import Reactor

STOPPING = (signal.SIGTERM, signal.SIGINT)
DEFERRED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGQUIT)
"""Further signals that are deferred during startup; they never end a program."""

_pending: set[int] = set()
"""Signals that arrived before their handlers were installed; global, like the handlers."""
_clean_ups: list[Callable[[], None]] = []
"""What is called before a program ends that is stopped twice during startup."""


class Signals:
    """The signal handlers.

    ``effects`` are called in the reactor, once for all signals of the same number that have arrived by then.
    ``running`` describes what the program does, for SIGQUIT, and ``clean_up`` is called before the program is killed.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        effects: Mapping[int, Callable[[], None]],
        running: Callable[[], list[str]],
        clean_up: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._effects = effects
        self._running = running
        self._clean_up = clean_up
        self._is_stopping = False
        self._due: set[int] = set()

    def install(self) -> None:
        """Install the handlers; to be called when the reactor runs and has installed its own."""
        for stopping in STOPPING:
            signal.signal(stopping, self._stop)
        for number in DEFERRED:
            # A logger that was chosen on twistd's command line may handle SIGUSR1.
            if number != signal.SIGUSR1 or signal.getsignal(number) in (signal.SIG_DFL, None, _defer):
                signal.signal(number, self._dump if number == signal.SIGQUIT else self._note)
        for pending in sorted(_pending - {signal.SIGQUIT}):
            (self._stop if pending in STOPPING else self._note)(pending, None)
        _pending.clear()

    # The handlers interrupt the main thread anywhere, so they only schedule calls in the reactor.

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._is_stopping:
            self._end(number)
        self._is_stopping = True
        self._reactor.callFromThread(self._begin_to_stop, number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number not in self._due:
            self._due.add(number)
            self._reactor.callFromThread(self._take_effect, number)

    def _dump(self, _number: int, frame: FrameType | None) -> None:
        """Log the stacks of all threads and what runs, even if the reactor is busy with something that does not end.

        The log may be locked by the code that this handler has interrupted, so it is written by another thread. That is
        started by a function that uses no lock, since the ``threading`` module may be interrupted, too.
        """
        try:
            running = self._running()
        except Exception as error:  # What was interrupted may be half done.
            running = [f"what runs is unknown: {error!r}"]
        start_new_thread(partial(_log_dump, self._log, running, stacks(frame)), ())

    def _end(self, number: int) -> None:
        """End the program at once, as by the default action of the signal."""
        self._clean_up()
        _die(number)

    # In the reactor

    def _begin_to_stop(self, number: int) -> None:
        self._log.info("Received {name}, shutting down; send it again to end at once", name=signal.Signals(number).name)
        self.stop_reactor()

    def stop_reactor(self) -> None:
        """Begin to shut down, unless that has begun."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()

    def _take_effect(self, number: int) -> None:
        # Cleared first: a signal during the effect may be about something newer.
        self._due.discard(number)
        effect = self._effects.get(number)
        if effect is None:
            self._log.warn("{name} has no effect", name=signal.Signals(number).name)
        else:
            effect()


def _log_dump(log: Logger, running: list[str], threads: list[str]) -> None:
    log.warn("running: {what}", what="\n".join(running) or "nothing")
    for text in threads:
        log.warn("{text}", text=text)


def _die(number: int) -> None:
    for stream in (sys.__stdout__, sys.stdout):
        with suppress(Exception):  # The program must end even if the last lines cannot be written.
            stream.flush()  # type: ignore[union-attr]
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def defer_signals(clean_up: Callable[[], None] | None = None) -> None:
    """Defer signals until :meth:`Signals.install`, unless they have a handler already.

    So a program that is stopped during startup ends properly, as soon as it has started. The second signal to stop ends
    it at once, after ``clean_up``.
    """
    if clean_up is not None:
        _clean_ups[:] = [clean_up]
    for number in (*STOPPING, *DEFERRED):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, None):
            signal.signal(number, _defer)


def restore_signals() -> None:
    """End a process by the signals to stop, as by default: one that only waits for the start of another."""
    for number in STOPPING:
        if signal.getsignal(number) is _defer:
            signal.signal(number, signal.SIG_DFL)


def _defer(number: int, _frame: FrameType | None) -> None:
    if number in STOPPING and not _pending.isdisjoint(STOPPING):
        for clean_up in _clean_ups:
            clean_up()
        _die(number)
    _pending.add(number)
