"""What the commands that ask a broker to show or do something share: their options, and how they end."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from alaska import errors
from alaska.commands import streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.credentials import Credentials
from alaska.commands.credentials import add_options as add_credentials
from alaska.commands.parsing import Parser
from alaska.commands.send import ENDPOINT, ENDPOINT_VARIABLE
from alaska.daemon.exit_status import status_of
from alaska.interfaces import Reactor
from alaska.names import printable
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
Run = Callable[[Parser, argparse.Namespace, Talk], None]
"""As :func:`run`; tests have another one."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the broker's endpoint and for credentials to a command."""
    parser.add_argument(
        "-e",
        "--endpoint",
        default=os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT,
        help=f"the broker's endpoint (or {ENDPOINT_VARIABLE}; default: %(default)s)",
    )
    add_credentials(parser)


def choose(
    prog: str, description: str, epilog: str, commands: Mapping[str, Callable[[list[str], Run], None]],
    arguments: list[str], run: Run,
) -> None:  # fmt: skip
    """Run the command that the first argument names, with the others; an unknown one is an error with a hint."""
    reader = Parser(prog, description, epilog)
    reader.usage = f"{prog} COMMAND [-h] ..."
    command, rest = arguments[:1], arguments[1:]
    if not command or command[0] not in commands:
        if command and not command[0].startswith("-"):
            similar = difflib.get_close_matches(command[0].lower(), commands, 1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            reader.error(f"expected one of {', '.join(commands)}, found {printable(command[0])}{hint}")
        reader.parse_args(command)
        reader.error(f"expected one of {', '.join(commands)}")
    commands[command[0]](rest, run)


def run(parser: Parser, options: argparse.Namespace, talk: Talk) -> NoReturn:
    """Connect to the broker of the options, talk to it, print the result, and exit with a status."""
    try:
        credentials = Credentials.of(options, os.environ)
    except ValueError as error:
        parser.error(str(error))
    statuses: list[int] = []

    def begin(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        talking = ensureDeferred(conversation(AdminClient(reactor, options.endpoint, credentials), talk))
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
