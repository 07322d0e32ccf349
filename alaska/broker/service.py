"""The broker as a Twisted service: its socket, its clock and its store."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.errors import AlaskaError, CannotBind
from alaska.interfaces import INetwork, IRouter, IStore, Reactor

TICK_SECONDS = 0.05


class BrokerService(Service):
    """Serves endpoints while it runs.

    Sockets and store are made by the given functions when the service starts, behind the fork of a daemon. With
    ``accept(username, password)``, only whom it accepts may connect (PLAIN).
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        make_network: Callable[[], INetwork],
        make_store: Callable[[], IStore],
        endpoints: list[str],
        limits: Limits,
        accept: Callable[[bytes, bytes], bool] | None = None,
        domain: str | None = None,
    ) -> None:
        self._reactor = reactor
        self._make_network = make_network
        self._make_store = make_store
        self._endpoints = endpoints
        self._limits = limits
        self._accept = accept
        self._domain = domain
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = reactor
        self._network: INetwork | None = None
        self._router: IRouter | None = None
        self._store: IStore | None = None
        self.broker: Broker | None = None

    def startService(self) -> None:
        """Serve the endpoints.

        :raises CannotBind: one of them cannot be served.
        :raises StoreError: the store cannot be used.
        """
        super().startService()
        self._network = self._make_network()
        if self._accept is not None:
            self._network.authenticate(self._accept)
        self._router = self._network.router(self._endpoints, self._domain, self._accept is not None)
        try:
            self._router.start(self._received, self._gone)
            # Behind the endpoints: where another broker serves them, the store is that one's.
            self._store = self._make_store()
            self.broker = Broker(self._router, self._limits, self._store)
        except AlaskaError:
            self._network.close()
            self._router = self._network = None
            raise
        self._ticks.start(TICK_SECONDS)
        self._log.info("Broker ready ({endpoints})", endpoints=", ".join(self._router.bound))

    def stopService(self) -> None:
        """Serve no longer; what was sent to clients still leaves."""
        if self._ticks.running:
            self._ticks.stop()
        if self._router is not None and self._network is not None:
            self._router.close()
            self._network.close()
        if self._store is not None:
            self._store.close()
        super().stopService()

    def _gone(self, peer: bytes) -> None:
        if self.broker is not None:
            self.broker.gone(peer)

    def _received(self, peer: bytes, frames: list[bytes]) -> None:
        if self.broker is not None:
            self.broker.received(peer, frames, self._reactor.seconds())

    def _tick(self) -> None:
        if self.broker is not None:
            try:
                self.broker.tick(self._reactor.seconds())
            except Exception:  # A call that raises would never be made again, and no client would expire.
                self._log.failure("a tick of the broker failed")


class EmbeddedBrokerService(BrokerService):
    """A broker inside a worker's process, unless somebody serves its endpoint already."""

    def startService(self) -> None:
        """Serve the endpoints, or leave them to whoever does.

        :raises CannotBind: an endpoint cannot be served for another reason.
        """
        try:
            super().startService()
        except CannotBind as error:
            if not error.is_taken:
                raise
            self._log.info(
                "{endpoints} is served already; joining the broker there", endpoints=", ".join(self._endpoints)
            )
