"""The connections that send what scripts send.

The sender of a message is the address with which its connection was opened, so each sender name needs a connection.
There are a few of them, whatever names scripts use: when they are all taken, the one that was not used for the longest
is closed as soon as the broker has all that was sent over it, and the next name gets its place. Until then the messages
of that name wait, in order. Between messages of two names there is no order: a broker reads connections as it likes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeAlias, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.client import Client, to_text
from alaska.client.client import MOST_MESSAGES, MOST_OCTETS
from alaska.errors import BacklogFull, ClientError, NotConnected
from alaska.names import address_of, printable

MOST_CONNECTIONS = 8
"""Connections to the broker for all sender names together."""
KEPT_NAME = b"LU"
"""Answers leave in this name, so its connection is not closed for another's."""
CLOSE_SECONDS = 5.0


class Sink(Protocol):
    """Takes what is to be sent in one name: a client, or what waits for one."""

    @property
    def is_open(self) -> bool:
        """Whether it takes messages."""

    @property
    def unproven(self) -> int:
        """How many messages the broker is not known to have."""

    def publish(self, stream: bytes, subject: bytes, *content: bytes) -> None:
        """See :meth:`Client.publish`."""

    def send_to(self, mailbox: bytes, subject: bytes, *content: bytes, tracker: bytes = b"") -> None:
        """See :meth:`Client.send_to`."""

    def send_for(self, service: bytes, subject: bytes, *content: bytes) -> None:
        """See :meth:`Client.send_for`."""

    def flush(self) -> Deferred[None]:
        """See :meth:`Client.flush`."""


Message: TypeAlias = Callable[[Client], None]


class Room:
    """How much may wait for connections: so many messages, and so many octets of content."""

    def __init__(self, messages: int = MOST_MESSAGES, octets: int = MOST_OCTETS) -> None:
        self._messages = messages
        self._octets = octets

    def take(self, octets: int) -> None:
        """Take room for a message.

        :raises BacklogFull: there is none; nothing was taken.
        """
        if not self._messages or octets > self._octets:
            raise BacklogFull("too many messages wait for a connection of their sender's name")
        self.give_back(-1, -octets)

    def give_back(self, messages: int, octets: int) -> None:
        """Give room back."""
        self._messages += messages
        self._octets += octets


class Waiting:
    """The messages of a name that has no connection yet; when it has one, they leave over it, in order."""

    _log = Logger()

    def __init__(self, name: bytes, room: Room) -> None:
        self._name = name
        self._room = room
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

    def publish(self, stream: bytes, subject: bytes, *content: bytes) -> None:
        """See :class:`Sink`."""
        self._keep(content, lambda client: client.publish(stream, subject, *content))

    def send_to(self, mailbox: bytes, subject: bytes, *content: bytes, tracker: bytes = b"") -> None:
        """See :class:`Sink`."""
        self._keep(content, lambda client: client.send_to(mailbox, subject, *content, tracker=tracker))

    def send_for(self, service: bytes, subject: bytes, *content: bytes) -> None:
        """See :class:`Sink`."""
        self._keep(content, lambda client: client.send_for(service, subject, *content))

    def _keep(self, content: tuple[bytes, ...], message: Message) -> None:
        octets = sum(map(len, content))
        self._room.take(octets)
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

    def leave_over(self, client: Client) -> None:
        """Let all messages leave over a connection, in order."""
        self._client = client
        lost: ClientError | None = None
        for message in self._messages:
            try:
                message(client)
            except Exception as error:  # The others have to leave all the same.
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
        """Give up all messages: there will be no connection."""
        self._error = error
        flushes, self._flushes = self._flushes, []
        for flushed in flushes:
            flushed.errback(error)
        self._empty()

    def _empty(self) -> None:
        self._room.give_back(len(self._messages), self._octets)
        self._messages, self._octets = [], 0


