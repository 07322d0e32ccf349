"""``alas messages``, ``alas cancel`` and ``alas hurry``: the messages that wait, are delayed, or are with workers."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from typing import Any

from alaska.admin.requests import MOST_ITEMS, MOST_POSITION, Cancel, MessageQuery, OneMessage
from alaska.admin.snapshots import Done, Message, Page
from alaska.commands import asking
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import Run
from alaska.commands.operate import name_of
from alaska.commands.parsing import Parser
from alaska.message import NORMAL
from alaska.names import printable

SEARCH_SECONDS = 300.0
"""How long the broker may search a long queue."""
MOST_SHOWN = 100_000
_HEAD = ("POSITION", "STATE", "QUEUE", "SUBJECT", "SENDER", "TRACKER", "ID", "AGE", "OCTETS", "ATTEMPTS", "")
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60))


def show(arguments: list[str], run: Run = asking.run) -> None:
    """List messages."""
    reader = Parser(
        "alas messages",
        "List messages: those that workers have and did not confirm yet, those that wait,\n"
        "and delayed ones with the time when they are due.",
        f"{asking.EXIT_STATUSES}\n\nexamples: alas messages render --limit 20\n          alas messages --delayed",
    )
    reader.add_argument("service", metavar="SERVICE", nargs="?", type=name_of, help="the service (default: all queues)")
    reader.add_argument("--mailbox", metavar="NAME", type=name_of, help="the mail in a mailbox")
    state = reader.add_mutually_exclusive_group()
    for each in ("delayed", "waiting", "running"):
        state.add_argument(f"--{each}", dest="state", action="store_const", const=each, help=f"only what is {each}")
    reader.add_argument(
        "--limit", type=_limit, default=100, metavar="N", help="how many at most (default: %(default)s)"
    )
    asking.add_options(reader)
    options = reader.parse_args(arguments)

    async def talk(broker: AdminClient) -> str:
        found: list[Message] = []
        after: str | None = ""
        total = 0
        while after is not None and len(found) < options.limit:
            query = MessageQuery(
                service=options.service,
                mailbox=options.mailbox,
                state=options.state,
                after=after,
                limit=min(MOST_ITEMS, options.limit - len(found)),
            )
            page = await broker.ask("messages", query, Page[Message], asking.ANSWER_SECONDS)
            found += page.items
            after, total = page.next, page.total
        rows = [_HEAD, *(_row(each, datetime.now(timezone.utc).timestamp()) for each in found)]
        more = [f"{total} in all"] if total > len(found) else []
        return "\n".join([*_table(rows), *more]) if found else "no messages"

    run(reader, options, talk)


def cancel(arguments: list[str], run: Run = asking.run) -> None:
    """Cancel messages."""
    reader = Parser(
        "alas cancel",
        "Take messages out that wait or are delayed; their senders are told with status 410.\n"
        "A worker that runs one is told, and its script can find out with alaska.cancelled();\n"
        "with --force, the script is ended. All messages are meant that have the id or tracker.",
        f"{asking.EXIT_STATUSES}\n\nexamples: alas cancel --id invoice-17\n"
        "          alas cancel --tracker 4f2c --service render --force",
    )
    _add_which(reader)
    reader.add_argument("--force", action="store_true", help="end the script that runs")
    asking.add_options(reader)
    options = reader.parse_args(arguments)
    request = Cancel(force=options.force, **_which(options))

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("cancel", request, Done, SEARCH_SECONDS)
        return _counted(done, "cancelled")

    run(reader, options, talk)


def hurry(arguments: list[str], run: Run = asking.run) -> None:
    """Make delayed messages due now."""
    reader = Parser(
        "alas hurry",
        "Make delayed messages due now. All are meant that have the id or tracker.",
        f"{asking.EXIT_STATUSES}\n\nexample: alas hurry --id invoice-17",
    )
    _add_which(reader)
    asking.add_options(reader)
    options = reader.parse_args(arguments)
    request = OneMessage(**_which(options))

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("hurry", request, Done, SEARCH_SECONDS)
        return _counted(done, "due now")

    run(reader, options, talk)


def _add_which(reader: Parser) -> None:
    which = reader.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", type=name_of, help="the id of the message")
    which.add_argument("--tracker", metavar="T", type=name_of, help="its tracker")
    which.add_argument("--position", metavar="N", type=_position, help="its position, as alas messages shows it")
    queue = reader.add_mutually_exclusive_group()
    queue.add_argument("--service", metavar="S", type=name_of, help="only those of a service, which is faster")
    queue.add_argument("--mailbox", metavar="NAME", type=name_of, help="only those of a mailbox")


def _which(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in OneMessage.__struct_fields__}


def _counted(done: Done, what: str) -> str:
    text = f"1 message is {what}" if done.count == 1 else f"{done.count} messages are {what}"
    return f"{text} ({done.note})" if done.note else text


def _row(each: Message, now: float) -> tuple[str, ...]:
    queue = each.address if each.queue == "service" else f"{each.queue} {each.address}"
    names = (each.state, queue, each.subject, each.sender or "-", each.tracker or "-", each.id or "-")
    age = "-" if each.since is None else _duration(now - each.since)
    numbers = (age, str(each.octets), str(each.attempts))
    return (str(each.position), *(printable(name) for name in names), *numbers, _more(each))


def _more(each: Message) -> str:
    """Return what else is known of a message."""
    parts = []
    if each.due is not None:
        parts.append(f"due {_time(each.due)}")
    if each.client:
        parts.append(f"at {printable(each.client)}")
    if each.progress is not None:
        parts.append(f"{each.progress:.0%} {printable(each.progress_text)}".rstrip())
    if each.priority != NORMAL:
        parts.append(f"priority {each.priority}")
    if each.snoozes:
        parts.append(f"put off {each.snoozes} times" if each.snoozes > 1 else "put off once")
    if each.cancelled:
        parts.append("cancelled")
    return ", ".join(parts)


def _time(seconds: float) -> str:
    try:
        time = datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):  # anybody may send a message with a delay of 200 000 years
        return "after the year 9999"
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _duration(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds / size)}{unit}"
    return f"{max(0, int(seconds))}s"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_SHOWN:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MOST_SHOWN}")
    return int(text)


def _position(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(MOST_POSITION)) or int(text) > MOST_POSITION:
        raise argparse.ArgumentTypeError("expected a position, which is a number")
    return int(text)
