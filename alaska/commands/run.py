"""``alas run``: runs one script locally, as a worker would, and prints its results."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from alaska.commands import settings, streams
from alaska.commands.parsing import Parser
from alaska.commands.trial import Bench
from alaska.lua.request import Outcome, Request, Send, SendKind, Verdict, VerdictKind
from alaska.names import printable

SUFFIX = ".lua"
MOST_SHOWN = 1000
PATIENCE_SECONDS = 1.0
"""How long after its time limit a script is considered stuck."""
_DESCRIPTION = """\
Run a script locally, with the limits of a worker. The content of its request
is the standard input. Its messages are printed, not sent."""
_VERBS = {SendKind.STREAM: "stream", SendKind.MAILBOX: "mail", SendKind.SERVICE: "request"}


def parser() -> Parser:
    """Return the parser of the command line."""
    result = Parser(
        prog="alas run",
        description=_DESCRIPTION,
        epilog="""exit status: 0 if the script succeeded, 1 if it failed, 2 for a wrong command line\n
example: echo '{"n":1}' | alas run services/dump.lua""",
    )
    result.add_argument("script", type=Path, help="the script, a .lua file")
    settings.add_option(result)
    result.add_argument("--sender", default="alas", help="the address of the requester (default: %(default)s)")
    result.add_argument("--tracker", default="", help="the request's tracker (default: none)")
    result.add_argument("--attempt", type=int, default=1, help="the number of the attempt (default: %(default)s)")
    result.add_argument(
        "--frame", action="append", default=[], metavar="TEXT", help="another content frame; may be repeated"
    )
    return result


def main(arguments: list[str]) -> None:
    """Run the command; the exit status is 1 if the script failed, 2 for a wrong command line."""
    reader = parser()
    options = reader.parse_args(arguments)
    path: Path = options.script
    if path.suffix != SUFFIX:
        reader.error(f"{path} is not a {SUFFIX} file")
    loaded = settings.load(options.config)
    try:
        content = streams.read()
    except OSError as error:
        streams.write_line(f"alas: the standard input cannot be read: {error.strerror}", sys.stderr)
        raise SystemExit(1) from None
    frames = (content, *map(os.fsencode, options.frame))
    request = Request(
        os.fsencode(options.sender),
        loaded.service_address.encode(),
        os.fsencode(path.stem),
        os.fsencode(options.tracker),
        frames,
        options.attempt,
        worker=b"alas",
    )
    bench = Bench(loaded, path.parent)
    limit = loaded.scripts_timeout / 1000
    outcome = bench.run(request, limit + PATIENCE_SECONDS if limit else None)
    show(outcome, request)
    verdict = outcome.verdict
    has_failed = verdict.kind is not VerdictKind.SNOOZE if verdict is not None else outcome.error is not None
    raise SystemExit(has_failed)


def show(outcome: Outcome, request: Request) -> None:
    """Print the output of a script as it is, and below it everything else, one line each."""
    streams.write(outcome.output)
    for line in outcome.log:
        streams.write_line(f"log {line.level}: {printable(line.text)}")
    for send in outcome.sends:
        streams.write_line(describe(send, request))
    if outcome.error is not None:
        streams.write_line(f"alas: {outcome.error}", sys.stderr)
    if outcome.verdict is not None:
        streams.write_line(describe_verdict(outcome.verdict))
    streams.write_line(f"time: {outcome.seconds * 1000:.1f} ms, memory: {outcome.memory / 1024:.0f} KiB")


def describe(send: Send, request: Request) -> str:
    """Return a message as one line."""
    content = " | ".join(shown(frame) for frame in send.content)
    if send.kind is SendKind.REPLY:
        to = f"to {printable(request.sender)}" if request.sender else "dropped, the requester has no address"
        return f"reply {to}: {content}"
    topic = send.topic or request.address
    terms = "".join(f", {name} {printable(value)}" for name, value in send.terms)
    return (
        f"{_VERBS[send.kind]} {printable(topic)}, subject {printable(send.subject)}, from {printable(send.sender)}"
        f"{terms}: {content}"
    )


def describe_verdict(verdict: Verdict) -> str:
    """Return how a script has ended its run, as one line."""
    wait = "" if verdict.seconds is None else f" in {verdict.seconds:g} s"
    return f"{verdict.kind.value}{wait}{f': {shown(verdict.why)}' if verdict.why else ''}"


def shown(frame: bytes) -> str:
    """Return a frame as text on one line, truncated if it is long."""
    text = printable(frame[:MOST_SHOWN])
    return text if len(frame) <= MOST_SHOWN else f"{text}… ({len(frame)} octets)"
