"""Connections to brokers: whether they are accepted, or why not; and what a broker says of itself and its workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from alaska import __version__, errors
from alaska.admin import warnings
from alaska.admin.requests import Nothing, Query
from alaska.admin.snapshots import BrokerOverview, StoreState, Worker
from alaska.client.keys import load
from alaska.commands.admin_client import AdminClient
from alaska.commands.connection import ENDPOINT, Connection
from alaska.commands.credentials import Credentials
from alaska.commands.diagnosis import ports
from alaska.commands.diagnosis.findings import Finding, Level, command
from alaska.commands.diagnosis.programs import Program
from alaska.config import WorkerSettings
from alaska.endpoints import tcp

ABOUT: Final = "connection"
ANSWER_SECONDS: Final = 10.0
MOST_SKEW: Final = 5.0
"""How many seconds a broker's clock may differ, besides the time of an answer."""


class Target(NamedTuple):
    """A connection to try: who connects, where, as whom.

    ``start`` is what starts a broker there; None: it ought to be there. ``is_embedded``: the worker starts it itself.
    """

    who: str
    endpoint: str
    credentials: Credentials
    start: str | None = None
    is_embedded: bool = False


def targets(connection: Connection, programs: Sequence[Program]) -> list[Target]:
    """Return the connections to try: that of the command line, unless it is the default, and those of the programs."""
    start = next((each.start for each in programs if each.broker is not None), "twistd malamute")
    found = []
    if connection != Connection(ENDPOINT, Credentials()):
        found.append(Target("alas", connection.endpoint, connection.credentials))
    for each in programs:
        if each.worker is not None:
            credentials = _of_worker(each, each.worker)
            if credentials is not None:
                found.append(
                    Target(each.name, each.worker.broker_endpoint, credentials, start, each.broker is not None)
                )
        elif each.broker is not None and not found:
            found.append(Target("alas", each.broker.endpoints[0], connection.credentials, each.start))
    return found or [Target("alas", connection.endpoint, connection.credentials, start)]


def _of_worker(program: Program, settings: WorkerSettings) -> Credentials | None:
    """Return the credentials of a worker; None if they cannot be read, which is a fault of the configuration."""
    key, server_key = settings.curve_key, settings.curve_server_key
    if key is None or server_key is None:
        has_login = settings.plain_username is not None and settings.plain_password is not None
        return Credentials(settings.plain_username, settings.plain_password) if has_login else Credentials()
    try:
        return Credentials(curve=load(program.folder / key, program.folder / server_key))
    except errors.ConfigurationError:
        return None


def absent(target: Target) -> Finding | None:
    """Return a finding if nobody listens at an endpoint, or it is not valid; else None."""
    try:
        tcp(target.endpoint)
    except ValueError:
        to_do = "write it as tcp://host:port or ipc://path"
        return Finding(Level.FAULT, ABOUT, f"{target.endpoint} is no endpoint", to_do)
    if ports.is_answered(target.endpoint) is not False:
        return None
    if target.is_embedded:
        what = f"no broker serves {target.endpoint}; the worker of {target.who} runs one itself"
        return Finding(Level.OK, ABOUT, what)
    level, to_do = Level.WARNING, f"start a broker: {target.start}"
    if target.start is None:
        level, to_do = Level.FAULT, "start the broker, or name another endpoint (--endpoint, alas context)"
    return Finding(level, ABOUT, f"no broker answers at {target.endpoint}", to_do)


async def examine(
    target: Target, broker: AdminClient, known: set[tuple[str, int]], wall: Callable[[], float] = time.time
) -> list[Finding]:
    """Connect to a broker, and look at it, unless it is one of the ``known`` ones, by host and process.

    The connection is closed again.
    """
    try:
        await broker.connect()
    except errors.AlaskaError as error:
        return [_failed(target, error)]
    try:
        return [_connected(target), *await _look(broker, known, wall)]
    except errors.AlaskaError as error:
        if error.status != errors.ACCESS_REFUSED:
            return [_failed(target, error)]
        what = f"{target.who} may not look at the broker, so it was not examined: {error}"
        to_do = "give the user the right: admin view (docs/access.md)"
        return [_connected(target), Finding(Level.WARNING, ABOUT, what, to_do)]
    finally:
        await broker.close()


