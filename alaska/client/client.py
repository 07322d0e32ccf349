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

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred

from alaska import errors
from alaska.authentication import CurveKeys
from alaska.client import operations
from alaska.client.delivery import (
    MOST_POSITION,
    MOST_STATUS,
    Cancellation,
    Confirmation,
    Delivery,
    Headers,
    Progress,
    Text,
    check_function,
    to_delay,
    to_frames,
    to_milliseconds,
    to_number,
    to_octets,
    to_properties,
    to_text,
)
from alaska.client.delivery_queue import DeliveryQueue
from alaska.client.readers import Readers, check_name, encoded_bindings
from alaska.client.reply_credit import ReplyCredit
from alaska.client.sending import SendingClient
from alaska.client.terms import SendTerms
from alaska.client.trackers import Trackers, new_tracker
from alaska.interfaces import INetwork, Reactor
from alaska.mlm import commands as mlm
from alaska.mlm.codec import check
from alaska.mlm.confirmations import Again
from alaska.mlm.listener import Delivered
from alaska.mlm.progress import read_progress, write_progress
from alaska.mlm.properties import to_number as to_unsigned
from alaska.mlm.properties import to_octets as octets_of_value
from alaska.mlm.replay import ReaderStart
from alaska.traces.context import TraceContext, add_to

if TYPE_CHECKING:
    from typing_extensions import Unpack

    # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.spans import Spans

__all__ = ["Client", "Confirmation", "Delivery", "Progress", "to_octets", "to_text"]

DEAD_LETTER_SERVICE = "alaska.letters"
ADMIN_SERVICE = b"alaska.admin"
FORCE = 2
"""The property ``cancel`` of a delivery that is to end now."""
MOST_MESSAGES = 100_000
MOST_OCTETS = 256 * 2**20
MOST_CREDIT = 2**24
"""The maximum credit of one call."""


