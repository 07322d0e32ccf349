"""``alas backup``: writes a backup of a running broker's store to a file of this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater, react
from twisted.python.failure import Failure

from alaska import errors
from alaska.admin import snapshots
from alaska.admin.requests import BackupPart, Nothing, OneBackup
from alaska.commands import shown, streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.advice import advised
from alaska.commands.asking import exit_status
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.new_backup import NewBackup
from alaska.commands.values import FILE, Parsed
from alaska.interfaces import Reactor
from alaska.system.clock import run_on_monotonic_time

PART_SECONDS = 30.0
_INTERRUPTED = 130
_EPILOG = """\
exit status:
  0   the backup is on the disk
  1   the backup cannot be made or written
  2   the command line is wrong
  69  the broker does not answer, or the connection is lost
  77  the broker does not accept the user, or does not allow it

example: alas backup monday.backup -e ipc:///run/alaska/broker"""


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("expected a number of seconds above 0")
    return value


@click.command("backup", cls=Command, epilog=_EPILOG)
@click.argument("file", type=FILE)
@click.option(
    "-t",
    "--timeout",
    type=Parsed("seconds", _seconds),
    default=3600.0,
    metavar="S",
    help="How long the broker may take to make the backup, in s (3600).",
)
@shown.json_option
@broker_options
def backup(connection: Connection, file: Path, timeout: float, as_json: bool) -> None:
    """Write a backup of the store of a running broker to a FILE of this machine.

    The broker goes on meanwhile; what it has confirmed before is in the backup. With access rules, the user needs the
    right "admin all"; without them, the command has to run on the machine of the broker. FILE appears when it is
    complete; an earlier backup is replaced.
    """
    statuses: list[int] = []

    def run(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        client = AdminClient(reactor, connection.endpoint, connection.credentials)

        def begin() -> Deferred[int]:
            return ensureDeferred(save(reactor, client, file, timeout))

        # When the reactor runs, since signals leave no file behind then.
        saving = deferLater(reactor, 0, begin)
        return saving.addCallbacks(print_size, print_error, (file, as_json)).addCallback(statuses.append)

    try:
        react(run)
    except SystemExit:
        if statuses:
            raise SystemExit(statuses[0]) from None
        # A signal has ended the reactor. Python would report what is still awaited.
        streams.write_line("alas: interrupted; no backup is written", sys.stderr)
        os._exit(_INTERRUPTED)


def print_size(octets: int, file: Path, as_json: bool = False) -> int:
    """Print what was written, and return the exit status."""
    streams.write_line(shown.either({"file": str(file), "octets": octets}, f"{file}: {octets} octets", as_json))
    return 0


def print_error(failure: Failure) -> int:
    """Print why there is no backup, and return the exit status."""
    failure.trap(errors.AlaskaError)
    error = failure.value
    assert isinstance(error, errors.AlaskaError)
    status = exit_status(error)
    streams.write_line(f"alas: {advised(str(error), status)}", sys.stderr)
    return status


async def save(reactor: Reactor, broker: AdminClient, path: Path, timeout: float) -> int:
    """Write a backup to a file, which is complete and on the disk afterwards; return its size.

    :raises AlaskaError: the broker cannot be reached or refuses, or the file cannot be written; it is as before.
    """
    new = NewBackup(path)
    reactor.addSystemEventTrigger("during", "shutdown", new.discard)
    try:
        await broker.connect()
        try:
            return await _save(broker, new, timeout)
        finally:
            await broker.close()
    finally:
        new.discard()


async def _save(broker: AdminClient, new: NewBackup, timeout: float) -> int:
    backup = await broker.ask("backup", Nothing(), snapshots.Backup, timeout)
    try:
        new.reserve(backup.octets)
        while new.octets < backup.octets:
            request = BackupPart(id=backup.id, at=new.octets)
            part = await broker.ask("read-backup", request, snapshots.BackupPart, PART_SECONDS)
            if not part.content:
                break
            new.write(part.content)
        new.finish()
    finally:
        await _end(broker, backup)
    return backup.octets


async def _end(broker: AdminClient, backup: snapshots.Backup) -> None:
    """Let the broker delete a backup; if that fails, it does so by itself soon."""
    try:
        await broker.ask("end-backup", OneBackup(id=backup.id), snapshots.Done, PART_SECONDS)
    except errors.AlaskaError as error:
        streams.write_line(f"alas: warning: the broker was not told that the backup is read: {error}", sys.stderr)
