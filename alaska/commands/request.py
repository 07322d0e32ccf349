"""``alas request``: sends a request, and prints the answer of its script."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from alaska import errors
from alaska.client import Client, Delivery
from alaska.client.client import MOST_OCTETS
from alaska.client.delivery import Progress, to_octets
from alaska.commands import shown, speaking, streams
from alaska.commands.advice import advised
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.send import TRACE_VARIABLES
from alaska.commands.speaking import Content
from alaska.commands.term_options import term_options, terms_of
from alaska.commands.values import DURATION, SERVICE, SUBJECT
from alaska.interfaces import Reactor
from alaska.names import printable
from alaska.traces.context import read

NO_ANSWER = 124
"""The exit status of timeout(1), too."""
_EPILOG = """\
exit status:
  0    the answer is printed, or the script ended without one
  1    the request has failed, or nobody offers the service
  2    the command line is wrong
  69   the broker does not answer
  75   the broker has no room for the request
  77   the broker does not accept the user, or does not allow the request
  124  no answer within the time; if its script runs by then, it goes on

example: printf world | alas request default hello
         alas request default hello --content world --wait 5s"""


@click.command("request", cls=Command, epilog=_EPILOG)
@click.argument("service", type=SERVICE)
@click.argument("subject", type=SUBJECT)
@click.option(
    "--content",
    "contents",
    multiple=True,
    metavar="TEXT",
    help="Instead of the standard input; a frame each.",
)
@click.option(
    "-w", "--wait", type=DURATION, default=30.0, metavar="TIME", help="How long to wait for the answer (30s)."
)
@click.option(
    "--await-worker", is_flag=True, help="Wait also if nobody offers the service yet, which is an error otherwise."
)
@term_options
@click.option("--progress/--no-progress", default=None, help="Print how far the script is (default: on a terminal).")
@shown.json_option
@broker_options
def request(
    connection: Connection, service: str, subject: str, contents: tuple[str, ...], wait: float, await_worker: bool,
    progress: bool | None, as_json: bool, **options: Any,  # noqa: ANN401  # the terms
) -> None:  # fmt: skip
    """Send a request to a SERVICE, and print the answer of the script that the SUBJECT names.

    The content of the request is the standard input. The answer is printed as it is, its frames one after the other,
    and without a line end of alas; only a terminal gets one if the answer has none. In JSON, it has its sender,
    headers, and frames.
    """
    terms = terms_of(options)
    content = Content(contents, MOST_OCTETS).frames()
    is_shown = sys.stderr.isatty() if progress is None else progress

    async def talk(client: Client, _reactor: Reactor) -> int:
        trace = read(*(os.environ.get(name, "") for name in TRACE_VARIABLES))
        try:
            answer = await client.request(
                service, subject, *content, timeout=wait, needs_offer=not await_worker, trace=trace,
                progress=_print_progress if is_shown else None, **terms,
            )  # fmt: skip
        except errors.NoAnswer as error:
            streams.write_line(f"alas: {error}", sys.stderr)
            return NO_ANSWER
        except errors.Refused as error:
            status = speaking.exit_status(error)
            streams.write_line(f"alas: {advised(str(error), status)}", sys.stderr)
            return status
        _print(answer, as_json)
        return 0

    speaking.speak(connection, talk, address=speaking.own_address(connection))


def _print_progress(progress: Progress) -> None:
    streams.write_line(f"alas: {progress.fraction:.0%} {printable(progress.text)}".rstrip(), sys.stderr)


def _print(answer: Delivery, as_json: bool) -> None:
    if as_json:
        streams.write_line(as_object(answer))
        return
    content = b"".join(answer.content)
    # On a terminal, the prompt is to begin on a line of its own.
    end = b"\n" if sys.stdout.isatty() and content and not content.endswith(b"\n") else b""
    streams.write(content + end)


def as_object(delivery: Delivery) -> str:
    """Return a delivery as a JSON object; octets that are not UTF-8 are escaped as in other output."""
    found = {
        "sender": printable(to_octets(delivery.sender)),
        "subject": printable(to_octets(delivery.subject)),
        "tracker": printable(to_octets(delivery.tracker)),
        "headers": {
            printable(to_octets(key)): shown.content(to_octets(value)) for key, value in delivery.headers.items()
        },
        "content": [shown.content(frame) for frame in delivery.content],
    }
    return shown.lines([found])
