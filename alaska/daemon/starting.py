"""What ``twistd`` has to be told for a configuration file, for worker and broker alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeVar

from twisted.logger import Logger
from twisted.python.util import gidFromString, uidFromString

from alaska.config import BrokerSettings, Loaded, WorkerSettings
from alaska.config.zpl import shown
from alaska.daemon.background import BackgroundStart
from alaska.daemon.log import choose as choose_log
from alaska.daemon.signals import hold
from alaska.daemon.status import EX_CONFIG
from alaska.errors import ConfigurationError, TooFewDescriptors
from alaska.links import default_reactor
from alaska.system import descriptors

Both = TypeVar("Both", WorkerSettings, BrokerSettings)

_log = Logger()
DEFAULT_PIDFILE = "twistd.pid"
DEFAULT_RUNDIR = "."


def load_or_exit(load: Callable[[str], Loaded[Both]], given: str | None, default: str) -> Loaded[Both]:
    """Return what the given file says; without one, what the default file says, which is created if it is missing.

    :raises SystemExit: the file is bad, or was given and is missing; the status is 78 (EX_CONFIG), and the standard
        error has a sentence for each fault.
    """
    if given is not None and not os.path.lexists(given):
        raise _unusable(f"there is no configuration file {shown(given)}")
    try:
        return load(default if given is None else given)
    except ConfigurationError as error:
        raise _unusable(str(error)) from None


def enough_descriptors_or_exit(settings: WorkerSettings | BrokerSettings) -> None:
    """Raise the limit of descriptors as far as it may be; it lasts for this process and what it forks.

    :raises SystemExit: a worker's pool needs more; the status is 78 (EX_CONFIG).
    """
    limit = descriptors.raise_limit()
    if isinstance(settings, WorkerSettings):
        try:
            descriptors.check_pool(settings.pool_size, settings.pool_isolation, limit)
        except TooFewDescriptors as error:
            raise _unusable(str(error)) from None


def _unusable(sentence: str) -> SystemExit:
    print(sentence, file=sys.stderr)
    return SystemExit(EX_CONFIG)


def apply(settings: WorkerSettings | BrokerSettings, options: MutableMapping[str, Any], name: str) -> None:
    """Let twistd do what the settings say, as far as its own command line has not said otherwise.

    Called while options are parsed, before twistd forks and starts to log.

    :raises SystemExit: this system does not know the user or the group, or the log has no place; the status is 78
        (EX_CONFIG).
    """
    if not settings.background:
        options["nodaemon"] = True
    if not options["nodaemon"] and options["rundir"] == DEFAULT_RUNDIR:
        options["rundir"] = str(settings.workdir)
    if options["pidfile"] == DEFAULT_PIDFILE:
        if settings.lockfile is not None:
            options["pidfile"] = str(settings.lockfile)
        elif options["nodaemon"]:
            # A file left behind, or another worker's, would keep this one from starting, and nobody needs it here.
            options["pidfile"] = ""
        else:
            options["pidfile"] = str(Path(options["rundir"]) / DEFAULT_PIDFILE)
    if options["uid"] is None and settings.user is not None:
        options["uid"] = _number_of("user", uidFromString, settings.user)
    if options["gid"] is None and settings.group is not None:
        options["gid"] = _number_of("group", gidFromString, settings.group)
    try:
        choose_log(options, name, settings.verbose, isinstance(settings, WorkerSettings) and settings.syslog)
    except ConfigurationError as error:
        raise _unusable(str(error)) from None


def begin(options: MutableMapping[str, Any]) -> BackgroundStart:
    """Prepare for what can happen until the program runs; return what tells the shell of a start in the background.

    To be called behind :func:`apply`.
    """
    hold()
    background = BackgroundStart()
    if not options["nodaemon"]:
        background.attend(default_reactor())
    return background


def require_files(settings: WorkerSettings | BrokerSettings, options: MutableMapping[str, Any]) -> None:
    """Make sure that what the settings name is there, seen from the working directory that twistd will have.

    :raises SystemExit: something is not; the status is 78 (EX_CONFIG).
    """
    # What another root holds cannot be seen from here.
    absent = settings.absent(Path(options["rundir"]).absolute()) if options["chroot"] is None else []
    if absent:
        raise _unusable("\n".join(absent))


def _number_of(what: str, find: Callable[[str], int], name: str) -> int:
    try:
        return find(name)
    except KeyError:
        raise _unusable(f"this system has no {what} {shown(name)}") from None


def report(path: str, loaded: Loaded[Any]) -> None:
    """Log where the settings came from, and what there is to be said about them."""
    if loaded.created:
        _log.info("'{path}' is missing, created with the defaults", path=path)
    _log.info("Loading configuration from '{path}'", path=path)
    for warning in loaded.warnings:
        # Not under the name "warning": observers of Twisted's would take it for one of Python's.
        _log.warn("{sentence}", sentence=warning)
