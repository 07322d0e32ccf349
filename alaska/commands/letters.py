"""``alas letters``: shows, resends and drops the dead letters of a running broker (docs/dead-letters.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from alaska.admin.message_snapshots import Letter, LetterContent
from alaska.admin.requests import LetterQuery, OneLetter, Replay, SomeLetters
from alaska.admin.snapshots import Done, DoneWithSome, Page
from alaska.commands import asking, letter_edit, shown, streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import ANSWER_SECONDS
from alaska.commands.command import Command, Entry, Group
from alaska.commands.confirming import confirm, yes_option
from alaska.commands.connection import Connection, broker_options
from alaska.commands.letter_selection import RATE, selection_of, selection_options
from alaska.commands.letter_texts import HEADER, as_text, row
from alaska.commands.values import whole_number
from alaska.errors import OperationFailed
from alaska.message import MOST_POSITION

PAGE_ITEMS = 200
MOST_SHOWN = 999_999_999
MOST_AT_ONCE = 100
"""The number of dead letters that one request to the broker resends or drops, so that there is progress to show."""
REQUESTS_PER_SECOND = 5
"""With a rate, how many requests are made a second, as far as each has at least one dead letter."""
_SOME = "numbers of dead letters, options that select some, or --all"
_HERE = "alaska.commands.letters"
_NUMBER = whole_number(0, MOST_POSITION, "the number of a dead letter")

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    "letters",
    cls=Group,
    sections={
        "Commands": {
            "list": Entry(f"{_HERE}:show_list", "Show the dead letters that match, without their content."),
            "show": Entry(f"{_HERE}:show", "Show one with its content."),
            "resend": Entry(f"{_HERE}:resend", "Send one again, possibly changed, or all that match."),
            "drop": Entry(f"{_HERE}:drop", "Delete some by their numbers, or all that match."),
            "export": Entry(f"{_HERE}:export", "Print the dead letters that match with their content, in JSON."),
        }
    },
)
def letters() -> None:
    """Show, resend and drop dead letters: the messages that could not be processed (docs/dead-letters.md)."""


@click.command(
    "list", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas letters list --service render --younger 1h"
)
@selection_options
@click.option("--newest", is_flag=True, help="The newest ones first.")
@click.option("-n", "--limit", type=whole_number(1, MOST_SHOWN), metavar="N", help="At most so many.")
@shown.json_option
@broker_options
def show_list(connection: Connection, newest: bool, limit: int | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Show the dead letters that match, the oldest ones first."""
    query = LetterQuery(**selection_of(options), sort="newest" if newest else "")

    async def talk(broker: AdminClient) -> str | asking.Answer:
        found = await broker.ask_all("letters", query, Letter, limit)
        return shown.lines(found) if as_json else asking.table(HEADER, [row(each) for each in found], "no dead letters")

    asking.run(connection, talk)


@click.command("show", cls=Command, epilog=asking.EXIT_STATUSES)
@click.argument("position", metavar="N", type=_NUMBER)
@shown.json_option
@broker_options
def show(connection: Connection, position: int, as_json: bool) -> None:
    """Show the dead letter with the number N, and its content."""

    async def talk(broker: AdminClient) -> str:
        found = await _read(broker, position)
        return shown.lines([found]) if as_json else as_text(found)

    asking.run(connection, talk)


async def _read(broker: AdminClient, position: int) -> LetterContent:
    return await broker.ask("read-letter", OneLetter(position=position), LetterContent, ANSWER_SECONDS)


@click.command(
    "export",
    cls=Command,
    epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas letters export --service render > render.jsonl",
)
@selection_options
@click.option("--json", "as_json", is_flag=True, help="Has no effect: it is always JSON.")
@broker_options
def export(connection: Connection, as_json: bool, **options: Any) -> None:  # noqa: ANN401  # what the options have
    """Print the dead letters that match with their content, in JSON, an object a line.

    The frames of the content are in base64. Nothing is changed in the broker.
    """
    del as_json
    query = LetterQuery(**selection_of(options))

    async def talk(broker: AdminClient) -> str:
        for each in await broker.ask_all("letters", query, Letter):
            streams.write_line(shown.lines([await _read(broker, each.position)]))
        return ""

    asking.run(connection, talk)


def _some_options(function: F) -> F:
    function = broker_options(function)
    function = shown.json_option(function)
    function = selection_options(function)
    function = click.option("--all", "is_all", is_flag=True, help="All dead letters.")(function)
    return click.argument("positions", metavar="[N]...", type=_NUMBER, nargs=-1)(function)


