"""``alas messages``, ``alas cancel`` and ``alas hurry``: the messages that wait, are delayed, or are with workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import click

from alaska.admin.message_snapshots import Message
from alaska.admin.requests import MOST_ITEMS, MOST_POSITION, Cancel, MessageQuery, OneMessage
from alaska.admin.snapshots import Done, Page
from alaska.commands import asking, shown
from alaska.commands.admin_client import AdminClient
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.rows import age, progress
from alaska.commands.values import MAILBOX, NAME, SERVICE, one_of, whole_number
from alaska.message import NORMAL
from alaska.names import printable

SEARCH_SECONDS = 300.0
"""How long the broker may search a long queue."""
MOST_SHOWN = 100_000
_HEAD = ("POSITION", "STATE", "QUEUE", "SUBJECT", "SENDER", "TRACKER", "ID", ">AGE", ">OCTETS", ">ATTEMPTS", "")

F = TypeVar("F", bound=Callable[..., Any])


@click.command(
    "messages", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexamples: alas messages render --limit 20\n"
    "          alas messages --delayed",
)  # fmt: skip
@click.argument("service", type=SERVICE, required=False)
@click.option("--mailbox", metavar="NAME", type=MAILBOX, help="The mail in a mailbox.")
@click.option("--delayed", is_flag=True, help="Only what is delayed.")
@click.option("--waiting", is_flag=True, help="Only what is waiting.")
@click.option("--running", is_flag=True, help="Only what is running.")
@click.option("--match", metavar="TEXT", default="", help="Only those whose subject has it, or with ^TEXT begins so.")
@click.option("--sender", metavar="NAME", type=NAME, help="Only those that this client has sent.")
@click.option("--limit", type=whole_number(1, MOST_SHOWN), default=100, metavar="N", help="How many at most (100).")
@shown.json_option
@broker_options
def show(
    connection: Connection,
    service: str | None,
    mailbox: str | None,
    match: str,
    sender: str | None,
    limit: int,
    as_json: bool,
    **states: bool,
) -> None:
    """List messages.

    That is: those that workers have and did not confirm yet, those that wait, and delayed ones with the time when they
    are due. Without a SERVICE, the messages of all queues.
    """
    if service is not None and mailbox is not None:
        raise click.UsageError("either a SERVICE or --mailbox can be given")
    state = cast("Literal['delayed', 'waiting', 'running'] | None", one_of(**states))

    async def talk(broker: AdminClient) -> str | asking.Answer:
        found: list[Message] = []
        after: str | None = ""
        total = 0
        while after is not None and len(found) < limit:
            query = MessageQuery(
                service=service, mailbox=mailbox, state=state, match=match, sender=sender, after=after,
                limit=min(MOST_ITEMS, limit - len(found)),
            )  # fmt: skip
            page = await broker.ask("messages", query, Page[Message], asking.ANSWER_SECONDS)
            found += page.items
            after, total = page.next, page.total
        if as_json:
            return shown.lines(found)
        now = time.time()
        answer = asking.table(_HEAD, [_row(each, now) for each in found], "no messages")
        return answer if len(found) >= total else answer._replace(note=f"{total} in all; --limit shows more")

    asking.run(connection, talk)


def _which_options(function: F) -> F:
    for option in (
        click.option("--mailbox", metavar="NAME", type=MAILBOX, help="Only those of a mailbox."),
        click.option("--service", metavar="S", type=SERVICE, help="Only those of a service, which is faster."),
        click.option(
            "--position",
            metavar="N",
            type=whole_number(0, MOST_POSITION, "a position, which is a number"),
            help="Its position.",
        ),
        click.option("--tracker", metavar="T", type=NAME, help="Its tracker."),
        click.option("--id", type=NAME, help="The id of the message."),
    ):
        function = option(function)
    return function


class _OfMessages(Command):
    """A command whose options name messages."""

    takes_options_only = "--position names a message by its position, which alas messages shows"


def _check_which(which: dict[str, Any]) -> None:
    """Refuse options that do not select messages, or in two ways.

    :raises click.UsageError: they do not.
    """
    one_of(id=which["id"], tracker=which["tracker"], position=which["position"], required=True)
    one_of(service=which["service"], mailbox=which["mailbox"])


@click.command(
    "cancel", cls=_OfMessages, epilog=f"{asking.EXIT_STATUSES}\n\nexamples: alas cancel --id invoice-17\n"
    "          alas cancel --tracker 4f2c --service render --force",
)  # fmt: skip
@_which_options
@click.option("--force", is_flag=True, help="End the script that runs.")
@shown.json_option
@broker_options
def cancel(connection: Connection, force: bool, as_json: bool, **which: Any) -> None:  # noqa: ANN401  # what the options have
    """Cancel messages.

    Those that wait or are delayed are taken out; their senders are told with status 410. A worker that runs one is
    told, and its script can find out with alaska.cancelled(); with --force, the script is ended. All messages are meant
    that have the id or tracker.
    """
    _check_which(which)
    request = Cancel(force=force, **which)

    async def talk(broker: AdminClient) -> str:
        return _counted(await broker.ask("cancel", request, Done, SEARCH_SECONDS), "cancelled", as_json)

    asking.run(connection, talk)


@click.command("hurry", cls=_OfMessages, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas hurry --id invoice-17")
@_which_options
@shown.json_option
@broker_options
def hurry(connection: Connection, as_json: bool, **which: Any) -> None:  # noqa: ANN401  # what the options have
    """Make delayed messages due now. All are meant that have the id or tracker."""
    _check_which(which)
    request = OneMessage(**which)

    async def talk(broker: AdminClient) -> str:
        return _counted(await broker.ask("hurry", request, Done, SEARCH_SECONDS), "due now", as_json)

    asking.run(connection, talk)


def _counted(done: Done, what: str, as_json: bool) -> str:
    text = f"1 message is {what}" if done.count == 1 else f"{done.count} messages are {what}"
    return shown.either(done, f"{text} ({done.note})" if done.note else text, as_json)


def _row(each: Message, now: float) -> tuple[str, ...]:
    queue = each.address if each.queue == "service" else f"{each.queue} {each.address}"
    names = (each.state, queue, each.subject, each.sender, each.tracker, each.id)
    return (
        str(each.position),
        *map(shown.name, names),
        age(each.since, now),
        str(each.octets),
        str(each.attempts),
        _more(each),
    )


def _more(each: Message) -> str:
    """Return what else is known of a message."""
    parts = []
    if each.due is not None:
        parts.append(f"due {shown.time(each.due)}")
    if each.client:
        parts.append(f"at {printable(each.client)}")
    if each.progress is not None:
        parts.append(progress(each))
    if each.priority != NORMAL:
        parts.append(f"priority {each.priority}")
    if each.snoozes:
        parts.append(f"put off {each.snoozes} times" if each.snoozes > 1 else "put off once")
    if each.cancelled:
        parts.append("cancelled")
    return ", ".join(parts)
