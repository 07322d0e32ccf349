"""``alas top``: a broker live on a terminal, its services and what runs, until ``q``."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
from twisted.internet.defer import CancelledError, ensureDeferred

from alaska import errors
from alaska.admin.message_snapshots import Message
from alaska.admin.requests import MessageQuery, Nothing, QueueQuery
from alaska.admin.snapshots import BrokerOverview, Page, Queue
from alaska.commands import asking, shown, streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import ANSWER_SECONDS
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.top_screen import Look, Screen, headline
from alaska.commands.values import DURATION, whole_number

LEAST_SECONDS = 0.2
SHOWN = 50
"""The number of services, and of requests that run, that a broker is asked for."""


async def look(broker: AdminClient) -> Look:
    """Ask a broker for what is shown.

    :raises AlaskaError: it refuses, or does not answer.
    """
    overview = await broker.ask("overview", Nothing(), BrokerOverview, ANSWER_SECONDS)
    query = QueueQuery(sort="waiting", limit=SHOWN)
    services = await broker.ask("services", query, Page[Queue], ANSWER_SECONDS)
    messages = MessageQuery(state="running", limit=SHOWN)
    running = await broker.ask("messages", messages, Page[Message], ANSWER_SECONDS)
    return Look(overview, services.items, [each for each in running.items if each.queue == "service"])


@click.command("top", cls=Command, epilog=asking.EXIT_STATUSES)
@click.option("-d", "--delay", type=DURATION, default=1.0, metavar="TIME", help="The time between two looks (1s).")
@click.option(
    "-n", "--count", type=whole_number(0, 2**31 - 1), default=0, metavar="N", help="End after so many looks (0: never)."
)
@shown.json_option
@broker_options
def top(connection: Connection, delay: float, count: int, as_json: bool) -> None:
    """Show a broker live: rates, the services with most waiting requests, and what runs; q ends it.

    If the standard output is no terminal, a line is printed for each look, with --json an object, until Ctrl-C. Without
    -n, a broker that is restarted is waited for.
    """
    is_drawn = shown.is_drawn() and not as_json

    async def talk(broker: AdminClient) -> str:
        if not is_drawn:
            await watch(broker, _print_json if as_json else _print_line, _complain, max(LEAST_SECONDS, delay), count)
            return ""
        screen = Screen(broker.reactor)
        broker.at_interrupt(screen.end)
        watching = ensureDeferred(watch(broker, screen.show, screen.complain, max(LEAST_SECONDS, delay), count))
        screen.begin(watching.cancel)
        try:
            await watching
        except CancelledError:
            pass
        finally:
            screen.end()
        return ""

    asking.run(connection, talk)


async def watch(
    broker: AdminClient,
    show: Callable[[Look, Look | None], None],
    complain: Callable[[str], None],
    seconds: float,
    count: int,
) -> None:
    """Look at a broker again and again, ``count`` times or for ever.

    For ever means that a broker that has answered once may be away for a while: its absence is complained about.

    :raises AlaskaError: it refuses, or does not answer.
    """
    before: Look | None = None
    looks = 0
    while True:
        try:
            now = await look(broker)
        except errors.ConnectTimeout as error:
            if before is None or count:
                raise
            complain(f"{error}; trying again")
        else:
            show(now, before)
            before, looks = now, looks + 1
            if looks == count:
                return
        await broker.wait(seconds)


def _print_json(now: Look, _before: Look | None) -> None:
    streams.write_line(shown.lines([now]))


def _print_line(now: Look, before: Look | None) -> None:
    streams.write_line(headline(now, before))


def _complain(text: str) -> None:
    streams.write_line(f"alas: {text}", sys.stderr)
