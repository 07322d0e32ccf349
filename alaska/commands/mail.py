"""``alas mail``, ``alas inbox`` and ``alas publish``: mailboxes and streams from a shell."""

from __future__ import annotations

import os
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from alaska import errors
from alaska.client import Client, Delivery
from alaska.client.client import MOST_OCTETS
from alaska.commands import shown, speaking, streams
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.request import as_object
from alaska.commands.speaking import Content
from alaska.commands.tail import print_line
from alaska.commands.term_options import mail_term_options, terms_of
from alaska.commands.values import DURATION, MAILBOX, STREAM, whole_number
from alaska.interfaces import Reactor
from alaska.names import printable

ANSWER_SECONDS = 10.0
QUIET_SECONDS = 0.5
"""Without --follow, the command ends when so long no mail has arrived."""
CREDIT = 100
_STATUSES = """\
exit status:
  0   it is done
  1   the broker refuses it, or the standard input cannot be read
  2   the command line is wrong
  69  the broker does not answer
  75  the broker has no room for it
  77  the broker does not accept the user, or does not allow it"""
_content = click.option(
    "--content",
    "contents",
    multiple=True,
    metavar="TEXT",
    help="Instead of the standard input; a frame each.",
)


@click.command("mail", cls=Command, epilog=f"{_STATUSES}\n\nexample: echo hello | alas mail greetings greeting")
@click.argument("mailbox", type=MAILBOX)
@click.argument("subject", default="")
@_content
@click.option(
    "--ttl", type=DURATION, metavar="TIME", help="Drop it if nobody reads it in this time: 90s, 7d; 0: never."
)
@mail_term_options
@shown.json_option
@broker_options
def mail(
    connection: Connection,
    mailbox: str,
    subject: str,
    contents: tuple[str, ...],
    ttl: float | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Send mail to a MAILBOX; its content is the standard input. The command ends when the broker has it."""
    terms = terms_of(options)
    if ttl is not None:
        terms["ttl"] = ttl
    content = Content(contents, MOST_OCTETS).frames()

    async def talk(client: Client, _reactor: Reactor) -> int:
        if "confirm" not in client.capabilities:
            client.send_to(mailbox, subject, *content, **terms)
            await client.flush()
            report(None)
            return 0
        client.give_credit(0)
        client.send_to(mailbox, subject, *content, tracker="mail", **terms)
        status, reason = await first
        if status >= errors.FAILED:
            raise errors.Refused(f"the mail is refused: {reason} ({status})", status)
        report(status)
        return 0

    def report(status: int | None) -> None:
        if as_json:
            streams.write_line(shown.lines([{"mailbox": mailbox, "subject": subject, "status": status}]))

    first: Deferred[tuple[int, str]] = Deferred()

    def confirmed(confirmation: Any) -> None:  # noqa: ANN401  # a Confirmation
        if not first.called:
            first.callback((confirmation.status, printable(confirmation.reason)))

    speaking.speak(connection, talk, confirmed=confirmed)


@click.command("publish", cls=Command, epilog=f"{_STATUSES}\n\nexample: echo 21.5 | alas publish sensors temp.kitchen")
@click.argument("stream", type=STREAM)
@click.argument("subject", default="")
@_content
@click.option("--lines", is_flag=True, help="Each line of the standard input is a record.")
@shown.json_option
@broker_options
def publish(
    connection: Connection, stream: str, subject: str, contents: tuple[str, ...], lines: bool, as_json: bool
) -> None:
    """Publish a record to a STREAM; its content is the standard input. The command ends when the broker has it."""
    content = Content(contents, MOST_OCTETS).frames()
    records = [(line,) for line in content[0].splitlines()] if lines and not contents else [content]

    async def talk(client: Client, _reactor: Reactor) -> int:
        await client.produce(stream)  # The broker refuses this, but does not answer a record.
        for record in records:
            client.publish(stream, subject, *record)
        await client.flush()
        if as_json:
            streams.write_line(shown.lines([{"stream": stream, "subject": subject, "records": len(records)}]))
        return 0

    speaking.speak(connection, talk)


@click.command(
    "inbox",
    cls=Command,
    epilog=f"{_STATUSES}\n\nexamples: alas inbox greetings\n          alas inbox aw.err --follow --json",
)
@click.argument("mailbox", type=MAILBOX)
@click.option("-f", "--follow", is_flag=True, help="Go on, and print what arrives.")
@click.option("-n", "--count", type=whole_number(1, 2**31 - 1), metavar="N", help="End after so many.")
@shown.json_option
@broker_options
def inbox(connection: Connection, mailbox: str, follow: bool, count: int | None, as_json: bool) -> None:
    """Print the mail of a MAILBOX, and take it out.

    Without --follow, the command ends when there is no more. Another client that has the mailbox loses it.
    """
    printing = Printing(count, as_json)

    async def talk(client: Client, reactor: Reactor) -> int:
        printing.client = client
        client.give_credit(CREDIT)
        while not printing.ended.called and not follow:
            before = printing.printed
            try:
                await printing.ended.addTimeout(QUIET_SECONDS, reactor)
            except DeferredTimeout:
                printing.ended = Deferred()
                if printing.printed == before:
                    return 0
        return await printing.ended if follow or printing.ended.called else 0

    speaking.speak(connection, talk, address=mailbox, deliver=printing.delivered, credit=0)


class Printing:
    """Prints deliveries, and confirms each that is printed; ``ended`` fires with the exit status."""

    def __init__(self, most: int | None, as_json: bool) -> None:
        self._most = most
        self._as_json = as_json
        self.printed = 0
        self.ended: Deferred[int] = Deferred()
        self.client: Client | None = None

    def delivered(self, delivery: Delivery) -> None:
        """Print a delivery."""
        client = self.client
        if client is None or self._is_enough:
            return
        line = as_object(delivery) if self._as_json else as_text(delivery)
        if not print_line(line):
            self._end(os.EX_IOERR)
            return
        client.confirm(delivery)
        client.give_credit(1)
        self.printed += 1
        if self._is_enough:
            self._end(0)

    @property
    def _is_enough(self) -> bool:
        return self._most is not None and self.printed >= self._most

    def _end(self, status: int) -> None:
        if not self.ended.called:
            self.ended.callback(status)


def as_text(delivery: Delivery) -> str:
    """Return mail as a line: sender, subject, and the frames of its content."""
    frames = " ".join(printable(frame) for frame in delivery.content)
    return f"{shown.name(delivery.sender)} {shown.name(delivery.subject)} {frames}".rstrip()
