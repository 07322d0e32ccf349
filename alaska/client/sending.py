"""What a client sends: messages to streams, mail and requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from twisted.internet.defer import Deferred

from alaska import errors
from alaska.client.connection import Connection
from alaska.client.delivery import (
    Confirmation,
    Headers,
    Progress,
    Text,
    check_function,
    to_frames,
    to_milliseconds,
    to_octets,
    to_properties,
)
from alaska.client.terms import SendTerms, to_terms
from alaska.client.trackers import Trackers, new_tracker
from alaska.mlm import commands as mlm
from alaska.mlm.codec import check
from alaska.traces.context import TraceContext, add_to

if TYPE_CHECKING:
    from typing_extensions import Unpack

    # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.spans import ClientSpans

SendCommand: TypeAlias = "mlm.StreamSend | mlm.MailboxSend | mlm.ServiceSend"


class SendingClient(Connection):
    """The base class of :class:`alaska.client.client.Client`, which sends.

    ``headers`` in its methods are names and values for the receivers, at most 24 with at most 32 KiB. ``trace`` is the
    trace context of the message (docs/traces.md). Only receivers and brokers of Alaska 1.1 or later have these; others
    get the message without. ``terms`` are those of :class:`alaska.client.terms.SendTerms`; a message that has some is
    not sent to a broker that does not support them.
    """

    knows_terms = False
    """Whether the program knows that the broker supports terms, and may send some before the client is connected."""
    _stream: bytes | None = None
    _spans: ClientSpans | None = None
    _trackers: Trackers

    def produce(self, stream: Text) -> Deferred[None]:
        """Select the stream for :meth:`send`."""
        command = mlm.StreamWrite(to_octets(stream))
        selected = self._ask(command)
        self._stream = command.stream
        return selected

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
        octets = to_octets(stream)
        check(mlm.StreamWrite(octets))
        command = mlm.StreamSend(to_octets(subject), to_frames(content), to_properties(headers))
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
        octets = to_octets(mailbox), to_octets(subject), to_octets(tracker)
        command = mlm.MailboxSend(*octets, to_milliseconds(timeout), to_frames(content), to_properties(headers))
        if terms:
            self._add_terms(command, terms)
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
        octets = to_octets(service), to_octets(subject), to_octets(tracker)
        command = mlm.ServiceSend(*octets, to_milliseconds(timeout), to_frames(content), to_properties(headers))
        if terms:
            self._add_terms(command, terms)
        self._send(command, trace)

    def _add_terms(self, command: mlm.MailboxSend | mlm.ServiceSend, terms: SendTerms) -> None:
        properties = to_terms(terms)
        self._check_open()
        if not self._machine.session and not self.knows_terms:
            raise errors.NotConnected("only a client that is connected knows whether its broker supports terms")
        if self._machine.session and "properties" not in self.capabilities:
            raise errors.Refused(f"the broker does not support {', '.join(terms)}", errors.NOT_IMPLEMENTED)
        command.properties.update(properties)

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
            add_to(command.properties, trace)
        check(command)
        self._check_open()
        self._machine.send(command, stream)

    def track_to(
        self,
        mailbox: Text,
        subject: Text,
        *content: Text,
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> Deferred[Confirmation]:
        """Send as :meth:`send_to`; the Deferred fires with the message's final status.

        :raises Refused: this is not a credit client, or the broker does not support confirmations.
        """
        tracker = self._new_tracker()
        self.send_to(
            mailbox, subject, *content, tracker=tracker, timeout=timeout, headers=headers, trace=trace, **terms
        )
        return self._trackers.track(tracker)

    def track_for(
        self,
        service: Text,
        subject: Text,
        *content: Text,
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        progress: Callable[[Progress], None] | None = None,
        **terms: Unpack[SendTerms],
    ) -> Deferred[Confirmation]:
        """Send as :meth:`send_for`; the Deferred and errors are those of :meth:`track_to`.

        ``progress`` is called whenever the worker tells how far the request is.
        """
        check_function(progress, "progress")
        tracker = self._new_tracker()
        self.send_for(
            service, subject, *content, tracker=tracker, timeout=timeout, headers=headers, trace=trace, **terms
        )
        self._trackers.watch(tracker, progress)
        return self._trackers.track(tracker)

    def _new_tracker(self) -> str:
        self._check_open()
        if not self._machine.may_be_confirmed:
            raise errors.Refused("this client gets no confirmations", errors.NOT_IMPLEMENTED)
        return new_tracker()
