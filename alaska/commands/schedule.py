"""``alas schedule``: shows, adds, removes, runs, pauses and resumes the schedules of a running broker."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from alaska.admin.requests import MOST_NEXT, NewSchedule, OneSchedule, RunSchedule, ScheduleQuery
from alaska.admin.scheduled import Schedule
from alaska.admin.snapshots import Done, Page
from alaska.commands import asking
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import Run
from alaska.commands.operate import name_of
from alaska.commands.parsing import Parser
from alaska.errors import ScheduleError
from alaska.names import printable
from alaska.schedules import times, zones
from alaska.schedules.schedule import MISSED, OVERLAP

Command = Callable[[list[str], Run], None]
PAGE_ITEMS = 100
_DESCRIPTION = """\
Show and change the schedules of a running broker: requests that it makes itself
at the times of cron expressions (docs/schedules.md)."""
_EPILOG = """\
commands, each with -h:
  list    shows the schedules and their next times
  add     adds a schedule to those of the settings file
  remove  removes a schedule that was added
  run     makes the request of a schedule now
  pause   makes no requests of a schedule
  resume  makes them again"""
_HEADER = ("NAME", "STATE", "NEXT", "LAST", "CRON", "ZONE", "SERVICE", "SUBJECT", "FIRED", "MISSED", "SKIPPED")


def main(arguments: list[str], run: Run = asking.run) -> None:
    """Run the command in the first argument."""
    asking.choose("alas schedule", _DESCRIPTION, _EPILOG, COMMANDS, arguments, run)


def show(arguments: list[str], run: Run) -> None:
    """Show the schedules."""
    reader = Parser("alas schedule list", "Show the schedules and their next times.", asking.EXIT_STATUSES)
    reader.add_argument("match", metavar="TEXT", nargs="?", default="", help="only those whose name contains this text")
    reader.add_argument(
        "-n", "--next", type=_count, default=1, metavar="N", help="how many next times to show (default: %(default)s)"
    )
    reader.add_argument("--json", action="store_true", help="one JSON object a line; times are in seconds since 1970")
    asking.add_options(reader)
    options = reader.parse_args(arguments)

    async def talk(broker: AdminClient) -> str:
        found: list[Schedule] = []
        after: str | None = ""
        while after is not None:
            query = ScheduleQuery(match=options.match, next=options.next, after=after, limit=PAGE_ITEMS)
            page = await broker.ask("schedules", query, Page[Schedule], asking.ANSWER_SECONDS)
            found += page.items
            after = page.next
        if options.json:
            return "\n".join(msgspec.json.encode(each).decode() for each in found)
        return table(found) if found else "there are no schedules"

    run(reader, options, talk)


def table(schedules: Sequence[Schedule]) -> str:
    """Return the schedules as lines of text; the further next times of one are in lines below it."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for each in schedules:
        zone = _zone(each.zone)
        upcoming = [_time(time, zone) for time in each.next] or ["-"]
        last = "-" if each.last is None else _time(each.last, zone)
        counts = (str(each.counts.get(what, 0)) for what in ("fired", "missed", "skipped"))
        names = (printable(name) for name in (each.service, each.subject))
        rows.append((each.name, _state(each), upcoming[0], last, printable(each.cron), each.zone, *names, *counts))
        rows += [("", "", time, *[""] * (len(_HEADER) - 3)) for time in upcoming[1:]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


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


def add(arguments: list[str], run: Run) -> None:
    """Add a schedule."""
    reader = Parser(
        "alas schedule add",
        "Add a schedule. It is kept over restarts if the broker has a store in a file.",
        f"{asking.EXIT_STATUSES}\n\n"
        """example: alas schedule add nightly '0 3 * * *' default report '{"keep": 7}' --zone Europe/Berlin""",
    )
    reader.add_argument("name", metavar="NAME", help="the name, which no other schedule has")
    reader.add_argument("cron", metavar="CRON", type=_cron, help="the cron expression, as one argument")
    reader.add_argument("service", metavar="SERVICE", type=name_of, help="the service that the requests are for")
    reader.add_argument("subject", metavar="SUBJECT", type=name_of, help="their subject")
    reader.add_argument("content", metavar="CONTENT", nargs="?", default="", help="their content (default: none)")
    reader.add_argument("--zone", type=_known_zone, help="the time zone (default: that of the broker's settings)")
    reader.add_argument(
        "--missed",
        choices=MISSED,
        default=MISSED[0],
        help="what becomes of times at which the broker does not run: none, or one for all (default: %(default)s)",
    )
    reader.add_argument(
        "--overlap",
        choices=OVERLAP,
        default=OVERLAP[0],
        help="what becomes of a request as long as the one before has not ended (default: %(default)s)",
    )
    reader.add_argument("--paused", action="store_true", help="make no requests until it is resumed")
    asking.add_options(reader)
    options = reader.parse_args(arguments)
    given = {name: getattr(options, name) for name in NewSchedule.__struct_fields__}

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("add-schedule", NewSchedule(**given), Done, asking.ANSWER_SECONDS)
        return f"the schedule {options.name} is added {done.note}".rstrip()

    run(reader, options, talk)


def run_now(arguments: list[str], run: Run) -> None:
    """Make the request of a schedule."""
    reader = Parser(
        "alas schedule run",
        "Make the request of a schedule now, also if it is paused.",
        asking.EXIT_STATUSES,
    )
    reader.add_argument("name", metavar="NAME", help="the name of the schedule")
    reader.add_argument(
        "-f", "--force", action="store_true", help="with overlap=skip: also if the last request has not ended"
    )
    asking.add_options(reader)
    options = reader.parse_args(arguments)

    async def talk(broker: AdminClient) -> str:
        request = RunSchedule(name=options.name, force=options.force)
        done = await broker.ask("run-schedule", request, Done, asking.ANSWER_SECONDS)
        return f"the schedule {printable(options.name)} has made a request {done.note}".rstrip()

    run(reader, options, talk)


def _one(command: str, operation: str, description: str, result: str) -> Command:
    """Return a command that asks for an operation on one schedule."""

    def ask(arguments: list[str], run: Run) -> None:
        reader = Parser(f"alas schedule {command}", description, asking.EXIT_STATUSES)
        reader.add_argument("name", metavar="NAME", help="the name of the schedule")
        asking.add_options(reader)
        options = reader.parse_args(arguments)

        async def talk(broker: AdminClient) -> str:
            done = await broker.ask(operation, OneSchedule(name=options.name), Done, asking.ANSWER_SECONDS)
            return f"the schedule {printable(options.name)} {result} {done.note}".rstrip()

        run(reader, options, talk)

    return ask


COMMANDS: Mapping[str, Command] = {
    "list": show,
    "add": add,
    "remove": _one("remove", "remove-schedule", "Remove a schedule that was added.", "is removed"),
    "run": run_now,
    "pause": _one("pause", "pause-schedule", "Make no requests of a schedule until it is resumed.", "is paused"),
    "resume": _one("resume", "resume-schedule", "Make the requests of a schedule again.", "is resumed"),
}


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text[:5]) <= MOST_NEXT:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {MOST_NEXT}")
    return int(text)


def _cron(text: str) -> str:
    try:
        times.check(text)
    except ScheduleError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _known_zone(text: str) -> str:
    try:
        return zones.known(text).name
    except ScheduleError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
