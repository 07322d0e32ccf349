"""``alas doctor``: finds what keeps brokers, workers and connections from working, and says what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react
from twisted.python.util import uidFromString

from alaska.commands import shown, streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.diagnosis import connections, machine, permissions, ports, programs, scripts, stores, versions
from alaska.commands.diagnosis.connections import Target
from alaska.commands.diagnosis.findings import Finding, Level
from alaska.commands.values import FILE
from alaska.interfaces import Reactor
from alaska.system.clock import run_on_monotonic_time

_INTERRUPTED = 130
_EPILOG = """\
exit status:
  0    there is no fault; there may be warnings
  1    there are faults
  2    the command line is wrong

examples: alas doctor
          alas doctor --config /etc/alaska/malamute.cfg --rundir /var/lib/alaska
          alas doctor --context staging --json"""


@click.command("doctor", cls=Command, epilog=_EPILOG)
@click.option(
    "-c", "--config", "files", type=FILE, multiple=True, metavar="FILE",
    help="A configuration file of a worker or broker; repeated for several (default: alaska.cfg and malamute.cfg in "
    "this folder, or else in /etc/alaska).",
)  # fmt: skip
@click.option("--rundir", type=FILE, default=Path(), metavar="FOLDER", help="The folder in which they run (this one).")
@click.option("--user", metavar="NAME", help="The user as whom they run (that of the settings, or you).")
@shown.json_option
@broker_options
def doctor(connection: Connection, files: tuple[Path, ...], rundir: Path, user: str | None, as_json: bool) -> None:
    """Find what keeps brokers, workers and connections from working, and say what to do.

    Examined are: the configuration files, ports, permissions of files, versions, the store and its disk, the limit of
    descriptors, the clock, the connection, the workers, and whether all scripts compile. Each finding is a line: OK,
    WARNING or FAULT, its subject, what was found, and what to do. Nothing is changed, secrets are not shown, and no
    broker is needed.
    """
    uid = _user(user)
    report = Report(as_json)
    configured, found = programs.examine(list(files) or programs.default_files(), rundir, uid)
    report.add(found)
    for program in configured:
        report.add(permissions.examine(program))
    report.add(versions.examine(configured))
    report.add(ports.examine(configured))
    for program in configured:
        report.add(stores.examine(program))
        report.add(scripts.examine(program))
    report.add(machine.examine_descriptors(configured))
    report.add([machine.examine_clock()])
    _examine_connections(connections.targets(connection, configured), report)
    if not as_json:
        streams.write_line(report.summary(), sys.stderr)
    raise SystemExit(1 if report.counts[Level.FAULT] else 0)


def _user(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return int(uidFromString(name))
    except KeyError:
        raise click.UsageError("this system has no such user") from None


class Report:
    """Prints findings as they are found, and counts them."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._is_colored = not as_json and shown.is_colored()
        self.counts = dict.fromkeys(Level, 0)

    def add(self, findings: Iterable[Finding]) -> None:
        """Print findings."""
        for each in findings:
            self.counts[each.level] += 1
            line = shown.lines([each.as_object()]) if self._as_json else each.as_line(is_colored=self._is_colored)
            streams.write_line(line)

    def summary(self) -> str:
        """Return the numbers of findings in a sentence."""
        faults, warnings = self.counts[Level.FAULT], self.counts[Level.WARNING]
        if not faults and not warnings:
            return "alas: all is well"
        return f"alas: {_counted(faults, 'fault')}, {_counted(warnings, 'warning')}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _examine_connections(targets: Sequence[Target], report: Report) -> None:
    """Try the connections to brokers, one after the other."""
    present, absent = [], []
    for target in targets:
        missing = connections.absent(target)
        if missing is None:
            present.append(target)
        else:
            absent.append(missing)
    report.add(dict.fromkeys(absent))
    if not present:
        return
    is_done = False

    async def examine(reactor: Reactor) -> None:
        nonlocal is_done
        known: set[tuple[str, int]] = set()
        for target in present:
            broker = AdminClient(reactor, target.endpoint, target.credentials)
            report.add(await connections.examine(target, broker, known))
        is_done = True

    def begin(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        return ensureDeferred(examine(reactor))

    try:
        react(begin)
    except SystemExit:
        if is_done:
            return
        # A signal has ended the reactor. Python would report what is still awaited.
        streams.write_line("alas: interrupted", sys.stderr)
        os._exit(_INTERRUPTED)