@click.command(
    "resend",
    cls=Command,
    epilog=f"{asking.EXIT_STATUSES}\n\nexamples: alas letters resend 7 --edit\n"
    "          alas letters resend --service render --rate 50/s",
)
@click.option("--edit", "is_edited", is_flag=True, help="Change the content with $EDITOR.")
@click.option(
    "--content", "files", metavar="FILE", multiple=True, help="A file with the content; repeated, one for each frame."
)
@click.option("--rate", "per_second", type=RATE, metavar="N/s", help="At most so many a second, or /m, /h.")
@_some_options
def resend(
    connection: Connection, positions: tuple[int, ...], is_edited: bool, files: tuple[str, ...],
    per_second: float | None, as_json: bool, **options: Any,  # noqa: ANN401  # those that select
) -> None:  # fmt: skip
    """Send dead letters again: those with the numbers N, or all that match.

    One with a number can be changed: --edit opens its content in $EDITOR, --content reads it from a file, and --service
    and --subject replace its service and subject. If a change is not valid, nothing is sent.
    """
    selection = _checked(positions, options, ("service", "subject"))
    if (is_edited or files) and len(positions) != 1:
        raise click.UsageError("--edit and --content are for one dead letter, given by its number")
    if is_edited and files:
        raise click.UsageError("--edit and --content cannot both be given")

    async def talk(broker: AdminClient) -> str:
        if not positions:
            return await _all_that_match(broker, selection, "replay-letters", "resent", per_second, as_json)
        content = None
        if is_edited or files:
            content = await letter_edit.changed(await _read(broker, positions[0]), files or None)
        await _resend(broker, positions, per_second, {**_changes(options), "content": content})
        return _report("resent", len(positions), as_json)

    asking.run(connection, talk)


def _changes(options: dict[str, Any]) -> dict[str, Any]:
    return {"service": options["service"], "subject": options["subject"]}


async def _resend(
    broker: AdminClient, positions: tuple[int, ...], per_second: float | None, changes: dict[str, Any]
) -> None:
    """Send dead letters again, changed.

    :raises OperationFailed: the broker has no room for one; those before it are resent.
    """
    for number, position in enumerate(positions):
        if number and per_second:
            await broker.wait(1 / per_second)
        done = await broker.ask("replay-letter", Replay(position=position, **changes), Done, ANSWER_SECONDS)
        if not done.done:
            raise OperationFailed(f"dead letter {position} was not resent: {done.note}; before it {number} were")


@click.command(
    "drop", cls=Command, epilog=f"{asking.EXIT_STATUSES}\n\nexample: alas letters drop --cause not_found --older 7d"
)
@yes_option
@_some_options
def drop(connection: Connection, positions: tuple[int, ...], is_sure: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Delete dead letters: those with the numbers N, or all that match."""
    selection = _checked(positions, options)
    which = f"{len(positions)} dead letters" if positions else "all dead letters that match"
    confirm(f"Delete {'all dead letters' if options['is_all'] else which} at {connection.endpoint}?", is_sure)

    async def talk(broker: AdminClient) -> str:
        if not positions:
            return await _all_that_match(broker, selection, "drop-letters", "dropped", None, as_json)
        for position in positions:
            await broker.ask("drop-letter", OneLetter(position=position), Done, ANSWER_SECONDS)
        return _report("dropped", len(positions), as_json)

    asking.run(connection, talk)


async def _all_that_match(
    broker: AdminClient, selection: dict[str, Any], operation: str, what: str, per_second: float | None, as_json: bool
) -> str:
    """Resend or drop the dead letters that match and are there now, at most so many a second, and show the progress.

    :raises OperationFailed: the broker has no room for one; those before it are resent.
    """
    # What dies again gets a higher position.
    newest = await broker.ask("letters", LetterQuery(**selection, limit=1, sort="newest"), Page[Letter], ANSWER_SECONDS)
    upto = newest.items[0].position if newest.items else 0
    at_once = MOST_AT_ONCE
    if per_second is not None:
        at_once = max(1, min(MOST_AT_ONCE, int(per_second / REQUESTS_PER_SECOND)))
    after = count = 0
    while after < upto:
        request = SomeLetters(**{**selection, "upto": upto}, after=after, limit=at_once)
        done = await broker.ask(operation, request, DoneWithSome, ANSWER_SECONDS)
        count += done.count or 0
        if not as_json:
            _show_progress(f"{count} of {newest.total} {what}")
        if not done.done:
            raise OperationFailed(f"{done.note}; {count} of {newest.total} {what}")
        if done.last is None:
            break
        after = done.last
        if per_second is not None and after < upto:
            await broker.wait((done.count or 0) / per_second)
    return _report(what, count, as_json)


def _show_progress(text: str) -> None:
    end = "\r" if sys.stderr.isatty() else "\n"
    streams.write(f"{text}{end}".encode(), sys.stderr)


def _report(what: str, count: int, as_json: bool) -> str:
    none = "" if count else "; no dead letter matches"
    return shown.lines([{what: count}]) if as_json else f"dead letters {what}: {count}{none}"


def _checked(positions: tuple[int, ...], options: dict[str, Any], replaced: Sequence[str] = ()) -> dict[str, Any]:
    """Return what selects dead letters.

    ``replaced`` are the options that do not select, with a number, but say what the dead letter is to have.

    :raises click.UsageError: there are no dead letters, or numbers and options that select others.
    """
    selection, is_all = selection_of(options), options["is_all"]
    if positions:
        others = {name: value for name, value in selection.items() if name not in replaced}
        if others or is_all:
            raise click.UsageError("numbers and options that select dead letters cannot both be given")
    elif bool(selection) == is_all:
        raise click.UsageError(f"expected {_SOME}")
    return selection
