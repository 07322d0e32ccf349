"""What became of the requests that were sent by HTTP, so that their senders can ask for it later.

It is in memory: a restart forgets it, but not the requests. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure

from alaska.client import Delivery
from alaska.client.delivery import Progress
from alaska.errors import AlaskaError, NotConnected

MOST_REQUESTS = 10_000
"""The maximum number of requests that are remembered."""
MOST_REPLY_OCTETS = 32 * 2**20
"""The maximum size of their replies together."""
ENDED_SECONDS = 3600.0
"""How long a request is remembered after its end."""


@dataclass(eq=False)
class Outcome:
    """A request, and its reply or error when it has ended; ``offers`` is how many workers offered its service.

    ``sent`` and ``ended`` are times of the wall clock.
    """

    user: str
    tracker: str
    service: bytes
    subject: bytes
    sent: float
    due: float = 0.0
    """The time of the wall clock before which it is not delivered."""
    offers: int | None = None
    first: int | None = None
    """The position of the message with its id that the broker had before: this one is not kept, and ends as that."""
    is_stored: bool = False
    """Whether the broker has confirmed that it has the request."""
    ended: float | None = None
    expires: float = 0.0
    reply: Delivery | None = None
    """The reply, which may have no content; None if there is none yet, or it was dropped to save memory."""
    error: AlaskaError | None = None
    progress: float | None = None
    progress_text: str = ""
    """What its script has told last of how far it is."""
    is_forgotten: bool = False
    asking: Deferred[None] | None = None
    _watchers: list[Deferred[None]] = field(default_factory=list)

    @property
    def reply_octets(self) -> int:
        """The size of the reply."""
        return 0 if self.reply is None else sum(map(len, self.reply.content))

    def take_progress(self, progress: Progress) -> None:
        """Take over what its script has told."""
        self.progress, self.progress_text = progress.fraction, progress.text

    def changed(self) -> Deferred[None]:
        """Return a Deferred that fires at the next change: the broker has the request, or it has ended."""
        watcher: Deferred[None] = Deferred(self._watchers.remove)
        self._watchers.append(watcher)
        return watcher

    def notify(self) -> None:
        """Tell those who wait for a change."""
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.callback(None)


class _OfUser:
    """The requests of one user, by tracker, in the order in which they were sent."""

    def __init__(self) -> None:
        self.requests: dict[str, Outcome] = {}
        self.reply_octets = 0


class Outcomes:
    """The requests, by user and tracker. Each user sees only their own.

    If there are too many, or too many octets of replies, the user who has most of them loses the oldest one.
    ``seconds`` is the monotonic clock, ``wall`` the wall clock.
    """

    def __init__(self, seconds: Callable[[], float], wall: Callable[[], float]) -> None:
        self._seconds = seconds
        self._wall = wall
        self._users: dict[str, _OfUser] = {}
        self._pending: dict[str, Outcome] = {}
        # In the order of their end.
        self._ended: dict[Outcome, None] = {}
        self._count = 0
        self._reply_octets = 0

    def __len__(self) -> int:
        return self._count

    def pending(self, tracker: str) -> Outcome | None:
        """Return the request of any user that has a tracker and has not ended."""
        return self._pending.get(tracker)

    def find(self, user: str, tracker: str) -> Outcome | None:
        """Return the request of a user that has a tracker, if it is remembered."""
        self._expire()
        of_user = self._users.get(user)
        return None if of_user is None else of_user.requests.get(tracker)

    def begin(self, user: str, tracker: str, service: bytes, subject: bytes) -> Outcome:
        """Remember a request; no pending one may have its tracker."""
        self._expire()
        former = self.find(user, tracker)
        if former is not None:
            self.forget(former)
        while self._count >= MOST_REQUESTS:
            most = max(self._users.values(), key=lambda of_user: len(of_user.requests))
            self.forget(next(iter(most.requests.values())))
        outcome = Outcome(user, tracker, service, subject, self._wall())
        self._users.setdefault(user, _OfUser()).requests[tracker] = outcome
        self._pending[tracker] = outcome
        self._count += 1
        return outcome

    def follow(self, outcome: Outcome, asking: Deferred[Delivery]) -> None:
        """Let a request end as its Deferred does.

        If that fails with a timeout, or because this process ends while the broker has the request, it is forgotten.
        """
        outcome.asking = asking.addCallbacks(
            self._succeeded, self._failed, callbackArgs=(outcome,), errbackArgs=(outcome,)
        )

    def _succeeded(self, reply: Delivery, outcome: Outcome) -> None:
        outcome.reply = reply
        octets = outcome.reply_octets
        self._users[outcome.user].reply_octets += octets
        self._reply_octets += octets
        self._end(outcome)
        while self._reply_octets > MOST_REPLY_OCTETS:
            most = max(self._users.values(), key=lambda of_user: of_user.reply_octets)
            self._drop_reply(next(each for each in most.requests.values() if each.reply_octets))

    def _failed(self, failure: Failure, outcome: Outcome) -> None:
        failure.trap(AlaskaError, DeferredTimeout, CancelledError)
        goes_on = outcome.is_stored and isinstance(failure.value, NotConnected)
        if isinstance(failure.value, AlaskaError) and not goes_on:
            outcome.error = failure.value
            self._end(outcome)
        else:
            self.forget(outcome)

    def _end(self, outcome: Outcome) -> None:
        outcome.ended = self._wall()
        outcome.expires = self._seconds() + ENDED_SECONDS
        del self._pending[outcome.tracker]
        self._ended[outcome] = None
        # Who waits gets the reply, even if there is no room to keep it.
        outcome.notify()

    def _drop_reply(self, outcome: Outcome) -> None:
        octets = outcome.reply_octets
        self._reply_octets -= octets
        self._users[outcome.user].reply_octets -= octets
        outcome.reply = None

    def _expire(self) -> None:
        now = self._seconds()
        while self._ended and (first := next(iter(self._ended))).expires <= now:
            self.forget(first)

    def forget(self, outcome: Outcome) -> None:
        """Forget a request; if it has not ended, nobody waits for its reply any more."""
        of_user = self._users.get(outcome.user)
        if of_user is None or of_user.requests.get(outcome.tracker) is not outcome:
            return
        outcome.is_forgotten = True
        self._drop_reply(outcome)
        del of_user.requests[outcome.tracker]
        if not of_user.requests:
            del self._users[outcome.user]
        self._count -= 1
        self._ended.pop(outcome, None)
        if self._pending.get(outcome.tracker) is outcome:
            del self._pending[outcome.tracker]
            if outcome.asking is not None:
                outcome.asking.cancel()
        outcome.notify()
