"""Requests from programs that send them by HTTP, and what became of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Literal, Protocol, TypeAlias
from urllib.parse import quote

import msgspec
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from alaska import errors
from alaska.admin.http.answers import Answer, in_json, quoted, shown
from alaska.admin.http.message_fields import frames, options_of, refused, reply, timeout
from alaska.admin.http.message_terms import seconds_until_due, terms_of
from alaska.admin.http.outcomes import Outcome, Outcomes
from alaska.admin.http.routes import Asked
from alaska.admin.snapshots import Done
from alaska.admin.text import to_text
from alaska.client import Client, Confirmation, to_octets
from alaska.errors import AlaskaError, HTTPRefused
from alaska.interfaces import Reactor

STORED_SECONDS = 10.0
"""How long the broker may take to confirm that it has a message."""
LONGEST_WAIT = 600.0
PENDING_SECONDS = 7 * 86_400.0
"""How long a request that does not end is remembered, from when it is due."""
LONGEST_DELAY = 366 * 86_400.0
"""The longest delay that is added to this."""
TOLD_SECONDS = 1.0
"""How long the news may take that a request is cancelled."""
PATH = "/api/v1/requests"
_OFFERS = re.compile(r"offers=([0-9]{1,9})")

State: TypeAlias = Literal["delayed", "waiting", "running", "done", "failed", "cancelled", "replaced"]
_FAILED: Mapping[int, State] = {errors.CANCELLED: "cancelled", errors.REPLACED: "replaced"}
"""The states of requests that have ended with these statuses; others have failed."""


class Broker(Protocol):
    """What the pages ask of the broker of their process besides messages."""

    def is_in_flight(self, service: bytes, tracker: bytes) -> Deferred[bool]:
        """Return whether a worker has the request with a tracker for a service."""

    def cancel_own(self, address: bytes, service: bytes, tracker: bytes, force: bool) -> Deferred[Done]:
        """Cancel the requests with a tracker that the client with an address has sent to a service.

        The Deferred fails with OperationFailed if there is none, or the client is not connected.
        """


class Accepted(msgspec.Struct, omit_defaults=True):
    """The broker has the message. ``offers`` is how many workers offer the service of a request at present.

    ``duplicate``: this one is not kept, since the broker has had a message with its id, whose number is ``position``.
    The log of the worker names the tracker, and a script sees it.
    """

    tracker: str = ""
    offers: int | None = None
    duplicate: bool = False
    position: int | None = None


class Progress(msgspec.Struct, omit_defaults=True):
    """How far a request is. Times are in seconds since 1970.

    ``done``: its script has ended; ``reply_octets`` is the size of the reply, 0 if it has none, and null if it was
    dropped to save memory. ``failed``, ``cancelled`` and ``replaced`` (by a later one with its id): ``mlm_status`` and
    ``reason`` say why. ``delayed``: its time, ``due``, has not come. ``duplicate``: it is not kept, since the broker
    has had a message with its id, whose number is ``position``, and ends as that does. ``offers`` is how many workers
    offered the service when the broker got the request. ``progress``, from 0 to 1, is what its script has told last.
    """

    tracker: str
    service: str
    subject: str
    state: State
    sent: float
    due: float | None = None
    offers: int | None = None
    duplicate: bool = False
    position: int | None = None
    ended: float | None = None
    reply_octets: int | None = None
    mlm_status: int | None = None
    reason: str = ""
    progress: float | None = None
    progress_text: str = ""


class Gateway(Protocol):
    """The way to the broker; see :class:`alaska.admin.http.messages.Messages`."""

    def begin(self, asked: Asked, verb: str, name: bytes, subject: bytes) -> str:
        """Return the tracker of a message; raise HTTPRefused if the user may not send it, or it cannot be sent now."""

    @property
    def asker(self) -> Client:
        """The client that sends requests, and gets the replies."""


class Requests:
    """Answers about requests. ``broker`` says whether a worker has one; without it, this is not known."""

    def __init__(
        self, reactor: Reactor, gateway: Gateway, wall: Callable[[], float], broker: Broker | None = None
    ) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._wall = wall
        self._broker = broker
        # The broker lets a client search for one message at a time.
        self._cancelling = DeferredLock()
        # Of each user, only one waits for it: others do not wait for all that somebody cancels.
        self._cancelling_of: dict[str, DeferredLock] = {}
        self.outcomes = Outcomes(reactor.seconds, wall)

    def confirmed(self, confirmation: Confirmation) -> None:
        """Note that the broker has a request; the client takes note of the end itself."""
        outcome = self.outcomes.pending(confirmation.tracker)
        if outcome is None or outcome.is_stored or confirmation.status >= errors.FAILED:
            return
        if confirmation.status == errors.KNOWN_ID:
            outcome.first = confirmation.position
        offers = _OFFERS.fullmatch(confirmation.reason)
        outcome.offers = int(offers[1]) if offers else None
        outcome.is_stored = True
        outcome.notify()

    # Calls

    def send(self, asked: Asked) -> Deferred[Answer]:
        """Send a request; answer when the broker has it or, with ``wait``, when it has ended."""
        return ensureDeferred(self._send(asked))

    def progress(self, asked: Asked) -> Deferred[Answer]:
        """Answer how far a request is."""
        return ensureDeferred(self._progress(asked))

    def reply(self, asked: Asked) -> Deferred[Answer]:
        """Answer with the reply to a request, as if its sender had waited for it."""
        return ensureDeferred(self._reply(asked))

    def cancel(self, asked: Asked) -> Deferred[Answer]:
        """Cancel a request; answer how far it is then."""
        return ensureDeferred(self._cancel(asked))

    async def _send(self, asked: Asked) -> Answer:
        service, subject = asked.names["service"], asked.names["subject"]
        tracker = self._gateway.begin(asked, "ask", service, subject)
        content, expiry, options, terms = frames(asked), timeout(asked), options_of(asked), terms_of(asked)
        delay = seconds_until_due(terms, self._wall())
        outcome = self.outcomes.begin(asked.user.name, tracker, service, subject)
        outcome.due = round(outcome.sent + delay, 3) if delay else 0.0
        try:
            asking = self._gateway.asker.ask(
                service,
                subject,
                *content,
                timeout=PENDING_SECONDS + min(delay, LONGEST_DELAY),
                tracker=tracker,
                expiry=expiry,
                needs_offer=False,
                progress=outcome.take_progress,
                **options,
                **terms,
            )
        except AlaskaError as error:
            self.outcomes.forget(outcome)
            raise refused(error) from None
        self.outcomes.follow(outcome, asking)
        wait = asked.arguments.get("wait")
        if wait:
            await self._wait(outcome, float(wait))
            return self._answer(outcome)
        return await self._stored(outcome)

    async def _stored(self, outcome: Outcome) -> Answer:
        """Answer when the broker has the request."""
        if not outcome.is_stored and outcome.ended is None:
            try:
                await outcome.changed().addTimeout(STORED_SECONDS, self._reactor)
            except DeferredTimeout:
                raise silent() from None
        if outcome.error is not None and not outcome.is_stored:
            self.outcomes.forget(outcome)
            raise refused(outcome.error)
        return _accepted(outcome)

    async def _wait(self, outcome: Outcome, seconds: float) -> None:
        """Wait until a request has ended, but not longer than some seconds."""
        until = self._reactor.seconds() + seconds
        while outcome.ended is None and not outcome.is_forgotten and (left := until - self._reactor.seconds()) > 0:
            try:
                await outcome.changed().addTimeout(left, self._reactor)
            except DeferredTimeout:
                return

    def _answer(self, outcome: Outcome) -> Answer:
        if outcome.error is not None:
            raise refused(outcome.error)
        if outcome.ended is None:
            return _accepted(outcome)
        if outcome.reply is None:
            raise HTTPRefused(410, "the reply was dropped, since there was no room for it")
        return reply(outcome.reply, outcome.first)

    def _find(self, asked: Asked) -> Outcome:
        """Return the request of the user with the tracker in the path."""
        outcome = self.outcomes.find(asked.user.name, _text_of(asked.names["tracker"]))
        if outcome is None:
            raise HTTPRefused(404, "no request with this tracker is known, or not any more")
        return outcome

    async def _known(self, asked: Asked) -> Outcome:
        """Return the request of the user with the tracker in the path, after the wait that is asked for."""
        outcome = self._find(asked)
        await self._wait(outcome, float(asked.arguments.get("wait") or 0))
        return outcome

    async def _reply(self, asked: Asked) -> Answer:
        return self._answer(await self._known(asked))

    async def _cancel(self, asked: Asked) -> Answer:
        outcome = self._find(asked)
        _check_pending(outcome)
        if self._broker is None:
            raise HTTPRefused(501, "requests cannot be cancelled here")
        address, tracker = to_octets(self._gateway.asker.address), to_octets(outcome.tracker)
        force = asked.arguments.get("force") == "1"
        async with self._turn_of(asked.user.name), self._cancelling:
            _check_pending(outcome)
            try:
                await self._broker.cancel_own(address, outcome.service, tracker, force)
                is_running = await self._broker.is_in_flight(outcome.service, tracker)
            except AlaskaError as error:
                # It may have ended meanwhile.
                _check_pending(outcome)
                raise refused(error) from None
        if not is_running:
            # The broker has told that it is cancelled, but on another way.
            await self._wait(outcome, TOLD_SECONDS)
        return await self._progress(asked)

    @asynccontextmanager
    async def _turn_of(self, user: str) -> AsyncIterator[None]:
        """Wait until no other request of a user is being cancelled."""
        lock = self._cancelling_of.setdefault(user, DeferredLock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked and not lock.waiting:
                self._cancelling_of.pop(user, None)

    async def _state_of(self, outcome: Outcome) -> State:
        """Return the state of a request, which may end meanwhile."""
        is_running = False
        if outcome.ended is None and self._broker is not None:
            is_running = await self._broker.is_in_flight(outcome.service, to_octets(outcome.tracker))
        if outcome.ended is not None:
            return "done" if outcome.error is None else _FAILED.get(outcome.error.status, "failed")
        if is_running:
            return "running"
        return "delayed" if outcome.due > self._wall() else "waiting"

    async def _progress(self, asked: Asked) -> Answer:
        outcome = await self._known(asked)
        state = await self._state_of(outcome)
        error = outcome.error
        return in_json(
            Progress(
                tracker=to_text(to_octets(outcome.tracker)),
                service=to_text(outcome.service),
                subject=to_text(outcome.subject),
                state=state,
                sent=outcome.sent,
                due=outcome.due or None,
                duplicate=outcome.first is not None,
                position=outcome.first,
                offers=outcome.offers,
                ended=outcome.ended,
                reply_octets=None if outcome.reply is None else outcome.reply_octets,
                mlm_status=None if error is None else error.status,
                reason="" if error is None else shown(str(error)),
                progress=outcome.progress,
                progress_text=shown(outcome.progress_text),
            )
        )


def _text_of(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _check_pending(outcome: Outcome) -> None:
    if outcome.ended is not None:
        raise HTTPRefused(409, "the request has ended")


def _accepted(outcome: Outcome) -> Answer:
    tracker = to_octets(outcome.tracker)
    location = f"{PATH}/{quote(tracker, safe='')}".encode()
    headers = {b"Location": location, b"Alaska-Tracker": quoted(tracker)}
    accepted = Accepted(to_text(tracker), outcome.offers, outcome.first is not None, outcome.first)
    return in_json(accepted, 202, headers)


def silent() -> HTTPRefused:
    """Return the refusal of a message that the broker does not confirm."""
    return HTTPRefused(
        503, f"the broker did not confirm within {STORED_SECONDS:g} s that it has the message; it may have it"
    )
