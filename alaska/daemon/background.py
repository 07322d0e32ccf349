"""Reports the result of a start in the background to the shell.

twistd forks twice, and its first process waits for a message of the last one through a pipe. It holds the write end
open itself, so it waits forever for a daemon that ends without a message; of an error message it shows only the first
hundred octets. Therefore there is one more fork around it: the process that the shell waits for gets the whole error
message and the exit status.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReactorDaemonize
from zope.interface import alsoProvides

from alaska.daemon.signals import restore_signals

EX_FAILED = 1
EXIT_SECONDS = 3.0
POLL_SECONDS = 0.02


class BackgroundStart:
    """One start in the background, from the fork to :meth:`succeeded` or :meth:`failed`.

    In the foreground, all methods do nothing.
    """

    def __init__(self) -> None:
        self._pipe: int | None = None
        self._is_forking = False

    def hook_into(self, reactor: Any) -> None:  # noqa: ANN401  # it gets additional methods
        """Have the reactor's hooks called before and after twistd forks."""
        known = IReactorDaemonize.providedBy(reactor)
        before, after = (reactor.beforeDaemonize, reactor.afterDaemonize) if known else (None, None)
        reactor.beforeDaemonize = lambda: self._before(before)
        reactor.afterDaemonize = lambda: self._after(after)
        alsoProvides(reactor, IReactorDaemonize)

    def _before(self, before: Callable[[], None] | None) -> None:
        reading, writing = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child:
            os.close(writing)
            restore_signals()
            # Without exit handlers: the child runs them.
            os._exit(_wait(reading, child))
        os.close(reading)
        self._pipe = writing
        self._is_forking = True
        os.register_at_fork(after_in_parent=self._leave_to_child)
        if before is not None:
            before()

    def _leave_to_child(self) -> None:
        """Close this process's copy of the pipe after a fork: only the daemon keeps one, which closes when it ends."""
        if self._is_forking and self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _after(self, after: Callable[[], None] | None) -> None:
        self._is_forking = False
        if after is not None:
            after()

    def succeeded(self) -> None:
        """Report that the daemon runs."""
        self._report(b"\0")

    def failed(self, sentence: str, status: int) -> None:
        """Report an error, which the starting process prints before it exits with ``status`` (1 to 255)."""
        self._report(bytes([status]) + sentence.encode("utf-8", "backslashreplace"))

    def _report(self, message: bytes) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            # The starting process may have been killed.
            with suppress(OSError):
                os.write(pipe, message)
            os.close(pipe)


def _wait(reading: int, child: int) -> int:
    """Return the exit status, after the daemon has reported or has ended."""
    message = b""
    while octets := os.read(reading, 4096):
        message += octets
    if message == b"\0":
        return 0
    if message:
        _kill(child)
        os.write(2, message[1:] + b"\n")
        return message[0]
    deadline = time.monotonic() + EXIT_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            # twistd got an error message and has printed it.
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    _kill(child)
    os.write(2, b"the program ended during startup; see its log\n")
    return EX_FAILED


def _kill(child: int) -> None:
    """Kill twistd's waiting process, which would wait forever."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
