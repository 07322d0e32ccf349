"""``alas bind``, ``alas unbind``, ``alas bindings`` and ``alas readers``: what reads the streams of a broker."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Literal

import msgspec

from alaska.admin.requests import NewBinding, OneBinding, OneReader, Query, ReaderQuery
from alaska.admin.snapshots import Binding, Done, Page, Reader
from alaska.commands import asking
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import Run
from alaska.commands.operate import name_of
from alaska.commands.parsing import Parser
from alaska.commands.tail import position
from alaska.mlm.commands import LIVE_ONLY
from alaska.names import printable

PAGE_ITEMS = 200
_BINDINGS = ("STREAM", "PATTERN", "SERVICE", "STATE", "POSITION", "LAG", "UNFINISHED", "MADE", "LOST", "SKIPPED")
_READERS = ("STREAM", "NAME", "PATTERNS", "CLIENT", "POSITION", "LAG", "LOST")


def bind(arguments: list[str], run: Run = asking.run) -> None:
    """Bind a stream to a service."""
    reader = _binding_parser(
        "alas bind",
        "Make each record of a stream whose subject matches a request to a service. The\n"
        "binding stays until alas unbind; a broker with a store in a file keeps it over\n"
        "restarts. The user needs read on the stream and ask on the service, or the right\n"
        "admin operate.",
        "example: alas bind sensors climate ^temp --from new",
    )
    reader.add_argument(
        "--from",
        dest="position",
        type=position,
        default=0,
        metavar="N",
        help="the first position, or new (default: 0, the oldest record)",
    )
    options = reader.parse_args(arguments)
    begin: int | Literal["new"] = "new" if options.position == LIVE_ONLY else options.position

    async def talk(broker: AdminClient) -> str:
        request = NewBinding(stream=options.stream, service=options.service, pattern=options.pattern, position=begin)
        done = await broker.ask("bind", request, Done, asking.ANSWER_SECONDS)
        what = f"{printable(options.stream)} is bound to {printable(options.service)}"
        return f"{what}: {done.note}" if done.note else what

    run(reader, options, talk)


def unbind(arguments: list[str], run: Run = asking.run) -> None:
    """End a binding."""
    reader = _binding_parser(
        "alas unbind",
        "End a binding; STREAM, SERVICE and PATTERN are those of alas bind. Requests that it\n"
        "has made stay. A worker with the setting worker/service/stream makes it again when\n"
        "it connects.",
        "example: alas unbind sensors climate ^temp",
    )
    options = reader.parse_args(arguments)

    async def talk(broker: AdminClient) -> str:
        request = OneBinding(stream=options.stream, service=options.service, pattern=options.pattern)
        await broker.ask("unbind", request, Done, asking.ANSWER_SECONDS)
        return f"{printable(options.stream)} is not bound to {printable(options.service)} any more"

    run(reader, options, talk)


def _binding_parser(prog: str, description: str, example: str) -> Parser:
    reader = Parser(prog, description, f"{asking.EXIT_STATUSES}\n\n{example}")
    reader.add_argument("stream", metavar="STREAM", type=name_of, help="the stream")
    reader.add_argument("service", metavar="SERVICE", type=name_of, help="the service")
    reader.add_argument(
        "pattern", metavar="PATTERN", type=_pattern, nargs="?", default="", help="of the subjects (default: all)"
    )
    asking.add_options(reader)
    return reader


def _pattern(text: str) -> str:
    return name_of(text) if text else ""


def bindings(arguments: list[str], run: Run = asking.run) -> None:
    """Show the bindings."""
    reader = Parser("alas bindings", "Show the streams that are bound to services.", asking.EXIT_STATUSES)
    options = _list_options(reader, arguments, "only those whose stream or service contains this text")

    async def talk(broker: AdminClient) -> str:
        found: list[Binding] = []
        after: str | None = ""
        while after is not None:
            query = Query(match=options.match, after=after, limit=PAGE_ITEMS)
            page = await broker.ask("bindings", query, Page[Binding], asking.ANSWER_SECONDS)
            found += page.items
            after = page.next
        if options.json:
            return "\n".join(msgspec.json.encode(each).decode() for each in found)
        rows = [
            (
                *map(printable, (each.stream, each.pattern or "-", each.service)),
                "live" if each.live else "full" if each.full and each.lag else "reads",
                *map(str, (each.position, each.lag, each.unfinished, each.made, each.lost, each.skipped)),
            )
            for each in found
        ]
        return _table(_BINDINGS, rows) if rows else "no stream is bound"

    run(reader, options, talk)


def readers(arguments: list[str], run: Run = asking.run) -> None:
    """Show the readers of streams, or delete a durable one."""
    reader = Parser(
        "alas readers",
        "Show who reads streams, and the durable readers, with the number of records that\n"
        "they lag. With --delete, delete a durable reader that nobody has at present.",
        f"{asking.EXIT_STATUSES}\n\nexamples: alas readers\n          alas readers --delete sensors report",
    )
    reader.add_argument("--delete", nargs=2, type=name_of, metavar=("STREAM", "NAME"), help="delete this one")
    options = _list_options(reader, arguments, "only those of streams whose name contains this text")

    async def talk(broker: AdminClient) -> str:
        if options.delete:
            stream, name = options.delete
            await broker.ask("delete-reader", OneReader(stream=stream, name=name), Done, asking.ANSWER_SECONDS)
            return f"the reader {printable(name)} of {printable(stream)} is deleted"
        found: list[Reader] = []
        after: str | None = ""
        while after is not None:
            query = ReaderQuery(match=options.match, after=after, limit=PAGE_ITEMS)
            page = await broker.ask("readers", query, Page[Reader], asking.ANSWER_SECONDS)
            found += page.items
            after = page.next
        if options.json:
            return "\n".join(msgspec.json.encode(each).decode() for each in found)
        rows = [
            (
                *map(printable, (each.stream, each.name or "-", " ".join(each.patterns) or "-")),
                "-" if each.client is None else printable(each.address) or f"anonymous {each.client}",
                *map(str, (each.position, each.lag, each.lost)),
            )
            for each in found
        ]
        return _table(_READERS, rows) if rows else "there are no readers"

    run(reader, options, talk)


def _list_options(reader: Parser, arguments: list[str], what: str) -> argparse.Namespace:
    reader.add_argument("match", metavar="TEXT", nargs="?", default="", help=what)
    reader.add_argument("--json", action="store_true", help="one JSON object a line")
    asking.add_options(reader)
    return reader.parse_args(arguments)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    all_rows = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in all_rows)
