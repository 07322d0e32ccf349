"""``alas letters``: shows, resends and drops the dead letters of a running broker (docs/operation.md)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

import msgspec

from alaska.admin.requests import LetterQuery, OneLetter, Replay, SomeLetters
from alaska.admin.snapshots import Done, DoneWithSome, Letter, LetterContent, Page
from alaska.commands import asking, letter_edit, streams
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import ANSWER_SECONDS, Run
from alaska.commands.letter_selection import add_selection, rate, selection_of
from alaska.commands.letter_texts import as_text, lines_of
from alaska.commands.parsing import Parser
from alaska.errors import OperationFailed
from alaska.message import MOST_POSITION
from alaska.names import printable

PAGE_ITEMS = 200
MOST_AT_ONCE = 100
"""The number of dead letters that one request to the broker resends or drops, so that there is progress to show."""
REQUESTS_PER_SECOND = 5
"""With a rate, how many requests are made a second, as far as each has at least one dead letter."""
_DESCRIPTION = """\
Show, resend and drop the dead letters of a running broker: the messages that
could not be processed (docs/operation.md)."""
_EPILOG = """\
commands, each with -h:
  list    shows the dead letters that match, without their content
  show    shows one with its content
  resend  sends one again, possibly changed, or all that match
  drop    deletes some by their numbers, or all that match"""
_SOME = "numbers of dead letters, options that select some, or --all"


def main(arguments: list[str], run: Run = asking.run) -> None:
    """Run the command in the first argument."""
    asking.choose("alas letters", _DESCRIPTION, _EPILOG, COMMANDS, arguments, run)


def show_list(arguments: list[str], run: Run) -> None:
    """Show the dead letters that match, page by page."""
    reader = Parser(
        "alas letters list",
        "Show the dead letters that match, the oldest ones first.",
        f"{asking.EXIT_STATUSES}\n\nexample: alas letters list --service render --younger 1h",
    )
    add_selection(reader)
    reader.add_argument("--newest", action="store_true", help="the newest ones first")
    reader.add_argument("-n", "--limit", type=_count, metavar="N", help="at most so many")
    _add_json(reader)
    asking.add_options(reader)
    options = reader.parse_args(arguments)
    selection = selection_of(options)

    async def talk(broker: AdminClient) -> str:
        left, after, shown = options.limit, "", 0
        while left is None or left > 0:
            limit = PAGE_ITEMS if left is None else min(PAGE_ITEMS, left)
            query = LetterQuery(**selection, after=after, limit=limit, sort="newest" if options.newest else "")
            page = await broker.ask("letters", query, Page[Letter], ANSWER_SECONDS)
            _print_page(page, is_first=not shown, as_json=options.json)
            shown += len(page.items)
            left = None if left is None else left - len(page.items)
            if page.next is None or not page.items:
                break
            after = page.next
        return "]" if options.json and shown else "[]" if options.json else ""

    run(reader, options, talk)


def _print_page(page: Page[Letter], is_first: bool, as_json: bool) -> None:
    if as_json:
        for number, letter in enumerate(page.items):
            start = "[" if is_first and not number else ","
            streams.write_line(start + msgspec.json.encode(letter).decode())
    else:
        for line in lines_of(page.items, is_first):
            streams.write_line(line)


def show(arguments: list[str], run: Run) -> None:
    """Show one dead letter with its content."""
    reader = Parser("alas letters show", "Show a dead letter with its content.", asking.EXIT_STATUSES)
    reader.add_argument("position", metavar="N", type=_position, help="the number of the dead letter")
    _add_json(reader)
    asking.add_options(reader)
    options = reader.parse_args(arguments)

    async def talk(broker: AdminClient) -> str:
        found = await _read(broker, options.position)
        return msgspec.json.encode(found).decode() if options.json else as_text(found)

    run(reader, options, talk)


async def _read(broker: AdminClient, position: int) -> LetterContent:
    return await broker.ask("read-letter", OneLetter(position=position), LetterContent, ANSWER_SECONDS)


def resend(arguments: list[str], run: Run, edit: letter_edit.Edit = letter_edit.with_editor) -> None:
    """Send dead letters again."""
    reader = Parser(
        "alas letters resend",
        "Send dead letters again: those with the numbers N, or all that match. One with a\n"
        "number can be changed: --edit opens its content in $EDITOR, --content reads it from\n"
        "a file, and --service and --subject replace its service and subject. If a change is\n"
        "not valid, nothing is sent.",
        f"{asking.EXIT_STATUSES}\n\nexamples: alas letters resend 7 --edit\n"
        "          alas letters resend --service render --rate 50/s",
    )
    _add_numbers(reader)
    reader.add_argument("--edit", action="store_true", help="change the content with $EDITOR")
    reader.add_argument(
        "--content", metavar="FILE", action="append", help="a file with the content; repeated, one for each frame"
    )
    reader.add_argument("--rate", type=rate, metavar="N/s", help="at most so many a second, minute (/m) or hour (/h)")
    options = reader.parse_args(arguments)
    is_changed = options.edit or options.content is not None
    _check_numbers(reader, options, ("service", "subject"))
    if is_changed and len(options.positions) != 1:
        reader.error("--edit and --content are for one dead letter, given by its number")
    if options.edit and options.content is not None:
        reader.error("--edit and --content cannot both be given")

    async def talk(broker: AdminClient) -> str:
        if not options.positions:
            return await _all_that_match(broker, options, "replay-letters", "resent", options.rate)
        content = None
        if is_changed:
            before = await _read(broker, options.positions[0])
            content = await letter_edit.changed(before, options.content, edit)
        for number, position in enumerate(options.positions):
            if number and options.rate:
                await broker.wait(1 / options.rate)
            request = Replay(position=position, service=options.service, subject=options.subject, content=content)
            done = await broker.ask("replay-letter", request, Done, ANSWER_SECONDS)
            if not done.done:
                raise OperationFailed(f"dead letter {position} was not resent: {done.note}; before it {number} were")
        return _report(options, "resent", len(options.positions))

    run(reader, options, talk)


def drop(arguments: list[str], run: Run) -> None:
    """Delete dead letters."""
    reader = Parser(
        "alas letters drop",
        "Delete dead letters: those with the numbers N, or all that match.",
        f"{asking.EXIT_STATUSES}\n\nexample: alas letters drop --cause not_found --older 7d",
    )
    _add_numbers(reader)
    options = reader.parse_args(arguments)
    _check_numbers(reader, options)

    async def talk(broker: AdminClient) -> str:
        if not options.positions:
            return await _all_that_match(broker, options, "drop-letters", "dropped", None)
        for position in options.positions:
            await broker.ask("drop-letter", OneLetter(position=position), Done, ANSWER_SECONDS)
        return _report(options, "dropped", len(options.positions))

    run(reader, options, talk)


async def _all_that_match(
    broker: AdminClient, options: argparse.Namespace, operation: str, what: str, per_second: float | None
) -> str:
    """Resend or drop the dead letters that match and are there now, at most so many a second, and show the progress.

    :raises OperationFailed: the broker has no room for one; those before it are resent.
    """
    selection = selection_of(options)
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
        _show_progress(options, f"{count} of {newest.total} {what}")
        if not done.done:
            raise OperationFailed(f"{done.note}; {count} of {newest.total} {what}")
        if done.last is None:
            break
        after = done.last
        if per_second is not None and after < upto:
            await broker.wait((done.count or 0) / per_second)
    return _report(options, what, count)


def _show_progress(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        end = "\r" if sys.stderr.isatty() else "\n"
        streams.write(f"{text}{end}".encode(), sys.stderr)


def _report(options: argparse.Namespace, what: str, count: int) -> str:
    return msgspec.json.encode({what: count}).decode() if options.json else f"dead letters {what}: {count}"


def _add_numbers(reader: Parser) -> None:
    reader.add_argument("positions", metavar="N", type=_position, nargs="*", help="the number of a dead letter")
    reader.add_argument("--all", action="store_true", help="all dead letters")
    add_selection(reader)
    _add_json(reader)
    asking.add_options(reader)


def _check_numbers(reader: Parser, options: argparse.Namespace, replaced: Sequence[str] = ()) -> None:
    """Refuse a command line without dead letters, or with numbers and options that select others.

    ``replaced`` are the options that do not select, with a number, but say what the dead letter is to have.
    """
    selection = selection_of(options)
    if options.positions:
        selection = {name: value for name, value in selection.items() if name not in replaced}
        if selection or options.all:
            reader.error("numbers and options that select dead letters cannot both be given")
    elif bool(selection) == options.all:
        reader.error(f"expected {_SOME}")


def _add_json(reader: Parser) -> None:
    reader.add_argument("--json", action="store_true", help="print JSON")


def _position(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(MOST_POSITION)):
        raise argparse.ArgumentTypeError(f"{printable(text)} is not the number of a dead letter")
    return int(text)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < len(text) < 10 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{printable(text)} is not a number from 1 on")
    return int(text)


COMMANDS: Mapping[str, Callable[[list[str], Run], None]] = {
    "list": show_list,
    "show": show,
    "resend": resend,
    "drop": drop,
}
