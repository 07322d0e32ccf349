"""What the commands that ask a broker to show or do something share: how they run, and how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, NoReturn, cast

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from alaska import errors
from alaska.commands import shown, streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.advice import advised
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


class Answer(NamedTuple):
    """What a command prints, its exit status, and what it says about that to the standard error."""

    text: str
    status: int = 0
    note: str = ""


Talk = Callable[[AdminClient], Awaitable["str | Answer"]]
"""Asks a broker, and returns what is to be printed."""
Explain = Callable[[errors.AlaskaError], Answer]
Run = Callable[[Connection, Talk], None]
"""As :func:`run`; tests have another one, which they pass as the object of the command's context."""


def run(connection: Connection, talk: Talk, explain: Explain | None = None) -> None:
    """Connect to a broker, talk to it, print the result, and exit with a status.

    With ``explain``, that is the result if the broker cannot be reached or refuses, which is an error otherwise.
    """
    instead: Run | None = click.get_current_context().obj
    if instead is not None:
        instead(connection, talk)
    else:
        _run(connection, talk, explain)


def _run(connection: Connection, talk: Talk, explain: Explain | None) -> NoReturn:
    statuses: list[int] = []

    def begin(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        broker = AdminClient(reactor, connection.endpoint, connection.credentials)
        talking = ensureDeferred(conversation(broker, talk))
        if explain is not None:
            talking.addErrback(lambda failure: explain(error_of(failure)))
        return talking.addCallbacks(_print, _print_error).addCallback(statuses.append)

    try:
        react(begin)
    except SystemExit:
        if statuses:
            raise SystemExit(statuses[0]) from None
    # A signal has ended the reactor. Python would report what is still awaited.
    streams.write_line("alas: interrupted", sys.stderr)
    os._exit(_INTERRUPTED)


async def conversation(broker: AdminClient, talk: Talk) -> str | Answer:
    """Connect, talk, disconnect, and return the result.

    :raises AlaskaError: the broker cannot be reached, or refuses.
    """
    await broker.connect()
    try:
        return await talk(broker)
    finally:
        await broker.close()


def _print(result: str | Answer) -> int:
    answer = Answer(result) if isinstance(result, str) else result
    if answer.text:
        # What a broker or a worker says of itself is in it, too.
        streams.write_line(streams.safe(answer.text))
    if answer.note:
        streams.write_line(answer.note, sys.stderr)
    return answer.status


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> Answer:
    """Return rows as a table; if there are none, a sentence for the standard error."""
    return Answer(shown.table(columns, rows), note="" if rows else empty)


def _print_error(failure: Failure) -> int:
    error = error_of(failure)
    status = exit_status(error)
    streams.write_line(f"alas: {advised(str(error), status)}", sys.stderr)
    return status


def error_of(failure: Failure) -> errors.AlaskaError:
    """Return with which error a conversation has failed."""
    if isinstance(failure.value, errors.AlaskaError):
        return failure.value
    # A broker can answer with values for which nothing is prepared.
    failure.trap(Exception)
    value = cast("Exception", failure.value)
    what = f"{type(value).__name__}: {errors.text_of(value)}"
    return errors.OperationFailed(f"the answer of the broker cannot be shown: {what}", errors.INTERNAL_ERROR)


def exit_status(error: BaseException | None) -> int:
    """Return the exit status for what a conversation has raised."""
    assert isinstance(error, errors.AlaskaError)
    if isinstance(error, errors.BadEndpoint):
        return 2
    if error.status == errors.NOT_IMPLEMENTED:
        return 1
    return os.EX_NOPERM if error.status == errors.ACCESS_REFUSED else status_of(error)
