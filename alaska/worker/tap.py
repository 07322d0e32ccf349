"""``twistd alaska``: options and wiring of the worker, and of the broker that it may carry."""

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
from alaska.daemon.program import Program
from alaska.daemon.reload import ConfigurationFile, Reload
from alaska.interfaces import Reactor
from alaska.links import Network, default_reactor
from alaska.pool.runners import runner_maker
from alaska.store.sqlite import store_at
from alaska.system.memory import give_back_large
from alaska.worker.service import WorkerService

_log = Logger()
SWITCH_SECONDS = 0.0005


class Options(BaseOptions):
    """The command line of the worker."""

    synopsis = "[options]"
    longdesc = "A worker that runs Lua scripts for service requests."
    optParameters = [  # noqa: RUF012  # as Twisted has it
        ["config", "c", None, f"The configuration file; without it {WorkerSettings.file}, created if it is missing."]
    ]

    loaded: Loaded[WorkerSettings]
    broker: Loaded[BrokerSettings] | None = None
    background: BackgroundStart | None = None

    def postOptions(self) -> None:
        """Load the file and tell twistd what it says; a bad one ends the program with a sentence."""
        self.loaded = starting.load_or_exit(load_worker, self["config"], WorkerSettings.file)
        self["config"] = self["config"] or WorkerSettings.file
        if self.parent is not None:
            starting.enough_descriptors_or_exit(self.loaded.settings)
            starting.apply(self.loaded.settings, self.parent, "alaska")
            starting.require_files(self.loaded.settings, self.parent)
            self.background = starting.begin(self.parent)
        self._load_broker()

    def _load_broker(self) -> None:
        """Load the file with the settings of the embedded broker, if one is named."""
        settings = self.loaded.settings
        if not settings.broker_embedded or settings.broker_config is None:
            return
        self.broker = starting.load_or_exit(load_broker, str(self.broker_path()), BrokerSettings.file)
        if self.parent is not None:
            starting.require_files(self.broker.settings, self.parent)

    def broker_path(self) -> Path:
        """Return where the file with the settings of the embedded broker is, if one is named."""
        where = Path("." if self.parent is None else self.parent["rundir"])
        return where / (self.loaded.settings.broker_config or BrokerSettings.file)


def makeService(options: Options) -> IService:
    """Return the worker that the options describe; nothing is opened before it starts."""
    settings = options.loaded.settings
    starting.report(options["config"], options.loaded)
    give_back_large()
    # A thread that comes back from Lua waits so long for one that does not pause; Python's own 5 ms would be felt.
    sys.setswitchinterval(SWITCH_SECONDS)
    reactor = default_reactor()
    program = Program(reactor, options.parent, options.background, Reload(files(options)))
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
    """Return the files that the options have read."""
    found = [ConfigurationFile.read(options["config"], load_worker, options.loaded)]
    if options.broker is not None:
        found.append(ConfigurationFile.read(options.broker_path(), load_broker, options.broker))
    return found


def broker_settings(settings: WorkerSettings, loaded: Loaded[BrokerSettings] | None) -> BrokerSettings:
    """Return the settings of the embedded broker: those of its file, or of a new one, at the worker's endpoint.

    A store that the worker's own settings name goes before the one that the file names.
    """
    found = loaded.settings if loaded is not None else BrokerSettings.from_tree(BrokerSettings.default_tree(""))
    if settings.broker_store is not None:
        found = replace(found, store_path=settings.broker_store, store_sync=settings.broker_store_sync)
    return replace(found, endpoints=(settings.broker_endpoint,))


def _networks(reactor: Reactor) -> Callable[[], Network]:
    """Return what makes networks that lie beside each other, so that worker and broker need no TCP between them."""
    latest: Network | None = None

    def make_network() -> Network:
        nonlocal latest
        latest = Network(reactor, latest)
        return latest

    return make_network


def accept_one(username: str | None, password: str | None) -> Callable[[bytes, bytes], bool] | None:
    """Return what accepts this user alone; None, for everybody, where there is none."""
    if username is None or password is None:
        return None
    known = username.encode(), password.encode()

    def accept(name: bytes, word: bytes) -> bool:
        # Both are compared, so that the time tells nothing about which was wrong.
        return is_same(name, known[0]) & is_same(word, known[1])

    return accept
