"""A client of the broker for programs that use asyncio."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from alaska import errors
from alaska.aio.connection import Connection
from alaska.aio.deliveries import RETURN_SECONDS, Buffer, Inbox
from alaska.aio.sending import SendingClient
from alaska.aio.tail import Reading, Since, Tail
from alaska.aio.tracing import ServiceTracing
from alaska.aio.worker import AnyFunction, Service, ServiceRunner, run_all
from alaska.authentication import CurveKeys
from alaska.endpoints import DEFAULT_ENDPOINT
from alaska.messaging.delivery import (
    MOST_POSITION,
    Delivery,
    Text,
    check_flag,
    check_function,
    check_text,
    to_number,
    to_octets,
    to_seconds,
    to_text,
)
from alaska.messaging.exchange import MOST_CREDIT, MOST_MESSAGES, MOST_OCTETS, Exchange
from alaska.messaging.opening import check_credentials, check_spans
from alaska.messaging.readers import encoded_bindings
from alaska.messaging.requests import plan_of
from alaska.messaging.waiting import Network
from alaska.mlm import commands as mlm
from alaska.mlm.codec import check

if TYPE_CHECKING:
    from typing_extensions import Self

    # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.spans import Spans

Result = TypeVar("Result")
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0
INBOX = 1000
MOST_CONCURRENT = 10_000


def new_address(username: str | None = None) -> str:
    """Return an address that no other client has.

    That of a user begins with the user's name, as addresses of alas, so that access rules need to allow no more than
    what is the user's own: ``open = "%u/.*"``.
    """
    address = f"py::{socket.gethostname()[:100]}::{os.getpid()}-{secrets.token_hex(6)}"
    own = f"{username}/{address}"
    return own if username and len(to_octets(own, "address")) <= mlm.MAX_STRING_OCTETS else address


def _check_size(number: int, most: int, name: str) -> None:
    if not to_number(number, most, name):
        raise ValueError(f"{name} must be a number from 1 on, not 0")


class Client(SendingClient):
    """A client of the broker for programs that use asyncio.

    ::

        async with Client("tcp://127.0.0.1:9999") as client:
            answer = await client.request("default", "hello", "world")

    ``address`` is the name of the client's mailbox, where answers arrive; without one, it has a name that no other
    client has. User name and password are for PLAIN, ``curve`` for CURVE (:func:`alaska.aio.keys.load`). Messages
    that the broker may not have received are buffered, up to ``most_messages`` messages and ``most_octets`` octets;
    then a method that sends waits. ``inbox_size`` is the number of mails that the broker sends ahead. ``spans`` records
    what the client sends and serves (docs/traces.md).

    The client reconnects automatically, and sends messages again that the broker may not have received. It is to be
    used in one event loop, and in the process in which it was connected. Each stream that is read, and each service
    that is served, has a connection of its own.

    All methods check their arguments at the call, also those that are awaited: they raise :exc:`TypeError` for a value
    of a wrong type, and :exc:`ValueError` for one out of range. ``headers``, ``trace`` and the terms are those of
    :class:`alaska.client.Client`. All errors of the broker are :exc:`alaska.errors.ClientError`.
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
        inbox_size: int = INBOX,
        most_messages: int = MOST_MESSAGES,
        most_octets: int = MOST_OCTETS,
        network: Network | None = None,
        spans: Spans | None = None,
    ) -> None:
        check_text(endpoint, "endpoint")
        check_credentials(username, password, curve)
        check_spans(spans)
        if timeout is not None:
            to_seconds(timeout)
        _check_size(inbox_size, MOST_CREDIT, "inbox_size")
        _check_size(most_messages, MOST_POSITION, "most_messages")
        _check_size(most_octets, MOST_POSITION, "most_octets")
        self.endpoint = endpoint
        octets = to_octets(new_address(username) if address is None else address, "address")
        check(mlm.ConnectionOpen(octets))
        self.address = to_text(octets)
        self._credentials = username, password, curve
        self._timeout = timeout
        self._inbox_size = inbox_size
        self._limits = most_messages, most_octets
        self._network = network
        self._spans = spans
        self._main: Connection | None = None
        self._buffer: Buffer | None = None
        self._inboxes: weakref.WeakSet[Inbox] = weakref.WeakSet()
        self._has_inbox = False
        self._services: list[Service] = []
        self._tails: weakref.WeakSet[Tail] = weakref.WeakSet()

    # Connecting

    @property
    def is_connected(self) -> bool:
        """Whether the broker has sent something within the last four heartbeats."""
        return self._main is not None and self._main.is_connected

    @property
    def is_open(self) -> bool:
        """Whether the client accepts messages to send: it is connecting or connected, and not closed."""
        return self._main is not None and self._main.is_open

    @property
    def fault(self) -> str:
        """Why there is no connection, as far as the broker or the handshake has said; otherwise empty."""
        return "" if self._main is None else self._main.fault

    @property
    def capabilities(self) -> frozenset[str]:
        """The protocol extensions that the broker has announced; none for the C broker."""
        return frozenset() if self._main is None else self._main.capabilities

    @property
    def unproven(self) -> int:
        """The number of messages that the broker may not have received; when the client is closed, they are lost."""
        return 0 if self._main is None else self._main.unproven

    async def connect(self) -> None:
        """Connect within the client's ``timeout``; with None, wait for the broker without limit.

        A client that could not connect, or is closed, may connect again; so may one whose event loop was closed.

        :raises ConnectTimeout: the broker does not answer in time.
        :raises Refused: the broker does not accept the client.
        :raises NotConnected: the client is connected already.
        """
        if self._main is not None and self._main.is_stranded:
            self._main.abandon()
        if self._main is not None and self._main.is_open:
            raise errors.NotConnected("the client is connected already")
        loop = asyncio.get_running_loop()
        buffer = Buffer(loop, self._inbox_size)
        main = Connection(
            loop,
            self.endpoint,
            self.address,
            self._credentials,
            self._network,
            deliver=lambda delivery: _received(delivery, buffer, main),
            most_messages=self._limits[0],
            most_octets=self._limits[1],
            spans=self._spans,
        )
        self._main, self._buffer, self._has_inbox = main, buffer, False
        self._inboxes.clear()
        await main.connect(self._timeout)
        main.ended = buffer.end

    def close(self, timeout: float = CLOSE_SECONDS) -> Coroutine[Any, Any, None]:
        """Close all connections once the broker has received all messages, within ``timeout`` seconds.

        The mail and the records that were processed are confirmed before.

        :raises ConnectTimeout: the broker did not answer in time that it has everything.
        """
        to_seconds(timeout)
        return self._close(timeout, is_processed=True)

    async def _close(self, timeout: float, is_processed: bool) -> None:
        main, buffer, inboxes, tails = self._main, self._buffer, list(self._inboxes), list(self._tails)
        if main is None or buffer is None:
            return
        if main.is_stranded:
            main.abandon()
            return
        main.check_usable()
        self._inboxes.clear()
        self._tails.clear()
        buffer.end(None)
        if is_processed and main.is_open:
            buffer.confirm_abandoned(main)
            for inbox in inboxes:
                inbox.confirm_given()
        try:
            await asyncio.gather(*(tail.aclose() for tail in tails))
        finally:
            await main.close(timeout)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._close(CLOSE_SECONDS, is_processed=True)
        else:
            with suppress(errors.ClientError):
                await self._close(CLOSE_SECONDS, is_processed=False)

    def _connection(self) -> Connection:
        """Return the connection, if it can be used here."""
        if self._main is None:
            raise errors.NotConnected("the client is not connected")
        self._main.check_usable()
        return self._main

    def _connect_beside(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Delivery], None],
        credit: int = 0,
        cancelled: Callable[..., None] | None = None,
    ) -> Connection:
        """Return another connection, which has no mailbox."""
        return Connection(
            loop,
            self.endpoint,
            "",
            self._credentials,
            self._network,
            deliver=deliver,
            credit=credit,
            cancelled=cancelled,
            most_messages=self._limits[0],
            most_octets=self._limits[1],
            spans=self._spans,
        )

    # Receiving

    def inbox(self, *, manual: bool = False) -> Inbox:
        """Return an iterator over the mail that is no answer to a request.

        A mail is confirmed when the program asks for the next one, and when it closes the client, unless by an error:
        if the program ends before, the broker delivers the mail again. With ``manual``, the program confirms each with
        :meth:`confirm`. Several tasks may iterate, each over an iterator of its own; each mail is for one of them.

        :raises NotConnected: the client is not connected.
        """
        check_flag(manual, "manual")
        connection = self._connection()
        assert self._buffer is not None
        if not self._has_inbox:
            self._has_inbox = True
            connection.give_credit(self._inbox_size)
        inbox = Inbox(connection, self._buffer, manual)
        self._inboxes.add(inbox)
        return inbox

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
        self._connection().confirm(delivery, status, reason, delay=delay, spent=spent)

    def tail(
        self,
        stream: Text,
        match: Text = "",
        *,
        since: Since | None = None,
        name: Text = "",
        manual: bool = False,
        ahead: int = 1000,
    ) -> Tail:
        """Return an iterator over the records of a stream whose subjects match a pattern.

        ``since`` says which is the first one: ``"now"`` (new records only), ``"start"`` (the oldest stored record), a
        position, or a time as datetime or timedelta. After a reconnect it goes on where it was. With a ``name``, the
        broker keeps the position: the next reader with that name goes on there, and ``since`` counts only for a name
        that is not known yet (without it: ``"start"``). A record counts as read when the program asks for the next one,
        or ends the reading without an error; with ``manual``, when the program confirms it, or a later one, with
        :meth:`Tail.confirm`. The broker sends ``ahead`` records ahead.

        The reading ends with its ``async with`` block, with :meth:`Tail.aclose`, or with the client.
        """
        tail = Tail(self._connect_tail, Reading.of(stream, match, since, name, manual, ahead), self._timeout)
        self._tails.add(tail)
        return tail

    def _connect_tail(self, buffer: Buffer) -> Connection:
        self._connection()
        return self._connect_beside(asyncio.get_running_loop(), buffer.add, buffer.size)

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
        """Decorate a function that serves the requests to a service whose subjects match a pattern.

        ``concurrency`` requests are served at once: an async function in the event loop, any other in a thread. The
        function gets a :class:`Request`, and returns the answer: text or octets, a tuple of these as frames, anything
        else as JSON, or None for no answer. If it raises an error, the request is tried again, up to ``attempts`` times
        in all, with waits as in ``backoff`` (seconds of the first and the longest one); then it has failed, and its
        sender gets the error as one sentence. The terms of the message count before these. The function may raise
        :exc:`Retry`, :exc:`Snooze` or :exc:`Reject` instead. The ``streams``, each with a pattern, are bound to the
        service, as by :meth:`alaska.client.Client.offer`. :meth:`run` serves.
        """
        if not to_number(concurrency, MOST_CONCURRENT, "concurrency"):
            raise ValueError(f"concurrency must be a number from 1 to {MOST_CONCURRENT}, not 0")
        offer = mlm.ServiceOffer(to_octets(name, "name"), to_octets(match, "match"))
        check(offer)
        plan, bindings = plan_of(attempts, backoff), b"" if streams == () else encoded_bindings(streams)

        def decorate(function: AnyFunction) -> AnyFunction:
            if not callable(function):
                raise TypeError(f"a service must be a function, not {type(function).__name__}")
            self._services.append(Service(offer, function, concurrency, plan, bindings))
            return function

        return decorate

    def run(self, *, grace: float = 5.0, started: Callable[[], object] | None = None) -> Coroutine[Any, Any, None]:
        """Serve the services of :meth:`service` until the task is cancelled, or the broker ends one of them.

        At the end, no more requests are taken, and those that run have ``grace`` seconds; the broker delivers others
        again. At SIGTERM the program does so, and ends; a program that has a handler of its own cancels the task.
        ``started`` is called when all services are offered. The client itself need not be connected.

        :raises ValueError: there is no service.
        :raises ClientError: the broker does not answer, or refuses a service.
        """
        to_seconds(grace, "grace")
        check_function(started, "started")
        if not self._services:
            raise ValueError("there is no service to run; decorate a function with client.service(name)")
        return self._run(grace, started)

    async def _run(self, grace: float, started: Callable[[], object] | None) -> None:
        loop = asyncio.get_running_loop()
        runners = [
            ServiceRunner(
                loop,
                service,
                lambda runner: self._connect_beside(loop, runner.delivered, 0, runner.cancelled),
                ServiceTracing(self._spans, service.name, self.endpoint),
            )
            for service in self._services
        ]
        await run_all(runners, self._timeout, grace, started)


def _received(delivery: Delivery, buffer: Buffer, connection: Connection) -> None:
    """Keep mail for the program; return it, if the program reads none and there is too much."""
    if len(buffer) < 2 * buffer.size:
        buffer.add(delivery)
    else:
        connection.return_later(delivery, RETURN_SECONDS)