class Client(SendingClient):
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
    broker that drains accepts theirs. ``spans`` records a span for each message that is sent (docs/traces.md).
    """

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
        spans: Spans | None = None,
    ) -> None:
        for call in (deliver, confirmed, progressed, cancelled):
            check_function(call, "deliver, confirmed, progressed and cancelled")
        credentials = username, password, curve
        super().__init__(endpoint, address, credentials, network, reactor, most_messages, most_octets, acts_for)
        self._spans = None if spans is None else spans.of_client(endpoint, self.address)
        self._queue = DeliveryQueue()
        self._readers = Readers(self._machine, self._reactor)
        self.began_reading: Callable[[ReaderStart], None] = self._readers.log_start
        """Called whenever a durable reader begins, also after a reconnect: says from where, and what it has missed."""
        self._has_queue = deliver is None
        self._deliver = deliver if deliver is not None else self._queue.add
        self._confirmed_callback = confirmed
        self._cancelled_callback = cancelled
        self._trackers = Trackers(to_octets(address), self._machine.fence, progressed)
        self._reply_credit = ReplyCredit(self._machine, self._trackers)
        if credit is not None:
            self.give_credit(credit)

    @property
    def credit(self) -> int:
        """The unused credit: how many more deliveries the client accepts."""
        return self._machine.credit

    # Setup

    def replay(self, stream: Text, pattern: Text = "", position: int = 0) -> Deferred[None]:
        """Read a stream from a position on, then its new messages; 0 is the oldest stored record.

        The deliveries have positions. To continue later, pass the last position plus one; after a reconnect the client
        does so automatically. To let the broker keep the position, use :meth:`consume` with a name.

        :raises Refused: the broker does not support replay.
        """
        to_number(position, MOST_POSITION, "a position")
        command = mlm.StreamReplay(to_octets(stream), to_octets(pattern), position)
        self._require("replay", "the broker does not support replay")
        return self._ask(command)

    def _require(self, capability: str, complaint: str) -> None:
        if capability not in self.capabilities:
            raise errors.Refused(complaint, errors.NOT_IMPLEMENTED)

    def next_position(self, stream: Text) -> int | None:
        """Return the position from which the :meth:`replay` of a stream would continue after a reconnect, or None."""
        octets = to_octets(stream)
        commands = self._machine.setups.current_replays
        return next((command.position for command in commands if command.stream == octets), None)

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
        octets, source, reader = to_octets(stream), to_octets(pattern), to_octets(name)
        to_number(position, MOST_POSITION, "a position")
        if not reader:
            return self._ask(mlm.StreamRead(octets, source))
        check_name(reader)
        self._require("readers", "the broker keeps no positions of readers")
        asked = self._ask(mlm.StreamReplay(octets, source, position, {"name": reader}))
        if self._has_queue:
            self._queue.processed = self._readers.processed
        return asked.addCallback(lambda _: self._readers.add(octets, is_manual=manual))

    def cancel(self, stream: Text) -> Deferred[None]:
        """Unsubscribe from a stream."""
        octets = to_octets(stream)
        self._readers.remove(octets)
        return self._ask(mlm.StreamCancel(octets))

    def offer(self, service: Text, pattern: Text = "", *, streams: Sequence[tuple[Text, Text]] = ()) -> Deferred[None]:
        """Offer a service for requests whose subjects match a pattern.

        The ``streams``, each with a pattern, are bound to the service: each record that matches becomes a request to
        it, from the oldest record on. A binding stays in the broker when the client has ended, until it is removed by
        the operation ``unbind``; one that is there already goes on where it is.

        :raises Refused: the broker cannot bind streams.
        """
        command = mlm.ServiceOffer(to_octets(service), to_octets(pattern))
        if streams:
            self._require("bindings", "the broker cannot bind streams to services")
            command = replace(command, properties={"bind": encoded_bindings(streams)})
        return self._ask(command)

    # Asking

    def ask(
        self,
        service: Text,
        subject: Text,
        *content: Text,
        timeout: float = 5.0,
        headers: Headers | None = None,
        tracker: Text = "",
        expiry: float | None = None,
        needs_offer: bool = True,
        trace: TraceContext | None = None,
        progress: Callable[[Progress], None] | None = None,
        **terms: Unpack[SendTerms],
    ) -> Deferred[Delivery]:
        """Send a request, and wait at most ``timeout`` seconds for the reply: the mail with the request's tracker.

        The client needs an address. With a broker that supports confirmations, the end of the request ends the wait: if
        the worker has processed it without a reply, the Deferred fires with a delivery that has no sender and no
        content (``()``); if nobody offers the service, or the request is refused, it fails with :exc:`Refused`. If no
        reply arrives in time, it fails with :exc:`twisted.internet.defer.TimeoutError`; a C broker causes no other
        error. A reply that arrives later is a delivery like any other. Raises the errors of :meth:`publish`.

        ``tracker`` replaces the generated one, and no other pending request may have it. The request expires after
        ``timeout``, or after ``expiry`` seconds if that is given; 0: never. Without ``needs_offer``, a request for a
        service that nobody offers yet waits as well. ``progress`` is called whenever the script that serves the request
        tells how far it is. A request that a later one with its id replaces fails with :exc:`Refused` (204). One that
        is not kept, since its id is known, ends as the first one does, if the broker tells that, but without a reply.
        """
        check_function(progress, "progress")
        tracker = to_text(to_octets(tracker)) or new_tracker()
        octets = to_octets(service), to_octets(subject), to_octets(tracker)
        expires = to_milliseconds(timeout if expiry is None else expiry)
        command = mlm.ServiceSend(*octets, expires, to_frames(content), to_properties(headers))
        if terms:
            self._add_terms(command, terms)
        if self._spans is None:
            return self._ask_with(command, timeout, needs_offer, trace, progress)
        span = self._spans.send(command, trace)
        try:
            asked = self._ask_with(command, timeout, needs_offer, span.context, progress)
        except Exception as error:
            span.end(error)
            raise
        if needs_offer:
            return asked.addBoth(span.ended)
        span.end()  # it may wait for days
        return asked

    def _ask_with(
        self,
        command: mlm.ServiceSend,
        timeout: float,
        needs_offer: bool,
        trace: TraceContext | None,
        progress: Callable[[Progress], None] | None,
    ) -> Deferred[Delivery]:
        if trace is not None:
            add_to(command.properties, trace)
        check(command)
        self._check_open()
        self._reply_credit.before_request()
        self._machine.send(command)
        self._reply_credit.sent_request()
        tracker = to_text(command.tracker)
        self._trackers.watch(tracker, progress)
        asked = self._trackers.ask(tracker, command.subject, needs_offer).addTimeout(timeout, self._reactor)
        return asked.addBoth(self._reply_credit.ended_request)

    def letters(self, what: str, **options: int) -> Deferred[dict[str, Any]]:
        """Query dead letters: ``list`` (after, limit), ``read``, ``replay`` or ``drop`` (position).

        The Deferred fires with the reply that docs/protocol.md, section 6, describes, or fails as that of :meth:`ask`.
        """
        for name, value in options.items():
            to_number(value, MOST_POSITION, name)
        return self.ask(DEAD_LETTER_SERVICE, what, json.dumps(options).encode()).addCallback(operations.decoded_letters)

    def cancel_message(
        self,
        *,
        tracker: Text = "",
        id: Text = "",  # noqa: A002  # the name of the property
        service: Text = "",
        force: bool = False,
        timeout: float = 60.0,
    ) -> Deferred[int]:
        """Cancel the messages with a tracker, or an id; the Deferred fires with their number.

        A message that waits is taken out, and its sender gets the status 410. A worker that has it is told; with
        ``force``, its script is ended. With a ``service``, only its requests are meant, which are found faster. Without
        the right to administer the broker (docs/administration.md), a client can cancel its own messages only. The
        client needs an address. The Deferred fails with :exc:`OperationFailed` if there is no such message.
        """
        content = operations.cancel(to_octets(tracker), to_octets(id), to_octets(service), bool(force))
        return self.ask(ADMIN_SERVICE, "cancel", content, timeout=timeout).addCallback(operations.count_of)

    def hurry_message(
        self,
        *,
        tracker: Text = "",
        id: Text = "",  # noqa: A002  # the name of the property
        service: Text = "",
        timeout: float = 60.0,
    ) -> Deferred[int]:
        """Make the delayed messages with a tracker, or an id, due now; the Deferred fires with their number.

        It needs the right to operate the broker. Otherwise it is as :meth:`cancel_message`.
        """
        content = operations.which(to_octets(tracker), to_octets(id), to_octets(service))
        return self.ask(ADMIN_SERVICE, "hurry", content, timeout=timeout).addCallback(operations.count_of)

    # Receiving

    def tell_broker(self, subject: Text, content: bytes) -> bool:
        """Tell the broker's service ``alaska.admin`` something, if the broker has it; return whether it was sent.

        It is sent at most once, and lost if the connection is lost.
        """
        command = mlm.ServiceSend(ADMIN_SERVICE, to_octets(subject), b"", 0, (content,))
        return "admin" in self.capabilities and self._machine.send_once(command)

    def answer_mail(self, delivery: Delivery, content: bytes) -> bool:
        """Mail an answer to the sender of mail, with its subject and tracker; return whether it was sent.

        It is sent at most once, and nothing is kept for it, so that mail from others cannot fill the memory.
        """
        subject, tracker = to_octets(delivery.subject), delivery.tracker_octets
        command = mlm.MailboxSend(to_octets(delivery.sender), subject, tracker, 0, (content,))
        return self._machine.send_once(command)

    def give_credit(self, amount: int) -> None:
        """Accept ``amount`` more deliveries, 0 to 2^24; from now on each must be confirmed with :meth:`confirm`."""
        to_number(amount, MOST_CREDIT, "credit")
        self._reply_credit.program_gives()
        self._machine.give_credit(amount)

    def confirm(
        self,
        delivery: Delivery,
        status: int = errors.SUCCESS,
        reason: Text = "",
        *,
        delay: float | None = None,
        spent: bool = True,
    ) -> None:
        """Confirm a delivery.

        A status below 300 acknowledges it. 300 to 399 rejects it, and the broker delivers it again. 400 and above
        rejects it permanently, and the broker stores it as a dead letter. If the connection was lost since the
        delivery, nothing is sent: the broker delivers the message again.

        A record of a durable reader that was begun with ``manual`` is confirmed together with all earlier ones.

        With 300 to 399 and ``delay``, the broker delivers it again after so many seconds, at most 30 days. ``spent``
        says whether this delivery counts as an attempt; without ``delay``, it does not. A broker without properties
        (:attr:`Delivery.lease` is None) delivers it again at once.
        """
        if not isinstance(delivery, Delivery):
            raise TypeError(f"the argument must be a Delivery, not {type(delivery).__name__}")
        if self._readers.is_manual and status < errors.FAILED:
            self._readers.confirm(delivery)
        self._confirm(delivery, status, reason, None if delay is None else Again(to_delay(delay), bool(spent)))

    def _confirm(
        self, delivery: Delivery, status: int = errors.SUCCESS, reason: Text = "", again: Again | None = None
    ) -> None:
        self.confirm_tracker(delivery.tracker_octets, status, reason, delivery.session, delivery.lease, again)

    def confirm_tracker(
        self,
        tracker: Text,
        status: int,
        reason: Text,
        session: int,
        lease: int | None = None,
        again: Again | None = None,
    ) -> None:
        """Confirm the delivery with a tracker, and a lease if it has one, in a session; see :meth:`confirm`."""
        octets, why = to_octets(tracker), to_octets(reason)
        to_number(status, MOST_STATUS, "a status")
        if octets or lease is not None:
            self._machine.confirm(octets, status, why, session, lease, again)

    def report_progress(self, delivery: Delivery, fraction: float, text: Text = "") -> None:
        """Tell the sender of an unconfirmed delivery how far the work is: a part from 0 to 1, and at most 240 octets.

        It arrives if broker and sender can understand it. The broker passes on at most 5 in a second for each delivery,
        after the first 5 at once.

        :raises ValueError: the fraction is out of range.
        """
        reason = write_progress(fraction, to_octets(text))
        if delivery.lease is not None:
            self.send_progress(reason, delivery.session, delivery.lease)

    def send_progress(self, reason: bytes, session: int, lease: int) -> None:
        """Do as :meth:`report_progress`, with the result of :func:`alaska.mlm.progress.write_progress`."""
        if "progress" in self.capabilities:
            self._machine.confirm(b"", errors.PROGRESS, reason, session, lease)

    def __aiter__(self) -> Client:
        return self

    def __anext__(self) -> Deferred[Delivery]:
        """Return the next delivery; the iteration ends when the client is closed."""
        return self._queue.next()

    # Callbacks of the state machine

    def delivered(self, command: Delivered, session: int) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        delivery = Delivery(command, session)
        if self._reply_credit.is_automatic:
            self._confirm(delivery)
            self._reply_credit.refill()
        if self._trackers.awaited_replies:
            if self._reply_credit.is_for(delivery) and not self._reply_credit.is_automatic:
                self._confirm(delivery)
            if self._trackers.take_reply(delivery):
                return
        self._deliver(delivery)
        if self._readers.is_manual and not self._has_queue:
            self._readers.processed(delivery)

    def confirmed(self, command: mlm.Confirm) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        reason = command.status_reason
        if command.properties:
            reason = octets_of_value(command.properties.get("error", reason))
        if not command.tracker and command.status_code == errors.ACCESS_REFUSED:
            self.refused_unasked(errors.Refused(f"the broker refuses: {to_text(reason)}", command.status_code))
            return
        if not command.tracker and command.status_code == errors.RESOURCE_LOCKED and command.properties:
            self._readers.taken_over(command)
            self.refused_unasked(errors.Refused(to_text(reason), command.status_code))
            return
        if "cancel" in command.properties:
            self._cancelled(command)
            return
        if command.status_code == errors.PROGRESS:
            if (progress := read_progress(reason)) is not None:
                self._trackers.progressed(Progress(to_text(command.tracker), progress.fraction, to_text(progress.text)))
            return
        confirmation = Confirmation(to_text(command.tracker), command.status_code, to_text(reason))
        self._trackers.confirmed(confirmation)
        if self._confirmed_callback is not None:
            self._confirmed_callback(confirmation)

    def opened(self) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        super().opened()
        self._readers.confirm_now()

    def reader_started(self, start: ReaderStart) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        self._readers.confirm_now()
        self.began_reading(start)

    def _cancelled(self, command: mlm.Confirm) -> None:
        lease = to_unsigned(command.properties.get("lease"))
        if self._cancelled_callback is not None and lease is not None:
            is_forced = to_unsigned(command.properties["cancel"]) == FORCE
            self._cancelled_callback(Cancellation(lease, self._machine.session, is_forced))

    def proven(self, count: int) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        super().proven(count)
        if self._trackers.awaited_replies:
            self._trackers.ponged(self._machine.rounds, self._machine.session)

    def close(self, timeout: float = 1.0, longest: float | None = None) -> Deferred[None]:
        """See :class:`Connection`; what durable readers have processed is confirmed before."""
        self._readers.close()
        return super().close(timeout, longest)

    def _pending(self) -> list[Deferred[Any]]:
        return self._trackers.take_pending()

    def _notify_closed(self, error: errors.ClientError | None) -> None:
        self._readers.close()
        super()._notify_closed(error)
        self._queue.close(error)
