"""The options of ``alas send`` for many requests, and the command with them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple, TypeVar

import click

from alaska.client import Client
from alaska.client.delivery import Confirmation
from alaska.client.terms import SendTerms
from alaska.commands import completing, lines, shown, speaking, streams
from alaska.commands.command import failed
from alaska.commands.connection import Connection
from alaska.commands.letter_selection import RATE
from alaska.commands.send_many import Bar, Counts, ManyClient, Plan, Pump
from alaska.commands.values import one_of, whole_number
from alaska.interfaces import Reactor

MOST_WINDOW = 100_000
WINDOW = 1000

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.argument("file", required=False, shell_complete=completing.files),
    click.option("--lines", "are_lines", is_flag=True, help="Send a request for each line of FILE (or -)."),
    click.option("--json-lines", "are_json", is_flag=True, help="The same for lines of JSON."),
    click.option("--rate", type=RATE, metavar="N/s", help="With lines: at most so many a second, or /m, /h."),
    click.option(
        "--window", type=whole_number(1, MOST_WINDOW), metavar="N", help="With lines: so many unconfirmed ones (1000)."
    ),
    click.option(
        "--confirm",
        type=click.Choice(["stored", "ended"]),
        help="With lines: a request counts when the broker has it (stored), or when it has ended.",
    ),
)


class Many(NamedTuple):
    """Many requests: the file, how its lines are read, and how they are sent."""

    file: str
    parse: lines.Parse
    per_second: float | None
    window: int
    until_end: bool
    as_json: bool = False


def many_options(function: F) -> F:
    """Add the options to a command; :func:`take_many` takes them out of its arguments."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def take_many(options: dict[str, Any]) -> Many | None:
    """Take the options out of the arguments of a command; None: one request is sent.

    :raises click.UsageError: they contradict each other.
    """
    file, rate, window, confirm = (options.pop(name) for name in ("file", "rate", "window", "confirm"))
    are_lines, are_json = options.pop("are_lines"), options.pop("are_json")
    one_of(lines=are_lines, json_lines=are_json)
    if not (are_lines or are_json):
        if any(each is not None for each in (file, rate, window, confirm)):
            if file is not None:
                # Perhaps it is a command whose options precede it.
                raise click.UsageError("a FILE needs --lines; options follow the name of a command: alas status -e ...")
            raise click.UsageError("--rate, --window and --confirm need --lines or --json-lines")
        return None
    parse = lines.json_line if are_json else lines.plain_line
    return Many(file or "-", parse, rate, window or WINDOW, confirm == "ended")


def send_many(
    connection: Connection, many: Many, service: str, subject: str, terms: SendTerms, progress: bool | None
) -> None:
    """Send a request for each line, print a summary, and exit with a status."""
    file = _opened(many.file)
    plan = Plan(service, subject, terms, many.window, many.until_end, many.per_second)
    what = "ended well" if many.until_end else "taken by the broker"
    is_shown = sys.stderr.isatty() if progress is None else progress
    pumps: list[Pump] = []

    async def talk(client: Client, reactor: Reactor) -> int:
        if "confirm" not in client.capabilities:
            raise failed("this broker does not confirm requests, which --lines needs")
        bar = Bar(lines.size_of(file)) if is_shown else None
        reading = lines.Reading(reactor, lines.lines_of(file, many.parse))
        pump = Pump(reactor, plan, reading) if bar is None else Pump(reactor, plan, reading, bar.show, bar.say)
        pumps.append(pump)
        assert isinstance(client, ManyClient)
        client.pump = pump
        client.give_credit(0)
        report = Report(reactor, pump.counts, bar, what, many.as_json)
        # Also if a signal ends the program, so that the terminal is as before.
        reactor.addSystemEventTrigger("during", "shutdown", report.end)
        try:
            return await pump.run(client)
        except OSError as error:
            streams.write_line(f"alas: {many.file} cannot be read to its end: {error.strerror}", sys.stderr)
            return 1
        finally:
            report.end()

    def confirmed(confirmation: Confirmation) -> None:
        pumps[0].confirmed(confirmation)

    speaking.speak(connection, talk, make=ManyClient, address=speaking.own_address(connection), confirmed=confirmed)


class Report:
    """The end of what is shown: without the bar, a summary of what was done."""

    def __init__(self, reactor: Reactor, counts: Counts, bar: Bar | None, what: str, as_json: bool) -> None:
        self._reactor = reactor
        self._counts = counts
        self._bar = bar
        self._what = what
        self._as_json = as_json
        self._began = reactor.seconds()
        self._is_ended = False

    def end(self) -> None:
        """Show the summary; has no effect when it is called again."""
        if self._is_ended:
            return
        self._is_ended = True
        if self._bar is not None:
            self._bar.end()
        seconds = self._reactor.seconds() - self._began
        if self._as_json:
            streams.write_line(shown.lines([self._counts.as_object(seconds)]))
        else:
            streams.write_line(f"alas: {self._counts.summary(seconds, self._what)}", sys.stderr)


def _opened(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return lines.opened(path)
    except OSError as error:
        raise failed(f"nothing is sent, {path} cannot be read: {error.strerror}") from None
