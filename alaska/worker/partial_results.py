"""Partial results: output and sends of running scripts, processed in order before their requests end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field

from twisted.internet.defer import DeferredList
from twisted.internet.interfaces import IReactorFromThreads

from alaska.errors import ScriptError
from alaska.lua.request import Mark, Outcome, Request
from alaska.worker.senders import Sink, flush_sender

MOST_MARKS = 128
"""The maximum number of marks that are kept for one request (lua/world/tracing.lua)."""
FLUSH_SECONDS = 1.0
"""How long a call of a script waits until the broker has the messages that the script has sent before."""

Process = Callable[[Request, Outcome, Callable[[Sink], None]], "ScriptError | None"]
"""Logs and sends what a script has produced, records the connections used, and returns an error if any was lost."""


@dataclass(slots=True)
class Summary:
    """The partial results of one request: the connections that its messages were sent over, the last error, marks."""

    senders: set[Sink] = field(default_factory=set)
    error: ScriptError | None = None
    marks: tuple[Mark, ...] = ()


class PartialResults:
    """Processes the partial results of running requests.

    ``call_in_reactor`` makes a call in the reactor, before the end of the request that the calling thread runs.
    ``progressed`` is called there with the progress of requests.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        call_in_reactor: Callable[[Callable[[], None]], None],
        process: Process,
        progressed: Callable[[Request, bytes], None] = lambda _request, _text: None,
    ) -> None:
        self._reactor = reactor
        self._call_in_reactor = call_in_reactor
        self._process = process
        self._progressed = progressed
        # By object id: a request stays the same object from its delivery to its end.
        self._summaries: dict[int, Summary] = {}
        self._has_sent: set[int] = set()

    # In the threads of the pool

    def add(self, request: Request, outcome: Outcome) -> None:
        """Have a partial result processed in the reactor.

        :raises Abandoned: the thread of the script was given up.
        """
        self._call_in_reactor(lambda: self._process_partial(request, outcome))
        if outcome.sends:
            self._has_sent.add(id(request))

    def flush(self, request: Request, seconds: float) -> None:
        """Wait until the broker has all messages that a script has sent so far, at most this many seconds."""
        if id(request) in self._has_sent:
            flushed: Future[None] = Future()
            self._reactor.callFromThread(self._flush, request, flushed)
            with suppress(FutureTimeout):
                flushed.result(min(seconds, FLUSH_SECONDS))

    # In the reactor

    def _process_partial(self, request: Request, outcome: Outcome) -> None:
        if outcome.progress:
            self._progressed(request, outcome.progress)
        summary = self._summaries.setdefault(id(request), Summary())
        summary.error = self._process(request, outcome, summary.senders.add) or summary.error
        if outcome.marks:
            summary.marks = (summary.marks + outcome.marks)[:MOST_MARKS]

    def _flush(self, request: Request, flushed: Future[None]) -> None:
        summary = self._summaries.get(id(request), Summary())
        flushes = [flush_sender(sender) for sender in summary.senders if sender.unproven]
        DeferredList(flushes, consumeErrors=True).addCallback(lambda _: flushed.set_result(None))

    def pop(self, request: Request) -> Summary | None:
        """Return and forget the summary of a request that has ended; None if it had no partial results."""
        if not self._summaries:
            return None
        self._has_sent.discard(id(request))
        return self._summaries.pop(id(request), None)
