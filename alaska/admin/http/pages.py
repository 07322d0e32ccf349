"""The pages of a broker, of a worker, or of both in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, ensureDeferred

from alaska.admin.families import Details, Source
from alaska.admin.health import Checks, Warnings, check
from alaska.admin.http import table
from alaska.admin.http.events import EventStreams
from alaska.admin.http.gate import MayAdminister, everybody_may
from alaska.admin.http.health import HealthPages
from alaska.admin.http.live import LiveEvents
from alaska.admin.http.login import Decide, Login
from alaska.admin.http.messages import May, Messages
from alaska.admin.http.operations import operation_routes
from alaska.admin.http.process import ProcessPage
from alaska.admin.http.requests import Broker
from alaska.admin.http.routes import Route
from alaska.admin.http.service import Endpoint, HTTPService, Pages, Parts
from alaska.admin.http.web import WebPages
from alaska.admin.loop_lag import LoopLag
from alaska.admin.operations import IAdministered
from alaska.client import Client
from alaska.config.http import HTTPSettings
from alaska.daemon.reload import ConfigurationFile
from alaska.interfaces import INetwork, Reactor
from alaska.names import HTTP, address_of

if TYPE_CHECKING:  # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.spans import Spans

STOPPING = "the program is stopping"


@dataclass(frozen=True)
class Access:
    """How the pages reach the broker of this process: its endpoint, the network, and the access rules.

    ``broker`` is that of :class:`alaska.admin.http.requests.Requests`.
    """

    endpoint: str
    make_network: Callable[[], INetwork]
    may: May
    may_administer: MayAdminister = everybody_may
    broker: Broker | None = None


@dataclass
class Contents:
    """What a process shows and does by HTTP.

    Without ``access``, messages cannot be sent and streams not read. ``decide`` decides about logins by password;
    without it only tokens are accepted. ``is_valid`` says whether a login by password would be accepted again.
    ``administered`` are broker and worker, with the paths below which they are.
    ``routes`` are further ones. ``metrics`` and ``details`` are what the parts of the process measure.
    ``spans`` records the messages that are sent.
    """

    ready: list[Checks] = field(default_factory=list)
    warnings: list[Warnings] = field(default_factory=list)
    access: Access | None = None
    decide: Decide | None = None
    is_valid: Callable[[str], bool] = lambda _login: True
    administered: list[tuple[str, IAdministered]] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    metrics: list[Source] = field(default_factory=list)
    details: dict[str, Details] = field(default_factory=dict)
    lag: Callable[[], float] = lambda: 0.0
    spans: Callable[[], Spans | None] = lambda: None

    def pages(self, parts: Parts) -> Pages:
        """Return the pages; see :class:`alaska.admin.http.service.HTTPService`."""
        routes = table.health_routes(HealthPages(self.ready, self.lag, self.warnings))
        # Here, since programs without an endpoint need neither the library for metrics nor the time to import it.
        from alaska.admin.http.metrics import MetricsPages  # noqa: PLC0415

        routes += MetricsPages.of(self.metrics, self.details).routes()
        parts.sessions.is_valid = self.is_valid
        routes += table.login_routes(Login(parts.reactor, parts.users, parts.sessions, self.decide))
        for path, administered in self.administered:
            routes += operation_routes(administered, path, parts.share)
        routes += self.routes
        process = ProcessPage(self.administered, self.access is not None, self.lag)
        live = LiveEvents(parts.reactor, self.administered, process.process)
        routes += [*WebPages().routes(), *process.routes(), *live.routes()]
        if self.access is None:
            return Pages(table.table(routes), everybody_may, lambda: None, live.close)
        gateway = _Gateway(parts, self.access, live, self.spans())
        routes += table.message_routes(gateway.messages) + table.event_routes(gateway.events)
        return Pages(table.table(routes), self.access.may_administer, gateway.messages.start, gateway.stop)


def serve(
    reactor: Reactor,
    settings: HTTPSettings,
    contents: Contents,
    program: MultiService,
    services: Sequence[Service],
    file: ConfigurationFile[Any],
) -> None:
    """Add services to a program, and the HTTP endpoint of the settings, if there is one.

    The endpoint is served before the services start and until they have stopped, so that it can say that they are not
    ready. Only its connections to the broker are made after all services have started, and end before. When ``file`` is
    reloaded, a new certificate is used.
    """
    endpoint = Endpoint.of(settings)
    if endpoint is None:
        _add(services, program)
        return
    lag = LoopLag(reactor)
    lag.setServiceParent(program)
    contents.metrics.append(lag.metrics)
    contents.lag = lag.worst
    contents.ready.insert(0, lambda: [] if program.running else [check("program", STOPPING)])
    http = HTTPService(reactor, endpoint, contents.pages)
    contents.metrics.append(http.figures)
    file.add((), http.prepare)
    http.setServiceParent(program)
    _add([*services, http.connections], program)


def _add(services: Iterable[Service], program: MultiService) -> None:
    for service in services:
        service.setServiceParent(program)


class _Gateway:
    """The way to the broker: what sends and reads messages, in one network."""

    def __init__(self, parts: Parts, access: Access, live: LiveEvents, spans: Spans | None) -> None:
        self._live = live
        self._reactor = parts.reactor
        self._access = access
        self._spans = spans
        self._network = access.make_network()
        self.messages = Messages(parts.reactor, self._make_client, address_of(HTTP), access.may, time, access.broker)
        self.events = EventStreams(parts.reactor, self._make_client, access.may, time)

    def _make_client(self, address: str, credit: int = 0, **callbacks: Any) -> Client:  # noqa: ANN401  # those of Client
        access = self._access
        return Client(
            access.endpoint,
            address,
            credit=credit,
            network=self._network,
            reactor=self._reactor,
            spans=self._spans,
            **callbacks,
        )

    def stop(self) -> Deferred[None]:
        """End all event streams, send what is accepted, and disconnect."""
        self._live.close()
        self.events.close()
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        await self.messages.stop()
        self._network.close()
