"""What ``twistd`` has to be told for a configuration file, for worker and broker alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    textFileLogObserver,
)
from twisted.python.util import gidFromString, uidFromString

from alaska.config import BrokerSettings, Loaded, WorkerSettings
from alaska.errors import AlaskaError, ConfigurationError

Both = TypeVar("Both", WorkerSettings, BrokerSettings)

_log = Logger()
DEFAULT_PIDFILE = "twistd.pid"


def load_or_exit(load: Callable[[str], Loaded[Both]], path: str) -> Loaded[Both]:
    """Return what a file gives; end with status 78 (EX_CONFIG) and a sentence for each fault where it is bad."""
    try:
        return load(path)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        raise SystemExit(78) from None


def apply(settings: WorkerSettings | BrokerSettings, options: MutableMapping[str, Any], name: str) -> bool:
    """Let twistd do what the settings say, as far as its own command line has not said otherwise.

    Called while options are parsed, before twistd forks and starts to log. Return whether the log goes to the standard
    output.
    """
    if not settings.background:
        options["nodaemon"] = True
    if not options["nodaemon"]:
        options["rundir"] = str(settings.workdir)
    if settings.lockfile is not None:
        options["pidfile"] = str(settings.lockfile)
    elif options["nodaemon"] and options["pidfile"] == DEFAULT_PIDFILE:
        # A file left behind, or another worker's, would keep this one from starting; in the foreground nobody needs it.
        options["pidfile"] = ""
    if isinstance(settings, WorkerSettings) and settings.syslog:
        options["syslog"] = True
        options["prefix"] = name
    if settings.user is not None:
        options["uid"] = uidFromString(settings.user)
    if settings.group is not None:
        options["gid"] = gidFromString(settings.group)
    is_on_terminal = options["nodaemon"] and not (options["logfile"] or options["syslog"] or options["logger"])
    if is_on_terminal:
        options["logger"] = f"{__name__}.{'verbose_' * settings.verbose}terminal_observer"
    return bool(is_on_terminal)


def terminal_observer() -> ILogObserver:
    """Return what writes the log to the standard output, debug messages left out."""
    return FilteringLogObserver(verbose_terminal_observer(), [LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)])


def verbose_terminal_observer() -> ILogObserver:
    """Return what writes the whole log to the standard output."""
    return textFileLogObserver(sys.stdout)


def report(path: str, loaded: Loaded[Any]) -> None:
    """Log where the settings came from, and what there is to be said about them."""
    if loaded.created:
        _log.info("'{path}' is missing, created with the defaults", path=path)
    _log.info("Loading configuration from '{path}'", path=path)
    for warning in loaded.warnings:
        _log.warn("{warning}", warning=warning)


class Program(MultiService):
    """The services of one program: started in order, stopped one after the other from the last to the first.

    What keeps one of them from starting is told in a sentence, and ends the program with status 1.
    """

    def startService(self) -> None:
        """Start the services."""
        try:
            super().startService()
        except AlaskaError as error:
            _log.critical("{error}", error=error)
            raise SystemExit(str(error)) from error

    def stopService(self) -> Deferred[None]:
        """Stop the services; fires when all have stopped."""
        Service.stopService(self)
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        for service in reversed(self.services):
            await maybeDeferred(service.stopService)
