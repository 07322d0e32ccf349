"""What a worker takes from its broker, and what it says of it (docs/protocol.md, section 5).

A request is confirmed when its script has ended and the broker has what the script sent: not before, so that a worker
that is killed costs nothing. What ends together is confirmed together.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from alaska import errors
from alaska.client import Client
from alaska.client.delivery import to_octets
from alaska.errors import ClientError, NotConnected
from alaska.lua.request import Request
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.worker.senders import Sink
from alaska.worker.window import Window

NOT_BEGUN = "the worker has no thread for it"
SENDS_LOST = "what it sent is lost"
STUCK_LOOKS = 3
"""After so many looks without a script that ended in between, what has not begun is handed back for others to take.

Looks, not seconds: on a machine that is busy with other things, both come late."""
MOST_RESTING = 1000
"""So many requests may wait to be run again without a share of what the worker asks for."""


class Intake:
    """One worker's side of the bargain: how much it asks for, and what it confirms."""

    _log = Logger()

    def __init__(self, reactor: IReactorTime, client: Client, threads: int) -> None:
        self._reactor = reactor
        self._client = client
        self._threads = threads
        self._window = Window(threads)
        self._ended: list[tuple[Request, int, str]] = []
        self._senders: set[Sink] = set()
        self._settling: set[Deferred[None]] = set()
        self._is_due = False
        self._resting = 0
        self._looks = 0
        self.is_asking = True
        self.in_hand = 0
        """How many requests were taken and not confirmed yet."""

    def open(self) -> None:
        """Ask for the first requests."""
        self._client.give_credit(self._window.grant(0, 0))

    def taken(self) -> None:
        """Take note of a request that came."""
        if not self.in_hand:
            self._looks = 0
        self.in_hand += 1

    def ran(self, seconds: float) -> None:
        """Take note of how long a script ran."""
        self._looks = 0
        self._window.finished(seconds)

    def uses(self, sender: Sink) -> None:
        """Take note that a script which ends in this turn has sent something by this."""
        self._senders.add(sender)

    def ended(self, request: Request, status: int, reason: str) -> None:
        """Confirm a request, together with all that end in this turn of the reactor."""
        self._ended.append((request, status, reason))
        self._settle_soon()

    def rests(self) -> None:
        """Take note that a request waits to be run again, and needs no thread meanwhile: others may come."""
        self._resting += 1
        self._settle_soon()

    def wakes(self) -> None:
        """Take note that a request which waited is run again."""
        self._resting -= 1

    @property
    def _busy(self) -> int:
        """How many requests need a thread."""
        return self.in_hand - min(self._resting, MOST_RESTING)

    def look(self) -> bool:
        """Return whether requests wait for threads of which none has ended for a while; to be called at intervals."""
        self._looks += 1
        return self._busy > self._threads and self._looks > STUCK_LOOKS

    def hand_back(self, requests: list[Request]) -> None:
        """Let the broker offer to others what was not begun."""
        self._window.shrink()
        for request in requests:
            self.in_hand -= 1
            self.decline(request)
        # Perhaps nothing is left that would end, and ask for more then.
        self._settle_soon()

    def decline(self, request: Request) -> None:
        """Let the broker offer to others what was not even taken."""
        self._confirm(request, errors.FAILED, NOT_BEGUN)

    def stop(self) -> None:
        """Ask for nothing more."""
        self.is_asking = False

    def resume(self) -> None:
        """Ask again."""
        self.is_asking = True
        self._settle_soon()

    def _settle_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._reactor.callLater(0, self._settle)

    def settle(self) -> Deferred[None]:
        """Confirm all that has ended, when the broker has what it sent.

        The Deferred fires when that is done, also for what had ended before the last calls.
        """
        self._settle()
        return DeferredList(list(self._settling)).addCallback(lambda _: None)

    def _settle(self) -> None:
        self._is_due = False
        ended, self._ended = self._ended, []
        senders, self._senders = self._senders, set()
        self.in_hand -= len(ended)
        try:
            amount = self._window.grant(self._busy, self._client.credit)
            if amount and self.is_asking:
                self._client.give_credit(amount)
        finally:
            self._confirm_flushed(senders, ended)

    def _confirm_flushed(self, senders: set[Sink], ended: list[tuple[Request, int, str]]) -> None:
        """Confirm requests, as soon as the broker has what was sent by these senders."""
        flushes = [flushed(sender) for sender in senders if sender.is_open or sender.unproven]
        if not flushes:
            self._confirm_all([], ended)
            return
        settled = DeferredList(flushes, consumeErrors=True).addCallback(self._confirm_all, ended)
        self._settling.add(settled)
        settled.addCallback(lambda _: self._settling.discard(settled))

    def _confirm_all(self, flushes: list[tuple[bool, None]], ended: list[tuple[Request, int, str]]) -> None:
        have_arrived = all(is_flushed for is_flushed, _ in flushes)
        for request, status, reason in ended:
            if have_arrived:
                self._confirm(request, status, reason)
            else:
                self._confirm(request, errors.INTERNAL_ERROR, SENDS_LOST)

    def _confirm(self, request: Request, status: int, reason: str) -> None:
        octets = to_octets(reason)[:MAX_STRING_OCTETS] if reason else b""
        try:
            self._client.confirm_tracker(request.tracker, status, octets, request.session)
        except Exception:  # The others have to be confirmed all the same.
            self._log.failure("the request {tracker!r} could not be confirmed", tracker=request.tracker)


def flushed(sender: Sink) -> Deferred[None]:
    """Return what fires when the broker has all that was sent by this, and fails if something is lost."""
    if not sender.is_open:
        return fail(NotConnected(SENDS_LOST))
    try:
        return sender.flush()
    except ClientError as error:
        return fail(error)
