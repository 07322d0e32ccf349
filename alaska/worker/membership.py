"""The worker's membership in its broker's service: joining it, and what ends it for good.

A worker waits for a broker that does not answer, and reconnects to one that has gone. But it cannot work if the broker
refuses it: then it ends, so that a service manager and its operator know.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.client import Client
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, ClientError, ConnectTimeout

NO_TIMEOUT_MS = 60_000
"""After this time without a broker there is a warning, if the timeout of the broker is 0 (without limit)."""
REFUSED_SECONDS = 3.0
"""For how long a worker that was accepted before tries again when it is refused: the broker's file of passwords may be
just being written, and all workers would end."""
CHECK_SECONDS = 0.5


class Membership:
    """Connects a client, offers the service of the settings, and watches both.

    ``joined`` is called when the broker has accepted the offer, and ``ended`` at most once, with the reason why the
    worker cannot work.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        settings: WorkerSettings,
        client: Client,
        joined: Callable[[], None],
        ended: Callable[[AlaskaError], None],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._client = client
        self._joined = joined
        self._ended = ended
        self._is_over = False
        self._alone_since = 0.0
        self._check_due: IDelayedCall | None = None
        self._ending: IDelayedCall | None = None
        self._warning: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to connect."""
        self._client.refused = self._refused
        self._alone_since = self._reactor.seconds()
        timeout = (self._settings.broker_timeout or NO_TIMEOUT_MS) / 1000
        self._warning = self._reactor.callLater(timeout, self._warn)
        if self._settings.broker_wait:
            self._check_due = self._reactor.callLater(CHECK_SECONDS, self._check)
        ensureDeferred(self._join()).addErrback(self._failed)

    def stop(self) -> None:
        """Watch no more: the client may be closed."""
        self._is_over = True
        for call in (self._warning, self._check_due, self._ending):
            if call is not None and call.active():
                call.cancel()

    async def _join(self) -> None:
        await self._client.connect(timeout=None)
        if self._warning is not None and self._warning.active():
            self._warning.cancel()
        self._log.info("Connected ({address})", address=self._client.address)
        settings = self._settings
        await self._client.offer(settings.service_address, settings.service_filter, streams=settings.service_streams)
        self._joined()

    def _warn(self) -> None:
        self._log.warn(
            "no broker answers at {endpoint} yet; the worker waits for it; alas doctor looks for the reason",
            endpoint=self._settings.broker_endpoint,
        )

    def _failed(self, failure: Failure) -> None:
        failure.trap(AlaskaError)
        # If the worker was stopped while it was connecting, this is no error.
        if isinstance(failure.value, AlaskaError):
            self._end(failure.value)

    def _check(self) -> None:
        """End after ``worker/broker/wait`` without a broker."""
        now = self._reactor.seconds()
        if self._client.is_connected:
            self._alone_since = now
        elif now - self._alone_since >= self._settings.broker_wait / 1000:
            endpoint, seconds = self._settings.broker_endpoint, self._settings.broker_wait / 1000
            self._end(ConnectTimeout(f"no broker has answered at {endpoint} for {seconds:g} s"))
            return
        self._check_due = self._reactor.callLater(CHECK_SECONDS, self._check)

    def _refused(self, error: ClientError) -> None:
        """End if the offer or the connection is refused for ``REFUSED_SECONDS`` on end."""
        since = self._client.refused_since
        if since is None:
            # The offer is refused, not the connection. If that is a mistake in the rules, the session will end.
            self._end_unless_reopened(self._client.session, error)
        elif self._reactor.seconds() - since >= REFUSED_SECONDS:
            self._end(error)

    def _end_unless_reopened(self, session: int, error: ClientError) -> None:
        def end() -> None:
            if self._client.session == session:
                self._end(error)

        if self._ending is None or not self._ending.active():
            self._ending = self._reactor.callLater(REFUSED_SECONDS, end)

    def _end(self, error: AlaskaError) -> None:
        if not self._is_over:
            self.stop()
            self._log.critical("the worker cannot work: {error}", error=error)
            self._ended(error)
