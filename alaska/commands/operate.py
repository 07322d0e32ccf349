"""``alas pause``, ``alas resume``, ``alas drain`` and ``alas purge``: what operators do with a running broker."""

from __future__ import annotations

import argparse

from alaska.admin.requests import Nothing, OneQueue, OneService
from alaska.admin.snapshots import Done
from alaska.admin.text import to_text
from alaska.commands import asking
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import Run
from alaska.commands.parsing import Parser, name
from alaska.names import printable

KINDS = ("service", "mailbox", "stream")


def pause(arguments: list[str], run: Run = asking.run) -> None:
    """Pause a service, or all."""
    reader = Parser(
        "alas pause",
        "Deliver nothing of a service, or of all, until it is resumed. Requests are still\n"
        "accepted and stored. A broker with a store in a file keeps that over restarts.",
        f"{asking.EXIT_STATUSES}\n\nexamples: alas pause render\n          alas pause --all",
    )
    options = _service_or_all(reader, arguments)
    request = OneService(service=options.service, all=options.all)
    what = "all services are" if options.all else f"{printable(options.service)} is"

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("pause", request, Done, asking.ANSWER_SECONDS)
        return f"{what} paused {done.note}".rstrip()

    run(reader, options, talk)


def resume(arguments: list[str], run: Run = asking.run) -> None:
    """End the pause of a service, or of all."""
    reader = Parser(
        "alas resume",
        "Deliver the requests of a service again, or of all. A service that was paused for\n"
        "itself stays paused when the pause of all ends.",
        f"{asking.EXIT_STATUSES}\n\nexamples: alas resume render\n          alas resume --all",
    )
    options = _service_or_all(reader, arguments)
    request = OneService(service=options.service, all=options.all)

    async def talk(broker: AdminClient) -> str:
        done = await broker.ask("resume", request, Done, asking.ANSWER_SECONDS)
        what = "the pause of all services has ended" if options.all else f"{printable(options.service)} is resumed"
        return f"{what} ({done.note})" if done.note else what

    run(reader, options, talk)


def drain(arguments: list[str], run: Run = asking.run) -> None:
    """Let a broker refuse new requests, or accept them again."""
    reader = Parser(
        "alas drain",
        "Let a broker refuse new requests; what waits is delivered, and mail and streams are\n"
        "accepted. With --end, it accepts requests again. It does so, too, when it restarts.",
        f"{asking.EXIT_STATUSES}\n\nexample: alas drain -e ipc:///run/alaska/broker",
    )
    reader.add_argument("--end", action="store_true", help="accept requests again")
    asking.add_options(reader)
    options = reader.parse_args(arguments)

    async def talk(broker: AdminClient) -> str:
        if options.end:
            await broker.ask("resume", OneService(), Done, asking.ANSWER_SECONDS)
            return "the broker accepts new requests again"
        await broker.ask("drain", Nothing(), Done, asking.ANSWER_SECONDS)
        return "the broker refuses new requests"

    run(reader, options, talk)


def purge(arguments: list[str], run: Run = asking.run) -> None:
    """Delete what waits for a service or in a mailbox, or all records of a stream."""
    reader = Parser(
        "alas purge",
        "Delete all messages that wait for a service or in a mailbox, or all records of a\n"
        "stream. What is in flight to a worker stays. Senders are told with status 300.",
        f"{asking.EXIT_STATUSES}\n\nexample: alas purge mailbox aw.err",
    )
    reader.add_argument("kind", metavar="KIND", choices=KINDS, help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}")
    reader.add_argument("name", metavar="NAME", type=name_of, help="the name")
    asking.add_options(reader)
    options = reader.parse_args(arguments)

    async def talk(broker: AdminClient) -> str:
        request = OneQueue(kind=options.kind, name=options.name)
        done = await broker.ask("purge", request, Done, asking.ANSWER_SECONDS)
        return f"{options.kind} {printable(options.name)}: {done.count} deleted"

    run(reader, options, talk)


def _service_or_all(reader: Parser, arguments: list[str]) -> argparse.Namespace:
    which = reader.add_mutually_exclusive_group(required=True)
    which.add_argument("service", metavar="SERVICE", nargs="?", type=name_of, help="the service")
    which.add_argument("--all", action="store_true", help="all services, also those that there will be")
    asking.add_options(reader)
    return reader.parse_args(arguments)


def name_of(text: str) -> str:
    """Return a name of the command line as requests have it.

    :raises argparse.ArgumentTypeError: it is empty or too long.
    """
    return to_text(name(text).encode("utf-8", "surrogateescape"))
