"""What a client does by the protocol: it sends, gets deliveries, confirms them, and matches answers to requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from alaska import errors
from alaska.authentication import CurveKeys
from alaska.messaging.delivery import (
    MOST_POSITION,
    MOST_STATUS,
    Cancellation,
    Confirmation,
    Delivery,
    Headers,
    Progress,
    Text,
    check_delivery,
    check_flag,
    check_function,
    to_delay,
    to_fraction,
    to_number,
    to_octets,
    to_seconds,
    to_text,
    to_wait,
)
from alaska.messaging.readers import Readers, check_name, encoded_bindings
from alaska.messaging.reply_credit import ReplyCredit
from alaska.messaging.sending import NO_TERMS, Sending, add_trace, service_send
from alaska.messaging.terms import SendTerms
from alaska.messaging.trackers import Trackers, new_tracker
from alaska.messaging.waiting import Clock, Network, Waiting
from alaska.mlm import commands as mlm
from alaska.mlm.codec import check
from alaska.mlm.confirmations import Again
from alaska.mlm.listener import Delivered
from alaska.mlm.progress import read_progress, write_progress
from alaska.mlm.properties import to_number as to_unsigned
from alaska.mlm.properties import to_octets as octets_of_value
from alaska.mlm.replay import ReaderStart
from alaska.traces.context import TraceContext

ADMIN_SERVICE = b"alaska.admin"
FORCE = 2
"""The property ``cancel`` of a delivery that is to end now."""
MOST_MESSAGES = 100_000
MOST_OCTETS = 256 * 2**20
MOST_CREDIT = 2**24
"""The maximum credit of one call."""


class Exchange(Sending):
    """The base class of the clients, which add how a program waits."""

    def __init__(
        self,
        endpoint: str,
        address: Text,
        credentials: tuple[str | None, str | None, CurveKeys | None],
        network: Network | None,
        clock: Clock,
        most_messages: int,
        most_octets: int,
        acts_for: Text = "",
        takes_again: bool = False,
        *,
        deliver: Callable[[Delivery], None],
        credit: int | None = None,
        confirmed: Callable[[Confirmation], None] | None = None,
        progressed: Callable[[Progress], None] | None = None,
        cancelled: Callable[[Cancellation], None] | None = None,
    ) -> None:
        named = {"confirmed": confirmed, "progressed": progressed, "cancelled": cancelled}
        for name, call in named.items():
            check_function(call, name)
        limits = most_messages, most_octets
        super().__init__(endpoint, address, credentials, network, clock, *limits, acts_for, takes_again)
        self._readers = Readers(self._machine, clock, self._log)
        self.began_reading: Callable[[ReaderStart], None] = self._readers.log_start
        """Called whenever a durable reader begins, also after a reconnect: says from where, and what it has missed."""
        self._is_processed_later = False
        self._deliver = deliver
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

    def _require(self, capability: str, complaint: str) -> None:
        if capability not in self.capabilities:
            raise errors.Refused(complaint, errors.NOT_IMPLEMENTED)

    def _replay_command(self, stream: Text, pattern: Text, position: int) -> mlm.StreamReplay:
        """Return the command of ``replay``, with its errors."""
        to_number(position, MOST_POSITION, "position")
        command = mlm.StreamReplay(to_octets(stream, "stream"), to_octets(pattern, "pattern"), position)
        check(command)
        self._require("replay", "the broker does not support replay")
        return command

    def next_position(self, stream: Text) -> int | None:
        """Return the position from which the :meth:`replay` of a stream would continue after a reconnect, or None."""
        octets = to_octets(stream, "stream")
        commands = self._machine.setups.current_replays
        return next((command.position for command in commands if command.stream == octets), None)

    def _consume_command(
        self, stream: Text, pattern: Text, name: Text, position: int
    ) -> mlm.StreamRead | mlm.StreamReplay:
        """Return the command of ``consume``, with its errors: a STREAM-REPLAY for a durable reader."""
        octets, source, reader = to_octets(stream, "stream"), to_octets(pattern, "pattern"), to_octets(name, "name")
        to_number(position, MOST_POSITION, "position")
        if not reader:
            return mlm.StreamRead(octets, source)
        check_name(reader)
        command = mlm.StreamReplay(octets, source, position, {"name": reader})
        check(command)
        self._require("readers", "the broker keeps no positions of readers")
        return command

    def _offer_command(self, service: Text, pattern: Text, streams: Sequence[tuple[Text, Text]]) -> mlm.ServiceOffer:
        """Return the command of ``offer``, with its errors."""
        command = mlm.ServiceOffer(to_octets(service, "service"), to_octets(pattern, "pattern"))
        check(command)
        if not isinstance(streams, tuple | list) or streams:
            bindings = encoded_bindings(streams)
            self._require("bindings", "the broker cannot bind streams to services")
            command = replace(command, properties={"bind": bindings})
        return command

    # Asking

    @staticmethod
    def ask_command(
        service: Text,
        subject: Text,
        content: tuple[Text, ...],
        timeout: float,
        headers: Headers | None,
        tracker: Text,
        expiry: float | None,
        trace: TraceContext | None,
        terms: SendTerms = NO_TERMS,
    ) -> mlm.ServiceSend:
        """Return the request of ``ask``, with a tracker, or raise its errors."""
        to_wait(timeout)
        if expiry is not None:
            to_seconds(expiry, "expiry")
        unique = to_octets(tracker, "tracker") or new_tracker()
        expires = timeout if expiry is None else expiry
        return service_send(service, subject, content, unique, expires, headers, trace, terms)

    def _ask_with(
        self,
        command: mlm.ServiceSend,
        needs_offer: bool,
        trace: TraceContext | None,
        progress: Callable[[Progress], None] | None,
        asked: Waiting[Delivery],
    ) -> None:
        """Send a request; ``asked`` is called with the answer. Its end is to be told to ``_reply_credit``."""
        if trace is not None:
            add_trace(command, trace)
        self._check_open()
        self._reply_credit.before_request()
        self._machine.send(command)
        self._reply_credit.sent_request()
        tracker = to_text(command.tracker)
        self._trackers.watch(tracker, progress)
        self._trackers.ask(tracker, command.subject, asked, needs_offer)

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
        to_number(amount, MOST_CREDIT, "amount")
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
        why, again = self.check_confirmation(delivery, status, reason, delay, spent)
        if self._readers.is_manual and status < errors.FAILED:
            self._readers.confirm(delivery)
        self._confirm(delivery, status, why, again)

    @staticmethod
    def check_confirmation(
        delivery: Delivery, status: int, reason: Text, delay: float | None, spent: bool
    ) -> tuple[bytes, Again | None]:
        """Return the reason of a confirmation, and when the message is delivered again; raise its errors."""
        check_delivery(delivery)
        to_number(status, MOST_STATUS, "status")
        check_flag(spent, "spent")
        return to_octets(reason, "reason"), None if delay is None else Again(to_delay(delay), spent)

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
        octets, why = to_octets(tracker, "tracker"), to_octets(reason, "reason")
        self.confirm_valid(octets, to_number(status, MOST_STATUS, "status"), why, session, lease, again)

    def confirm_valid(
        self, tracker: bytes, status: int, reason: bytes, session: int, lease: int | None, again: Again | None
    ) -> None:
        """Do as :meth:`confirm_tracker` with values that are not checked, since those of workers are valid."""
        if tracker or lease is not None:
            self._machine.confirm(tracker, status, reason, session, lease, again)

    def report_progress(self, delivery: Delivery, fraction: float, text: Text = "") -> None:
        """Tell the sender of an unconfirmed delivery how far the work is: a part from 0 to 1, and at most 240 octets.

        It arrives if broker and sender can understand it. The broker passes on at most 5 in a second for each delivery,
        after the first 5 at once.

        :raises ValueError: the fraction is out of range.
        """
        reason = write_progress(to_fraction(fraction), to_octets(text, "text"))
        check_delivery(delivery)
        if delivery.lease is not None:
            self.send_progress(reason, delivery.session, delivery.lease)

    def send_progress(self, reason: bytes, session: int, lease: int) -> None:
        """Do as :meth:`report_progress`, with the result of :func:`alaska.mlm.progress.write_progress`."""
        if "progress" in self.capabilities:
            self._machine.confirm(b"", errors.PROGRESS, reason, session, lease)

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
        if self._readers.is_manual and not self._is_processed_later:
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

    def _close(self, timeout: float, longest: float, closing: Waiting[None]) -> None:
        """See :class:`Connection`; what durable readers have processed is confirmed before."""
        self._readers.close()
        super()._close(timeout, longest, closing)

    def _pending(self) -> list[Waiting[Any]]:
        return self._trackers.take_pending()

    def _notify_closed(self, error: errors.ClientError | None) -> None:
        self._readers.close()
        super()._notify_closed(error)
