"""Streams as server-sent events (WHATWG HTML, section 9.2).

Each event stream has a client of its own, with credit: the broker sends no more than the program reads. An event's id
is the position of its record, so that a program that connects again, with ``Last-Event-ID``, misses none.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from alaska import errors
from alaska.admin.http.answers import EVENTS, Answer
from alaska.admin.http.exchange import Exchange
from alaska.admin.http.message_fields import refused
from alaska.admin.http.messages import May
from alaska.admin.http.routes import Asked
from alaska.client import Client, Delivery
from alaska.errors import AlaskaError, HTTPRefused
from alaska.interfaces import Reactor
from alaska.mlm import commands as mlm
from alaska.names import printable

MOST_STREAMS = 100
"""The maximum number of event streams."""
MOST_OF_ONE = 20
"""The maximum number for one user or, without a login, for one address."""
FIRST_CREDIT = 4
CREDIT = 32
AHEAD_OCTETS = 2**20
"""The records that the broker may send ahead of what the program reads: at first, at most, and of what size."""
MOST_WAITING_OCTETS = 64 * 2**20
"""The maximum size of the events that wait for programs which do not read; beyond it, the one with most is ended."""
MOST_EVENT_OCTETS = 2**20
"""The maximum size of the content that an event has; a larger one is left out."""
HEARTBEAT_SECONDS = 15.0
MOST_LAG_SECONDS = 60.0
"""How old a record may be when a program that has read all earlier ones gets it; then it is disconnected."""
CONNECT_SECONDS = 5.0
RETRY_MILLISECONDS = 2000
MOST_POSITION = 2**64 - 1
_POSITION = re.compile("[0-9]{1,20}")
START, NOW = "start", "now"
# Proxies that collect an answer before they pass it on, such as nginx, pass this one on at once.
_UNBUFFERED = {b"X-Accel-Buffering": b"no"}


class Event(msgspec.Struct, omit_defaults=True):
    """A message of a stream; ``time`` is when the broker got it, in seconds since 1970.

    ``content`` has the frames: as text if all of them are UTF-8, else in base64, as ``encoding`` says; with the
    encoding ``none``, they are too large for an event and are left out.
    """

    position: int
    time: float
    stream: str
    sender: str
    subject: str
    content: list[str]
    encoding: str = "utf-8"
    headers: dict[str, str] = {}


class EventStreams:
    """All event streams; ``make_client`` makes the client of one. ``wall`` is the time that records have."""

    _log = Logger()

    def __init__(
        self, reactor: Reactor, make_client: Callable[..., Client], may: May, wall: Callable[[], float]
    ) -> None:
        self.reactor = reactor
        self.wall = wall
        self._make_client = make_client
        self._may = may
        self._open: dict[EventStream, str] = {}
        self._is_closed = False
        self.waiting_octets = 0
        self.lagged = 0
        """The number of programs that were disconnected because they did not read fast enough."""

    def __len__(self) -> int:
        return len(self._open)

    def read(self, asked: Asked) -> Deferred[Answer]:
        """Answer with the messages of a stream."""
        return ensureDeferred(self._read(asked))

    async def _read(self, asked: Asked) -> Answer:
        stream = asked.names["stream"]
        if not self._may(asked.user.name, "read", stream, b""):
            raise HTTPRefused(403, f"{asked.user.name or 'who has not logged in'} may not read {printable(stream)}")
        if self._is_closed:
            raise HTTPRefused(503, "the program is stopping")
        who = f"user {asked.user.name}" if asked.user.name else f"address {asked.address}"
        if len(self._open) >= MOST_STREAMS or list(self._open.values()).count(who) >= MOST_OF_ONE:
            raise HTTPRefused(429, f"there are too many event streams; {MOST_OF_ONE} for each client")
        position = start_of(asked)
        pattern = str(asked.arguments.get("match") or "").encode("utf-8", "surrogateescape")
        encoding = str(asked.arguments.get("encoding") or "")

        def may_read() -> bool:
            return asked.is_valid() and self._may(asked.user.name, "read", stream, b"")

        events = EventStream(self, stream, encoding == "base64", may_read)
        client = events.client = self._make_client("", deliver=events.deliver, credit=FIRST_CREDIT)
        self._open[events] = who
        try:
            await client.connect(timeout=CONNECT_SECONDS)
            await client.replay(stream, pattern, position)
        except AlaskaError as error:
            events.end()
            raise refused(error) from None
        except BaseException:
            events.end()
            raise
        return Answer(HTTPStatus.OK, b"", EVENTS, _UNBUFFERED, events)

    def closed(self, events: EventStream) -> None:
        """Forget an event stream."""
        self._open.pop(events, None)

    def note_lag(self, stream: bytes) -> None:
        """Count and log a program that was disconnected."""
        self.lagged += 1
        self._log.warn("a reader of {stream} by HTTP was disconnected: it lags", stream=printable(stream))

    def note_waiting(self, octets: int) -> None:
        """Count octets of events that wait; if there are too many, end the event stream that has most of them."""
        self.waiting_octets += octets
        if self.waiting_octets > MOST_WAITING_OCTETS:
            max(self._open, key=lambda events: events.waiting_octets).lag()

    def close(self) -> None:
        """End all event streams, and begin no more."""
        self._is_closed = True
        for events in list(self._open):
            events.finish()


class _Encoded(NamedTuple):
    """An event; ``time`` is when the broker got its record, in seconds of the wall clock."""

    position: int
    time: float
    data: bytes


@implementer(IPushProducer)
class EventStream:
    """One event stream; it begins when the answer has begun, and what arrives before waits.

    It ends when ``may_read`` returns False.
    """

    def __init__(self, streams: EventStreams, stream: bytes, is_binary: bool, may_read: Callable[[], bool]) -> None:
        self._streams = streams
        self._may_read = may_read
        self._stream = stream
        self._is_binary = is_binary
        self._consumer: Exchange | None = None
        self._waiting: deque[_Encoded] = deque()
        self.waiting_octets = 0
        self._is_paused = True
        self._was_current = False
        self._heartbeats = LoopingCall(self._beat)
        self._heartbeats.clock = streams.reactor
        self.client: Client | None = None

    def begin(self, consumer: IConsumer) -> None:
        """See :class:`alaska.admin.http.answers.Source`."""
        assert isinstance(consumer, Exchange)
        self._consumer = consumer
        consumer.registerProducer(self, True)
        consumer.write(b"retry: %d\n" % RETRY_MILLISECONDS)
        first = self._waiting[0].position if self._waiting else self._next_position()
        if first:
            # An event without data only sets the id with which the program connects again.
            consumer.write(b"id: %d\n\n" % (first - 1))
        self._heartbeats.start(HEARTBEAT_SECONDS, now=False)
        self.resumeProducing()

    def _next_position(self) -> int:
        position = None if self.client is None else self.client.next_position(self._stream)
        return 0 if position in (None, mlm.LIVE_ONLY) else int(position or 0)

    def deliver(self, delivery: Delivery) -> None:
        """Send a record, or let it wait until the program has read earlier ones."""
        record = delivery.command
        if not isinstance(record, mlm.StreamRecord):
            return
        # Encoded at once: what an event leaves out needs no memory while it waits.
        data = msgspec.json.encode(event_of(record, self._is_binary))
        event = _Encoded(record.position, record.time / 1000, data)
        if self._is_paused or self._consumer is None:
            self._waiting.append(event)
            self.waiting_octets += len(data)
            self._streams.note_waiting(len(data))
        else:
            self._send(event)

    def _send(self, event: _Encoded) -> None:
        assert self._consumer is not None
        age = self._streams.wall() - event.time
        if self._was_current and age > MOST_LAG_SECONDS:
            self.lag()
            return
        self._was_current = self._was_current or age < HEARTBEAT_SECONDS
        self._consumer.write(b"id: %d\ndata: %b\n\n" % (event.position, event.data))
        if self.client is not None:
            most = max(1, min(CREDIT, AHEAD_OCTETS // (len(event.data) + 1)))
            ahead = self.client.credit + len(self._waiting)
            if ahead <= most // 2:
                self.client.give_credit(most - ahead)

    def lag(self) -> None:
        """End the answer, since the program does not read fast enough; it may connect again, and continue."""
        self._streams.note_lag(self._stream)
        if self._consumer is not None:
            self._consumer.write(b"event: lagged\ndata: the reader does not read fast enough\n\n")
        self.finish()

    def _beat(self) -> None:
        if not self._may_read():
            self.finish()
        elif self._consumer is not None and not self._is_paused:
            self._consumer.write(b": heartbeat\n\n")

    def pauseProducing(self) -> None:  # noqa: N802
        """Stop sending: the program does not read. The connection has a time limit for this."""
        self._is_paused = True

    def resumeProducing(self) -> None:  # noqa: N802
        """Go on."""
        self._is_paused = False
        while self._waiting and not self._is_paused and self._consumer is not None:
            event = self._waiting.popleft()
            self._forget(len(event.data))
            self._send(event)

    def _forget(self, octets: int) -> None:
        """Uncount octets of events that do not wait any more."""
        self.waiting_octets -= octets
        self._streams.waiting_octets -= octets

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
        """Stop, and close the client."""
        self._consumer = None
        self._waiting.clear()
        self._forget(self.waiting_octets)
        if self._heartbeats.running:
            self._heartbeats.stop()
        self._streams.closed(self)
        client, self.client = self.client, None
        if client is not None:
            client.close().addErrback(lambda failure: failure.trap(errors.ClientError) and None)


def start_of(asked: Asked) -> int:
    """Return the position of the first record to send: after the last that the program has, or as it says.

    :raises HTTPRefused: the header Last-Event-ID is not a position.
    """
    last = asked.headers.get("last-event-id", b"").strip()
    if last:
        if not _POSITION.fullmatch(last.decode("latin-1")) or int(last) >= MOST_POSITION:
            raise HTTPRefused(400, "Last-Event-ID must be a position")
        return int(last) + 1
    return int(asked.arguments["from"])


def read_position(text: str) -> int:
    """Return the position for the argument ``from``; an empty text is the same as no argument.

    :raises ValueError: it is none.
    """
    if text in ("", NOW):
        return mlm.LIVE_ONLY
    position = 0 if text == START else int(text) if _POSITION.fullmatch(text) else MOST_POSITION
    if position >= MOST_POSITION:
        raise ValueError(text)
    return position


def event_of(record: mlm.StreamRecord, is_binary: bool) -> Event:
    """Return the event for a record; its content is in base64 if ``is_binary``, or if it is not UTF-8."""
    content, encoding = _content(record.content, is_binary)
    headers: Mapping[str, str] = Delivery(record, 0).headers
    named = {printable(name): _shown(value) for name, value in headers.items()}
    names = printable(record.address), printable(record.sender), printable(record.subject)
    return Event(record.position, record.time / 1000, *names, content, encoding, named)


def _content(content: tuple[bytes, ...], is_binary: bool) -> tuple[list[str], str]:
    if sum(map(len, content)) > MOST_EVENT_OCTETS:
        return [], "none"
    if not is_binary:
        try:
            return [frame.decode("utf-8") for frame in content], "utf-8"
        except UnicodeDecodeError:
            pass
    return [base64.b64encode(frame).decode("ascii") for frame in content], "base64"


def _shown(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