def _connected(target: Target) -> Finding:
    as_whom = "without security"
    if target.credentials.curve is not None:
        as_whom = "with its key"
    elif target.credentials.username is not None:
        as_whom = f"as {target.credentials.username}"
    return Finding(Level.OK, ABOUT, f"{target.who} connects to {target.endpoint} {as_whom}")


def _failed(target: Target, error: errors.AlaskaError) -> Finding:
    if error.status == errors.NOT_IMPLEMENTED:
        return Finding(Level.WARNING, ABOUT, f"{target.who} connects to {target.endpoint}, and {error}")
    what = f"{target.who} cannot connect to {target.endpoint}: {error}"
    to_do = "see whether the broker runs there, and whether a firewall is between"
    if isinstance(error, errors.Refused):
        where = "the options or the context" if target.who == "alas" else target.who
        to_do = f"correct user and password, or the key, in {where}; the broker's are in server/auth (docs/security.md)"
    return Finding(Level.FAULT, ABOUT, what, to_do)


async def _look(broker: AdminClient, known: set[tuple[str, int]], wall: Callable[[], float]) -> list[Finding]:
    asked = wall()
    overview = await broker.ask("overview", Nothing(), BrokerOverview, ANSWER_SECONDS)
    answered = wall()
    if (overview.host, overview.pid) in known:
        return []
    known.add((overview.host, overview.pid))
    store = await broker.ask("store", Nothing(), StoreState, ANSWER_SECONDS)
    workers = await broker.ask_all("workers", Query(), Worker)
    found = [_of_version("the broker", overview.version)]
    found += [Finding(Level.WARNING, "broker", each, "alas status") for each in warnings.of_broker(overview, store)]
    if overview.draining:
        found.append(Finding(Level.WARNING, "broker", "it is drained: it takes no new requests", "alas drain --end"))
    if not asked - MOST_SKEW <= overview.time <= answered + MOST_SKEW:
        what = f"the broker's clock differs by {abs(overview.time - answered):.0f} s from the one here"
        found.append(Finding(Level.WARNING, "clock", what, "timedatectl set-ntp true, on both machines"))
    found += _of_store(store)
    return found + _of_workers(workers)


def _of_version(who: str, version: str) -> Finding:
    if version == __version__:
        return Finding(Level.OK, "versions", f"{who} is Alaska {version}, as this is")
    what = f"{who} is Alaska {version}, and this is {__version__}"
    return Finding(Level.WARNING, "versions", what, f"pip install alaska-workers=={max(version, __version__)}")


def _of_store(store: StoreState) -> list[Finding]:
    found = []
    if store.complaint is not None:
        found.append(Finding(Level.FAULT, "store", f"the broker says: {store.complaint}", "df -h; ls -l of the store"))
    if store.damaged:
        what = f"the broker has found {store.damaged} damaged rows, which it skips"
        found.append(Finding(Level.FAULT, "store", what, "restore a backup, or sqlite3 FILE .recover (docs/backup.md)"))
    return found


def _of_workers(workers: Sequence[Worker]) -> list[Finding]:
    if not workers:
        to_do = "start one: " + command("twistd", "alaska", "--config", "alaska.cfg")
        return [Finding(Level.WARNING, "workers", "no worker reports to the broker", to_do)]
    found = []
    for each in workers:
        worker = each.overview
        who = f"{worker.address} (process {worker.pid} on {worker.host})"
        if worker.version != __version__:
            found.append(_of_version(f"the worker {who}", worker.version))
        if worker.slots.stuck:
            what = f"{who}: {worker.slots.stuck} of {worker.slots.size} threads are stuck in scripts"
            found.append(
                Finding(Level.FAULT, "workers", what, f"restart the worker, and see {command('alas', 'running')}")
            )
        if worker.draining:
            found.append(Finding(Level.WARNING, "workers", f"{who} is drained: it takes no requests"))
    if not any(each.level is Level.FAULT for each in found):
        services = ", ".join(sorted({each.overview.service for each in workers}))
        found.append(Finding(Level.OK, "workers", f"{len(workers)} report to the broker, for {services}"))
    return found
