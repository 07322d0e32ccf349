"""Messages to systemd: sd_notify(3), one datagram of lines ``NAME=value`` to the socket in ``NOTIFY_SOCKET``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress

from twisted.internet.task import LoopingCall

from alaska.interfaces import Reactor
from alaska.names import printable

STATUS_SECONDS = 5.0
"""The interval at which the status line is sent, if the watchdog needs no shorter one."""
MOST_STATUS = 1000
EXTENSION_SECONDS = 15.0
"""How much more time a message asks for while the program stops; it is repeated at the interval of the status."""


class Notifier:
    """Sends messages to the service manager; without one, it does nothing.

    The variables for the service manager are removed from ``environ``, so that child processes do not use them.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        is_for_us = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = environ.pop("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(interval) / 1e6 if is_for_us and interval.isascii() and interval.isdigit() else None
        """The time without a sign of life after which the manager considers the program stuck; None: it does not."""
        self._socket: socket.socket | None = None
        if address[:1] in ("/", "@"):
            self._address = f"\0{address[1:]}" if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    @property
    def is_active(self) -> bool:
        """Whether there is a service manager."""
        return self._socket is not None

    def send(self, **values: str | int) -> None:
        """Send values; a message that cannot be sent is lost."""
        if self._socket is not None:
            text = "\n".join(f"{name}={value}" for name, value in values.items())
            # The manager may have been restarted, and the socket may be full.
            with suppress(OSError):
                self._socket.sendto(text.encode("utf-8", "backslashreplace"), self._address)


class ServiceManager:
    """Tells the service manager what a program does. ``status`` returns the state of the program in one line.

    The reactor sends the signs of life, so a program whose event loop is stuck is restarted by the manager.
    """

    def __init__(self, reactor: Reactor, notifier: Notifier, status: Callable[[], str]) -> None:
        self._reactor = reactor
        self._notifier = notifier
        self._status = status
        self._is_ready = self._is_stopping = False
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor
        watchdog = notifier.watchdog_seconds
        self._interval = STATUS_SECONDS if watchdog is None else min(STATUS_SECONDS, watchdog / 2)

    def start(self) -> None:
        """Begin with status lines and signs of life."""
        if self._notifier.is_active:
            self._loop.start(self._interval)

    def ready(self) -> None:
        """Tell that the program has started."""
        self._is_ready = True
        self._notifier.send(READY=1, STATUS=self._line())

    def reloading(self) -> None:
        """Tell that the configuration is read again; nothing before the program is ready."""
        if self._is_ready:
            self._notifier.send(RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)

    def reloaded(self) -> None:
        """Tell that the configuration was read again."""
        if self._is_ready:
            self.ready()

    def stopping(self) -> None:
        """Tell that the program stops, and ask for time for as long as it does."""
        self._is_stopping = True
        self._notifier.send(STOPPING=1, STATUS=self._line())
        self._extend()

    def _tick(self) -> None:
        self._notifier.send(STATUS=self._line(), WATCHDOG=1)
        if self._is_stopping:
            self._extend()

    def _extend(self) -> None:
        self._notifier.send(EXTEND_TIMEOUT_USEC=int(1e6 * max(EXTENSION_SECONDS, 3 * self._interval)))

    def _line(self) -> str:
        try:
            return printable(self._status())[:MOST_STATUS]
        except Exception as error:  # A defect here must not stop the signs of life.
            return f"unknown ({type(error).__name__})"
