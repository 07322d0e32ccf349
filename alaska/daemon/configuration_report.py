"""The options ``--check-config`` and ``--print-config`` of ``twistd``: report on the settings, and start nothing."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.python.util import gidFromString, uidFromString

from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.checking import Checked, check
from alaska.config.in_force import in_force
from alaska.config.zpl import shown
from alaska.daemon.as_user import as_user
from alaska.daemon.exit_status import EX_CONFIG
from alaska.daemon.starting import DEFAULT_RUNDIR
from alaska.names import printable

S = TypeVar("S", WorkerSettings, BrokerSettings)

ROOT: Final = 0
CHECK: Final = "check-config"
PRINT: Final = "print-config"
FLAGS: Final = (
    [CHECK, None, "Check the configuration, print each fault with file and line, and exit with status 78 or 0."],
    [PRINT, None, "Print the configuration in force, in the format of the file, and exit."],
)


def is_wanted(options: Mapping[str, Any]) -> bool:
    """Return whether the options ask for a report instead of a start."""
    return bool(options[CHECK] or options[PRINT])


def check_file(
    cls: type[S],
    given: str | None,
    twistd: Mapping[str, Any] | None,
    problems_of: Callable[[S, Path], list[str]],
    environ: Mapping[str, str] = os.environ,
    program: WorkerSettings | BrokerSettings | None = None,
) -> Checked[S]:
    """Check the given file, or by default the default file, which need not exist.

    ``twistd`` are twistd's options, which override some of the settings. ``problems_of`` finds further problems; paths
    are relative to its second argument. ``program`` are the settings that name the user of the program, if not these.
    """

    def problems(settings: S) -> list[str]:
        found: list[str] = _unknown_users(settings)
        # With chroot, files cannot be checked from here.
        if (twistd or {}).get("chroot") is not None:
            return found
        folder = working_folder(settings, twistd or {}).absolute()
        if not folder.is_dir():
            section = "worker" if isinstance(settings, WorkerSettings) else "server"
            return [*found, f"{section}/workdir: there is no folder {folder}"]
        absent = settings.missing_files(folder)
        found += absent + settings.misplaced_files(folder)
        user, group = user_of(settings if program is None else program, twistd or {})
        if os.geteuid() == ROOT and user is not None and user != ROOT:
            readable = as_user(user, group, lambda: settings.missing_files(folder))
            found += [f"{each} (as the user {name_of(user)})" for each in readable if each not in absent]
        return found + problems_of(settings, folder)

    return check(cls, cls.file if given is None else given, environ, given is not None, problems)


def _unknown_users(settings: WorkerSettings | BrokerSettings) -> list[str]:
    """Return a sentence for each user or group that this system does not have."""
    problems = []
    section = "worker" if isinstance(settings, WorkerSettings) else "server"
    for kind, find, name in (("user", uidFromString, settings.user), ("group", gidFromString, settings.group)):
        if name is None:
            continue
        try:
            find(name)
        except KeyError:
            problems.append(f"{section}/{kind}: this system has no {kind} {shown(name)}")
    return problems


def user_of(settings: WorkerSettings | BrokerSettings, twistd: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the user and group that a program will run as; None: those of who starts it, or unknown ones."""
    uid, gid = twistd.get("uid"), twistd.get("gid")
    try:
        if uid is None and settings.user is not None:
            uid = uidFromString(settings.user)
        if gid is None and settings.group is not None:
            gid = gidFromString(settings.group)
    except KeyError:
        return None, None
    return uid, gid


def name_of(uid: int) -> str:
    """Return the name of a user, or the number if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def working_folder(settings: WorkerSettings | BrokerSettings, twistd: Mapping[str, Any]) -> Path:
    """Return the folder in which the program would run."""
    given = twistd.get("rundir", DEFAULT_RUNDIR)
    is_daemon = settings.background and not twistd.get("nodaemon")
    return settings.workdir if is_daemon and given == DEFAULT_RUNDIR else Path(given)


def report(
    options: Mapping[str, Any], files: Sequence[Checked[Any]], environ: Mapping[str, str] = os.environ
) -> SystemExit:
    """Print what the options ask for: the result of the check, or the settings of the first file if there is no fault.

    Faults and warnings go to the standard error. Return the end of the program, with status 78 if there are faults.
    """
    faults = [fault for checked in files for fault in checked.faults]
    warnings = [f"warning: {warning}" for checked in files for warning in checked.warnings]
    for sentence in (*faults, *warnings):
        print(sentence, file=sys.stderr)
    if faults:
        return SystemExit(EX_CONFIG)
    if options[PRINT]:
        first = files[0]
        # A settings file is UTF-8, whatever the encoding of the output.
        sys.stdout.buffer.write(in_force(type(first.settings), first.tree, environ).encode())
        sys.stdout.flush()
        return SystemExit(0)
    for checked in files:
        missing = " is missing, and would be created with the defaults; they are"
        print(f"{printable(checked.tree.source)}{missing if checked.missing else ': the configuration is'} valid")
    return SystemExit(0)
