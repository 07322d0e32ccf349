"""What a client sends: messages to streams, mail, and requests with their answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from alaska.aio.connection import Connection
from alaska.messaging import operations
from alaska.messaging.delivery import (
    Confirmation,
    Delivery,
    Headers,
    Progress,
    Text,
    check_flag,
    check_function,
    to_octets,
)
from alaska.messaging.exchange import ADMIN_SERVICE, Exchange
from alaska.messaging.sending import NO_TERMS, mailbox_send, service_send, stream_send
from alaska.messaging.trackers import new_tracker
from alaska.mlm import commands as mlm
from alaska.traces.context import TraceContext

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from alaska.messaging.terms import SendTerms


class SendingClient:
    """The base class of :class:`alaska.aio.client.Client`, which sends."""

    def _connection(self) -> Connection:
        """Return the connection, if it can be used here.

        :raises NotConnected: it cannot.
        """
        raise NotImplementedError

    def publish(
        self,
        stream: Text,
        subject: Text,
        *content: Text,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Send a message to a stream; wait only if the send buffer is full.

        :raises ValueTooLong: a name or the subject has more than 255 octets, or the headers are too large.
        :raises BacklogFull: the message alone is larger than the send buffer.
        :raises NotConnected: the client is closed, or was never connected.
        """
        octets, command = stream_send(stream, subject, content, headers, trace)
        return self._send(command, trace, NO_TERMS, octets)

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
    ) -> Coroutine[Any, Any, None]:
        """Send mail; with a timeout, in seconds, it expires if it is not delivered by then.

        Waits and raises as :meth:`publish`. With terms also:

        :raises Refused: the broker does not support them.
        """
        command = mailbox_send(mailbox, subject, content, tracker, timeout, headers, trace, terms)
        return self._send(command, trace, terms)

    mail = send_to

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
    ) -> Coroutine[Any, Any, None]:
        """Send a request of which nothing is awaited; otherwise as :meth:`send_to`."""
        command = service_send(service, subject, content, tracker, timeout, headers, trace, terms)
        return self._send(command, trace, terms)

    async def _send(
        self,
        command: mlm.StreamSend | mlm.MailboxSend | mlm.ServiceSend,
        trace: TraceContext | None,
        terms: SendTerms,
        stream: bytes | None = None,
    ) -> None:
        connection = self._connection()
        connection.check_terms(terms)
        await connection.send_recorded(command, trace, stream)

    def track_to(
        self,
        mailbox: Text,
        subject: Text,
        *content: Text,
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> Coroutine[Any, Any, Confirmation]:
        """Send mail as :meth:`send_to`, and return its final status: for example 200 when it was processed.

        :raises Refused: the broker does not support confirmations.
        """
        command = mailbox_send(mailbox, subject, content, new_tracker(), timeout, headers, trace, terms)
        return self._track(command, trace, terms, None)

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
    ) -> Coroutine[Any, Any, Confirmation]:
        """Send a request as :meth:`send_for`, and return its final status; errors are those of :meth:`track_to`.

        ``progress`` is called whenever the worker tells how far the request is.
        """
        check_function(progress, "progress")
        command = service_send(service, subject, content, new_tracker(), timeout, headers, trace, terms)
        return self._track(command, trace, terms, progress)

    async def _track(
        self,
        command: mlm.MailboxSend | mlm.ServiceSend,
        trace: TraceContext | None,
        terms: SendTerms,
        progress: Callable[[Progress], None] | None,
    ) -> Confirmation:
        connection = self._connection()
        connection.check_terms(terms)
        return await connection.track(command, trace, progress)

    async def flush(self) -> None:
        """Wait until the broker has received all messages sent so far."""
        await self._connection().flush()

    # Asking

    def request(
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
    ) -> Coroutine[Any, Any, Delivery]:
        """Send a request, and return its answer: a delivery, without content if the worker has sent none.

        The answer is awaited for ``timeout`` seconds. The request expires then, or after ``expiry`` seconds if that is
        given (0: never). Without ``needs_offer``, a request for a service that nobody offers yet waits as well. Other
        arguments are those of :meth:`track_for`.

        :raises NoAnswer: there is no answer in time. It is also a TimeoutError.
        :raises Refused: the request has failed, or was refused, or nobody offers the service; the text says why.
        """
        check_function(progress, "progress")
        check_flag(needs_offer, "needs_offer")
        command = Exchange.ask_command(service, subject, content, timeout, headers, tracker, expiry, trace, terms)
        return self._request(command, timeout, needs_offer, trace, progress, terms)

    async def _request(
        self,
        command: mlm.ServiceSend,
        timeout: float,
        needs_offer: bool,
        trace: TraceContext | None,
        progress: Callable[[Progress], None] | None,
        terms: SendTerms,
    ) -> Delivery:
        connection = self._connection()
        connection.check_terms(terms)
        return await connection.ask(command, timeout, needs_offer, trace, progress)

    def cancel_message(
        self,
        *,
        tracker: Text = "",
        id: Text = "",  # noqa: A002  # the name of the property
        service: Text = "",
        force: bool = False,
        timeout: float = 60.0,
    ) -> Coroutine[Any, Any, int]:
        """Cancel the messages with a tracker, or an id, and return their number.

        See :meth:`alaska.client.Client.cancel_message`.

        :raises OperationFailed: there is no such message, or it belongs to somebody else.
        """
        check_flag(force, "force")
        content = operations.cancel(
            to_octets(tracker, "tracker"), to_octets(id, "id"), to_octets(service, "service"), force
        )
        return self._operate("cancel", content, timeout)

    def hurry_message(
        self,
        *,
        tracker: Text = "",
        id: Text = "",  # noqa: A002  # the name of the property
        service: Text = "",
        timeout: float = 60.0,
    ) -> Coroutine[Any, Any, int]:
        """Make the delayed messages with a tracker, or an id, due now, and return their number.

        It needs the right to operate the broker. Otherwise it is as :meth:`cancel_message`.
        """
        content = operations.which(to_octets(tracker, "tracker"), to_octets(id, "id"), to_octets(service, "service"))
        return self._operate("hurry", content, timeout)

    def _operate(self, what: str, content: bytes, timeout: float) -> Coroutine[Any, Any, int]:
        asking = self.request(ADMIN_SERVICE, what, content, timeout=timeout)
        return _count(asking)


async def _count(asking: Coroutine[Any, Any, Delivery]) -> int:
    return operations.count_of(await asking)
