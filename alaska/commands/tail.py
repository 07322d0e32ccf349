"""``alas tail``: prints the records of a stream, and with a name goes on where it has stopped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react

from alaska import errors
from alaska.client import Client, Delivery
from alaska.client.delivery import MOST_POSITION, to_octets
from alaska.commands import shown, streams
from alaska.commands.advice import advised
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.values import NAME, PATTERN, POSITION_OR_AGE, STREAM, Since, whole_number
from alaska.daemon.exit_status import status_of
from alaska.interfaces import INetwork, Reactor
from alaska.mlm import commands as mlm
from alaska.mlm.replay import ReaderStart
from alaska.names import printable
from alaska.system.clock import run_on_monotonic_time

CONNECT_SECONDS = 5.0
CREDIT = 1000
"""The number of records that the broker sends ahead."""
_EPILOG = """\
exit status:
  0   the records that --count asks for are printed
  1   the broker refuses it, another client has taken over the name, or the
      output cannot be written
  2   the command line is wrong
  69  the broker does not answer
  77  the broker does not accept the user, or does not allow it

example: alas tail sensors ^temp --as nightly-report --count 100"""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read: a stream, with a name under which the broker keeps the position, and how it is printed."""

    stream: str
    pattern: str = ""
    name: str | None = None
    position: int | Since | None = None
    count: int | None = None
    as_json: bool = False