class Senders:
    """Connections by sender name. ``make_client`` makes a client for an address, not connected yet."""

    _log = Logger()

    def __init__(self, make_client: Callable[[str], Client]) -> None:
        self._make_client = make_client
        self._room = Room()
        # In use, the one that was not used for the longest first; about to be closed; and first come, first served.
        self._clients: OrderedDict[bytes, Client] = OrderedDict()
        self._leaving: dict[bytes, Client] = {}
        self._waiting: OrderedDict[bytes, Waiting] = OrderedDict()
        self._closing: list[Deferred[None]] = []
        self._is_closing = False

    def named(self, name: bytes) -> Sink:
        """Return what sends in a name; what it is given waits for its connection where it has to.

        :raises ClientError: it cannot even begin to connect.
        """
        client = self._clients.get(name)
        if client is not None and client.is_open:
            self._clients.move_to_end(name)
            return client
        if client is not None:  # The broker has refused it since.
            del self._clients[name]
        waiting = self._waiting.get(name)
        if waiting is None and not self._waiting and name not in self._leaving and self._has_place:
            return self._connect(name)
        if waiting is None:
            waiting = self._waiting[name] = Waiting(name, self._room)
            self._make_place()
        return waiting

    def close(self) -> Deferred[None]:
        """Close all connections, also those that names still wait for.

        The Deferred fires when the broker has all that was sent; what it does not take within five seconds is lost, and
        the log says so.
        """
        self._is_closing = True
        for client in self._leaving.values():
            client.close(timeout=CLOSE_SECONDS).addErrback(self._lost, client)
        for name in list(self._clients):
            self._leave(name)
        if not self._leaving:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        return closed

    @property
    def _has_place(self) -> bool:
        return len(self._clients) + len(self._leaving) < MOST_CONNECTIONS

    def _connect(self, name: bytes) -> Client:
        client = self._make_client(address_of(to_text(name)))
        client.connect(timeout=None).addErrback(self._failed, name, client)
        self._clients[name] = client
        return client

    def _make_place(self) -> None:
        """Let as many connections go as names wait for one."""
        for name in [name for name in self._clients if name != KEPT_NAME]:
            if len(self._leaving) >= len(self._waiting):
                break
            if name in self._clients:
                self._leave(name)

    def _leave(self, name: bytes) -> None:
        """Close the connection of a name when the broker has all that was sent over it."""
        client = self._leaving[name] = self._clients.pop(name)
        # Not by closing it at once, which would lose what a broker that is away does not take in time.
        flushed = succeed(None) if self._is_closing or not client.is_open else client.flush()
        flushed.addErrback(self._unproven)
        flushed.addCallback(lambda _: client.close(timeout=CLOSE_SECONDS).addErrback(self._lost, client))
        flushed.addCallback(lambda _: self._left(name))

    def _left(self, name: bytes) -> None:
        del self._leaving[name]
        self._admit_next()
        if self._is_closing:
            for admitted in list(self._clients):
                self._leave(admitted)
        else:
            self._make_place()
        if not self._leaving:
            closing, self._closing = self._closing, []
            for closed in closing:
                closed.callback(None)

    def _admit_next(self) -> None:
        """Give names that wait the places that are free."""
        for name in [name for name in self._waiting if name not in self._leaving]:
            if not self._has_place:
                break
            messages = self._waiting.pop(name)
            try:
                client = self._connect(name)
            except Exception as error:  # The others have to leave all the same.
                self._give_up(name, messages, error if isinstance(error, ClientError) else NotConnected(repr(error)))
            else:
                messages.leave_over(client)

    def _unproven(self, failure: Failure) -> None:
        """Go on: the log has told already what became of this client."""
        failure.trap(ClientError)

    def _lost(self, failure: Failure, client: Client) -> None:
        failure.trap(ClientError)
        if not client.unproven:
            return
        self._log.error("{address}: {error}", address=printable(client.address), error=failure.value)
        waiting, self._waiting = self._waiting, OrderedDict()
        for name, messages in waiting.items():
            self._give_up(name, messages, cast("ClientError", failure.value))

    def _failed(self, failure: Failure, name: bytes, client: Client) -> None:
        failure.trap(ClientError)
        is_used = self._clients.get(name) is client
        if is_used:
            del self._clients[name]
        # Of a client that was closed before it was connected, its close tells what is lost.
        if is_used or not self._is_closing:
            self._tell_failed(name, failure.value)
        if is_used:
            self._admit_next()

    def _give_up(self, name: bytes, messages: Waiting, error: ClientError) -> None:
        self._tell_failed(name, error)
        messages.fail(error)

    def _tell_failed(self, name: bytes, error: BaseException | None) -> None:
        self._log.error("cannot send as {name}: {error}", name=printable(name), error=error)
