"""What scripts leave while they run: it is passed on in order, and known again when their request ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from dataclasses import dataclass, field

from twisted.internet.defer import DeferredList
from twisted.internet.interfaces import IReactorFromThreads

from alaska.errors import ScriptError
from alaska.lua.request import Outcome, Request
from alaska.worker.intake import flushed
from alaska.worker.senders import Sink

ARRIVE_SECONDS = 1.0
"""So long a question waits for what its script has sent before to be with the broker."""

PassOn = Callable[[Request, Outcome, Callable[[Sink], None]], "ScriptError | None"]
"""Lets what a script has left leave the worker, tells by what it was sent, and returns what kept something from it."""


@dataclass(slots=True)
class Left:
    """What is to be known at the end of a request: by what its script has sent, and what kept any of it back."""

    senders: set[Sink] = field(default_factory=set)
    error: ScriptError | None = None


class UnderWay:
    """The requests whose scripts have left something and have not ended.

    ``tell`` lets something be called in the reactor, before the end of the request that the calling thread runs.
    """

    def __init__(
        self, reactor: IReactorFromThreads, tell: Callable[[Callable[[], None]], None], pass_on: PassOn
    ) -> None:
        self._reactor = reactor
        self._tell = tell
        self._pass_on = pass_on
        # By identity: a request stays the same object from its delivery to its end.
        self._left: dict[int, Left] = {}
        self._has_sent: set[int] = set()

    # In the threads that run scripts

    def told(self, request: Request, outcome: Outcome) -> None:
        """Let what a script has left leave the worker.

        :raises Abandoned: nobody waits any more for what the script does.
        """
        self._tell(lambda: self._take(request, outcome))
        if outcome.sends:
            self._has_sent.add(id(request))

    def arrive(self, request: Request, seconds: float) -> None:
        """Return when the broker has what a script has sent so far, or after so many seconds."""
        if id(request) in self._has_sent:
            arrived: Future[None] = Future()
            self._reactor.callFromThread(self._flush, request, arrived)
            with suppress(NotInTime):
                arrived.result(min(seconds, ARRIVE_SECONDS))

    # In the reactor

    def _take(self, request: Request, outcome: Outcome) -> None:
        left = self._left.setdefault(id(request), Left())
        left.error = self._pass_on(request, outcome, left.senders.add) or left.error

    def _flush(self, request: Request, arrived: Future[None]) -> None:
        left = self._left.get(id(request), Left())
        flushes = [flushed(sender) for sender in left.senders if sender.unproven]
        DeferredList(flushes, consumeErrors=True).addCallback(lambda _: arrived.set_result(None))

    def ended(self, request: Request) -> Left | None:
        """Forget a request that has ended; return what is to be known of it."""
        if not self._left:
            return None
        self._has_sent.discard(id(request))
        return self._left.pop(id(request), None)
