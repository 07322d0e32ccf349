"""What the commands that send and read messages share: a client of the broker, how they run, and how they end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react

from alaska import errors
from alaska.client import Client
from alaska.commands import streams
from alaska.commands.advice import advised
from alaska.commands.command import failed
from alaska.commands.connection import Connection
from alaska.daemon.exit_status import status_of
from alaska.interfaces import INetwork, Reactor
from alaska.names import address_of
from alaska.system.clock import run_on_monotonic_time

CONNECT_SECONDS = 5.0
LOGIN_SECONDS = 5.0
"""How long a broker that is reached may take for the login: it delays those of some addresses for up to 3 s."""
_INTERRUPTED = 128 + signal.SIGINT

Talk = Callable[[Client, Reactor], Awaitable[int]]
"""Sends and reads with a client that is connected, prints what it gets, and returns the exit status."""
Speak = Callable[[Connection, Talk, "dict[str, Any]"], None]
"""As :func:`speak`; tests have another one, which they pass as the object of the command's context."""


def speak(connection: Connection, talk: Talk, **client: Any) -> None:  # noqa: ANN401  # arguments of Client
    """Connect a client with these arguments, let it talk, disconnect, and exit with the status.

    ``make`` is its class, if it is not :class:`Client`.
    """
    instead: Speak | None = click.get_current_context().obj
    if instead is not None:
        instead(connection, talk, client)
        return
    statuses: list[int] = []

    def begin(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        return ensureDeferred(conversation(reactor, connection, talk, client)).addCallback(statuses.append)

    try:
        react(begin)
    except SystemExit:
        if statuses:
            raise SystemExit(statuses[0]) from None
    # A signal has ended the reactor. Python would report what is still awaited.
    streams.flush()
    os._exit(_INTERRUPTED)


async def conversation(
    reactor: Reactor, connection: Connection, talk: Talk, arguments: dict[str, Any], network: INetwork | None = None
) -> int:
    """Connect, talk, disconnect; print an error, and return the exit status."""
    credentials = connection.credentials
    arguments = dict(arguments)
    make: Callable[..., Client] = arguments.pop("make", Client)
    client = make(
        connection.endpoint,
        username=credentials.username,
        password=credentials.password,
        curve=credentials.curve,
        network=network,
        reactor=reactor,
        **arguments,
    )
    try:
        await client.connect(timeout=CONNECT_SECONDS, login=LOGIN_SECONDS)
        try:
            return await talk(client, reactor)
        finally:
            await client.close(timeout=CONNECT_SECONDS).addErrback(lambda failure: failure.trap(errors.ClientError))
    except errors.AlaskaError as error:
        status = exit_status(error)
        streams.write_line(f"alas: {advised(str(error), status)}", sys.stderr)
        return status


def exit_status(error: errors.AlaskaError) -> int:
    """Return the exit status for an error of the client."""
    if isinstance(error, errors.BadEndpoint | errors.ValueTooLong | errors.BadTerm):
        return 2
    if error.status == errors.ACCESS_REFUSED:
        return os.EX_NOPERM
    if error.status == errors.TOO_LARGE:
        return os.EX_TEMPFAIL
    return 1 if isinstance(error, errors.Refused) else status_of(error)


def own_address(connection: Connection) -> str:
    """Return an address for a client whose answers only this command reads.

    That of a user begins with the user's name, so that access rules need to allow no more than what is the user's own.
    """
    username = connection.credentials.username
    return address_of(f"{username}/alas" if username else "alas")


class Content(NamedTuple):
    """The content of a message: given as options, or the standard input."""

    texts: tuple[str, ...]
    most: int

    def frames(self) -> tuple[bytes, ...]:
        """Return the frames.

        :raises SystemExit: the standard input cannot be read, or is too large.
        """
        if self.texts:
            return tuple(text.encode("utf-8", "surrogateescape") for text in self.texts)
        if sys.stdin.isatty() and sys.stderr.isatty():
            streams.write_line(
                "alas: type the content, and end it with Ctrl-D; --content TEXT needs no typing", sys.stderr
            )
        try:
            content = streams.read(self.most + 1)
        except OSError as error:
            raise failed(f"nothing is sent, the standard input cannot be read: {error.strerror}") from None
        if len(content) > self.most:
            raise failed(f"nothing is sent, the standard input has more than {self.most} octets")
        return (content,)
