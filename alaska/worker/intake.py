"""Credit and confirmations: the worker's flow control towards its broker (docs/protocol.md, section 5).

A request is confirmed when its script has ended and the broker has all messages that the script sent. So the broker
redelivers the requests of a worker that is killed. Requests that end together are confirmed in one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from time import time_ns

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from alaska import errors
from alaska.client import Client, Delivery
from alaska.client.delivery import to_octets
from alaska.lua.request import Request
from alaska.mlm.confirmations import LAST, Again
from alaska.worker.known_requests import KnownRequests
from alaska.worker.senders import SENDS_LOST, Sink, flush_sender
from alaska.worker.window import Window

NOT_BEGUN = "the worker has no free thread for it"
STALLED_CHECKS = 3
"""After this many checks without a script that has ended, requests that have not begun are returned to the broker.

Checks, not seconds: on a busy machine the checks are as late as the scripts."""
MOST_IN_BACKOFF = 1000
"""Maximum number of requests in retry backoff that do not count against the credit."""


class Pause(Enum):
    """A reason to take no requests."""

    STUCK = "too many threads are stuck"
    DRAINING = "the worker is drained"
    STOPPING = "the worker stops"


class Intake:
    """Gives credit to the broker, and confirms requests."""

    _log = Logger()

    def __init__(self, reactor: IReactorTime, client: Client, threads: int) -> None:
        self._reactor = reactor
        self._client = client
        self._threads = threads
        self._window = Window(threads)
        self._ended: list[tuple[Request, int, str, Again | None]] = []
        self._senders: set[Sink] = set()
        self._settling: set[Deferred[None]] = set()
        self._is_due = False
        self._in_backoff = 0
        self._checks = 0
        self._pauses: set[Pause] = set()
        self._known = KnownRequests()
        self.gives_credit = True
        self.settled: Callable[[Request, int, int], None] | None = None
        """Called with each confirmed request, its status, and when its confirmation began, in ns since 1970."""
        self.unconfirmed = 0
        """The number of requests that were received and not confirmed yet, each of them once."""

    @property
    def can_return(self) -> bool:
        """Whether the broker redelivers requests that the worker returns; otherwise the worker must run all of them."""
        return "confirm" in self._client.capabilities

    def open(self) -> None:
        """Give the first credit."""
        self._client.give_credit(self._window.grant(0, 0))

    def received(self, request: Request) -> bool:
        """Count a request that was received; return whether it is to be run, and is not one that was delivered before.

        In that case it is confirmed when that one has ended.
        """
        if not self.unconfirmed:
            self._checks = 0
        self.unconfirmed += 1
        if not (request.id and request.since):
            return True
        known = self._known.begin(request)
        if isinstance(known, tuple):
            self.confirm(request, *known)
            return False
        if not known:
            # It needs no thread, so the worker takes another one in its place.
            self.unconfirmed -= 1
            self._settle_soon()
        return known

    def knows(self, request: Request) -> bool:
        """Return whether a request is one with an id that was delivered before, and is not to be run again."""
        return bool(request.id and request.since) and self._known.knows(request)

    def record_seconds(self, seconds: float) -> None:
        """Record the run time of a script."""
        self._checks = 0
        self._window.record_seconds(seconds)

    def record_sender(self, sender: Sink) -> None:
        """Record that a script that ends in this turn of the reactor has sent messages over this connection."""
        self._senders.add(sender)

    def confirm(self, request: Request, status: int, reason: str, is_last: bool = False) -> None:
        """Confirm a request, in one batch with all that end in this turn of the reactor.

        ``is_last``: it has failed in the last of several attempts.
        """
        self._ended.append((request, status, reason, LAST if is_last else None))
        self._settle_soon()

    def can_put_off(self, request: Request) -> bool:
        """Return whether the broker can deliver a request again later (docs/protocol.md, section 7)."""
        return request.lease is not None and self.can_return

    def put_off(self, request: Request, reason: str, again: Again) -> None:
        """Return a request to the broker, which delivers it again later; see :meth:`confirm`."""
        self._ended.append((request, errors.FAILED, reason, again))
        self._settle_soon()

    def backoff_started(self) -> None:
        """Count a request that waits for its retry; other requests can use its thread meanwhile."""
        self._in_backoff += 1
        self._settle_soon()

    def backoff_ended(self) -> None:
        """Count a request whose retry starts."""
        self._in_backoff -= 1

    @property
    def _busy(self) -> int:
        """The number of requests that need a thread."""
        return self.unconfirmed - min(self._in_backoff, MOST_IN_BACKOFF)

    def is_stalled(self) -> bool:
        """Return whether requests wait while no script has ended for a while; to be called at intervals."""
        self._checks += 1
        return self._busy > self._threads and self._checks > STALLED_CHECKS

    def return_to_broker(self, requests: list[Request]) -> None:
        """Return requests that have not begun, so that the broker redelivers them to other workers."""
        self._window.shrink()
        self.unconfirmed -= len(requests)
        for request in requests:
            for each in (request, *self._known.forget(request)):
                self.decline(each)
        # If no other request is left, none will end and give new credit.
        self._settle_soon()

    def decline(self, request: Request) -> None:
        """Return a request that was not counted as received."""
        self._confirm(request, errors.FAILED, NOT_BEGUN)

    def drop(self, delivery: Delivery) -> None:
        """Confirm a delivery that is no request, and give credit for another."""
        self._client.confirm(delivery)
        self._settle_soon()

    def pause(self, reason: Pause) -> None:
        """Give no more credit; requests that arrive nevertheless are returned to the broker."""
        self._pauses.add(reason)
        self.gives_credit = False

    def resume(self, reason: Pause) -> None:
        """Give credit again, unless there is another reason to pause."""
        self._pauses.discard(reason)
        self.gives_credit = not self._pauses
        self._settle_soon()

    def _settle_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._reactor.callLater(0, self._settle)

    def settle(self) -> Deferred[None]:
        """Confirm all requests that have ended, as soon as the broker has their messages.

        The Deferred fires when these and all earlier requests are confirmed.
        """
        self._settle()
        return DeferredList(list(self._settling)).addCallback(lambda _: None)

    def _settle(self) -> None:
        self._is_due = False
        ended, self._ended = self._ended, []
        senders, self._senders = self._senders, set()
        self.unconfirmed -= len(ended)
        try:
            amount = self._window.grant(self._busy, self._client.credit)
            if amount and self.gives_credit:
                self._client.give_credit(amount)
        finally:
            self._confirm_flushed(senders, ended)

    def _confirm_flushed(self, senders: set[Sink], ended: list[tuple[Request, int, str, Again | None]]) -> None:
        """Confirm requests as soon as the broker has all messages sent over these connections."""
        flushes = [flush_sender(sender) for sender in senders if sender.is_open or sender.unproven]
        if not flushes:
            self._confirm_all([], ended)
            return
        settled = DeferredList(flushes, consumeErrors=True).addCallback(self._confirm_all, ended)
        self._settling.add(settled)
        settled.addCallback(lambda _: self._settling.discard(settled))

    def _confirm_all(
        self, flushes: list[tuple[bool, None]], ended: list[tuple[Request, int, str, Again | None]]
    ) -> None:
        are_sends_safe = all(is_flushed for is_flushed, _ in flushes)
        began = 0 if self.settled is None else time_ns()
        for request, given, why, again in ended:
            status, reason = given, why
            # One that is run again sends its messages again.
            is_kept = are_sends_safe or (again is not None and again.delay is not None)
            if not is_kept:
                status, reason = errors.INTERNAL_ERROR, SENDS_LOST
            if request.id:
                self._settle_again(request, status, reason, again, is_kept)
            self._confirm(request, status, reason, again)
            if self.settled is not None:
                self.settled(request, status, began)

    def _settle_again(self, request: Request, status: int, reason: str, again: Again | None, is_kept: bool) -> None:
        """Confirm the later deliveries of a request as itself; return them if its messages are lost."""
        is_later = again is not None and again.delay is not None
        is_returned = is_later or errors.FAILED <= status < errors.RESOURCE_LOCKED
        has_ended = is_kept and not is_returned
        later = self._known.end(request, status, reason) if has_ended else self._known.forget(request)
        for each in later:
            if is_kept:
                self._confirm(each, status, reason, again)
            else:
                self.decline(each)

    def _confirm(self, request: Request, status: int, reason: str, again: Again | None = None) -> None:
        octets = to_octets(reason) if reason else b""
        try:
            self._client.confirm_valid(request.tracker, status, octets, request.session, request.lease, again)
        except Exception:  # One failure must not keep the other requests from being confirmed.
            self._log.failure("the request {tracker!r} could not be confirmed", tracker=request.tracker)
