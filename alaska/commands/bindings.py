"""``alas bind``, ``alas unbind``, ``alas bindings`` and ``alas readers``: what reads the streams of a broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click

from alaska.admin.requests import NewBinding, OneBinding, OneReader, Query, ReaderQuery
from alaska.admin.snapshots import Done
from alaska.admin.stream_snapshots import Binding, Reader
from alaska.commands import asking, shown
from alaska.commands.admin_client import AdminClient
from alaska.commands.command import Command
from alaska.commands.confirming import confirm, yes_option
from alaska.commands.connection import Connection, broker_options
from alaska.commands.values import NAME, PATTERN, POSITION, SERVICE, STREAM
from alaska.mlm.commands import LIVE_ONLY
from alaska.names import printable

_BINDINGS = (
    *("STREAM", "PATTERN", "SERVICE", "STATE", ">POSITION", ">LAG"),
    *(">UNFINISHED", ">MADE", ">LOST", ">SKIPPED"),
)
_READERS = ("STREAM", "NAME", "PATTERNS", "CLIENT", ">POSITION", ">LAG", ">LOST")

F = TypeVar("F", bound=Callable[..., Any])


def _binding(function: F) -> F:
    for argument in (
        click.argument("pattern", type=PATTERN, default=""),
        click.argument("service", type=SERVICE),
        click.argument("stream", type=STREAM),
    ):
        function = argument(function)
    return function


@click.command(
    "bind", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas bind sensors climate ^temp --from now"
)
@_binding
@click.option(
    "--from", "position", type=POSITION, default=0, metavar="N", help="The first position, start or now (start)."
)
@shown.json_option
@broker_options
def bind(connection: Connection, stream: str, service: str, pattern: str, as_json: bool, position: int) -> None:
    """Make each record of a stream whose subject matches a pattern a request to a service.

    The binding stays until alas unbind; a broker with a store in a file keeps it over restarts. The user needs read on
    the stream and ask on the service, or the right admin operate.
    """
    begin: int | Literal["new"] = "new" if position == LIVE_ONLY else position

    async def talk(broker: AdminClient) -> str:
        request = NewBinding(stream=stream, service=service, pattern=pattern, position=begin)
        done = await broker.ask("bind", request, Done, asking.ANSWER_SECONDS)
        what = f"{printable(stream)} is bound to {printable(service)}"
        return shown.either(done, f"{what}: {done.note}" if done.note else what, as_json)

    asking.run(connection, talk)


@click.command("unbind", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas unbind sensors climate ^temp")
@_binding
@shown.json_option
@broker_options
def unbind(connection: Connection, stream: str, service: str, pattern: str, as_json: bool) -> None:
    """End a binding; STREAM, SERVICE and PATTERN are those of alas bind.

    Requests that it has made stay. A worker with the setting worker/service/stream makes it again when it connects.
    """

    async def talk(broker: AdminClient) -> str:
        request = OneBinding(stream=stream, service=service, pattern=pattern)
        done = await broker.ask("unbind", request, Done, asking.ANSWER_SECONDS)
        return shown.either(done, f"{printable(stream)} is not bound to {printable(service)} any more", as_json)

    asking.run(connection, talk)


@click.command("bindings", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas bindings climate")
@click.argument("match", metavar="[TEXT]", default="")
@shown.json_option
@broker_options
def bindings(connection: Connection, match: str, as_json: bool) -> None:
    """Show the streams that are bound to services, or those whose stream or service contains a text."""

    async def talk(broker: AdminClient) -> str | asking.Answer:
        found = await broker.ask_all("bindings", Query(match=match), Binding)
        if as_json:
            return shown.lines(found)
        rows = [
            (
                *map(shown.name, (each.stream, each.pattern, each.service)),
                "live" if each.live else "full" if each.full and each.lag else "reads",
                *map(str, (each.position, each.lag, each.unfinished, each.made, each.lost, each.skipped)),
            )
            for each in found
        ]
        return asking.table(_BINDINGS, rows, "no stream is bound")

    asking.run(connection, talk)


@click.command(
    "readers",
    cls=Command,
    epilog=f"{asking.EXIT_STATUSES}\n\nexamples: alas readers\n          alas readers --delete sensors report",
)
@click.argument("match", metavar="[TEXT]", default="")
@click.option("--delete", nargs=2, type=NAME, metavar="STREAM NAME", help="Delete this durable reader.")
@yes_option
@shown.json_option
@broker_options
def readers(connection: Connection, match: str, delete: tuple[str, str] | None, is_sure: bool, as_json: bool) -> None:
    """Show who reads streams, and the durable readers, with the number of records that they lag.

    With a TEXT, only those of streams whose name contains it. With --delete, delete a durable reader that nobody has at
    present.
    """
    if delete:
        stream, name = map(printable, delete)
        confirm(f"Delete the reader {name} of {stream} at {connection.endpoint}?", is_sure)

    async def talk(broker: AdminClient) -> str | asking.Answer:
        if delete:
            stream, name = delete
            request = OneReader(stream=stream, name=name)
            done = await broker.ask("delete-reader", request, Done, asking.ANSWER_SECONDS)
            return shown.either(done, f"the reader {printable(name)} of {printable(stream)} is deleted", as_json)
        found = await broker.ask_all("readers", ReaderQuery(match=match), Reader)
        if as_json:
            return shown.lines(found)
        rows = [
            (
                *map(shown.name, (each.stream, each.name or "", " ".join(each.patterns))),
                "-" if each.client is None else printable(each.address) or f"anonymous {each.client}",
                *map(str, (each.position, each.lag, each.lost)),
            )
            for each in found
        ]
        return asking.table(_READERS, rows, "there are no readers")

    asking.run(connection, talk)
