"""``alas run``: runs one script locally, as a worker would, and prints its results."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from alaska.commands import settings, streams
from alaska.commands import shown as printing
from alaska.commands.command import Command, failed
from alaska.commands.trial import Bench
from alaska.commands.values import FILE, whole_number
from alaska.config import WorkerSettings
from alaska.lua.request import Outcome, Request, Send, SendKind, Verdict, VerdictKind
from alaska.names import printable

SUFFIX = ".lua"
MOST_SHOWN = 1000
MOST_ATTEMPTS = 2**31 - 1
PATIENCE_SECONDS = 1.0
"""How long after its time limit a script is considered stuck."""
WATCH_SECONDS = 0.2
SETTLE_SECONDS = 0.05
_VERBS = {SendKind.STREAM: "stream", SendKind.MAILBOX: "mail", SendKind.SERVICE: "request"}


@click.command(
    "run",
    cls=Command,
    epilog="""exit status: 0 if the script succeeded, 1 if it failed, 2 for a wrong command line\n
example: echo '{"n":1}' | alas run services/dump.lua""",
)
@click.argument("script", type=FILE)
@settings.config_option
@click.option("--sender", default="alas", metavar="ADDRESS", help="The address of the requester (alas).")
@click.option("--tracker", default="", help="The request's tracker (none).")
@click.option(
    "--attempt", type=whole_number(1, MOST_ATTEMPTS), default=1, metavar="N", help="The number of the attempt (1)."
)
@click.option("--frame", "more", multiple=True, metavar="TEXT", help="Another content frame; may be repeated.")
@click.option("--watch", is_flag=True, help="Run it again whenever its file has changed, until Ctrl-C.")
@printing.json_option
def run(
    script: Path, config: Path | None, sender: str, tracker: str, attempt: int, more: tuple[str, ...], watch: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Run a SCRIPT, a .lua file, locally, with the limits of a worker.

    The content of its request is the standard input. Its messages are printed, not sent. In JSON, each object has a
    kind: output, log, stream, mail, request, reply, retry, snooze, reject, and at last end, with time and memory.
    """
    if script.suffix != SUFFIX:
        raise click.UsageError(f"the script is no {SUFFIX} file")
    if not script.is_file():
        raise failed(f"there is no file {script}")
    loaded = settings.load(config)
    try:
        content = streams.read()
    except OSError as error:
        raise failed(f"the standard input cannot be read: {error.strerror}") from None
    frames = (content, *map(os.fsencode, more))
    request = Request(
        os.fsencode(sender),
        loaded.service_address.encode(),
        os.fsencode(script.stem),
        os.fsencode(tracker),
        frames,
        attempt,
        worker=b"alas",
    )
    has_failed = _run(script, loaded, request, as_json)
    while watch:
        _wait_for_change(script)
        streams.write_line(f"-- {script} has changed", sys.stderr)
        _run(script, loaded, request, as_json)
    raise SystemExit(has_failed)


def _run(script: Path, loaded: WorkerSettings, request: Request, as_json: bool) -> bool:
    """Run a script once, and print what it does; return whether it has failed."""
    bench = Bench(loaded, script.parent)
    limit = loaded.scripts_timeout / 1000
    outcome = bench.run(request, limit + PATIENCE_SECONDS if limit else None)
    bench.close()
    if as_json:
        streams.write_line(printing.lines(as_objects(outcome, request)))
        if outcome.error is not None:
            streams.write_line(f"alas: {outcome.error}", sys.stderr)
    else:
        show(outcome, request)
    verdict = outcome.verdict
    return verdict.kind is not VerdictKind.SNOOZE if verdict is not None else outcome.error is not None


def _wait_for_change(file: Path) -> None:
    """Wait until a file, or what an editor has put in its place, is another one and complete."""
    before = now = _state_of(file)
    while now == before or now is None or now != _state_of(file):
        time.sleep(WATCH_SECONDS)
        now = _state_of(file)
        time.sleep(SETTLE_SECONDS)


def _state_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


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


def as_objects(outcome: Outcome, request: Request) -> list[dict[str, Any]]:
    """Return all that a script has printed, logged and sent, how it has ended, and at last what it took."""
    found: list[dict[str, Any]] = []
    if outcome.output:
        found.append({"kind": "output", "text": printing.content(outcome.output)})
    found += [{"kind": "log", "level": line.level, "text": printing.content(line.text)} for line in outcome.log]
    found += [_message(send, request) for send in outcome.sends]
    if outcome.verdict is not None:
        verdict = outcome.verdict
        found.append({"kind": verdict.kind.value, "seconds": verdict.seconds, "why": printing.content(verdict.why)})
    error = None if outcome.error is None else str(outcome.error)
    return [*found, {"kind": "end", "error": error, "seconds": outcome.seconds, "memory": outcome.memory}]


def _message(send: Send, request: Request) -> dict[str, Any]:
    content = [printing.content(frame) for frame in send.content]
    if send.kind is SendKind.REPLY:
        return {"kind": "reply", "to": printing.content(request.sender), "content": content}
    names = {"to": send.topic or request.address, "subject": send.subject, "sender": send.sender}
    found = {
        "kind": _VERBS[send.kind],
        **{name: printing.content(value) for name, value in names.items()},
        "content": content,
    }
    return {**found, "terms": {name: printing.content(value) for name, value in send.terms}}


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
