"""Startup of worker and broker: loads the configuration, and applies it to twistd's options."""

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
from alaska.daemon.exit_status import EX_CONFIG
from alaska.daemon.log import configure as configure_log
from alaska.daemon.pid_file import remove_stale
from alaska.daemon.signals import defer_signals
from alaska.errors import ConfigurationError, TooFewDescriptors
from alaska.links import default_reactor
from alaska.system import descriptors

Both = TypeVar("Both", WorkerSettings, BrokerSettings)

_log = Logger()
DEFAULT_PIDFILE = "twistd.pid"
DEFAULT_RUNDIR = "."
OTHERS = 0o007
"""The permissions that other users do not get for new files."""


def load_or_exit(load: Callable[[str], Loaded[Both]], given: str | None, default: str) -> Loaded[Both]:
    """Load the given file, or by default the default file, which is created if it is missing.

    :raises SystemExit: the file is bad, or the given file is missing; the status is 78 (EX_CONFIG), and each fault is
        printed to the standard error.
    """
    if given is not None and not os.path.lexists(given):
        raise _unusable(f"there is no configuration file {shown(given)}")
    try:
        return load(default if given is None else given)
    except ConfigurationError as error:
        raise _unusable(str(error)) from None


def enough_descriptors_or_exit(settings: WorkerSettings | BrokerSettings) -> None:
    """Raise the limit of file descriptors of this process and its children to the maximum.

    :raises SystemExit: the worker's pool needs more; the status is 78 (EX_CONFIG).
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
    """Apply the settings to twistd's options; those on twistd's command line take precedence.

    To be called while options are parsed, before twistd forks and starts to log.

    :raises SystemExit: the user or the group is unknown, or the log file cannot be written; the status is 78
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
            # In the foreground no pid file is needed, and a stale one would keep the program from starting.
            options["pidfile"] = ""
        else:
            options["pidfile"] = str(Path(options["rundir"]) / DEFAULT_PIDFILE)
    if options["pidfile"] and remove_stale(Path(options["pidfile"])):
        _log.warn("removed {path}: its program is not running any more", path=options["pidfile"])
    if options["nodaemon"] and options["umask"] is None:
        # As a daemon, twistd makes new files private itself.
        os.umask(os.umask(OTHERS) | OTHERS)
    if options["uid"] is None and settings.user is not None:
        options["uid"] = _id_of("user", uidFromString, settings.user)
    if options["gid"] is None and settings.group is not None:
        options["gid"] = _id_of("group", gidFromString, settings.group)
    try:
        configure_log(options, name, settings, isinstance(settings, WorkerSettings) and settings.syslog)
    except ConfigurationError as error:
        raise _unusable(str(error)) from None


def begin(options: MutableMapping[str, Any]) -> BackgroundStart:
    """Defer signals until the program runs, and return the reporter for a start in the background.

    To be called after :func:`apply`.
    """
    defer_signals()
    background = BackgroundStart()
    if not options["nodaemon"]:
        background.hook_into(default_reactor())
    return background


def require_files(settings: WorkerSettings | BrokerSettings, options: MutableMapping[str, Any]) -> None:
    """Check that the files and directories in the settings exist, relative to twistd's working directory.

    :raises SystemExit: one does not; the status is 78 (EX_CONFIG).
    """
    # With chroot they cannot be checked from here.
    absent = settings.missing_files(Path(options["rundir"]).absolute()) if options["chroot"] is None else []
    if absent:
        raise _unusable("\n".join(absent))


def _id_of(what: str, find: Callable[[str], int], name: str) -> int:
    try:
        return find(name)
    except KeyError:
        raise _unusable(f"this system has no {what} {shown(name)}") from None


def report(path: str, loaded: Loaded[Any]) -> None:
    """Log the path of the configuration file and the warnings about it."""
    if loaded.created:
        _log.info("'{path}' is missing, created with the defaults", path=path)
    _log.info("Loading configuration from '{path}'", path=path)
    for warning in loaded.warnings:
        # The field must not be named "warning": Twisted's observers would take the event for a Python warning.
        _log.warn("{sentence}", sentence=warning)
