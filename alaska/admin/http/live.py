"""What the page shows, live: server-sent events with the overviews and with what has changed, once a second.

All readers get the same octets, which are made once, and only while somebody reads. A reader that does not take an
event misses it, and gets the next one: each has everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from alaska.access import Level
from alaska.admin.changes import changed
from alaska.admin.http.answers import EVENTS, Answer
from alaska.admin.http.exchange import Exchange
from alaska.admin.http.process import Process
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.users import Role
from alaska.admin.operations import IAdministered
from alaska.admin.snapshots import BrokerOverview, Snapshot, WorkerOverview
from alaska.errors import HTTPRefused, OperationFailed
from alaska.interfaces import Reactor

SECONDS = 1.0
"""The interval of events."""
MOST = 50
"""The maximum number of readers; a browser has one, however many tabs it has."""
MOST_OF_ONE = 10
"""The maximum number for one user or, without a login, for one address."""
RETRY_MILLISECONDS = 2000
CHECKS = 15
"""After so many events, the rights of a reader are checked again."""
_UNBUFFERED = {b"X-Accel-Buffering": b"no"}


class Live(Snapshot, frozen=True, kw_only=True):
    """The data of an event: the process, the overviews of its parts, and the subjects that have changed.

    A part that is None is not served here at present.
    """

    process: Process
    broker: BrokerOverview | None
    worker: WorkerOverview | None
    changed: list[str]


class LiveEvents:
    """All readers of live events."""

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        administered: Sequence[tuple[str, IAdministered]],
        process: Callable[[], Process],
    ) -> None:
        self._administered = [each for _, each in administered]
        self._process = process
        self._readers: dict[LiveStream, str] = {}
        self._before: dict[str, Any] = {}
        self._calls = LoopingCall(self._tell)
        self._calls.clock = reactor

    def __len__(self) -> int:
        return len(self._readers)

    def routes(self) -> list[Route]:
        """Return the routes."""
        doc = "What the page shows, as server-sent events: `Live` once a second."
        answers = {200: ("The data of each event is JSON.", EVENTS.decode())}
        return [Route("GET", "/api/v1/live", self.read, Role.VIEW, doc, answers, level=Level.VIEW, lasts=True)]

    def read(self, asked: Asked) -> Answer:
        """Answer with events.

        :raises HTTPRefused: there are too many readers.
        """
        who = f"user {asked.user.name}" if asked.user.name else f"address {asked.address}"
        if len(self._readers) >= MOST or list(self._readers.values()).count(who) >= MOST_OF_ONE:
            raise HTTPRefused(429, f"there are too many readers; {MOST_OF_ONE} for each client")
        reader = LiveStream(self, asked.is_valid)
        self._readers[reader] = who
        return Answer(HTTPStatus.OK, b"", EVENTS, _UNBUFFERED, reader)

    def began(self, reader: LiveStream) -> None:
        """Send the first event to a reader, and go on once a second."""
        if self._calls.running:
            reader.send(self._event(self._live()))
        else:
            self._before = {}
            self._calls.start(SECONDS)

    def ended(self, reader: LiveStream) -> None:
        """Forget a reader."""
        self._readers.pop(reader, None)
        if not self._readers and self._calls.running:
            self._calls.stop()

    def close(self) -> None:
        """End all readers."""
        for reader in list(self._readers):
            reader.finish()

    def _tell(self) -> None:
        try:
            event = self._event(self._live())
        except Exception:  # LoopingCall stops when a call raises.
            self._log.failure("the live events failed")
            return
        for reader in list(self._readers):
            reader.send(event)

    def _live(self) -> Live:
        found: dict[str, Any] = {}
        for each in self._administered:
            try:
                overview = each.overview()
            except OperationFailed:
                continue  # another process serves the broker
            found[overview.program] = overview
        before, self._before = self._before, found
        return Live(
            process=self._process(),
            broker=found.get("broker"),
            worker=found.get("worker"),
            changed=changed(before, found),
        )

    @staticmethod
    def _event(live: Live) -> bytes:
        return b"data: %b\n\n" % msgspec.json.encode(live)


@implementer(IPushProducer)
class LiveStream:
    """One reader; see :class:`alaska.admin.http.answers.Source`."""

    def __init__(self, events: LiveEvents, may_read: Callable[[], bool]) -> None:
        self._events = events
        self._may_read = may_read
        self._consumer: Exchange | None = None
        self._is_paused = False
        self._sent = 0

    def begin(self, consumer: IConsumer) -> None:
        """Begin to send."""
        assert isinstance(consumer, Exchange)
        self._consumer = consumer
        consumer.registerProducer(self, True)
        consumer.write(b"retry: %d\n\n" % RETRY_MILLISECONDS)
        self._events.began(self)

    def send(self, event: bytes) -> None:
        """Send an event, unless the program does not read; end if it may not read any more."""
        self._sent += 1
        if self._sent % CHECKS == 0 and not self._may_read():
            self.finish()
        elif self._consumer is not None and not self._is_paused:
            self._consumer.write(event)

    def pauseProducing(self) -> None:  # noqa: N802
        """Send nothing: the program does not read. The connection has a time limit for this."""
        self._is_paused = True

    def resumeProducing(self) -> None:  # noqa: N802
        """Go on with the next event."""
        self._is_paused = False

    def stopProducing(self) -> None:  # noqa: N802
        """Stop: the connection is lost."""
        self.end()

    def finish(self) -> None:
        """End the answer, and the connection with it."""
        consumer = self._consumer
        self.end()
        if consumer is not None:
            consumer.unregisterProducer()
            consumer.finish()

    def end(self) -> None:
        """Stop."""
        self._consumer = None
        self._events.ended(self)
