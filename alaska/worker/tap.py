"""``twistd alaska``: options and wiring of the worker and of its embedded broker."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python.usage import Options as BaseOptions

from alaska.broker.passwords import is_same
from alaska.broker.service import EmbeddedBrokerService
from alaska.broker.tap import accept_of, limits_of
from alaska.config import BrokerSettings, Loaded, WorkerSettings, load_broker, load_worker
from alaska.daemon import starting
from alaska.daemon.background import BackgroundStart
from alaska.daemon.configuration_check import ConfigurationCheck, ConfigurationFile
from alaska.daemon.program import Program
from alaska.interfaces import Reactor
from alaska.links import Network, default_reactor
from alaska.pool.runners import runner_maker
from alaska.store.sqlite import store_at
from alaska.system.memory import return_large_blocks
from alaska.worker.service import WorkerService

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

    loaded: Loaded[WorkerSettings]
    broker: Loaded[BrokerSettings] | None = None
    background: BackgroundStart | None = None

    def postOptions(self) -> None:
        """Load the file and apply its settings to twistd's options; a bad file ends the program with an error."""
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


def makeService(options: Options) -> IService:
    """Return the worker for these options; it opens nothing before it starts."""
    settings = options.loaded.settings
    starting.report(options["config"], options.loaded)
    return_large_blocks()
    sys.setswitchinterval(SWITCH_SECONDS)
    reactor = default_reactor()
    program = Program(reactor, options.parent, options.background, ConfigurationCheck(files(options)))
    make_network = _networks(reactor)
    if settings.broker_embedded:
        if options.broker is not None:
            starting.report(str(settings.broker_config), options.broker)
        broker = broker_settings(settings, options.broker)
        for line in broker.echo:
            _log.info("{line}", line=line)
        EmbeddedBrokerService(
            reactor,
            make_network,
            lambda: store_at(reactor, broker.store_path, broker.store_sync),
            list(broker.endpoints),
            limits_of(broker),
            accept_of(broker) or accept_one(settings.plain_username, settings.plain_password),
            broker.domain,
        ).setServiceParent(program)
    WorkerService(
        reactor,
        settings,
        make_network,
        runner_maker(settings),
        program.end,
    ).setServiceParent(program)
    return program


def files(options: Options) -> list[ConfigurationFile]:
    """Return the configuration files that the options were read from."""
    found = [ConfigurationFile.read(options["config"], load_worker, options.loaded)]
    if options.broker is not None:
        found.append(ConfigurationFile.read(options.broker_path(), load_broker, options.broker))
    return found


def broker_settings(settings: WorkerSettings, loaded: Loaded[BrokerSettings] | None) -> BrokerSettings:
    """Return the settings of the embedded broker: those of its file, or the defaults, at the worker's endpoint.

    A store in the worker's own settings takes precedence over the one in the file.
    """
    found = loaded.settings if loaded is not None else BrokerSettings.from_tree(BrokerSettings.default_tree(""))
    if settings.broker_store is not None:
        found = replace(found, store_path=settings.broker_store, store_sync=settings.broker_store_sync)
    return replace(found, endpoints=(settings.broker_endpoint,))


def _networks(reactor: Reactor) -> Callable[[], Network]:
    """Return a factory of networks in one context, so that worker and embedded broker need no TCP between them."""
    latest: Network | None = None

    def make_network() -> Network:
        nonlocal latest
        latest = Network(reactor, latest)
        return latest

    return make_network


def accept_one(username: str | None, password: str | None) -> Callable[[bytes, bytes], bool] | None:
    """Return a function that accepts this user alone; None, to accept everybody, without user or password."""
    if username is None or password is None:
        return None
    known = username.encode(), password.encode()

    def accept(name: bytes, word: bytes) -> bool:
        # Both are always compared, so that the time does not reveal which one was wrong.
        return is_same(name, known[0]) & is_same(word, known[1])

    return accept
