"""``alas send --lines``: a request for each line of a file or pipe, as fast as the broker takes them.

Each request has an id, so that one that is sent again after a broken connection is not kept twice.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from alaska import errors
from alaska.client import Client
from alaska.client.delivery import Confirmation
from alaska.client.terms import SendTerms
from alaska.commands import streams
from alaska.commands.lines import Line, Reading
from alaska.interfaces import Reactor
from alaska.messaging.trackers import NOBODY_OFFERS
from alaska.mlm.states import State
from alaska.names import printable

AGAIN_SECONDS = 5.0
"""After a broken connection, what the broker has not confirmed for so long is sent again."""
MOST_COMPLAINTS = 10
"""The maximum number of requests whose faults are printed."""
UNSERVED_SECONDS = 3.0
"""If nobody offers a service for so long, whoever waits for the end of requests to it is told."""
BURST_SECONDS = 0.05
"""With a rate, requests are sent in groups of so long, as timers are not exact."""


class Plan(NamedTuple):
    """What is sent: to which service and subject if a line does not say so, with which terms, and how fast.

    ``window`` is the maximum number of requests that are not confirmed. ``until_end``: a request is confirmed when it
    has ended; otherwise when the broker has it.
    """

    service: str
    subject: str
    terms: SendTerms
    window: int
    until_end: bool = False
    per_second: float | None = None


class Counts:
    """What has become of the lines so far."""

    def __init__(self) -> None:
        self.read = self.sent = self.confirmed = self.failed = self.again = 0
        self.octets = 0
        """The octets of the file that were read."""

    def as_object(self, seconds: float) -> dict[str, float]:
        """Return what was done, for JSON."""
        counts = {"sent": self.sent, "confirmed": self.confirmed, "failed": self.failed, "again": self.again}
        return {**counts, "seconds": seconds}

    def summary(self, seconds: float, what: str) -> str:
        """Return what was done, as a line."""
        rate = f", {self.confirmed / seconds:.0f}/s" if seconds > 0 else ""
        again = f", {self.again} sent again" if self.again else ""
        return f"{self.sent} sent, {self.confirmed} {what}, {self.failed} failed{again} in {seconds:.1f} s{rate}"


Changed = Callable[[Counts], None]
Say = Callable[[str], None]


def _ignore(_counts: Counts) -> None:
    pass


def _say(text: str) -> None:
    streams.write_line(f"alas: {text}", sys.stderr)


class Pump:
    """Sends the lines; ``client`` is a credit client whose confirmations are passed to :meth:`confirmed`.

    ``changed`` is called whenever the counts have changed, and ``say`` with what its user should know at once.
    """

    def __init__(
        self, reactor: Reactor, plan: Plan, reading: Reading, changed: Changed = _ignore, say: Say = _say
    ) -> None:
        self._reactor = reactor
        self._plan = plan
        self._reading = reading
        self._changed = changed
        self._say = say
        self._client: Client | None = None
        self._run = secrets.token_hex(8)
        self._pending: dict[str, Line] = {}
        self._room: Deferred[None] | None = None
        self._least_room = plan.window
        self._is_interrupted = False
        self._unserved: set[str] = set()
        self.counts = Counts()

    async def run(self, client: Client) -> int:
        """Send all lines, and wait until they are confirmed; return the exit status."""
        self._client = client
        began, sent = self._reactor.seconds(), 0
        while (line := await self._reading.next()) is not None:
            self.counts.read += 1
            self.counts.octets = line.octets
            if line.fault:
                self._fail(line, f"it is not sent: {line.fault}")
                continue
            await self._wait_for_room(self._plan.window)
            if self._plan.per_second is not None:
                due = began + sent / self._plan.per_second - self._reactor.seconds()
                if due > BURST_SECONDS:
                    await deferLater(self._reactor, due)
            self._send(line)
            sent += 1
        await self._wait_for_room(1)
        return 1 if self.counts.failed else 0

    async def _wait_for_room(self, least: int) -> None:
        """Wait until fewer than ``least`` requests are not confirmed."""
        while len(self._pending) >= least:
            self._least_room = least
            self._room = Deferred()
            await self._room

    def _send(self, line: Line) -> None:
        tracker = str(line.number)
        self._pending[tracker] = line
        try:
            self._transmit(tracker, line)
        except (errors.AlaskaError, ValueError, TypeError) as error:
            del self._pending[tracker]
            self._fail(line, f"it is not sent: {error}")
            return
        self.counts.sent += 1

    def _transmit(self, tracker: str, line: Line) -> None:
        plan = self._plan
        assert self._client is not None
        terms: SendTerms = {**plan.terms, **line.terms}
        if "id" not in terms and "properties" in self._client.capabilities:
            terms["id"] = f"{self._run}-{line.number}"
        self._client.send_for(
            plan.service if line.service is None else line.service,
            plan.subject if line.subject is None else line.subject,
            line.content,
            tracker=tracker,
            headers=dict(line.headers) if line.headers else None,
            **terms,
        )

    def confirmed(self, confirmation: Confirmation) -> None:
        """Process a confirmation of the broker."""
        self._is_back()
        line = self._pending.get(confirmation.tracker)
        if line is None:
            return
        is_known = confirmation.status == errors.KNOWN_ID
        if (is_known or not confirmation.is_final) and self._plan.until_end:
            self._look_for_workers(confirmation, line)
            return
        del self._pending[confirmation.tracker]
        if confirmation.status >= errors.FAILED:
            self._fail(line, f"{printable(confirmation.reason) or 'no reason is given'} ({confirmation.status})")
        else:
            self.counts.confirmed += 1
            self._changed(self.counts)
        if self._room is not None and len(self._pending) < self._least_room:
            room, self._room = self._room, None
            room.callback(None)

    def _look_for_workers(self, confirmation: Confirmation, line: Line) -> None:
        """Say after a while, once for each service, if a request waits since nobody offers it."""
        service = self._plan.service if line.service is None else line.service
        if confirmation.reason != NOBODY_OFFERS or service in self._unserved:
            return
        self._unserved.add(service)
        self._reactor.callLater(UNSERVED_SECONDS, self._say_unserved, confirmation.tracker, service)

    def _say_unserved(self, tracker: str, service: str) -> None:
        if tracker in self._pending:
            self._say(f"nobody offers the service {printable(service)}: its requests wait until a worker does")

    def interrupted(self) -> None:
        """Say that the broker does not answer, once until it does: nothing else is to be seen until then."""
        if not self._is_interrupted:
            self._is_interrupted = True
            self._say("the broker does not answer; the sending goes on when it does")

    def _is_back(self) -> None:
        if self._is_interrupted:
            self._is_interrupted = False
            self._say("the broker answers again")

    def reconnected(self) -> None:
        """Send again what is not confirmed a while after the connection was established again."""
        self._is_back()
        lost = list(self._pending)
        self._reactor.callLater(AGAIN_SECONDS, self._send_again, lost)

    def _send_again(self, trackers: list[str]) -> None:
        for tracker in trackers:
            line = self._pending.get(tracker)
            if line is not None:
                self.counts.again += 1
                self._transmit(tracker, line)

    def _fail(self, line: Line, why: str) -> None:
        self.counts.failed += 1
        if self.counts.failed <= MOST_COMPLAINTS:
            self._say(f"line {line.number}: {why}")
        elif self.counts.failed == MOST_COMPLAINTS + 1:
            self._say("more lines have failed, which are only counted")
        self._changed(self.counts)


class ManyClient(Client):
    """A client that says when its broker does not answer, and when it is connected again."""

    pump: Pump | None = None

    def interrupted(self, state: State) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        super().interrupted(state)
        if self.pump is not None:
            self.pump.interrupted()

    def opened(self) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        was_connected = self._life.connecting is None
        super().opened()
        if was_connected and self.pump is not None:
            self.pump.reconnected()


class Bar:
    """Shows the progress on a terminal: the share of a file, or only counts, with rate and time left."""

    def __init__(self, size: int | None) -> None:
        # It takes long to import, and is only needed on a terminal.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn  # noqa: PLC0415

        columns: list[Any] = [TextColumn("{task.fields[done]:>8} confirmed"), TextColumn("{task.fields[rate]:>9}/s")]
        if size is not None:
            columns += [BarColumn(), TimeRemainingColumn()]
        self._progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=size, done=0, rate="-")
        self._progress.start()

    def show(self, counts: Counts) -> None:
        """Show counts; the bar is drawn ten times a second at most."""
        elapsed = self._progress.tasks[0].elapsed or 0.0
        rate = f"{counts.confirmed / elapsed:.0f}" if elapsed > 0 else "-"
        self._progress.update(self._task, completed=counts.octets, done=counts.confirmed, rate=rate)

    def say(self, text: str) -> None:
        """Print a line above the bar, which would be torn otherwise."""
        from rich.text import Text  # noqa: PLC0415

        self._progress.console.print(Text(streams.safe(f"alas: {text}")), soft_wrap=True)

    def end(self) -> None:
        """Remove the bar."""
        self._progress.stop()
