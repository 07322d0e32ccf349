"""``twistd alaska``: options and wiring of the worker and of its embedded broker."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.application.service import IService, Service
from twisted.logger import Logger
from twisted.python.usage import Options as BaseOptions

from alaska.admin.http.checking import problems
from alaska.admin.http.pages import Contents, serve
from alaska.admin.in_force import in_force_of
from alaska.authentication import Mechanism
from alaska.broker.credentials import Credentials
from alaska.broker.embedded import EmbeddedBrokerService
from alaska.broker.http import add_broker
from alaska.broker.security import Security
from alaska.broker.tap import (
    LIVE_SECURITY,
    limits_of,
    plan_of,
    reload_limits,
    reload_rules,
    reload_schedules,
    security_of,
)
from alaska.config import BrokerSettings, Loaded, WorkerSettings, load_broker, load_worker
from alaska.config.checking import Checked
from alaska.config.http import HTTPSettings
from alaska.config.passwords import Users
from alaska.daemon import configuration_report, log, starting
from alaska.daemon.background import BackgroundStart
from alaska.daemon.program import Program
from alaska.daemon.reload import ConfigurationFile, Reload
from alaska.interfaces import INetwork, Reactor
from alaska.links import default_reactor, sharing_networks
from alaska.pool.runners import runner_maker
from alaska.store.sqlite import store_at
from alaska.system.memory import return_large_blocks
from alaska.traces.service import Recording
from alaska.worker.script_checks import ScriptChecks, compiler_of
from alaska.worker.service import LIVE, WorkerService

_log = Logger()
SWITCH_SECONDS = 0.0001
"""The GIL's switch interval: how long a thread that returns from Lua waits for the GIL. Python's 5 ms are too long."""


class Options(BaseOptions):
    """The command line of the worker."""

    synopsis = "[options]"
    longdesc = "A worker that runs Lua scripts for service requests."
    optParameters = [  # noqa: RUF012  # as Twisted has it
        ["config", "c", None, f"The configuration file. The default is {WorkerSettings.file}, created if missing."]
    ]
    optFlags = configuration_report.FLAGS

    loaded: Loaded[WorkerSettings]
    broker: Loaded[BrokerSettings] | None = None
    background: BackgroundStart | None = None

    def postOptions(self) -> None:
        """Load the file and apply its settings to twistd's options; a bad file ends the program with an error."""
        if configuration_report.is_wanted(self):
            raise configuration_report.report(self, _checked(self["config"], self.parent))
        self.loaded = starting.load_or_exit(load_worker, self["config"], WorkerSettings.file)
        self["config"] = self["config"] or WorkerSettings.file
        if self.parent is not None:
            starting.enough_descriptors_or_exit(self.loaded.settings)
            starting.apply(self.loaded.settings, self.parent, "alaska")
            starting.require_files(self.loaded.settings, self.parent)
            self.background = starting.begin(self.parent)
        self._load_broker()

    def _load_broker(self) -> None:
        """Load the configuration file of the embedded broker, if there is one."""
        settings = self.loaded.settings
        if not settings.broker_embedded or settings.broker_config is None:
            return
        self.broker = starting.load_or_exit(load_broker, str(self.broker_path()), BrokerSettings.file)
        if self.parent is not None:
            starting.require_files(self.broker.settings, self.parent)

    def broker_path(self) -> Path:
        """Return the path of the embedded broker's configuration file; it is relative to twistd's working directory."""
        where = Path("." if self.parent is None else self.parent["rundir"])
        return where / (self.loaded.settings.broker_config or BrokerSettings.file)


def _checked(given: str | None, twistd: Mapping[str, Any] | None) -> list[Checked[Any]]:
    """Check the worker's configuration file, and that of the embedded broker, if there is one."""
    checked: list[Checked[Any]] = [configuration_report.check_file(WorkerSettings, given, twistd, problems)]
    settings = checked[0].settings
    if settings.broker_embedded and settings.broker_config is not None:
        path = configuration_report.working_folder(settings, twistd or {}) / settings.broker_config
        broker = configuration_report.check_file(BrokerSettings, str(path), twistd, problems, program=settings)
        checked.append(broker)
    return checked


