"""The connections that send the messages of scripts.

The sender of a message is the address of its connection, so each sender name needs its own connection. Their number is
limited: if a name needs one more, the least recently used connection is closed as soon as the broker has all its
messages. Until then the messages of the new name are buffered, in order. There is no order between messages of
different names, since the broker reads connections in any order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.client import Client, to_text
from alaska.client.client import MOST_MESSAGES, MOST_OCTETS
from alaska.client.delivery import Headers
from alaska.errors import BacklogFull, ClientError, NotConnected
from alaska.names import address_of, printable
from alaska.traces.context import TraceContext

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from alaska.client.terms import SendTerms

MOST_CONNECTIONS = 8
"""Maximum number of connections to the broker for all sender names together."""
KEPT_NAME = b"LU"
"""The sender name of replies; its connection is never closed in favour of another."""
CLOSE_SECONDS = 5.0
SENDS_LOST = "messages that it sent are lost"


class Sink(Protocol):
    """Sends messages under one name: a client, or a buffer until there is a client."""

    @property
    def is_open(self) -> bool:
        """Whether it accepts messages."""

    @property
    def unproven(self) -> int:
        """The number of messages that the broker is not known to have."""

    def publish(
        self,
        stream: bytes,
        subject: bytes,
        *content: bytes,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        """See :meth:`Client.publish`."""

    def send_to(
        self,
        mailbox: bytes,
        subject: bytes,
        *content: bytes,
        tracker: bytes = b"",
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> None:
        """See :meth:`Client.send_to`."""

    def send_for(
        self,
        service: bytes,
        subject: bytes,
        *content: bytes,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> None:
        """See :meth:`Client.send_for`."""

    def flush(self) -> Deferred[None]:
        """See :meth:`Client.flush`."""


def flush_sender(sender: Sink) -> Deferred[None]:
    """Return a Deferred that fires when the broker has all messages of a connection, and fails if any is lost."""
    if not sender.is_open:
        return fail(NotConnected(SENDS_LOST))
    try:
        return sender.flush()
    except ClientError as error:
        return fail(error)


Message: TypeAlias = Callable[[Client], None]


class BufferLimit:
    """The limit of all buffers together, in messages and in octets of content."""

    def __init__(self, messages: int = MOST_MESSAGES, octets: int = MOST_OCTETS) -> None:
        self._messages = messages
        self._octets = octets

    def take(self, octets: int) -> None:
        """Reserve space for a message.

        :raises BacklogFull: there is not enough.
        """
        if not self._messages or octets > self._octets:
            raise BacklogFull("too many messages wait for a connection of their sender name")
        self.free(-1, -octets)

    def free(self, messages: int, octets: int) -> None:
        """Free reserved space."""
        self._messages += messages
        self._octets += octets


class Buffer:
    """Buffers the messages of a name that has no connection yet; later it passes them on to the client."""

    _log = Logger()

    def __init__(self, name: bytes, limit: BufferLimit) -> None:
        self._name = name
        self._limit = limit
        self._messages: list[Message] = []
        self._octets = 0
        self._flushes: list[Deferred[None]] = []
        self._client: Client | None = None
        self._error: ClientError | None = None

    @property
    def is_open(self) -> bool:
        """See :class:`Sink`."""
        return self._error is None and (self._client is None or self._client.is_open)

    @property
    def unproven(self) -> int:
        """See :class:`Sink`."""
        if self._client is not None:
            return self._client.unproven
        return len(self._messages) or int(self._error is not None)

    def publish(
        self,
        stream: bytes,
        subject: bytes,
        *content: bytes,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        """See :class:`Sink`."""
        self._add(
            content, headers, lambda client: client.publish(stream, subject, *content, headers=headers, trace=trace)
        )

    def send_to(
        self,
        mailbox: bytes,
        subject: bytes,
        *content: bytes,
        tracker: bytes = b"",
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> None:
        """See :class:`Sink`."""
        self._add(
            content,
            headers,
            lambda client: client.send_to(
                mailbox, subject, *content, tracker=tracker, headers=headers, trace=trace, **terms
            ),
        )

    def send_for(
        self,
        service: bytes,
        subject: bytes,
        *content: bytes,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> None:
        """See :class:`Sink`."""
        self._add(
            content,
            headers,
            lambda client: client.send_for(service, subject, *content, headers=headers, trace=trace, **terms),
        )

    def _add(self, content: tuple[bytes, ...], headers: Headers | None, message: Message) -> None:
        octets = sum(map(len, content)) + sum(len(name) + len(value) for name, value in (headers or {}).items())
        self._limit.take(octets)
        self._octets += octets
        self._messages.append(message)

    def flush(self) -> Deferred[None]:
        """See :class:`Sink`."""
        if self._error is not None:
            return fail(self._error)
        if self._client is not None:
            return self._client.flush()
        flushed: Deferred[None] = Deferred()
        self._flushes.append(flushed)
        return flushed

    def send_all(self, client: Client) -> None:
        """Send all messages over a connection, in order; it also sends all later ones."""
        self._client = client
        lost: ClientError | None = None
        for message in self._messages:
            try:
                message(client)
            except Exception as error:  # One failure must not keep the other messages from being sent.
                self._log.failure("a message of {name} is lost", name=printable(self._name))
                lost = error if isinstance(error, ClientError) else NotConnected(str(error))
        self._empty()
        flushes, self._flushes = self._flushes, []
        for flushed in flushes:
            if lost is not None:
                flushed.errback(lost)
            else:
                client.flush().chainDeferred(flushed)

    def fail(self, error: ClientError) -> None:
        """Drop all messages, since there will be no connection."""
        self._error = error
        flushes, self._flushes = self._flushes, []
        for flushed in flushes:
            flushed.errback(error)
        self._empty()

    def _empty(self) -> None:
        self._limit.free(len(self._messages), self._octets)
        self._messages, self._octets = [], 0


class Senders:
    """Connections by sender name. ``make_client`` returns an unconnected client for an address."""

    _log = Logger()

    def __init__(self, make_client: Callable[[str], Client]) -> None:
        self._make_client = make_client
        self._limit = BufferLimit()
        # In use, least recently used first.
        self._clients: OrderedDict[bytes, Client] = OrderedDict()
        # About to be closed.
        self._closing: dict[bytes, Client] = {}
        # Names without a connection, in the order in which they get one.
        self._buffers: OrderedDict[bytes, Buffer] = OrderedDict()
        self._close_waiters: list[Deferred[None]] = []
        self._is_closing = False

    def named(self, name: bytes) -> Sink:
        """Return the client for a name, or a buffer if there is no free connection.

        :raises ClientError: the client cannot start to connect.
        """
        client = self._clients.get(name)
        if client is not None and client.is_open:
            self._clients.move_to_end(name)
            return client
        if client is not None:  # The broker has refused it.
            del self._clients[name]
        buffer = self._buffers.get(name)
        if buffer is None and not self._buffers and name not in self._closing and self._has_room:
            return self._connect(name)
        if buffer is None:
            buffer = self._buffers[name] = Buffer(name, self._limit)
            self._evict()
        return buffer

    def close(self) -> Deferred[None]:
        """Send all buffered messages and close all connections.

        The Deferred fires when the broker has all messages. Messages that it does not accept within five seconds are
        lost, which is logged.
        """
        self._is_closing = True
        for client in self._closing.values():
            client.close(timeout=CLOSE_SECONDS).addErrback(self._close_failed, client)
        self._close_all()
        if not self._closing:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._close_waiters.append(closed)
        return closed

    @property
    def _has_room(self) -> bool:
        return len(self._clients) + len(self._closing) < MOST_CONNECTIONS

    def _connect(self, name: bytes) -> Client:
        client = self._make_client(address_of(to_text(name), is_of_script=True))
        client.connect(timeout=None).addErrback(self._connect_failed, name, client)
        self._clients[name] = client
        return client

    def _evict(self) -> None:
        """Close the least recently used connections, one for each name that waits."""
        for name in [name for name in self._clients if name != KEPT_NAME]:
            if len(self._closing) >= len(self._buffers):
                break
            if name in self._clients:
                self._start_closing(name)

    def _close_all(self) -> None:
        # One may be closed at once, which closes all others.
        while self._clients:
            self._start_closing(next(iter(self._clients)))

    def _start_closing(self, name: bytes) -> None:
        """Close the connection of a name as soon as the broker has all its messages."""
        client = self._closing[name] = self._clients.pop(name)
        # Flush first: close() has a timeout, which would lose messages while the broker is away.
        flushed = succeed(None) if self._is_closing or not client.is_open else client.flush()
        flushed.addErrback(self._flush_failed)
        flushed.addCallback(lambda _: client.close(timeout=CLOSE_SECONDS).addErrback(self._close_failed, client))
        flushed.addCallback(lambda _: self._closed(name))

    def _closed(self, name: bytes) -> None:
        del self._closing[name]
        self._connect_waiting()
        if self._is_closing:
            self._close_all()
        else:
            self._evict()
        if not self._closing:
            waiters, self._close_waiters = self._close_waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def _connect_waiting(self) -> None:
        """Open connections for names that wait, as far as the limit allows."""
        for name in [name for name in self._buffers if name not in self._closing]:
            if not self._has_room:
                break
            buffer = self._buffers.pop(name)
            try:
                client = self._connect(name)
            except Exception as error:  # One failure must not keep the other names from being connected.
                self._give_up(name, buffer, error if isinstance(error, ClientError) else NotConnected(repr(error)))
            else:
                buffer.send_all(client)

    def _flush_failed(self, failure: Failure) -> None:
        """Continue with closing: the failure of this client is already logged."""
        failure.trap(ClientError)

    def _close_failed(self, failure: Failure, client: Client) -> None:
        failure.trap(ClientError)
        if not client.unproven:
            return
        self._log.error("{address}: {error}", address=printable(client.address), error=failure.value)
        buffers, self._buffers = self._buffers, OrderedDict()
        for name, buffer in buffers.items():
            self._give_up(name, buffer, cast("ClientError", failure.value))

    def _connect_failed(self, failure: Failure, name: bytes, client: Client) -> None:
        failure.trap(ClientError)
        is_used = self._clients.get(name) is client
        if is_used:
            del self._clients[name]
        # If the client was closed before it was connected, _close_failed logs what is lost.
        if is_used or not self._is_closing:
            self._log_failed(name, failure.value)
        if is_used:
            self._connect_waiting()

    def _give_up(self, name: bytes, buffer: Buffer, error: ClientError) -> None:
        self._log_failed(name, error)
        buffer.fail(error)

    def _log_failed(self, name: bytes, error: BaseException | None) -> None:
        self._log.error("cannot send as {name}: {error}", name=printable(name), error=error)
