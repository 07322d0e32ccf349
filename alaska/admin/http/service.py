"""The HTTP endpoint as a Twisted service."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger

from alaska.admin.families import Filled
from alaska.admin.http.dispatch import Dispatch
from alaska.admin.http.exchange import Exchange
from alaska.admin.http.figures import figures
from alaska.admin.http.gate import Gate, MayAdminister
from alaska.admin.http.loop_share import LoopShare
from alaska.admin.http.routes import Routes
from alaska.admin.http.sessions import Sessions
from alaska.admin.http.site import Site
from alaska.admin.http.tls import Files, secured
from alaska.admin.http.users import Users
from alaska.config.http import HTTPSettings, is_loopback
from alaska.daemon.reload import Change
from alaska.endpoints import TCP, tcp
from alaska.errors import CannotBind
from alaska.interfaces import Reactor

RETRY_SECONDS = 1.0
"""The interval at which the endpoint is tried again while another process has it."""


@dataclass(frozen=True)
class Endpoint:
    """Where HTTP is served, and for whom: a part of the settings."""

    at: TCP
    is_local: bool
    is_open: bool
    tokens: Path | None = None
    hosts: frozenset[str] = frozenset()
    connections: int = 200
    octets: int = 8 * 2**20
    tls: Files | None = None

    @classmethod
    def of(cls, settings: HTTPSettings) -> Endpoint | None:
        """Return the endpoint of the settings; None: there is none."""
        text = settings.http_endpoint
        at = None if text is None else tcp(text)
        if text is None or at is None:
            return None
        is_local = is_loopback(text)
        certificate, key = settings.http_certificate, settings.http_key
        return cls(
            at,
            is_local,
            is_local and settings.http_anonymous,
            settings.http_tokens,
            # Further loopback addresses, such as 127.0.0.2, are known as themselves.
            frozenset(host.lower() for host in (*settings.http_hosts, *([at.host] if is_local else ()))),
            settings.http_connections,
            settings.http_size_limit,
            None if certificate is None or key is None else Files(certificate, key, settings.http_authority),
        )


class Parts:
    """What the pages of a process have in common. It is made when the service starts."""

    def __init__(self, reactor: Reactor, endpoint: Endpoint) -> None:
        self.reactor = reactor
        self.users = Users(endpoint.tokens)
        self.sessions = Sessions()
        self.share = LoopShare(reactor)


class Pages:
    """The pages of one process: their routes, and what connects them to the broker and disconnects them."""

    def __init__(
        self,
        routes: Routes,
        may_administer: MayAdminister,
        start: Callable[[], None],
        stop: Callable[[], Deferred[None] | None],
    ) -> None:
        self.routes = routes
        self.may_administer = may_administer
        self.start = start
        self.stop = stop


class Connections(Service):
    """The connections of the pages to the broker, which last while this service runs.

    Not part of :class:`HTTPService`, which is served before there is a broker, and as long as anything runs.
    """

    def __init__(self, http: HTTPService) -> None:
        self._http = http
        self._pages: Pages | None = None

    def startService(self) -> None:
        """Connect; the :class:`HTTPService` must have been started."""
        super().startService()
        self._pages = self._http.pages
        if self._pages is not None:
            self._pages.start()

    def stopService(self) -> Deferred[None] | None:
        """Disconnect, after what was accepted is sent."""
        super().stopService()
        pages, self._pages = self._pages, None
        return None if pages is None else pages.stop()


class HTTPService(Service):
    """Serves the endpoint while it runs; ``make_pages`` is called when it starts, after a daemon's fork.

    If another process has the endpoint, this one works without it, says so, and serves it when that process has ended:
    of several workers on a machine with the same settings, one shows itself.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, endpoint: Endpoint, make_pages: Callable[[Parts], Pages]) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._make_pages = make_pages
        self.pages: Pages | None = None
        self.connections = Connections(self)
        self._port: IListeningPort | None = None
        self._retry: IDelayedCall | None = None
        self._factory: Any = None
        self._digest = b""
        self.site: Site | None = None
        self._parts: Parts | None = None

    @property
    def bound(self) -> str | None:
        """The endpoint that is served, with the port that the system chose; None while it is not served."""
        if self._port is None:
            return None
        host: Any = self._port.getHost()
        return str(TCP(host.host, host.port))

    def figures(self) -> Iterable[Filled]:
        """Return the metrics of the endpoint."""
        return () if self.site is None else figures(self.site)

    def startService(self) -> None:
        """Serve the endpoint, or wait until the process that has it ends.

        :raises CannotBind: it cannot be bound for another reason.
        :raises ConfigurationError: the files for TLS cannot be used.
        """
        super().startService()
        endpoint = self._endpoint
        parts = self._parts = Parts(self._reactor, endpoint)
        self.pages = self._make_pages(parts)
        gate = Gate(
            parts.users,
            parts.sessions,
            endpoint.is_local,
            endpoint.is_open,
            endpoint.hosts,
            self.pages.may_administer,
        )
        dispatch = Dispatch(self.pages.routes, gate, self._reactor.seconds)
        exchange = partial(Exchange, dispatch)
        self.site = Site(self._reactor, exchange, dispatch.is_known, endpoint.connections, endpoint.octets)
        self._factory = self.site
        if endpoint.tls is not None:
            self._use(secured(self.site, endpoint.tls), endpoint.tls.digest())
        if not self._listen():
            self._log.warn(
                "another process serves {endpoint}; this one has no HTTP until that process ends, or http/endpoint "
                "names another port",
                endpoint=endpoint.at,
            )

    def prepare(self, _settings: object) -> Change | None:
        """Prepare a certificate and key that have been replaced, for new connections; see :mod:`alaska.daemon.reload`.

        :raises ConfigurationError: the files cannot be used.
        """
        files = self._endpoint.tls
        if files is None or self.site is None:
            return None
        factory, digest = secured(self.site, files), files.digest()
        if digest == self._digest:
            return None
        return Change(partial(self._use, factory, digest), ("the certificate in http/tls has changed",))

    def _use(self, factory: object, digest: bytes) -> None:
        self._factory, self._digest = factory, digest
        if self._port is not None:
            port: Any = self._port
            port.factory = factory

    def _listen(self) -> bool:
        """Bind the endpoint; return False, and try again later, if another process has it."""
        self._retry = None
        at = self._endpoint.at
        host = {"*": "", "localhost": "127.0.0.1"}.get(at.host, at.host)
        try:
            self._port = self._reactor.listenTCP(at.port, self._factory, self._endpoint.connections, host)
        except CannotListenError as error:
            code = getattr(error.socketError, "errno", None)
            if code != errno.EADDRINUSE:
                raise CannotBind(f"http/endpoint: cannot serve {at}: {error.socketError}") from error
            self._retry = self._reactor.callLater(RETRY_SECONDS, self._try_again)
            return False
        self._log.info("HTTP ready ({endpoint})", endpoint=self.bound)
        return True

    def _try_again(self) -> None:
        try:
            self._listen()
        except CannotBind as error:
            self._log.error("{error}", error=error)
            self._retry = self._reactor.callLater(RETRY_SECONDS * 60, self._try_again)

    def stopService(self) -> Deferred[None]:
        """Close the endpoint and all connections."""
        super().stopService()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        if self.site is not None:
            await self.site.close_all()
        if self._parts is not None:
            self._parts.share.close()
