"""``alas services``, ``queues``, ``mailboxes``, ``streams``, ``clients``, ``workers``, ``scripts``: what a broker has.

Each is a row of a table here: what the broker is asked, and how an item is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import click
import msgspec

from alaska.admin import requests, snapshots, stream_snapshots
from alaska.commands import asking, shown
from alaska.commands.admin_client import AdminClient
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.rows import age, queue_row
from alaska.commands.values import whole_number

MOST_SHOWN = 1_000_000
F = TypeVar("F", bound=Callable[..., Any])


class List(NamedTuple):
    """A list that a broker has: its name, the types of query and items, its columns, and an item as a row at a time."""

    name: str
    query: type[requests.Query]
    item: type[Any]
    columns: Sequence[str]
    row: Callable[[Any, float], Sequence[str]]
    empty: str
    doc: str


def _service(each: snapshots.Queue, now: float) -> Sequence[str]:
    return queue_row(each, now)[1:]


def _mailbox(each: snapshots.Queue, now: float) -> Sequence[str]:
    row = queue_row(each, now)
    return (row.name, row.waiting, row.oldest, row.in_flight, row.octets, "yes" if each.consumers else "no")


def _stream(each: stream_snapshots.Stream, _now: float) -> Sequence[str]:
    records = max(0, each.last - each.first + 1)
    return (
        *(shown.name(each.name), str(records), str(each.first), str(each.last), shown.octets(each.octets)),
        *(str(each.readers), str(each.lag)),
    )


def _client(each: snapshots.Client, now: float) -> Sequence[str]:
    credit = "plain" if each.credit is None else str(each.credit)
    return (
        *(str(each.number), shown.name(each.address), shown.name(each.user or ""), age(each.opened, now)),
        *(age(each.last_heard, now), credit, str(each.unconfirmed), shown.name(" ".join(each.offers))),
    )


def _worker(each: snapshots.Worker, now: float) -> Sequence[str]:
    worker = each.overview
    busy = f"{worker.slots.running}/{worker.slots.size}"
    state = "draining" if worker.draining else f"{worker.slots.stuck} stuck" if worker.slots.stuck else "-"
    return (
        *(shown.name(worker.address), shown.name(worker.service), shown.name(worker.host), str(worker.pid)),
        *(worker.version, age(worker.started, now), busy, str(worker.executed), str(worker.failed), state),
    )


def _script(each: snapshots.Script, now: float) -> Sequence[str]:
    mean = shown.seconds(each.seconds / each.calls if each.calls else None)
    error = "-" if not each.last_error else f"{age(each.last_error_time, now)} ago: {shown.name(each.last_error)}"
    if each.broken:
        error = f"does not compile: {shown.name(each.broken)}"
    return (
        *(shown.name(each.name), str(each.calls), str(sum(each.errors.values())), mean),
        *(shown.octets(each.memory), str(each.workers), error.partition("\n")[0]),
    )


_QUEUE = (">WAITING", ">OLDEST", ">IN FLIGHT", ">CONSUMERS", ">SIZE", ">RATE", ">FAILED", ">P50", ">P99", "STATE")
LISTS = (
    List(
        "services", requests.QueueQuery, snapshots.Queue, ("SERVICE", *_QUEUE), _service, "there are no services",
        "Show the services: what waits, and how fast requests ended in the last minutes.",
    ),
    List(
        "queues", requests.QueueQuery, snapshots.Queue, ("KIND", "NAME", *_QUEUE), queue_row, "there are no queues",
        "Show all services and mailboxes.",
    ),
    List(
        "mailboxes", requests.QueueQuery, snapshots.Queue,
        ("MAILBOX", ">WAITING", ">OLDEST", ">IN FLIGHT", ">SIZE", "OWNER CONNECTED"), _mailbox, "no mail waits",
        "Show the mailboxes in which mail waits.",
    ),
    List(
        "streams", requests.StreamQuery, stream_snapshots.Stream,
        ("STREAM", ">RECORDS", ">FIRST", ">LAST", ">SIZE", ">READERS", ">LAG"), _stream, "there are no streams",
        "Show the streams that have readers or stored records.",
    ),
    List(
        "clients", requests.ClientQuery, snapshots.Client,
        (">NUMBER", "ADDRESS", "USER", ">CONNECTED", ">HEARD", ">CREDIT", ">UNCONFIRMED", "OFFERS"), _client,
        "no client is connected", "Show the clients that are connected.",
    ),
    List(
        "workers", requests.WorkerQuery, snapshots.Worker,
        ("ADDRESS", "SERVICE", "HOST", ">PID", "VERSION", ">UP", ">BUSY", ">EXECUTED", ">FAILED", "STATE"), _worker,
        "no worker reports to this broker", "Show the workers that report to the broker.",
    ),
    List(
        "scripts", requests.ScriptQuery, snapshots.Script,
        ("SCRIPT", ">CALLS", ">ERRORS", ">MEAN TIME", ">MEMORY", ">WORKERS", "LAST ERROR"), _script,
        "no script has run", "Show the scripts of the workers that have run, or do not compile.",
    ),
)  # fmt: skip


def _sort_option(query: type[requests.Query]) -> Callable[[F], F]:
    """Return the option that sorts a list, if it can be sorted."""
    words = [word.replace("_", "-") for word in get_args(get_type_hints(query)["sort"]) if word]
    if not words:
        return lambda function: function
    what = " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return click.option("--sort", type=click.Choice(words), metavar="BY", help=f"Largest first, by {what}.")


def _command(each: List) -> click.Command:
    """Return the command that shows a list."""

    @click.command(
        each.name,
        cls=Command,
        help=f"{each.doc} With a TEXT, those whose name contains it; with ^TEXT, begins with it.",
        epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas {each.name} --json",
    )
    @click.argument("match", metavar="[TEXT]", default="")
    @click.option("-n", "--limit", type=whole_number(1, MOST_SHOWN), default=1000, metavar="N", help="At most (1000).")
    @_sort_option(each.query)
    @shown.json_option
    @broker_options
    def show(connection: Connection, match: str, limit: int, as_json: bool, sort: str | None = None) -> None:
        async def talk(broker: AdminClient) -> str | asking.Answer:
            query = msgspec.convert({"match": match, "sort": (sort or "").replace("-", "_")}, each.query)
            found = await broker.ask_all(each.name, query, each.item, limit)
            if as_json:
                return shown.lines(found)
            now = time.time()
            return asking.table(each.columns, [each.row(item, now) for item in found], each.empty)

        asking.run(connection, talk)

    return show


services, queues, mailboxes, streams, clients, workers, scripts = map(_command, LISTS)
