"""A client of the broker for any Twisted program.

::

    client = Client("tcp://127.0.0.1:9999", "my.mailbox")
    await client.connect(timeout=1.0)
    await client.offer("rules", "^temp")
    client.send_for("default", "dump", b'{"n": 1}')
    async for delivery in client:
        print(delivery.subject, delivery.content)

If the wall clock may be set back, a program should call :func:`alaska.system.clock.run_on_monotonic_time` for its
reactor at startup: otherwise Twisted's timers, and so the heartbeats, stop until the clock has caught up.

The client sends a heartbeat every second and reconnects automatically. After a reconnect it repeats its subscriptions
and offers, and sends the messages that the broker may not have received. Names, subjects, trackers and content are text
or octets. Text is sent as UTF-8; received octets that are not UTF-8 become surrogate escapes, which are sent back
unchanged.

All methods check their arguments first: they raise :exc:`TypeError` for a value of a wrong type, :exc:`ValueError` for
a number out of range, and :exc:`ValueTooLong`, a ValueError, for a name of more than 255 octets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from alaska import errors
from alaska.authentication import CurveKeys
from alaska.client.asking import Asking
from alaska.client.delivery_queue import DeliveryQueue
from alaska.interfaces import INetwork, Reactor
from alaska.links import Network, default_reactor
from alaska.links.reactor_loop import ReactorLoop
from alaska.messaging.connection import SetupCommand
from alaska.messaging.delivery import (
    Cancellation,
    Confirmation,
    Delivery,
    Progress,
    Text,
    check_flag,
    check_function,
    to_octets,
    to_seconds,
    to_text,
)
from alaska.messaging.exchange import MOST_MESSAGES, MOST_OCTETS
from alaska.messaging.opening import check_spans
from alaska.mlm import commands as mlm
from alaska.mlm.codec import check

if TYPE_CHECKING:
    # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.spans import Spans

__all__ = ["MOST_MESSAGES", "MOST_OCTETS", "Client", "Confirmation", "Delivery", "Progress", "to_octets", "to_text"]


class Client(Asking):
    """A connection to a broker with one address.

    User name and password are for PLAIN; ``curve`` are keys for CURVE (:func:`alaska.client.keys.load`).

    Several clients can share a ``network``; without one, the client creates its own when it connects. ``deliver`` is
    called with each delivery; without it, deliveries are queued and the program iterates over the client. Messages that
    the broker may not have received are buffered, up to ``most_messages`` messages and ``most_octets`` octets.

    With ``credit``, even 0, this is a credit client: the broker delivers no more than that and what
    :meth:`give_credit` adds, the program must confirm each delivery with :meth:`confirm`, and ``confirmed`` is called
    with the status of messages that were sent with a tracker. ``progressed`` is called with the progress of such
    messages, where workers tell it. ``cancelled`` is called with each unconfirmed delivery that is cancelled: confirm
    it with status 410 if the work on it ends, or with 200 if it is done. With a C broker all this has no effect. A
    client without ``credit`` that calls :meth:`ask` gets its deliveries without limit, and confirms each automatically
    on arrival.

    ``acts_for`` is the address of a worker whose scripts send over this connection: while the worker has requests, a
    broker that drains accepts theirs. ``takes_again``: the program knows the requests with an id that it has, and does
    nothing if it gets one again, which may come without credit (docs/protocol.md, section 7). ``spans`` records a span
    for each message that is sent (docs/traces.md).
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: str,
        address: Text = "",
        *,
        username: str | None = None,
        password: str | None = None,
        curve: CurveKeys | None = None,
        deliver: Callable[[Delivery], None] | None = None,
        credit: int | None = None,
        confirmed: Callable[[Confirmation], None] | None = None,
        progressed: Callable[[Progress], None] | None = None,
        cancelled: Callable[[Cancellation], None] | None = None,
        network: INetwork | None = None,
        reactor: Reactor | None = None,
        most_messages: int = MOST_MESSAGES,
        most_octets: int = MOST_OCTETS,
        acts_for: Text = "",
        takes_again: bool = False,
        spans: Spans | None = None,
    ) -> None:
        check_function(deliver, "deliver")
        check_spans(spans)
        self._reactor = reactor if reactor is not None else default_reactor()
        self._queue = DeliveryQueue()
        super().__init__(
            endpoint, address, (username, password, curve), network, ReactorLoop(self._reactor), most_messages,
            most_octets, acts_for, takes_again, deliver=self._queue.add if deliver is None else deliver, credit=credit,
            confirmed=confirmed, progressed=progressed, cancelled=cancelled,
        )  # fmt: skip
        self._is_processed_later = deliver is None
        self._spans = None if spans is None else spans.of_client(endpoint, self.address)

    def _make_network(self) -> INetwork:
        return Network(self._reactor)

    # Connecting

    def connect(self, timeout: float | None = 1.0, login: float = 0.0) -> Deferred[None]:
        """Connect within ``timeout`` seconds; with None, wait for the broker without limit.

        A broker that is reached within the timeout may take ``login`` seconds to answer the user name and password, if
        that is longer: it delays the answers to an address from which it has got wrong ones, also to the right ones.

        The Deferred fails with :exc:`ConnectTimeout` if the broker does not answer in time, or with :exc:`Refused`.
        Then the client is closed; to retry, create another one.
        """
        to_seconds(login, "login")
        self._check_connect(timeout)
        connecting: Deferred[None] = Deferred(lambda _: self._machine.abort(None))
        self._connect(timeout, connecting, login)
        return connecting

    def close(self, timeout: float = 1.0, longest: float | None = None) -> Deferred[None]:
        """Close the connection once the broker has received all messages, within ``timeout`` seconds.

        With ``longest``, the timeout restarts whenever the broker sends something, up to that many seconds in total:
        deliveries that the broker sent before its last answer are received first. What durable readers have processed
        is confirmed before.

        When the Deferred fires, the connection is closed. It fails with :exc:`ConnectTimeout` if the broker did not
        answer in time that it has everything.
        """
        most = self._longest(timeout, longest)
        if self._is_over:
            return succeed(None)
        closing: Deferred[None] = Deferred()
        self._close(timeout, most, closing)
        return closing

    def flush(self) -> Deferred[None]:
        """Return a Deferred that fires when the broker has received all messages sent so far."""
        self._check_open()
        flushed: Deferred[None] = Deferred()
        self._flush(flushed)
        return flushed

    # Setup

    def _ask(self, command: SetupCommand) -> Deferred[None]:
        """Send a request; the Deferred fires when the broker has executed it, or fails with :exc:`Refused`."""
        check(command)
        self._check_open()
        asked: Deferred[None] = Deferred()
        self._set_up(command, asked)
        return asked

    def produce(self, stream: Text) -> Deferred[None]:
        """Select the stream for :meth:`send`."""
        command = mlm.StreamWrite(to_octets(stream, "stream"))
        selected = self._ask(command)
        self._stream = command.stream
        return selected

    def replay(self, stream: Text, pattern: Text = "", position: int = 0) -> Deferred[None]:
        """Read a stream from a position on, then its new messages; 0 is the oldest stored record.

        The deliveries have positions. To continue later, pass the last position plus one; after a reconnect the client
        does so automatically. To let the broker keep the position, use :meth:`consume` with a name.

        :raises Refused: the broker does not support replay.
        """
        return self._ask(self._replay_command(stream, pattern, position))

    def consume(
        self, stream: Text, pattern: Text = "", *, name: Text = "", position: int = 0, manual: bool = False
    ) -> Deferred[None]:
        """Subscribe to the messages of a stream whose subjects match a pattern: to the new ones, or with a name.

        With a name, this is a durable reader: the broker keeps its position in the stream, also when this client, or
        the broker, has ended. The next client that reads with the same name goes on there; it takes over the name, if
        another client has it, which is told by :attr:`refused`. A name that is not known yet begins at ``position``;
        0 is the oldest stored record. Each record arrives at least once. It counts as read when ``deliver`` has
        returned, or when the program that iterates asks for the next one; with ``manual``, when the program confirms
        it, or a later one, with :meth:`confirm`. :attr:`began_reading` is called when it begins. A client reads a
        stream with one name and one pattern.

        :raises Refused: the broker keeps no positions of readers.
        """
        check_flag(manual, "manual")
        command = self._consume_command(stream, pattern, name, position)
        asked = self._ask(command)
        if isinstance(command, mlm.StreamRead):
            return asked
        if self._is_processed_later:
            self._queue.processed = self._readers.processed
        return asked.addCallback(lambda _: self._readers.add(command.stream, is_manual=manual))

    def cancel(self, stream: Text) -> Deferred[None]:
        """Unsubscribe from a stream."""
        octets = to_octets(stream, "stream")
        check(mlm.StreamCancel(octets))
        self._readers.remove(octets)
        return self._ask(mlm.StreamCancel(octets))

    def offer(self, service: Text, pattern: Text = "", *, streams: Sequence[tuple[Text, Text]] = ()) -> Deferred[None]:
        """Offer a service for requests whose subjects match a pattern.

        The ``streams``, each with a pattern, are bound to the service: each record that matches becomes a request to
        it, from the oldest record on. A binding stays in the broker when the client has ended, until it is removed by
        the operation ``unbind``; one that is there already goes on where it is.

        :raises Refused: the broker cannot bind streams.
        """
        return self._ask(self._offer_command(service, pattern, streams))

    def __aiter__(self) -> Client:
        return self

    def __anext__(self) -> Deferred[Delivery]:
        """Return the next delivery; the iteration ends when the client is closed."""
        return self._queue.next()

    def _notify_closed(self, error: errors.ClientError | None) -> None:
        super()._notify_closed(error)
        self._queue.close(error)