def makeService(options: Options) -> IService:
    """Return the worker for these options; it opens nothing before it starts."""
    settings = options.loaded.settings
    starting.report(options["config"], options.loaded)
    return_large_blocks()
    sys.setswitchinterval(SWITCH_SECONDS)
    reactor = default_reactor()
    file = ConfigurationFile(options["config"], load_worker, options.loaded)
    broker_file = ConfigurationFile(options.broker_path(), load_broker, options.broker) if options.broker else None
    reload = Reload(reactor, [file] if broker_file is None else [file, broker_file])
    program = Program(reactor, options.parent, options.background, reload)
    contents = Contents()
    services: list[Service] = []
    make_network = sharing_networks(reactor)
    if settings.broker_embedded:
        services.append(_embedded_broker(options, broker_file, reactor, make_network, contents))
    recording = Recording(reactor, "alaska-worker")
    if wants_spans(settings, options.broker):
        recording.setServiceParent(program)
    contents.spans = lambda: recording.spans
    worker = WorkerService(reactor, settings, make_network, runner_maker(settings), program.end, recording=recording)
    file.add(LIVE, worker.prepare)
    file.add(log.LIVE, log.prepare)
    services.append(worker)
    checks = ScriptChecks(reactor, settings.scripts_dir, compiler_of(settings))
    worker.administration.snapshots.broken = checks.broken
    worker.administration.configuration = in_force_of(file)
    contents.administered.append(("/api/v1/worker", worker.administration))
    contents.ready.append(worker.readiness)
    contents.warnings.append(worker.administration.warnings)
    contents.metrics.append(worker.figures)
    contents.details.update(worker.details())
    serve(reactor, http_settings(settings, options.broker), contents, program, services, file)
    checks.setServiceParent(program)
    return program


def _embedded_broker(
    options: Options,
    file: ConfigurationFile[BrokerSettings] | None,
    reactor: Reactor,
    make_network: Callable[[], INetwork],
    contents: Contents,
) -> EmbeddedBrokerService:
    """Return the embedded broker, and add what HTTP shows of it; ``file`` is its configuration file, if it has one."""
    if options.broker is not None:
        starting.report(str(options.loaded.settings.broker_config), options.broker)
    settings = broker_settings(options.loaded.settings, options.broker)
    for line in settings.echo:
        _log.info("{line}", line=line)
    service = EmbeddedBrokerService(
        reactor,
        make_network,
        lambda: store_at(reactor, settings.store_path, settings.store_sync),
        settings.binds,
        limits_of(settings),
        _embedded_security(options.loaded.settings, settings, reactor, file),
        settings.domain,
        rules=settings.access,
    )
    service.plan = plan_of(settings)
    if file is not None:
        service.configuration = in_force_of(file)
        reload_rules(service, file)
        reload_limits(service, file)
        reload_schedules(service, file)
    add_broker(contents, service, settings, make_network)
    return service


def wants_spans(settings: WorkerSettings, broker: Loaded[BrokerSettings] | None) -> bool:
    """Return whether the process records spans: if the worker or its embedded broker is to."""
    return settings.traces_spans or (broker is not None and broker.settings.traces_spans)


def http_settings(settings: WorkerSettings, broker: Loaded[BrokerSettings] | None) -> HTTPSettings:
    """Return the settings of HTTP for the process: the worker's, or if it has none, those of its embedded broker."""
    return broker.settings if settings.http_endpoint is None and broker is not None else settings


def broker_settings(settings: WorkerSettings, loaded: Loaded[BrokerSettings] | None) -> BrokerSettings:
    """Return the settings of the embedded broker: those of its file, or the defaults, at the worker's endpoint.

    A store in the worker's own settings takes precedence over the one in the file.
    """
    found = loaded.settings if loaded is not None else BrokerSettings.from_tree(BrokerSettings.default_tree(""))
    if settings.broker_store is not None:
        found = replace(found, store_path=settings.broker_store, store_sync=settings.broker_store_sync)
    if found.mechanism == Mechanism.NULL.value and _has_login(settings):
        found = replace(found, mechanism=Mechanism.PLAIN.value)
    return at_endpoint(found, settings.broker_endpoint)


def at_endpoint(settings: BrokerSettings, endpoint: str) -> BrokerSettings:
    """Return the settings of a broker with one endpoint instead of those in its file."""
    return replace(settings, endpoints=(endpoint,), bind_mechanisms=())


def _has_login(settings: WorkerSettings) -> bool:
    return settings.plain_username is not None and settings.plain_password is not None


def _embedded_security(
    settings: WorkerSettings,
    broker: BrokerSettings,
    reactor: Reactor,
    file: ConfigurationFile[BrokerSettings] | None,
) -> Security | None:
    """Return what decides about connections to the embedded broker.

    If its file requires no authentication, the worker's own user name and password are the only ones.
    """
    if file is None or file.settings.mechanism == Mechanism.NULL.value:
        if settings.plain_username is None or settings.plain_password is None:
            return None
        users: Users = {settings.plain_username.encode(): settings.plain_password.encode()}
        return Security(lambda: Credentials(users=users))
    security = security_of(broker, reactor)
    if security is not None:
        file.add(LIVE_SECURITY, lambda reread: security.prepare(at_endpoint(reread, settings.broker_endpoint)))
    return security
