"""The endpoints of programs: whether they are free, or who has them."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from alaska.commands import health
from alaska.commands.diagnosis.findings import Finding, Level, command
from alaska.commands.diagnosis.programs import Program
from alaska.commands.twistd_line import program_of
from alaska.config.http import HTTPSettings
from alaska.endpoints import TCP, tcp
from alaska.errors import BadEndpoint
from alaska.sockets.addresses import connect_target
from alaska.system import processes

ABOUT: Final = "ports"
SECONDS: Final = 1.0
_IPC: Final = "ipc://"
_BEGIN, _END = b"\xff", b"\x7f"
"""The first and the tenth octet that ZeroMQ sends (ZMTP, RFC 23)."""
_GREETING_OCTETS: Final = 10


def examine(programs: Sequence[Program]) -> Iterator[Finding]:
    """Examine the endpoints on which the programs listen, each once."""
    seen: dict[str, str] = {}
    for program in programs:
        for endpoint in () if program.broker is None else program.broker.endpoints:
            if seen.setdefault(endpoint, program.name) == program.name:
                yield _of_broker(endpoint, is_embedded=program.worker is not None)
        endpoint = program.http.http_endpoint or ""
        if not endpoint:
            continue
        first = seen.setdefault(endpoint, program.name)
        if first == program.name:
            yield _of_http(endpoint, program.http)
        else:
            what = f"{first} and {program.name} have the same http/endpoint {endpoint}: the second program has no HTTP"
            yield Finding(Level.WARNING, ABOUT, what, f"give http/endpoint another port in {program.name}")
    yield from _elsewhere(programs)


def is_answered(endpoint: str) -> bool | None:
    """Return whether somebody listens at an endpoint; None if that cannot be told in this way."""
    if endpoint.startswith(_IPC):
        path = endpoint.removeprefix(_IPC)
        return None if path.startswith("@") else _accepts(Path(path))
    target = _target(endpoint)
    return None if target is None else _greeting(target, seconds=0.0) is not None


def _elsewhere(programs: Sequence[Program]) -> Iterator[Finding]:
    """Yield a finding for each worker that connects to a port of this machine that no broker of the files has."""
    serving = [program for program in programs if program.broker is not None and program.worker is None]
    ports = {_port(endpoint) for program in serving if program.broker for endpoint in program.broker.endpoints}
    for program in programs:
        worker = program.worker
        if worker is None or program.broker is not None or not serving:
            continue
        port = _port(worker.broker_endpoint)
        if port is not None and port not in ports and _is_here(worker.broker_endpoint):
            what = f"{program.name}: the worker connects to {worker.broker_endpoint}, where the broker does not listen"
            to_do = f"set worker/broker/endpoint to the mlm_server/bind/endpoint of {serving[0].name}"
            yield Finding(Level.WARNING, ABOUT, what, to_do)


def _port(endpoint: str) -> int | None:
    try:
        parts = tcp(endpoint)
    except ValueError:
        return None
    return None if parts is None else parts.port


def _is_here(endpoint: str) -> bool:
    parts = tcp(endpoint)
    return parts is None or parts.is_loopback


def _of_broker(endpoint: str, *, is_embedded: bool) -> Finding:
    setting = "worker/broker/endpoint" if is_embedded else "mlm_server/bind/endpoint"
    if endpoint.startswith(_IPC):
        return _of_ipc(endpoint)
    target = _target(endpoint)
    if target is None:
        return Finding(Level.OK, ABOUT, f"{endpoint} needs no port that others could have")
    if (problem := _not_ours(endpoint, target, setting)) is not None:
        return problem
    greeting = _greeting(target)
    if greeting is None:
        return Finding(Level.OK, ABOUT, f"{endpoint} is free")
    who = _who(target.port)
    if greeting[:1] == _BEGIN and greeting[9:10] == _END:
        return Finding(Level.OK, ABOUT, f"{endpoint} is served by {who}, by ZeroMQ")
    what = f"{endpoint} is used by {who}, which is no broker"
    return Finding(Level.FAULT, ABOUT, what, f"end that program, or set {setting} to another port")


def _of_http(endpoint: str, settings: HTTPSettings) -> Finding:
    target = _target(endpoint)
    if target is None:
        return Finding(Level.OK, ABOUT, f"{endpoint}: any free port is used for HTTP")
    if (problem := _not_ours(endpoint, target, "http/endpoint")) is not None:
        return problem
    if _greeting(target, seconds=0.0) is None:
        return Finding(Level.OK, ABOUT, f"{endpoint} is free for HTTP")
    who = _who(target.port)
    if settings.http_certificate is not None:
        return Finding(Level.OK, ABOUT, f"{endpoint} is served by {who}; with TLS, it is not asked for its health")
    return _of_health(endpoint, target, who)


def _of_health(endpoint: str, target: TCP, who: str) -> Finding:
    try:
        found = health.ask(str(target), SECONDS)
    except OSError as error:
        found = health.Health(is_healthy=False, reasons=(str(error),), is_alaska=False)
    if not found.is_alaska:
        what = f"{endpoint} is used by {who}, which is not Alaska ({'; '.join(found.reasons)})"
        return Finding(Level.FAULT, ABOUT, what, "end that program, or set http/endpoint to another port")
    if not found.is_healthy:
        what = f"{endpoint}: {who} is not healthy: {'; '.join(found.reasons)}"
        return Finding(Level.FAULT, ABOUT, what, "see docs/faults.md")
    if found.warnings:
        return Finding(Level.WARNING, ABOUT, f"{endpoint}: {who} works; to look at: {'; '.join(found.warnings)}")
    return Finding(Level.OK, ABOUT, f"{endpoint} is served by {who}, which is healthy")


def _of_ipc(endpoint: str) -> Finding:
    path = Path(endpoint.removeprefix(_IPC))
    if str(path).startswith("@"):
        return Finding(Level.OK, ABOUT, f"{endpoint} has no file")
    if not path.parent.is_dir():
        what = f"{endpoint}: there is no folder {path.parent}"
        return Finding(Level.FAULT, ABOUT, what, command("mkdir", "-p", path.parent))
    try:
        kind = path.stat().st_mode
    except OSError:
        return Finding(Level.OK, ABOUT, f"{endpoint} is free")
    if not stat.S_ISSOCK(kind):
        what = f"{endpoint}: {path} is a file or folder, and no socket"
        return Finding(Level.FAULT, ABOUT, what, "remove it, or set mlm_server/bind/endpoint to another path")
    if _accepts(path):
        return Finding(Level.OK, ABOUT, f"{endpoint} is served")
    return Finding(Level.OK, ABOUT, f"{endpoint} is free; its socket is left from a broker that was killed")


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _target(endpoint: str) -> TCP | None:
    try:
        return connect_target(endpoint)
    except BadEndpoint:
        return None  # Any free port; an endpoint that is not valid is a fault of the configuration.


def _not_ours(endpoint: str, target: TCP, setting: str) -> Finding | None:
    """Return a finding if this machine does not have the address of an endpoint to listen on."""
    try:
        found = socket.getaddrinfo(target.host, 0, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)  # any port: none is taken from a program that starts now
    except (OSError, UnicodeError):
        what = f"{endpoint}: this machine has no address {target.host}"
        return Finding(Level.FAULT, ABOUT, what, f"set {setting} to an address of this machine (ip -brief address)")
    return None


def _greeting(target: TCP, seconds: float = SECONDS) -> bytes | None:
    """Return what a program sends to whoever connects, within a time; None if nobody listens."""
    try:
        with socket.create_connection((target.host, target.port), SECONDS) as connection:
            greeting = b""
            try:
                connection.settimeout(seconds or 0.001)
                while len(greeting) < _GREETING_OCTETS and (piece := connection.recv(_GREETING_OCTETS)):
                    greeting += piece
            except OSError:
                pass
            return greeting
    except OSError:
        return None


def _who(port: int) -> str:
    """Return who listens on a port, as far as it is known."""
    pids = processes.listening_on(port) if processes.is_available() else None
    if not pids:
        return "a program of another user, or in a container" if pids == () else "a program"
    pid = pids[0]
    for each in processes.processes():
        if each.pid == pid:
            line = program_of(each.arguments)
            name = "" if not each.arguments else Path(each.arguments[0]).name
            return f"process {pid} (twistd {line.plugin})" if line is not None else f"process {pid} ({name})"
    return f"process {pid}"
