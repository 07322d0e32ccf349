"""``alas find``: what has happened to a message, looked for by its id, tracker, subject or position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any, TypeAlias

import click
import msgspec

from alaska.admin.message_snapshots import Finished, Letter, Message, Step
from alaska.admin.overviews import EndedId, Found
from alaska.admin.requests import FindQuery
from alaska.commands import asking, shown
from alaska.commands.admin_client import AdminClient
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.values import NAME
from alaska.names import printable

EXIT_STATUSES = asking.EXIT_STATUSES.replace(
    "the broker cannot do it, and says why", "nothing is found, or the broker cannot do it"
)
WHAT = {
    "retried": "has failed{after}, to be tried again{reason}",
    "lost": "was lost{after}",
    "snoozed": "has put it off{after}{reason}",
    "returned": "has returned it{after}{reason}",
    "progress": "was done with{text}{after}",
}
"""What a worker has done at each step."""
_TIME_WIDTH = len("2026-12-01T08:00:00.000Z")
Line: TypeAlias = "tuple[float | None, str]"
"""A time, and what happened then."""
FoundOne: TypeAlias = "Message | Letter | Finished | EndedId"


@click.command(
    "find", cls=Command, epilog=f"{EXIT_STATUSES}\n\nexamples: alas find 4f2c\n          alas find --json invoice-17"
)
@click.argument("text", type=NAME)
@shown.json_option
@broker_options
def find(connection: Connection, text: str, as_json: bool) -> None:
    """Find a message, and show what has happened to it.

    TEXT is its id, tracker, subject or position, exactly as it is. Messages are found that wait, are delayed, run, are
    dead letters, or have ended lately: the broker keeps the last thousand that have succeeded, and the last thousand
    others, until it is restarted.
    """

    async def talk(broker: AdminClient) -> asking.Answer:
        found = await broker.ask("find", FindQuery(text=text), Found, asking.ANSWER_SECONDS)
        every: list[FoundOne] = [*found.messages, *found.letters, *found.finished, *_other_ids(found)]
        status = 0 if every else 1
        if as_json:
            return asking.Answer(shown.lines(_in_json(each, found.steps) for each in every), status)
        if not every:
            return asking.Answer(f"nothing is known of {printable(text)}", status)
        return asking.Answer(
            "\n\n".join([*(_in_text(each, found.steps) for each in every), *filter(None, [found.note])])
        )

    asking.run(connection, talk)


def _other_ids(found: Found) -> list[EndedId]:
    """Return the ids of whose messages nothing else is known."""
    known = {each.position for each in found.letters} | {each.position for each in found.finished}
    return [each for each in found.ended if each.position not in known]


def _in_json(one: FoundOne, steps: Iterable[Step]) -> dict[str, Any]:
    state = {Letter: "dead", Finished: "ended", EndedId: "ended"}.get(type(one))
    fields: dict[str, Any] = msgspec.to_builtins(one)
    own = [msgspec.to_builtins(each) for each in steps if each.position == one.position]
    return {**fields, "state": fields.get("state", state), "steps": own}


def _in_text(one: FoundOne, steps: Iterable[Step]) -> str:
    """Return a message with its time line."""
    if isinstance(one, EndedId):
        reason = f": {printable(one.reason)}" if one.reason else ""
        return f"the message with this id at position {one.position} has ended with status {one.status}{reason}"
    kind = "request" if one.queue == "service" else "mail"
    known = [f"{key} {printable(value)}" for key in ("tracker", "id") if (value := getattr(one, key, ""))]
    lines = [_arrival(one), *(_step(each) for each in steps if each.position == one.position), *_end(one)]
    head = f"{kind} {shown.name(one.subject)} for {shown.name(one.address)}"
    names = ", ".join([f"position {one.position}", *known])
    return "\n".join([f"{head} ({names})", *(f"  {_moment(at):{_TIME_WIDTH}}  {text}" for at, text in lines)])


def _arrival(one: Message | Letter | Finished) -> Line:
    return (one.arrived if isinstance(one, Letter) else one.since), f"arrived from {shown.name(one.sender)}"


def _step(step: Step) -> Line:
    who = printable(step.worker) or "its worker"
    after = "" if step.delivered is None else f" after {shown.seconds(max(0.0, step.time - step.delivered))}"
    text = printable(step.reason)
    said = WHAT.get(step.what, step.what).format(after=after, text=f" {text}", reason=f": {text}" if text else "")
    return step.time, f"{who} {said}"


def _end(one: Message | Letter | Finished) -> Iterator[Line]:
    """Return how a message has ended, or what it waits for."""
    if isinstance(one, Letter):
        worker = f" at {printable(one.worker.address)} on {printable(one.worker.host)}" if one.worker else ""
        reason = printable(one.reason.partition("\n")[0])
        yield one.time, f"became a dead letter{worker} ({one.cause}), attempt {one.attempts}: {reason}"
    elif isinstance(one, Finished):
        if one.worker:
            yield one.delivered, f"{printable(one.worker)} got it, attempt {one.attempts}"
        yield one.time, f"{one.outcome} with status {one.status}{f': {printable(one.reason)}' if one.reason else ''}"
        if one.answer is not None:
            yield None, f"its answer, at position {one.answer}, is {one.answer_state}"
    elif one.state == "running":
        yield one.delivered, f"{shown.name(one.client)} got it, attempt {one.attempts}, and has it"
    else:
        yield one.due, "waits" if one.state == "waiting" else "is due"
    if isinstance(one, Message) and one.cancelled:
        yield None, "is cancelled"


def _moment(value: float | None) -> str:
    """Return a time of a snapshot in UTC, with milliseconds, since attempts may follow each other fast."""
    if value is None:
        return ""
    try:
        found = datetime.fromtimestamp(value, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return shown.time(value)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
