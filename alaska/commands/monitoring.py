"""``alas check`` without a path: the state of a broker for a monitoring system, as plugins of Nagios report it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from alaska import errors
from alaska.admin import warnings
from alaska.admin.requests import Nothing, QueueQuery
from alaska.admin.snapshots import BrokerOverview, Queue, StoreState
from alaska.commands import asking, shown
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import ANSWER_SECONDS
from alaska.commands.connection import Connection


class State(IntEnum):
    """The states of a check; the number is the exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Bounds(NamedTuple):
    """From which values on a measure is a warning, or critical; None: never."""

    warning: float | None = None
    critical: float | None = None

    def state(self, value: float) -> State:
        """Return the state of a value."""
        if self.critical is not None and value >= self.critical:
            return State.CRITICAL
        return State.WARNING if self.warning is not None and value >= self.warning else State.OK


NO_BOUNDS = Bounds()


def bounds(text: str) -> Bounds:
    """Parse ``WARNING:CRITICAL`` or one of both, such as ``100:1000``, ``100`` or ``:1000``.

    :raises ValueError: it is neither.
    """
    warning, _, critical = text.partition(":")
    try:
        found = Bounds(*(float(each) if each else None for each in (warning, critical)))
    except ValueError:
        found = NO_BOUNDS
    given = [each for each in found if each is not None]
    if not given or not all(0 <= each < float("inf") for each in given):
        raise ValueError("expected WARNING:CRITICAL, such as 100:1000")
    return found


class Wanted(NamedTuple):
    """What is checked: the whole broker or one service, and from which values on it is in which state."""

    service: str | None = None
    waiting: Bounds = NO_BOUNDS
    age: Bounds = NO_BOUNDS
    letters: Bounds = NO_BOUNDS
    workers: int = 0


class Finding(NamedTuple):
    """What a check has found: its state, a sentence for each reason, and the measures."""

    state: State
    reasons: list[str]
    measures: dict[str, float]

    def as_line(self) -> str:
        """Return it as a line of a plugin of Nagios, with performance data."""
        text = "; ".join(self.reasons) or "all is well"
        measures = " ".join(f"{name}={value:g}" for name, value in self.measures.items())
        # A bar would begin the performance data.
        return f"ALASKA {self.state.name} - {text.replace('|', '/')}" + (f" | {measures}" if measures else "")

    def as_json(self) -> str:
        """Return it as a line of JSON."""
        return shown.lines([{"state": self.state.name, "reasons": self.reasons, "measures": self.measures}])


async def find(broker: AdminClient, wanted: Wanted) -> Finding:
    """Check a broker.

    :raises AlaskaError: it does not answer, or has no such service.
    """
    overview = await broker.ask("overview", Nothing(), BrokerOverview, ANSWER_SECONDS)
    store = await broker.ask("store", Nothing(), StoreState, ANSWER_SECONDS)
    if wanted.service is not None:
        found = await broker.ask_all("services", QueueQuery(match=f"^{wanted.service}"), Queue)
        queue = next((each for each in found if each.name == wanted.service), None)
        if queue is None:
            return Finding(State.CRITICAL, [f"nobody offers or uses the service {wanted.service}"], {})
        return of_service(queue, wanted, overview.time)
    return of_broker(overview, store, wanted)


def of_broker(overview: BrokerOverview, store: StoreState, wanted: Wanted) -> Finding:
    """Return what is found of a broker; what is worth a look at it is a warning."""
    measures = {
        "waiting": overview.waiting,
        "in_flight": overview.in_flight,
        "delayed": overview.delayed,
        "dead_letters": overview.dead_letters,
        "clients": overview.clients,
        "workers": overview.workers,
    }
    judged = [
        (wanted.waiting.state(overview.waiting), f"{overview.waiting} messages wait"),
        (wanted.letters.state(overview.dead_letters), f"{overview.dead_letters} dead letters"),
        *_few_workers(overview.workers, wanted.workers),
    ]
    if store.complaint is not None:
        judged.append((State.CRITICAL, store.complaint))
    if overview.draining:
        judged.append((State.WARNING, "the broker is drained: it takes no new requests"))
    bounded = [wanted.waiting != NO_BOUNDS and "messages that wait", wanted.letters != NO_BOUNDS and "dead letters"]
    judged += [
        (State.WARNING, each)
        for each in warnings.of_broker(overview, store)
        if not any(begin and each.startswith(begin) for begin in bounded)
    ]
    return _finding(judged, {name: float(value) for name, value in measures.items()})


def of_service(queue: Queue, wanted: Wanted, now: float) -> Finding:
    """Return what is found of a service."""
    age = 0.0 if queue.oldest is None else max(0.0, now - queue.oldest)
    judged = [
        (wanted.waiting.state(queue.waiting), f"{queue.waiting} requests wait"),
        (wanted.age.state(age), f"a request has waited for {shown.duration(age)}"),
        *_few_workers(queue.consumers, wanted.workers),
    ]
    if not queue.consumers and queue.waiting:
        judged.append((State.CRITICAL, "requests wait, and no worker offers the service"))
    if queue.paused:
        judged.append((State.WARNING, "the service is paused"))
    measures = {"waiting": queue.waiting, "in_flight": queue.in_flight, "oldest": age, "workers": queue.consumers}
    return _finding(judged, {name: float(value) for name, value in measures.items()})


def _few_workers(found: int, least: int) -> list[tuple[State, str]]:
    return [(State.CRITICAL, f"there are {found} workers, fewer than {least}")] if found < least else []


def _finding(judged: list[tuple[State, str]], measures: dict[str, float]) -> Finding:
    bad = sorted(((state, reason) for state, reason in judged if state), key=lambda each: -each[0])
    return Finding(bad[0][0] if bad else State.OK, [reason for _, reason in bad], measures)


def of_error(error: errors.AlaskaError) -> Finding:
    """Return what is found if the broker cannot be asked: it is critical that it does not answer."""
    is_refused = error.status in (errors.ACCESS_REFUSED, errors.NOT_IMPLEMENTED)
    return Finding(State.UNKNOWN if is_refused else State.CRITICAL, [str(error)], {})


def check_broker(connection: Connection, wanted: Wanted, as_json: bool) -> None:
    """Check a broker, print what is found, and exit with its state."""

    def shown_as(finding: Finding) -> asking.Answer:
        return asking.Answer(finding.as_json() if as_json else finding.as_line(), finding.state)

    async def talk(broker: AdminClient) -> asking.Answer:
        return shown_as(await find(broker, wanted))

    asking.run(connection, talk, lambda error: shown_as(of_error(error)))
