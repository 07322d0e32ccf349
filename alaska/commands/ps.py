"""``alas ps``: the brokers and workers that run on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
from msgspec import Struct

from alaska.commands import health, shown, streams
from alaska.commands.command import Command, failed
from alaska.commands.twistd_line import Line, program_of
from alaska.config import BrokerSettings, Loaded, WorkerSettings, zpl
from alaska.config.http import HTTPSettings
from alaska.daemon.configuration_report import name_of
from alaska.endpoints import tcp
from alaska.errors import ConfigurationError
from alaska.names import printable
from alaska.system import processes
from alaska.system.processes import Process
from alaska.worker.tap import http_settings

HEALTH_SECONDS = 1.0
_EPILOG = """\
exit status:
  0   the programs are shown, or there are none
  1   this system does not show its processes
  2   the command line is wrong

example: alas ps --json"""
_COLUMNS = (">PID", "PROGRAM", "USER", ">UP", ">MEMORY", "STATE", "ENDPOINT", "CONFIG")


class Running(Struct, frozen=True, kw_only=True):
    """A program that runs. ``config`` is its file as an absolute path, if it is known; ``up`` is in seconds."""

    pid: int
    program: str
    user: str
    up: float
    memory: int
    state: str
    reasons: list[str]
    endpoints: list[str]
    http: str | None
    config: str | None
    pid_file: str | None


class Configured(NamedTuple):
    """What the configuration file of a program says: the endpoints, that of HTTP, and whether this needs no TLS."""

    endpoints: tuple[str, ...] = ()
    http: str | None = None
    is_plain: bool = True


@click.command("ps", cls=Command, epilog=_EPILOG)
@shown.json_option
def ps(as_json: bool) -> None:
    """Show the brokers and workers that run on this machine, in the foreground or background.

    The state is what a program answers by HTTP: ready, or the reason why it is not. Without HTTP, and for programs of
    other users, it only says that the program runs. ENDPOINT is where a broker listens, or a worker connects to.
    """
    if not processes.is_available():
        raise failed("this system has no /proc, so its processes cannot be listed; use ps -ef")
    found = list(running())
    if not as_json and not found:
        streams.write_line("no broker or worker runs on this machine", sys.stderr)
    text = shown.lines(found) if as_json else shown.table(_COLUMNS, [_row(each) for each in found])
    if text:
        streams.write_line(text)


def _row(each: Running) -> tuple[str, ...]:
    state = each.state if not each.reasons else f"{each.state}: {'; '.join(each.reasons)}"
    endpoints = ", ".join(printable(endpoint) for endpoint in each.endpoints) or "-"
    return (
        *(str(each.pid), each.program, each.user, shown.duration(each.up), shown.octets(each.memory)),
        *(state, endpoints, printable(each.config or "-")),
    )


def running(proc: Path = processes.PROC) -> Iterator[Running]:
    """Yield the programs that run."""
    for process in processes.processes(proc):
        line = program_of(process.arguments)
        if line is not None:
            yield _described(process, line, proc)


def _described(process: Process, line: Line, proc: Path) -> Running:
    is_worker = line.plugin == "alaska"
    environ = processes.environment(process.pid, proc)
    folders = [each for each in (processes.folder_of(process.pid, proc), _path(environ.get("PWD"))) if each is not None]
    config = _file(line.config or (WorkerSettings if is_worker else BrokerSettings).file, folders)
    configured = Configured() if config is None else _configured(config, environ, folders, is_worker=is_worker)
    state, reasons = _state(process, configured, proc)
    return Running(
        pid=process.pid,
        program="worker" if is_worker else "broker",
        user=name_of(process.uid),
        up=process.age,
        memory=process.octets,
        state=state,
        reasons=reasons,
        endpoints=list(configured.endpoints),
        http=configured.http,
        config=None if config is None else str(config),
        pid_file=None if not line.pid_file else str(_file(line.pid_file, folders) or line.pid_file),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _file(name: str, folders: list[Path]) -> Path | None:
    """Return a file that is named relative to one of these folders; a daemon has left the one where it was started."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _configured(path: Path, environ: dict[str, str], folders: list[Path], *, is_worker: bool) -> Configured:
    """Return what the file says now; it may have changed since the program has read it."""
    try:
        tree = zpl.load(path)
        if not is_worker:
            broker, _, _ = BrokerSettings.readable(tree, environ)
            return _of(broker.endpoints, broker)
        worker, _, _ = WorkerSettings.readable(tree, environ)
        embedded = worker.broker_config if worker.broker_embedded else None
        file = None if embedded is None else _file(str(embedded), folders)
        loaded: Loaded[BrokerSettings] | None = None
        if file is not None:
            settings, _, _ = BrokerSettings.readable(zpl.load(file), environ)
            loaded = Loaded(settings, created=False, warnings=())
        return _of((worker.broker_endpoint,), http_settings(worker, loaded))
    except (OSError, ConfigurationError):
        return Configured()


def _of(endpoints: tuple[str, ...], http: HTTPSettings) -> Configured:
    return Configured(endpoints, http.http_endpoint, http.http_certificate is None)


def _state(process: Process, configured: Configured, proc: Path) -> tuple[str, list[str]]:
    """Return the state of a program in a word, and reasons for it."""
    if process.unusual:
        return process.unusual, []
    parts = None if configured.http is None else tcp(configured.http)
    if configured.http is None or parts is None or not configured.is_plain:
        return "runs", []
    # Several programs may have the same endpoint for HTTP: only one of them has the port.
    if process.pid not in (processes.listening_on(parts.port, proc) or ()):
        return "runs", []
    try:
        found = health.ask(configured.http, HEALTH_SECONDS)
    except (OSError, ValueError):
        return "does not answer", []
    return ("ready" if found.is_healthy else "not ready"), list(found.reasons)
