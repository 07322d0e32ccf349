"""``alas schedule``: shows, adds, removes, runs, pauses and resumes the schedules of a running broker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from alaska.admin.requests import MOST_NEXT, NewSchedule, OneSchedule, RunSchedule, ScheduleQuery
from alaska.admin.scheduled import Schedule
from alaska.admin.snapshots import Done
from alaska.commands import asking, completing, shown
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import Answer
from alaska.commands.command import Command, Entry, Group
from alaska.commands.connection import Connection, broker_options
from alaska.commands.values import SERVICE, SUBJECT, Parsed, whole_number
from alaska.errors import ScheduleError
from alaska.names import printable
from alaska.schedules import times, zones
from alaska.schedules.schedule import MISSED, OVERLAP

_HEADER = ("NAME", "STATE", "NEXT", "LAST", "CRON", "ZONE", "SERVICE", "SUBJECT", ">FIRED", ">MISSED", ">SKIPPED")
_HERE = "alaska.commands.schedule"


@click.group(
    "schedule",
    cls=Group,
    sections={
        "Commands": {
            "list": Entry(f"{_HERE}:show", "Show the schedules and their next times."),
            "add": Entry(f"{_HERE}:add", "Add a schedule to those of the settings file."),
            "remove": Entry(f"{_HERE}:remove", "Remove a schedule that was added."),
            "run": Entry(f"{_HERE}:run_now", "Make the request of a schedule now."),
            "pause": Entry(f"{_HERE}:pause", "Make no requests of a schedule."),
            "resume": Entry(f"{_HERE}:resume", "Make them again."),
        }
    },
)
def schedule() -> None:
    """Show and change the schedules of a running broker.

    A schedule is a request that the broker makes itself at the times of a cron expression (docs/schedules.md).
    """


@click.command("list", cls=Command, epilog=asking.EXIT_STATUSES)
@click.argument("match", metavar="[TEXT]", default="")
@click.option(
    "-n", "--next", "count", type=whole_number(0, MOST_NEXT), default=1, metavar="N", help="How many next times (1)."
)
@shown.json_option
@broker_options
def show(connection: Connection, match: str, count: int, as_json: bool) -> None:
    """Show the schedules and their next times, or those whose name contains a TEXT.

    In JSON, times are in seconds since 1970.
    """

    async def talk(broker: AdminClient) -> str | asking.Answer:
        found = await broker.ask_all("schedules", ScheduleQuery(match=match, next=count), Schedule)
        return shown.lines(found) if as_json else table(found)

    asking.run(connection, talk)


def table(schedules: Sequence[Schedule]) -> Answer:
    """Return the schedules as lines of text; the further next times of one are in lines below it."""
    rows: list[tuple[str, ...]] = []
    for each in schedules:
        zone = _zone(each.zone)
        upcoming = [_time(time, zone) for time in each.next] or ["-"]
        last = "-" if each.last is None else _time(each.last, zone)
        counts = (str(each.counts.get(what, 0)) for what in ("fired", "missed", "skipped"))
        names = (printable(name) for name in (each.service, each.subject))
        rows.append((each.name, _state(each), upcoming[0], last, printable(each.cron), each.zone, *names, *counts))
        rows += [("", "", time, *[""] * (len(_HEADER) - 3)) for time in upcoming[1:]]
    return asking.table(_HEADER, rows, "there are no schedules")


def _state(each: Schedule) -> str:
    if each.fault:
        return each.fault
    states = [word for word, holds in (("paused", each.paused), ("running", each.running)) if holds]
    return ", ".join(states) or "waits"


def _zone(name: str) -> zones.Zone:
    try:
        return zones.zone(name)
    except ScheduleError:
        return zones.UTC  # The broker's machine has a zone without a name, or other zones.


def _time(time: float, zone: zones.Zone) -> str:
    return datetime.fromtimestamp(time, zone.info).isoformat(" ", "seconds")


def _cron(text: str) -> str:
    try:
        times.check(text)
    except ScheduleError as error:
        raise ValueError(str(error)) from None
    return text


def _known_zone(text: str) -> str:
    try:
        return zones.known(text).name
    except ScheduleError as error:
        raise ValueError(str(error)) from None


@click.command(
    "add",
    cls=Command,
    epilog=f"{asking.EXIT_STATUSES}\n\n"
    """example: alas schedule add nightly '0 3 * * *' default report '{"keep": 7}' --zone Europe/Berlin""",
)
@click.argument("name")
@click.argument("cron", type=Parsed("cron", _cron))
@click.argument("service", type=SERVICE)
@click.argument("subject", type=SUBJECT)
@click.argument("content", default="")
@click.option(
    "--zone", type=Parsed("zone", _known_zone), help="The time zone (default: that of the broker's settings)."
)
@click.option(
    "--missed",
    type=click.Choice(MISSED),
    default=MISSED[0],
    help=f"What becomes of times at which the broker does not run: none, or one for all ({MISSED[0]}).",
)
@click.option(
    "--overlap",
    type=click.Choice(OVERLAP),
    default=OVERLAP[0],
    help=f"What becomes of a request as long as the one before has not ended ({OVERLAP[0]}).",
)
@click.option("--paused", is_flag=True, help="Make no requests until it is resumed.")
@shown.json_option
@broker_options
def add(connection: Connection, name: str, as_json: bool, **given: Any) -> None:  # noqa: ANN401  # what the options have
    """Add a schedule. It is kept over restarts if the broker has a store in a file."""
    request = NewSchedule(name=name, **given)

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("add-schedule", request, Done, asking.ANSWER_SECONDS)
        return shown.either(done, f"the schedule {name} is added {done.note}".rstrip(), as_json)

    asking.run(connection, talk)


@click.command("run", cls=Command, epilog=asking.EXIT_STATUSES)
@click.argument("name", shell_complete=completing.names_of("schedules"))
@click.option("-f", "--force", is_flag=True, help="With overlap=skip: also if the last request has not ended.")
@shown.json_option
@broker_options
def run_now(connection: Connection, name: str, force: bool, as_json: bool) -> None:
    """Make the request of a schedule now, also if it is paused."""

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("run-schedule", RunSchedule(name=name, force=force), Done, asking.ANSWER_SECONDS)
        return shown.either(done, f"the schedule {printable(name)} has made a request {done.note}".rstrip(), as_json)

    asking.run(connection, talk)


def _one(command: str, operation: str, description: str, result: str) -> click.Command:
    """Return a command that asks for an operation on one schedule."""

    @click.command(command, cls=Command, help=description, epilog=asking.EXIT_STATUSES)
    @click.argument("name", shell_complete=completing.names_of("schedules"))
    @shown.json_option
    @broker_options
    def ask(connection: Connection, name: str, as_json: bool) -> None:
        async def talk(broker: AdminClient) -> str:
            done = await broker.ask(operation, OneSchedule(name=name), Done, asking.ANSWER_SECONDS)
            return shown.either(done, f"the schedule {printable(name)} {result} {done.note}".rstrip(), as_json)

        asking.run(connection, talk)

    return ask


remove = _one("remove", "remove-schedule", "Remove a schedule that was added.", "is removed")
pause = _one("pause", "pause-schedule", "Make no requests of a schedule until it is resumed.", "is paused")
resume = _one("resume", "resume-schedule", "Make the requests of a schedule again.", "is resumed")
