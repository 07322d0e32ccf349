"""What a client sends: messages to streams, mail and requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from alaska import errors
from alaska.messaging.connection import Connection
from alaska.messaging.delivery import Headers, Text, check_trace, to_frames, to_milliseconds, to_octets, to_properties
from alaska.messaging.terms import SendTerms, to_terms
from alaska.messaging.trackers import new_tracker
from alaska.mlm import commands as mlm
from alaska.mlm.codec import check
from alaska.traces.context import TraceContext, add_to

if TYPE_CHECKING:
    from typing_extensions import Unpack

    # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.spans import ClientSpans

SendCommand: TypeAlias = "mlm.StreamSend | mlm.MailboxSend | mlm.ServiceSend"
NO_TERMS: SendTerms = {}


def stream_send(
    stream: Text, subject: Text, content: tuple[Text, ...], headers: Headers | None, trace: TraceContext | None
) -> tuple[bytes, mlm.StreamSend]:
    """Return the name of a stream, and the message to it; raises the errors of :meth:`Sending.publish`."""
    octets = to_octets(stream, "stream")
    check(mlm.StreamWrite(octets))
    check_trace(trace)
    command = mlm.StreamSend(to_octets(subject, "subject"), to_frames(content), to_properties(headers))
    check(command)
    return octets, command


def mailbox_send(
    mailbox: Text,
    subject: Text,
    content: tuple[Text, ...],
    tracker: Text = "",
    timeout: float = 0.0,
    headers: Headers | None = None,
    trace: TraceContext | None = None,
    terms: SendTerms = NO_TERMS,
) -> mlm.MailboxSend:
    """Return mail; raises the errors of :meth:`Sending.send_to`, except for the terms that a broker does not know."""
    octets = to_octets(mailbox, "mailbox"), to_octets(subject, "subject"), to_octets(tracker, "tracker")
    check_trace(trace)
    command = mlm.MailboxSend(*octets, to_milliseconds(timeout), to_frames(content), to_properties(headers))
    if terms:
        command.properties.update(to_terms(terms))
    check(command)
    return command


def service_send(
    service: Text,
    subject: Text,
    content: tuple[Text, ...],
    tracker: Text = "",
    timeout: float = 0.0,
    headers: Headers | None = None,
    trace: TraceContext | None = None,
    terms: SendTerms = NO_TERMS,
) -> mlm.ServiceSend:
    """Return a request; otherwise as :func:`mailbox_send`."""
    octets = to_octets(service, "service"), to_octets(subject, "subject"), to_octets(tracker, "tracker")
    check_trace(trace)
    command = mlm.ServiceSend(*octets, to_milliseconds(timeout), to_frames(content), to_properties(headers))
    if terms:
        command.properties.update(to_terms(terms))
    check(command)
    return command


def add_trace(command: SendCommand, trace: TraceContext) -> None:
    """Let a message carry a trace context.

    :raises ValueTooLong: its properties are too large with it.
    """
    add_to(command.properties, trace)
    check(command)


class SendRecord(Protocol):
    """What is known of a message while it is sent: the context that it carries, and its span, if there is one."""

    @property
    def context(self) -> TraceContext | None:
        """The context."""

    def end(self, error: BaseException | None = None) -> None:
        """End the span; ``error`` says why the message could not be sent, or was not answered. Only once counts."""


class Unrecorded(NamedTuple):
    """A :class:`SendRecord` without a span."""

    context: TraceContext | None

    def end(self, error: BaseException | None = None) -> None:
        """See :class:`SendRecord`."""


class Sending(Connection):
    """The base class of :class:`alaska.messaging.exchange.Exchange`, which sends.

    ``headers`` in its methods are names and values for the receivers, at most 24 with at most 32 KiB. ``trace`` is the
    trace context of the message (docs/traces.md). Only receivers and brokers of Alaska 1.1 or later have these; others
    get the message without. ``terms`` are those of :class:`SendTerms`; a message that has some is not sent to a broker
    that does not support them.
    """

    knows_terms = False
    """Whether the program knows that the broker supports terms, and may send some before the client is connected."""
    _stream: bytes | None = None
    _spans: ClientSpans | None = None

    def send(
        self, subject: Text, *content: Text, headers: Headers | None = None, trace: TraceContext | None = None
    ) -> None:
        """Send a message to the stream of :meth:`produce`; arguments and errors are those of :meth:`publish`."""
        if self._stream is None:
            raise errors.NotConnected("produce() has to name a stream first")
        self.publish(self._stream, subject, *content, headers=headers, trace=trace)

    def publish(
        self,
        stream: Text,
        subject: Text,
        *content: Text,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        """Send a message to a stream.

        :raises BacklogFull: the send buffer is full; nothing was sent.
        :raises ValueTooLong: a name or the subject has more than 255 octets, or the headers are too large.
        :raises NotConnected: the client is closed, or was never connected.
        :raises TypeError, ValueError: an argument is not valid; nothing was sent.
        """
        octets, command = stream_send(stream, subject, content, headers, trace)
        self._send(command, trace, octets)

    def send_to(
        self,
        mailbox: Text,
        subject: Text,
        *content: Text,
        tracker: Text = "",
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> None:
        """Send a message to a mailbox; with a timeout, in seconds, it expires if it is not delivered by then.

        Raises the errors of :meth:`publish`. With terms also:

        :raises Refused: the broker does not support them.
        """
        command = mailbox_send(mailbox, subject, content, tracker, timeout, headers, trace, terms)
        self._check_terms(terms)
        self._send(command, trace)

    def send_for(
        self,
        service: Text,
        subject: Text,
        *content: Text,
        tracker: Text = "",
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> None:
        """Send a request to a service; the timeout and errors are those of :meth:`send_to`."""
        command = service_send(service, subject, content, tracker, timeout, headers, trace, terms)
        self._check_terms(terms)
        self._send(command, trace)

    def _check_terms(self, terms: SendTerms) -> None:
        """Check that the broker supports terms, if a message has some."""
        if not terms:
            return
        self._check_open()
        if not self._machine.session and not self.knows_terms:
            raise errors.NotConnected("only a client that is connected knows whether its broker supports terms")
        if self._machine.session and "properties" not in self.capabilities:
            raise errors.Refused(f"the broker does not support {', '.join(terms)}", errors.NOT_IMPLEMENTED)

    def _send(self, command: SendCommand, trace: TraceContext | None, stream: bytes | None = None) -> None:
        if self._spans is None:
            self._send_with(command, trace, stream)
            return
        span = self._spans.send(command, trace, stream)
        try:
            self._send_with(command, span.context, stream)
        except Exception as error:
            span.end(error)
            raise
        span.end()

    def _send_with(self, command: SendCommand, trace: TraceContext | None, stream: bytes | None = None) -> None:
        if trace is not None:
            add_trace(command, trace)
        self._check_open()
        self._machine.send(command, stream)

    def _check_tracking(self) -> None:
        """Check that this client gets confirmations."""
        self._check_open()
        if not self._machine.may_be_confirmed:
            raise errors.Refused("this client gets no confirmations", errors.NOT_IMPLEMENTED)

    def _new_tracker(self) -> str:
        self._check_tracking()
        return new_tracker()
