"""The recording of spans by a program: it starts before, and stops after, what records them."""

from __future__ import annotations

import logging
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from alaska.interfaces import Reactor
from alaska.names import printable

if TYPE_CHECKING:  # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.provider import Provider
    from alaska.traces.spans import Spans

MOST_TEXT = 500
WARNING_SECONDS = 60.0
STOP_SECONDS = 5.0
"""How long a program that stops waits until its last spans are exported."""


class Recording(Service):
    """Records spans while it runs; ``name`` is the name of the program in traces.

    It starts threads, so it must start after the fork of a daemon. Where no spans are wanted, it is not started.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, name: str) -> None:
        self._reactor = reactor
        self._name = name
        self._warnings = _Warnings()
        self.provider: Provider | None = None

    def startService(self) -> None:
        """Start the exporters that the variables of OpenTelemetry name.

        :raises ConfigurationError: a variable is not valid.
        """
        super().startService()
        from alaska.traces.provider import configured  # noqa: PLC0415

        self.provider = configured(self._name)
        if self.provider is None:
            self._log.warn("no spans are recorded: OTEL_SDK_DISABLED is true")
        else:
            logging.getLogger("opentelemetry").addHandler(self._warnings)

    @property
    def spans(self) -> Spans | None:
        """What records the messages that clients send; None if nothing is recorded."""
        if self.provider is None:
            return None
        from alaska.traces.spans import Spans  # noqa: PLC0415

        return Spans(self.provider.sdk)

    def stopService(self) -> Deferred[None] | None:
        """Export what is recorded, for at most :data:`STOP_SECONDS`."""
        super().stopService()
        if self.provider is None:
            return None
        sdk, self.provider = self.provider.sdk, None
        stopped: Deferred[None] = Deferred()

        def stop() -> None:
            sdk.shutdown()
            self._reactor.callFromThread(end)

        def end() -> None:
            logging.getLogger("opentelemetry").removeHandler(self._warnings)
            if not stopped.called:
                stopped.callback(None)

        late = self._reactor.callLater(STOP_SECONDS, end)
        # A daemon thread: an exporter that does not return must not keep the process from ending.
        Thread(target=stop, name="spans", daemon=True).start()
        return stopped.addCallback(lambda _: late.cancel() if late.active() else None)


class _Warnings(logging.Handler):
    """Logs what OpenTelemetry warns of, such as an endpoint that does not answer, once a minute; in any thread."""

    _log = Logger()

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = 0.0
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Log the first line of a warning."""
        self._count += 1
        now = monotonic()
        if now >= self._next:
            self._next = now + WARNING_SECONDS
            text = printable(record.getMessage().partition("\n")[0][:MOST_TEXT])
            self._log.warn("spans: {text} ({count} warnings so far)", text=text, count=self._count)
