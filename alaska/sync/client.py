"""A client of the broker for programs that block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from alaska import aio, errors
from alaska.aio.client import CLOSE_SECONDS, CONNECT_SECONDS, INBOX
from alaska.aio.connection import Connection
from alaska.aio.tail import Reading, Since
from alaska.aio.termination import calls_at_sigterm
from alaska.aio.worker import AnyFunction
from alaska.authentication import CurveKeys
from alaska.endpoints import DEFAULT_ENDPOINT
from alaska.messaging.delivery import (
    Delivery,
    Text,
    check_flag,
    to_seconds,
)
from alaska.messaging.exchange import MOST_MESSAGES, MOST_OCTETS, Exchange
from alaska.messaging.waiting import Network
from alaska.sync.background import Background
from alaska.sync.iterators import Inbox, Tail
from alaska.sync.send_queue import SendQueue
from alaska.sync.sending import SendingClient

if TYPE_CHECKING:
    from typing_extensions import Self

    # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.spans import Spans

Result = TypeVar("Result")
SEND_SECONDS = 10.0


class Client(SendingClient):
    """A client of the broker for programs that block: scripts, web workers, notebooks.

    ::

        with Client("tcp://127.0.0.1:9999") as client:
            answer = client.request("default", "hello", "world")

    Its methods are those of :class:`alaska.aio.Client`, with the same arguments and errors, and can be called in any
    thread. A thread of its own sends, receives and reconnects; methods that await no answer hand their messages over to
    it. ``send_timeout`` is the number of seconds for which they wait for room in the send buffer; then they raise
    :exc:`BacklogFull`.

    After a fork, the client of the parent cannot be used in the child, which is told so: each process connects its
    own. A program that ends without closing its client waits at most a few seconds for the broker to get the messages.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        *,
        address: Text | None = None,
        username: str | None = None,
        password: str | None = None,
        curve: CurveKeys | None = None,
        timeout: float | None = CONNECT_SECONDS,
        send_timeout: float | None = SEND_SECONDS,
        inbox_size: int = INBOX,
        most_messages: int = MOST_MESSAGES,
        most_octets: int = MOST_OCTETS,
        network: Network | None = None,
        spans: Spans | None = None,
    ) -> None:
        if send_timeout is not None:
            to_seconds(send_timeout, "send_timeout")
        self._client = aio.Client(
            endpoint,
            address=address,
            username=username,
            password=password,
            curve=curve,
            timeout=timeout,
            inbox_size=inbox_size,
            most_messages=most_messages,
            most_octets=most_octets,
            network=network,
            spans=spans,
        )
        self._send_timeout = send_timeout
        self._thread: Background | None = None
        self._queue: SendQueue | None = None
        self._serving: asyncio.Future[None] | None = None

    # Connecting

    @property
    def endpoint(self) -> str:
        """The endpoint of the broker."""
        return self._client.endpoint

    @property
    def address(self) -> str:
        """The address, which is the name of the client's mailbox."""
        return self._client.address

    @property
    def is_connected(self) -> bool:
        """Whether the broker has sent something within the last four heartbeats."""
        return self._thread is not None and self._thread.is_running and self._client.is_connected

    @property
    def fault(self) -> str:
        """Why there is no connection, as far as the broker or the handshake has said; otherwise empty."""
        return self._client.fault

    @property
    def capabilities(self) -> frozenset[str]:
        """The protocol extensions that the broker has announced; none for the C broker."""
        return self._client.capabilities

    @property
    def unproven(self) -> int:
        """The number of messages that the broker may not have received; when the client is closed, they are lost."""
        return self._client.unproven + (0 if self._queue is None else len(self._queue))

    def connect(self) -> None:
        """Connect; see :meth:`alaska.aio.Client.connect`."""
        thread = self._running()
        try:
            self._queue = SendQueue(thread, thread.call(self._connect()))
        except BaseException:
            if not self._client.is_connected:
                thread.stop()
            raise

    async def _connect(self) -> Connection:
        await self._client.connect()
        return self._client._connection()

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Close the client once the broker has received all messages; see :meth:`alaska.aio.Client.close`."""
        to_seconds(timeout)
        self._close(lambda: self._client.close(timeout), timeout)

    def _close(self, close: Callable[[], Coroutine[Any, Any, None]], timeout: float = CLOSE_SECONDS) -> None:
        thread = self._thread
        if thread is None or not thread.is_running:
            return
        try:
            thread.call(self._end(close, timeout))
        finally:
            thread.stop()

    async def _end(self, close: Callable[[], Coroutine[Any, Any, None]], timeout: float = CLOSE_SECONDS) -> None:
        """Close the client once all messages are in its send buffer."""
        left = 0 if self._queue is None else await self._queue.emptied(timeout)
        await close()
        if left:
            raise errors.ConnectTimeout(f"the broker at {self.endpoint} did not take everything within {timeout:g} s")

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(lambda: self._client.__aexit__(kind, error, trace))

    def _running(self) -> Background:
        """Return the thread; start one, if there is none."""
        if self._thread is not None and self._thread.is_forked:
            self._thread.check()
        if self._thread is None or not self._thread.is_running:
            self._thread = Background(lambda: self._end(self._client.close))
        return self._thread

    def _connected(self) -> Background:
        """Return the thread of a client that is connected, or was."""
        if self._thread is None:
            raise errors.NotConnected("the client is not connected")
        self._thread.check()
        return self._thread

    # Receiving

    def inbox(self, *, manual: bool = False, timeout: float | None = None) -> Inbox:
        """Return an iterator over mail, which ends after ``timeout`` seconds without any.

        See :meth:`alaska.aio.Client.inbox`.
        """
        check_flag(manual, "manual")
        if timeout is not None:
            to_seconds(timeout)
        thread = self._connected()
        return Inbox(thread, thread.call(_made(lambda: self._client.inbox(manual=manual))), timeout)

    def confirm(
        self,
        delivery: Delivery,
        status: int = errors.SUCCESS,
        reason: Text = "",
        *,
        delay: float | None = None,
        spent: bool = True,
    ) -> None:
        """Confirm a mail of :meth:`inbox` with ``manual``; see :meth:`alaska.client.Client.confirm`."""
        Exchange.check_confirmation(delivery, status, reason, delay, spent)
        self._call(_made(lambda: self._client.confirm(delivery, status, reason, delay=delay, spent=spent)))

    def tail(
        self,
        stream: Text,
        match: Text = "",
        *,
        since: Since | None = None,
        name: Text = "",
        manual: bool = False,
        ahead: int = 1000,
        timeout: float | None = None,
    ) -> Tail:
        """Return an iterator over the records of a stream, which ends after ``timeout`` seconds without any.

        See :meth:`alaska.aio.Client.tail`.
        """
        Reading.of(stream, match, since, name, manual, ahead)
        if timeout is not None:
            to_seconds(timeout)
        thread = self._connected()

        def make() -> aio.Tail:
            return self._client.tail(stream, match, since=since, name=name, manual=manual, ahead=ahead)

        return Tail(thread, thread.call(_made(make)), timeout)

    # Serving

    def service(
        self,
        name: Text,
        match: Text = "",
        *,
        concurrency: int = 10,
        attempts: int = 1,
        backoff: tuple[float, float] | None = None,
        streams: Sequence[tuple[Text, Text]] = (),
    ) -> Callable[[AnyFunction], AnyFunction]:
        """Decorate a function that serves requests; see :meth:`alaska.aio.Client.service`.

        Each request is served in a thread of its own, of which there are at most ``concurrency``.
        """
        return self._client.service(
            name, match, concurrency=concurrency, attempts=attempts, backoff=backoff, streams=streams
        )

    def run(self, *, grace: float = 5.0, started: Callable[[], object] | None = None) -> None:
        """Serve until Ctrl-C or SIGTERM in the main thread, :meth:`stop`, or until the broker ends a service.

        A program that has a handler of its own for SIGTERM calls :meth:`stop` in another thread. ``started`` is called
        in the client's own thread, and must not wait. See :meth:`alaska.aio.Client.run`.
        """
        running = self._client.run(grace=grace, started=started)
        self._serving = None
        try:
            thread = self._running()
            with calls_at_sigterm(_terminate):
                thread.call(self._serve(running))
        except (KeyboardInterrupt, _Terminated):
            self.stop()
        except BaseException:
            self.stop()
            raise
        finally:
            with suppress(RuntimeError, ValueError):  # It runs, and is not waited for any more.
                running.close()
            if self._thread is not None and not self._client.is_open:
                self._thread.stop()

    async def _serve(self, running: Coroutine[Any, Any, None]) -> None:
        serving = self._serving = asyncio.ensure_future(running)
        await asyncio.wait([serving])
        if not serving.cancelled():
            serving.result()

    async def _end_serving(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])

    def stop(self) -> None:
        """Let :meth:`run`, in another thread, end: it takes no more requests, finishes those that run, and returns."""
        if self._thread is not None and self._thread.is_running:
            self._thread.call(self._end_serving())


class _Terminated(BaseException):
    """SIGTERM has arrived."""


def _terminate() -> NoReturn:
    raise _Terminated


async def _made(make: Callable[[], Result]) -> Result:
    """Return what a function returns that must be called in the event loop."""
    return make()
