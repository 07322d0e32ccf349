"""Requests of scripts to other services: a thread of the pool waits while the reactor sends and receives.

Every wait has a timeout, even if the reactor has stopped or all threads of the worker wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.client import Client, Delivery
from alaska.client.delivery import MOST_MILLISECONDS
from alaska.errors import AlaskaError, ClientError
from alaska.lua.questions import NONE, OK, Frames
from alaska.lua.request import Request
from alaska.names import printable
from alaska.system.events import should_log
from alaska.traces.context import TraceContext

MOST_FRAMES = 1000
"""Maximum number of content frames in an answer, since the size of Lua's stack is limited."""
REACTOR_SECONDS = 1.0
"""How long after the timeout of a request its thread waits for the reactor."""
STOPPING = "the worker is stopping"
CANCELLED = "the request of this script is cancelled"


class Asked(NamedTuple):
    """One request of a script, with the frames of its content, and how many seconds it may take."""

    service: bytes
    subject: bytes
    content: Frames
    seconds: float


class Requester:
    """Sends requests with its own client, which ``make_client`` makes for the first request.

    ``threads`` is the number of the pool's threads. They call
    :meth:`ask_all`; all else is called in the reactor's thread.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFromThreads,
        make_client: Callable[[Callable[[Delivery], None]], Client],
        threads: int,
    ) -> None:
        self._reactor = reactor
        self._make_client = make_client
        self._threads = threads
        self._client: Client | None = None
        self._is_closed = False
        # The pending answers, each with the service that is asked, and the request whose script waits.
        self._pending: dict[Future[Frames], tuple[bytes, Request | None]] = {}
        self._refused: set[bytes] = set()
        self._lock = Lock()
        self._waiting = 0
        self._dropped = 0

    def ask_all(
        self, requests: Sequence[Asked], trace: TraceContext | None = None, owner: Request | None = None
    ) -> list[Frames]:
        """Send requests at once, and wait until all have ended, each at most as long as it may take.

        ``owner`` is the request whose script waits; see :meth:`cancel`. Return for each ``OK`` and the frames of the
        answer, or ``NONE`` and the reason.
        """
        pending: list[tuple[Asked, Future[Frames]]] = []
        for each in requests:
            seconds = min(each.seconds, MOST_MILLISECONDS / 1000)
            answer: Future[Frames] = Future()
            if seconds <= 0:
                answer.set_result(self._timed_out(each.service, 0))
            pending.append((each._replace(seconds=seconds), answer))
        begun = monotonic()
        with self._lock:
            self._waiting += 1
        try:
            if unanswered := [each for each in pending if not each[1].done()]:
                self._reactor.callFromThread(self._begin_all, unanswered, trace, owner)
            return [self._wait(asked, answer, begun) for asked, answer in pending]
        finally:
            with self._lock:
                self._waiting -= 1

    def _wait(self, asked: Asked, answer: Future[Frames], begun: float) -> Frames:
        left = begun + asked.seconds + REACTOR_SECONDS - monotonic()
        try:
            return answer.result(max(0.0, left))
        except FutureTimeout:
            return self._timed_out(asked.service, asked.seconds)

    def close(self) -> Deferred[None]:
        """Refuse all pending and later requests; fires when the client is closed."""
        self._is_closed = True
        self._end_all(self._pending)
        client, self._client = self._client, None
        return succeed(None) if client is None else client.close().addErrback(self._close_failed)

    def refuse(self, service: bytes) -> None:
        """Refuse all pending and later requests to a service."""
        self._refused.add(service)
        self._end_all(answer for answer, (asked, _) in self._pending.items() if asked == service)

    def cancel(self, owner: Request) -> None:
        """End the wait of the script of a request that is cancelled."""
        self._end_all([answer for answer, (_, waiting) in self._pending.items() if waiting is owner], CANCELLED)

    def _end_all(self, answers: Iterable[Future[Frames]], reason: str = STOPPING) -> None:
        for answer in list(answers):
            self._end(answer, (NONE, reason.encode()))

    # In the reactor

    def _begin_all(
        self, pending: list[tuple[Asked, Future[Frames]]], trace: TraceContext | None, owner: Request | None
    ) -> None:
        for asked, answer in pending:
            self._begin(asked, answer, trace, owner)

    def _begin(self, asked: Asked, answer: Future[Frames], trace: TraceContext | None, owner: Request | None) -> None:
        service, subject, content, seconds = asked
        if self._is_closed or service in self._refused:
            answer.set_result((NONE, STOPPING.encode()))
            return
        self._pending[answer] = service, owner
        try:
            sent = self._connected_client().ask(service, subject, *content, timeout=seconds, trace=trace)
        except (AlaskaError, ValueError) as error:
            self._end(answer, (NONE, str(error).encode()))
        else:
            sent.addCallbacks(self._answered, self._failed, (answer,), errbackArgs=(answer, service, seconds))

    def _connected_client(self) -> Client:
        if self._client is None:
            client = self._make_client(self._drop)
            client.connect(timeout=None).addErrback(self._connect_failed, client)
            self._client = client
        return self._client

    def _answered(self, delivery: Delivery, answer: Future[Frames]) -> None:
        content = delivery.content or (b"",)
        if len(content) > MOST_FRAMES:
            self._end(answer, (NONE, f"the answer has {len(content)} frames; the limit is {MOST_FRAMES}".encode()))
        else:
            self._end(answer, (OK, *content))

    def _failed(self, failure: Failure, answer: Future[Frames], service: bytes, seconds: float) -> None:
        if failure.check(DeferredTimeout):
            self._end(answer, self._timed_out(service, seconds))
        else:
            self._end(answer, (NONE, str(failure.value).encode()))

    def _timed_out(self, service: bytes, seconds: float) -> Frames:
        text = f"no answer from {printable(service)} within {seconds:g} s"
        if self._waiting >= self._threads:
            text += f", and all threads of this worker ({self._threads}) wait for answers"
        return NONE, text.encode()

    def _end(self, answer: Future[Frames], frames: Frames) -> None:
        self._pending.pop(answer, None)
        with suppress(InvalidStateError):
            answer.set_result(frames)

    def _drop(self, delivery: Delivery) -> None:
        """Drop mail that is no answer to a pending request. The log has few lines about it: scripts can send much."""
        if self._client is not None:
            self._client.confirm(delivery)
        self._dropped += 1
        if should_log(self._dropped):
            self._log.info(
                "dropped mail from {sender}: no script waits for it ({count} so far)",
                sender=printable(delivery.sender),
                count=self._dropped,
            )

    def _connect_failed(self, failure: Failure, client: Client) -> None:
        failure.trap(ClientError)
        if self._client is client:
            self._client = None
            self._log.error("cannot send requests of scripts: {error}", error=failure.value)
            for answer in list(self._pending):
                self._end(answer, (NONE, str(failure.value).encode()))

    def _close_failed(self, failure: Failure) -> None:
        failure.trap(ClientError)
