"""A broker in the process of a worker: it serves unless another broker does, and takes over when that ends."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall

from alaska.admin.health import Check
from alaska.broker import readiness
from alaska.broker.service import BrokerService
from alaska.errors import AlaskaError, CannotBind

TAKE_OVER_SECONDS = 0.25
"""The interval at which an embedded broker tries to bind the endpoints while another broker serves them."""
RETRY_SECONDS = 1.0
"""The interval after another failure. It is longer, since clients connect at each attempt, and lose the connection."""


class EmbeddedBrokerService(BrokerService):
    """A broker embedded in a worker's process, which serves unless another broker serves its endpoints.

    While another broker does, it tries to bind them at intervals. When that broker ends, one of the waiting brokers
    binds the endpoints, and opens the store.
    """

    _next_try: IDelayedCall | None = None
    _logged_failure = ""

    def startService(self) -> None:
        """Serve the endpoints, or wait until the broker that serves them ends.

        :raises CannotBind: an endpoint cannot be bound for another reason.
        :raises StoreError: the store cannot be used.
        """
        try:
            super().startService()
        except CannotBind as error:
            if not error.is_taken:
                raise
            self._log.info(
                "another program serves {endpoints}; joining the broker there",
                endpoints=", ".join(bind.endpoint for bind in self._binds),
            )
            self._retry_in(TAKE_OVER_SECONDS)

    def readiness(self) -> list[Check]:
        """See :class:`BrokerService`; while another process serves the endpoints, it is ready, too."""
        return super().readiness() if self.serves else readiness.waiting(self._logged_failure, True)

    def stopService(self) -> None:
        """See :class:`BrokerService`."""
        if self._next_try is not None:
            self._next_try.cancel()
            self._next_try = None
        super().stopService()

    def _retry_in(self, seconds: float) -> None:
        self._next_try = self._reactor.callLater(seconds, self._try_takeover)

    def _try_takeover(self) -> None:
        """Serve the endpoints if no other broker does; other failures are logged once and retried."""
        self._next_try = None
        try:
            self._serve()
        except Exception as error:  # Retry after any failure: there may be no other process that could serve.
            is_taken = isinstance(error, CannotBind) and error.is_taken
            if not is_taken:
                self._log_failure(error)
            self._retry_in(TAKE_OVER_SECONDS if is_taken else RETRY_SECONDS)
        else:
            self._log.info("the other broker has ended; this worker embeds the broker now")

    def _log_failure(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, AlaskaError) else repr(error)
        if reason != self._logged_failure:
            self._logged_failure = reason
            self._log.error("cannot take over from the broker that has ended: {reason}", reason=reason)
