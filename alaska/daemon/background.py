"""What the shell hears of a daemon that starts in the background.

twistd forks twice and waits in the first process for a word of the last, through a pipe whose other end the waiting
process holds open itself: a daemon that ends without a word is waited for for ever, and one that says a word has the
first hundred octets of it shown. So there is one more fork around all that: the process that the shell waits for gets
the whole sentence and the status.
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

EX_FAILED = 1
LAST_WORD_SECONDS = 3.0
LOOK_SECONDS = 0.02


class BackgroundStart:
    """One start in the background, from the fork to :meth:`succeeded` or :meth:`failed`; in the foreground, nothing."""

    def __init__(self) -> None:
        self._report: int | None = None
        self._is_forking = False

    def attend(self, reactor: Any) -> None:  # noqa: ANN401  # it gets methods that it has not
        """Have the reactor call when twistd is about to fork, and behind that."""
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
            # Nothing of this process's own is to be done at its end: the child does it.
            os._exit(_wait(reading, child))
        os.close(reading)
        self._report = writing
        self._is_forking = True
        os.register_at_fork(after_in_parent=self._leave_to_child)
        if before is not None:
            before()

    def _leave_to_child(self) -> None:
        """Let go of the pipe in a process that is not the daemon, so that the daemon's end closes it."""
        if self._is_forking and self._report is not None:
            os.close(self._report)
            self._report = None

    def _after(self, after: Callable[[], None] | None) -> None:
        self._is_forking = False
        if after is not None:
            after()

    def succeeded(self) -> None:
        """Say that the daemon runs."""
        self._say(b"\0")

    def failed(self, sentence: str, status: int) -> None:
        """Say why it does not, in the standard error of who started it, which ends with this status (1 to 255)."""
        self._say(bytes([status]) + sentence.encode("utf-8", "backslashreplace"))

    def _say(self, word: bytes) -> None:
        report, self._report = self._report, None
        if report is not None:
            # Who started it may have gone away meanwhile.
            with suppress(OSError):
                os.write(report, word)
            os.close(report)


def _wait(reading: int, child: int) -> int:
    """Return the status to end with, once the daemon has said a word or is gone."""
    word = b""
    while octets := os.read(reading, 4096):
        word += octets
    if word == b"\0":
        return 0
    if word:
        _kill(child)
        os.write(2, word[1:] + b"\n")
        return word[0]
    deadline = time.monotonic() + LAST_WORD_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            # twistd has heard something, and shown it.
            return os.waitstatus_to_exitcode(status)
        time.sleep(LOOK_SECONDS)
    _kill(child)
    os.write(2, b"the program ended while it started; its log may say why\n")
    return EX_FAILED


def _kill(child: int) -> None:
    """End the process that waits within twistd: it would wait for ever."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
