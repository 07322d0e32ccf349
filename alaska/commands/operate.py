"""``alas pause``, ``alas resume``, ``alas drain`` and ``alas purge``: what operators do with a running broker."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from alaska.admin.requests import Nothing, OneQueue, OneService
from alaska.admin.snapshots import Done
from alaska.commands import asking, completing, shown
from alaska.commands.admin_client import AdminClient
from alaska.commands.command import Command
from alaska.commands.confirming import confirm, yes_option
from alaska.commands.connection import Connection, broker_options
from alaska.commands.values import NAME, SERVICE
from alaska.names import printable

KINDS = ("service", "mailbox", "stream")
_all = click.option("--all", "is_all", is_flag=True, help="All services, also those that there will be.")


@click.command(
    "pause",
    cls=Command,
    epilog=f"{asking.EXIT_STATUSES}\n\nexamples: alas pause render\n          alas pause --all",
)
@click.argument("service", type=SERVICE, required=False)
@_all
@shown.json_option
@broker_options
def pause(connection: Connection, service: str | None, is_all: bool, as_json: bool) -> None:
    """Deliver nothing of a service, or of all, until it is resumed.

    Requests are still accepted and stored. A broker with a store in a file keeps that over restarts.
    """
    request = _service_or_all(service, is_all)
    what = "all services are" if service is None else f"{printable(service)} is"

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("pause", request, Done, asking.ANSWER_SECONDS)
        return shown.either(done, f"{what} paused {done.note}".rstrip(), as_json)

    asking.run(connection, talk)


@click.command(
    "resume",
    cls=Command,
    epilog=f"{asking.EXIT_STATUSES}\n\nexamples: alas resume render\n          alas resume --all",
)
@click.argument("service", type=SERVICE, required=False)
@_all
@shown.json_option
@broker_options
def resume(connection: Connection, service: str | None, is_all: bool, as_json: bool) -> None:
    """Deliver the requests of a service again, or of all.

    A service that was paused for itself stays paused when the pause of all ends.
    """
    request = _service_or_all(service, is_all)

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("resume", request, Done, asking.ANSWER_SECONDS)
        what = "the pause of all services has ended" if service is None else f"{printable(service)} is resumed"
        return shown.either(done, f"{what} ({done.note})" if done.note else what, as_json)

    asking.run(connection, talk)


@click.command(
    "drain", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas drain -e ipc:///run/alaska/broker"
)
@click.option("--end", "is_end", is_flag=True, help="Accept requests again.")
@shown.json_option
@broker_options
def drain(connection: Connection, is_end: bool, as_json: bool) -> None:
    """Let a broker refuse new requests; what waits is delivered, and mail and streams are accepted.

    With --end, it accepts requests again. It does so, too, when it restarts.
    """

    async def talk(broker: AdminClient) -> str:
        if is_end:
            done = await broker.ask("resume", OneService(), Done, asking.ANSWER_SECONDS)
            return shown.either(done, "the broker accepts new requests again", as_json)
        done = await broker.ask("drain", Nothing(), Done, asking.ANSWER_SECONDS)
        return shown.either(done, "the broker refuses new requests", as_json)

    asking.run(connection, talk)


def _names_of_kind(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    operation = {"service": "services", "mailbox": "mailboxes", "stream": "streams"}.get(context.params.get("kind", ""))
    return [] if operation is None else completing.names_of(operation)(context, parameter, incomplete)


@click.command("purge", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas purge mailbox aw.err")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name", type=NAME, shell_complete=_names_of_kind)
@yes_option
@shown.json_option
@broker_options
def purge(connection: Connection, kind: str, name: str, is_sure: bool, as_json: bool) -> None:
    """Delete all messages that wait for a service or in a mailbox, or all records of a stream.

    What is in flight to a worker stays. Senders are told with status 300.
    """
    request = OneQueue(kind=kind, name=name)  # type: ignore[arg-type]  # one of its values
    what = "records" if kind == "stream" else "messages that wait"
    confirm(f"Delete all {what} of the {kind} {printable(name)} at {connection.endpoint}?", is_sure)

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("purge", request, Done, asking.ANSWER_SECONDS)
        return shown.either(done, f"{kind} {printable(name)}: {done.count} deleted", as_json)

    asking.run(connection, talk)


def _service_or_all(service: str | None, is_all: bool) -> OneService:
    if is_all == (service is not None):
        raise click.UsageError("expected either a service or --all")
    return OneService(service=service, all=is_all)
