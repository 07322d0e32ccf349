"""What the commands that ask a broker to show or do something share: how they run, and how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from alaska import errors
from alaska.commands import streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.connection import Connection
from alaska.daemon.exit_status import status_of
from alaska.interfaces import Reactor
from alaska.system.clock import run_on_monotonic_time

ANSWER_SECONDS = 30.0
EXIT_STATUSES = """\
exit status:
  0   it is done
  1   the broker cannot do it, and says why
  2   the command line is wrong
  69  the broker does not answer, or the connection is lost
  77  the broker does not accept the user, or does not allow it"""
_INTERRUPTED = 130

Talk = Callable[[AdminClient], Awaitable[str]]
"""Asks a broker, and returns what is to be printed."""
Run = Callable[[Connection, Talk], None]
"""As :func:`run`; tests have another one, which they pass as the object of the command's context."""


def run(connection: Connection, talk: Talk) -> None:
    """Connect to a broker, talk to it, print the result, and exit with a status."""
    instead: Run | None = click.get_current_context().obj
    (instead or _run)(connection, talk)


def _run(connection: Connection, talk: Talk) -> NoReturn:
    statuses: list[int] = []

    def begin(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        broker = AdminClient(reactor, connection.endpoint, connection.credentials)
        talking = ensureDeferred(conversation(broker, talk))
        return talking.addCallbacks(_print, _print_error).addCallback(statuses.append)

    try:
        react(begin)
    except SystemExit:
        if statuses:
            raise SystemExit(statuses[0]) from None
    # A signal has ended the reactor. Python would report what is still awaited.
    streams.write_line("alas: interrupted", sys.stderr)
    os._exit(_INTERRUPTED)


async def conversation(broker: AdminClient, talk: Talk) -> str:
    """Connect, talk, disconnect, and return the result.

    :raises AlaskaError: the broker cannot be reached, or refuses.
    """
    await broker.connect()
    try:
        return await talk(broker)
    finally:
        await broker.close()


def _print(text: str) -> int:
    if text:
        streams.write_line(text)
    return 0


def _print_error(failure: Failure) -> int:
    failure.trap(errors.AlaskaError)
    streams.write_line(f"alas: {failure.getErrorMessage()}", sys.stderr)
    return exit_status(failure.value)


def exit_status(error: BaseException | None) -> int:
    """Return the exit status for what a conversation has raised."""
    assert isinstance(error, errors.AlaskaError)
    if isinstance(error, errors.BadEndpoint):
        return 2
    if error.status == errors.NOT_IMPLEMENTED:
        return 1
    return os.EX_NOPERM if error.status == errors.ACCESS_REFUSED else status_of(error)
