"""``alas status`` and ``alas running``: a broker in one look, and the requests that workers run now."""

from __future__ import annotations

import time

import click

from alaska.admin import warnings
from alaska.admin.message_snapshots import Message
from alaska.admin.requests import MOST_ITEMS, MessageQuery, Nothing
from alaska.admin.snapshots import BrokerOverview, Page, StoreState
from alaska.commands import asking, shown
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import ANSWER_SECONDS
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.rows import running_row
from alaska.commands.values import SERVICE, whole_number

MOST_SHOWN = 100_000
_RUNNING = ("SERVICE", "SUBJECT", "SENDER", "WORKER", ">AGE", ">ATTEMPT", ">PROGRESS", "TRACKER", ">POSITION")


@click.command("status", cls=Command, epilog=asking.EXIT_STATUSES)
@shown.json_option
@broker_options
def status(connection: Connection, as_json: bool) -> None:
    """Show a broker in one look: what it has, what it has done since it started, and what to look at."""

    async def talk(broker: AdminClient) -> str:
        overview = await broker.ask("overview", Nothing(), BrokerOverview, ANSWER_SECONDS)
        store = await broker.ask("store", Nothing(), StoreState, ANSWER_SECONDS)
        found = warnings.of_broker(overview, store)
        if as_json:
            return shown.lines([{"overview": overview, "store": store, "warnings": found}])
        return as_text(connection.endpoint, overview, store, found)

    asking.run(connection, talk)


def as_text(endpoint: str, overview: BrokerOverview, store: StoreState, found: list[str]) -> str:
    """Return a broker in one look as text."""
    totals = overview.totals
    kind = "in memory" if not store.durable else "shared by several brokers" if store.shared else "in a file"
    size = "" if store.file_octets is None else f", {shown.octets(store.file_octets)}"
    state = "draining: it takes no new requests" if overview.draining else "serving"
    rows = {
        "broker": f"{endpoint}, {overview.version}, process {overview.pid} on {overview.host}",
        "state": f"{state}, for {shown.duration(overview.time - overview.started)}",
        "store": f"{kind}{size}",
        "clients": f"{overview.clients} (workers that report to it: {overview.workers})",
        "queues": f"services: {overview.services} (paused: {overview.paused}), mailboxes: {overview.mailboxes}",
        "streams": str(overview.streams),
        "messages": f"waiting: {overview.waiting}, in flight: {overview.in_flight}, delayed: {overview.delayed}",
        "schedules": str(overview.schedules),
        "dead letters": str(overview.dead_letters),
        "since its start": f"delivered: {totals.delivered}, redelivered: {totals.redelivered}, "
        f"dead letters: {totals.dead_lettered}, dropped: {sum(totals.dropped.values())}",
    }
    width = max(map(len, rows))
    lines = [f"{name.ljust(width)}  {text}" for name, text in rows.items()]
    return "\n".join([*lines, *(f"{'look at'.ljust(width)}  {each}" for each in found)])


@click.command("running", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas running render")
@click.argument("service", type=SERVICE, required=False)
@click.option("-n", "--limit", type=whole_number(1, MOST_SHOWN), default=1000, metavar="N", help="At most (1000).")
@shown.json_option
@broker_options
def running(connection: Connection, service: str | None, limit: int, as_json: bool) -> None:
    """Show the requests that workers have and did not confirm yet, those of all services or of one."""

    async def talk(broker: AdminClient) -> str | asking.Answer:
        found: list[Message] = []
        after: str | None = ""
        while after is not None and len(found) < limit:
            most = min(MOST_ITEMS, limit - len(found))
            query = MessageQuery(service=service, state="running", after=after, limit=most)
            page = await broker.ask("messages", query, Page[Message], ANSWER_SECONDS)
            found += (each for each in page.items if each.queue == "service")
            after = page.next
        if as_json:
            return shown.lines(found)
        now = time.time()
        return asking.table(_RUNNING, [running_row(each, now) for each in found], "nothing runs")

    asking.run(connection, talk)
