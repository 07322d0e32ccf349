"""Asking other services in the name of scripts: threads of the pool wait for what the reactor gets.

No thread waits for ever: not for a reactor that has stopped, nor for a worker whose threads all wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from threading import Lock

from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as Late
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.client import Client, Delivery
from alaska.client.delivery import MOST_MILLISECONDS
from alaska.errors import AlaskaError, ClientError
from alaska.lua.questions import NONE, OK, Frames
from alaska.names import printable

MOST_FRAMES = 1000
"""An answer with more content frames than that is refused: Lua's stack has an end."""
REACTOR_SECONDS = 1.0
"""So much longer than the question may take is waited for the reactor."""
STOPPING = "the worker is stopping"


class Asking:
    """Asks services by a client of its own, made by ``make_client`` when the first question comes.

    ``threads`` is how many may ask at once. :meth:`ask` is called in them, everything else in the reactor's thread.
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
        self._pending: set[Future[Frames]] = set()
        self._lock = Lock()
        self._waiting = 0

    def ask(self, service: bytes, subject: bytes, content: bytes, seconds: float) -> Frames:
        """Return the answer's content behind ``OK``, or ``NONE`` and why there is none, within so many seconds."""
        if seconds <= 0:
            return self._too_late(service, 0)
        seconds = min(seconds, MOST_MILLISECONDS / 1000)
        answer: Future[Frames] = Future()
        with self._lock:
            self._waiting += 1
        try:
            self._reactor.callFromThread(self._begin, answer, service, subject, content, seconds)
            return answer.result(seconds + REACTOR_SECONDS)
        except NotInTime:
            return self._too_late(service, seconds)
        finally:
            with self._lock:
                self._waiting -= 1

    def close(self) -> Deferred[None]:
        """Answer all questions, also those to come, that the worker is stopping; fires when the client is gone."""
        self._is_closed = True
        for answer in list(self._pending):
            self._end(answer, (NONE, STOPPING.encode()))
        client, self._client = self._client, None
        return succeed(None) if client is None else client.close().addErrback(self._without_goodbye)

    # In the reactor

    def _begin(self, answer: Future[Frames], service: bytes, subject: bytes, content: bytes, seconds: float) -> None:
        if self._is_closed:
            answer.set_result((NONE, STOPPING.encode()))
            return
        self._pending.add(answer)
        try:
            asked = self._asker().ask(service, subject, content, timeout=seconds)
        except (AlaskaError, ValueError) as error:
            self._end(answer, (NONE, str(error).encode()))
        else:
            asked.addCallbacks(self._answered, self._failed, (answer,), errbackArgs=(answer, service, seconds))

    def _asker(self) -> Client:
        if self._client is None:
            client = self._make_client(self._unasked)
            client.connect(timeout=None).addErrback(self._lost, client)
            self._client = client
        return self._client

    def _answered(self, delivery: Delivery, answer: Future[Frames]) -> None:
        content = delivery.content or (b"",)
        if len(content) > MOST_FRAMES:
            self._end(answer, (NONE, f"the answer has {len(content)} frames, and {MOST_FRAMES} is the limit".encode()))
        else:
            self._end(answer, (OK, *content))

    def _failed(self, failure: Failure, answer: Future[Frames], service: bytes, seconds: float) -> None:
        if failure.check(Late):
            self._end(answer, self._too_late(service, seconds))
        else:
            self._end(answer, (NONE, str(failure.value).encode()))

    def _too_late(self, service: bytes, seconds: float) -> Frames:
        text = f"no answer from {printable(service)} within {seconds:g} s"
        if self._waiting >= self._threads:
            text += f", and all threads of this worker ({self._threads}) wait for answers"
        return NONE, text.encode()

    def _end(self, answer: Future[Frames], frames: Frames) -> None:
        self._pending.discard(answer)
        with suppress(InvalidStateError):
            answer.set_result(frames)

    def _unasked(self, delivery: Delivery) -> None:
        """Drop mail that answers no question, or one whose time is over."""
        if self._client is not None:
            self._client.confirm(delivery)
        self._log.info("dropped mail from {sender}: nobody waits for it", sender=printable(delivery.sender))

    def _lost(self, failure: Failure, client: Client) -> None:
        failure.trap(ClientError)
        if self._client is client:
            self._client = None
            self._log.error("cannot ask services: {error}", error=failure.value)
            for answer in list(self._pending):
                self._end(answer, (NONE, str(failure.value).encode()))

    def _without_goodbye(self, failure: Failure) -> None:
        failure.trap(ClientError)