@click.command("tail", cls=Command, epilog=_EPILOG)
@click.argument("stream", type=STREAM)
@click.argument("pattern", type=PATTERN, default="")
@click.option("--as", "name", type=NAME, help="The name under which the broker keeps the position.")
@click.option("--match", metavar="PATTERN", type=PATTERN, help="The same as PATTERN.")
@click.option(
    "--from",
    "position",
    type=POSITION_OR_AGE,
    metavar="start|now|N|TIME",
    help="The first record: the oldest one, only new ones, a position, or those of the last 10m. With a name that the "
    "broker knows, it has no effect (default: now; with a new name: start).",
)
@click.option(
    "--count", type=whole_number(1, MOST_POSITION, "a number from 1 on"), metavar="N", help="End after so many."
)
@shown.json_option
@broker_options
def tail(connection: Connection, stream: str, pattern: str, match: str | None, **options: Any) -> None:  # noqa: ANN401  # those of Reading
    """Print the records of a stream whose subjects match a pattern: position, time, subject and content.

    With --as, the broker keeps the position: the next command with the same name goes on after the last record that was
    printed.
    """
    if match is not None and pattern:
        raise click.UsageError("the pattern is given twice")
    reading = Reading(stream=stream, pattern=match or pattern, **options)

    def run(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        tail = Tail(reactor, reading, connection, print_line)
        reactor.addSystemEventTrigger("before", "shutdown", tail.close)
        return ensureDeferred(tail.run()).addCallback(_exit)

    react(run)


def _exit(outcome: tuple[int, str]) -> None:
    status, complaint = outcome
    if complaint:
        streams.write_line(f"alas: {advised(complaint, status)}", sys.stderr)
    raise SystemExit(status)


def print_line(line: str) -> bool:
    """Write a line to the standard output; return whether that was possible."""
    try:
        sys.stdout.buffer.write(f"{line}\n".encode("utf-8", "surrogateescape"))
        sys.stdout.flush()
    except (OSError, ValueError):
        return False
    return True


class Tail:
    """Reads a stream; ``write`` writes a line, and returns False if that is not possible any more."""

    def __init__(
        self,
        reactor: Reactor,
        reading: Reading,
        connection: Connection,
        write: Callable[[str], bool],
        network: INetwork | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._reading = reading
        self._wall = wall
        self._oldest = 0.0
        self._write = write
        self._left = reading.count
        self._ended: Deferred[tuple[int, str]] = Deferred()
        credentials = connection.credentials
        self._client = Client(
            connection.endpoint,
            username=credentials.username,
            password=credentials.password,
            curve=credentials.curve,
            credit=CREDIT,
            deliver=self._delivered,
            network=network,
            reactor=reactor,
        )
        self._client.refused = lambda error: self._end(status_of_error(error), str(error))
        self._client.began_reading = self._began

    async def run(self) -> tuple[int, str]:
        """Read until there are enough records; return the exit status, and a complaint or nothing."""
        reading = self._reading
        try:
            await self._client.connect(timeout=CONNECT_SECONDS)
            position = reading.position
            if isinstance(position, Since):
                # There is no index by time: older records are read, and left out.
                self._oldest = self._wall() - position
                position = 0
            if reading.name:
                start = position or 0
                await self._client.consume(
                    reading.stream, reading.pattern, name=reading.name, position=start, manual=True
                )
            else:
                start = mlm.LIVE_ONLY if position is None else position
                await self._client.replay(reading.stream, reading.pattern, start)
        except errors.AlaskaError as error:
            await self.close()
            return status_of_error(error), str(error)
        outcome = await self._ended
        await self.close()
        return outcome

    def close(self) -> Deferred[None]:
        """Tell the broker what was printed, and disconnect."""
        return self._client.close(timeout=CONNECT_SECONDS).addErrback(lambda failure: failure.trap(errors.ClientError))

    def _end(self, status: int, complaint: str = "") -> None:
        if not self._ended.called:
            self._ended.callback((status, complaint))

    def _began(self, start: ReaderStart) -> None:
        stream, name = printable(start.stream), printable(start.name)
        if start.lost:
            first = f"the first one left is {start.first}"
            streams.write_line(
                f"alas: {start.lost} records of {stream} were removed before {name} has read them; {first}", sys.stderr
            )
        if start.is_live:
            streams.write_line(
                f"alas: {stream} stores no records (mlm_server/stream/retain): {name} misses what is sent meanwhile",
                sys.stderr,
            )

    def _delivered(self, delivery: Delivery) -> None:
        if self._ended.called:
            return
        if self._oldest and _seconds(delivery) < self._oldest:
            self._confirm(delivery)
            return
        if not self._write(as_json(delivery) if self._reading.as_json else as_text(delivery)):
            self._end(1)
            return
        self._confirm(delivery)
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self._end(0)

    def _confirm(self, delivery: Delivery) -> None:
        self._client.confirm(delivery)
        if self._client.credit <= CREDIT // 2:
            self._client.give_credit(CREDIT - self._client.credit)


def as_text(delivery: Delivery) -> str:
    """Return a record as a line: position, time, subject, and the frames of its content."""
    frames = " ".join(printable(frame) for frame in delivery.content)
    return f"{delivery.position} {_time(delivery)} {_name(delivery.subject)} {frames}".rstrip()


def as_json(delivery: Delivery) -> str:
    """Return a record as a JSON object; octets that are not UTF-8 are escaped as in other output."""
    fields = {
        "position": delivery.position,
        "time": _time(delivery),
        "sender": _name(delivery.sender),
        "subject": _name(delivery.subject),
        "headers": {_name(name): _text(to_octets(value)) for name, value in delivery.headers.items()},
        "content": [_text(frame) for frame in delivery.content],
    }
    return shown.lines([fields])


def _name(text: str) -> str:
    return printable(to_octets(text))


def _text(frame: bytes) -> str:
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return printable(frame)


def _time(delivery: Delivery) -> str:
    try:
        found = datetime.fromtimestamp(_seconds(delivery), timezone.utc)
    except (OverflowError, ValueError, OSError):  # any number can be in a store
        return "-"
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(delivery: Delivery) -> float:
    command = delivery.command
    return command.time / 1000 if isinstance(command, mlm.StreamRecord) else 0.0


def status_of_error(error: errors.AlaskaError) -> int:
    """Return the exit status for an error of the client."""
    if isinstance(error, errors.BadEndpoint | errors.ValueTooLong):
        return 2
    if error.status == errors.ACCESS_REFUSED:
        return os.EX_NOPERM
    return 1 if isinstance(error, errors.Refused) else status_of(error)
