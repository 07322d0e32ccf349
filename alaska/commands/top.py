"""``alas top``: a broker live on a terminal, its services and what runs, until Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import click

from alaska.admin.message_snapshots import Message
from alaska.admin.requests import MessageQuery, Nothing, QueueQuery
from alaska.admin.snapshots import BrokerOverview, Page, Queue
from alaska.commands import asking, shown, streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import ANSWER_SECONDS
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.values import DURATION

if TYPE_CHECKING:
    from rich.console import RenderableType

LEAST_SECONDS = 0.2
SHOWN_SERVICES, SHOWN_RUNNING = 15, 10


class Look(NamedTuple):
    """What a broker shows at one time."""

    overview: BrokerOverview
    services: list[Queue]
    running: list[Message]


async def look(broker: AdminClient) -> Look:
    """Ask a broker for what is shown.

    :raises AlaskaError: it refuses, or does not answer.
    """
    overview = await broker.ask("overview", Nothing(), BrokerOverview, ANSWER_SECONDS)
    query = QueueQuery(sort="waiting", limit=SHOWN_SERVICES)
    services = await broker.ask("services", query, Page[Queue], ANSWER_SECONDS)
    messages = MessageQuery(state="running", limit=SHOWN_RUNNING)
    running = await broker.ask("messages", messages, Page[Message], ANSWER_SECONDS)
    return Look(overview, services.items, [each for each in running.items if each.queue == "service"])


def headline(now: Look, before: Look | None) -> str:
    """Return the broker in a line, with the rate of deliveries since the look before."""
    overview = now.overview
    rate = "-"
    if before is not None and overview.time > before.overview.time:
        delivered = overview.totals.delivered - before.overview.totals.delivered
        rate = f"{delivered / (overview.time - before.overview.time):.0f}/s"
    up = shown.duration(overview.time - overview.started)
    state = "DRAINING  " if overview.draining else ""
    return (
        f"{state}up {up}  delivered {rate}  waiting {overview.waiting}  in flight {overview.in_flight}  "
        f"delayed {overview.delayed}  dead {overview.dead_letters}  clients {overview.clients}"
    )


@click.command("top", cls=Command, epilog=asking.EXIT_STATUSES)
@click.option("-d", "--delay", type=DURATION, default=1.0, metavar="TIME", help="The time between two looks (1s).")
@click.option("-n", "--count", type=int, default=0, metavar="N", help="End after so many looks (0: never).")
@shown.json_option
@broker_options
def top(connection: Connection, delay: float, count: int, as_json: bool) -> None:
    """Show a broker live: rates, the services with most waiting requests, and what runs; Ctrl-C ends it.

    If the standard output is no terminal, a line is printed for each look; in JSON, an object.
    """
    wait = max(LEAST_SECONDS, delay)

    async def talk(broker: AdminClient) -> str:
        screen = Screen() if shown.is_drawn() and not as_json else None
        before: Look | None = None
        looks = 0
        try:
            while True:
                now = await look(broker)
                if as_json:
                    streams.write_line(shown.lines([now._asdict()]))
                elif screen is None:
                    streams.write_line(headline(now, before))
                else:
                    screen.show(now, before)
                before, looks = now, looks + 1
                if looks == count:
                    return ""
                await broker.wait(wait)
        finally:
            if screen is not None:
                screen.end()

    asking.run(connection, talk)


class Screen:
    """The terminal."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  # it takes longer to import than a broker to answer
        from rich.live import Live  # noqa: PLC0415

        console = Console(no_color=not shown.is_colored(), highlight=False)
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._live.start()

    def show(self, now: Look, before: Look | None) -> None:
        """Show a look."""
        self._live.update(drawn(now, before), refresh=True)

    def end(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()


def drawn(now: Look, before: Look | None) -> RenderableType:
    """Return a look as it is drawn."""
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    services, running = Table(box=None, pad_edge=False), Table(box=None, pad_edge=False)
    for name in ("SERVICE", "WAITING", "OLDEST", "IN FLIGHT", "WORKERS", "RATE", "FAILED", "P50", "P99", "STATE"):
        services.add_column(name, justify="left" if name in ("SERVICE", "STATE") else "right", no_wrap=True)
    for row in service_rows(now):
        services.add_row(*map(Text, row))
    for name in ("RUNS NOW", "SUBJECT", "WORKER", "FOR", "ATTEMPT", "PROGRESS"):
        running.add_column(name, justify="right" if name in ("FOR", "ATTEMPT") else "left", no_wrap=True)
    for row in running_rows(now, time.time()):
        running.add_row(*map(Text, row))
    return Group(Text(headline(now, before), style="bold"), Text(), services, Text(), running)


def service_rows(now: Look) -> list[tuple[str, ...]]:
    """Return the services as rows."""
    rows: list[tuple[str, ...]] = []
    for each in now.services:
        recent = each.recent
        is_idle = recent is None or not recent.succeeded + recent.failed
        failed = "-" if recent is None or is_idle else f"{recent.failed / (recent.succeeded + recent.failed):.1%}"
        times = ("-", "-") if recent is None else (shown.seconds(recent.p50), shown.seconds(recent.p99))
        age = shown.duration(None if each.oldest is None else now.overview.time - each.oldest)
        rate = "-" if recent is None or is_idle else f"{recent.rate:.1f}/s"
        rows.append(
            (
                *(shown.name(each.name), str(each.waiting), age, str(each.in_flight), str(each.consumers)),
                *(rate, failed, *times, "paused" if each.paused else ""),
            )
        )
    return rows


def running_rows(now: Look, wall: float) -> list[tuple[str, ...]]:
    """Return what runs as rows."""
    return [
        (
            *(shown.name(text) for text in (each.address, each.subject, each.client)),
            shown.duration(None if each.since is None else wall - each.since),
            str(each.attempts),
            "" if each.progress is None else f"{each.progress:.0%} {shown.name(each.progress_text)}".rstrip(" -"),
        )
        for each in now.running
    ]
