"""What a client sends whose end it awaits: tracked messages, requests to services, and questions to the broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure

from alaska import errors
from alaska.interfaces import Reactor
from alaska.messaging import operations
from alaska.messaging.delivery import (
    MOST_POSITION,
    Confirmation,
    Delivery,
    Headers,
    Progress,
    Text,
    check_flag,
    check_function,
    to_number,
    to_octets,
    to_text,
)
from alaska.messaging.exchange import ADMIN_SERVICE, Exchange
from alaska.messaging.sending import SendRecord
from alaska.messaging.terms import SendTerms
from alaska.mlm import commands as mlm
from alaska.traces.context import TraceContext

if TYPE_CHECKING:
    from typing_extensions import Unpack

DEAD_LETTER_SERVICE = "alaska.letters"


class Asking(Exchange):
    """The base class of :class:`alaska.client.Client`: sends, and returns a Deferred for the end."""

    _reactor: Reactor

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
        return self._track(tracker)

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
        return self._track(tracker)

    def _track(self, tracker: str) -> Deferred[Confirmation]:
        tracked: Deferred[Confirmation] = Deferred(lambda _: self._trackers.forget(tracker))
        self._trackers.track(tracker, tracked)
        return tracked

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
        check_flag(needs_offer, "needs_offer")
        command = self.ask_command(service, subject, content, timeout, headers, tracker, expiry, trace, terms)
        self._check_terms(terms)
        return self._asked(command, timeout, needs_offer, trace, progress)

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
    ) -> Deferred[Delivery]:
        """Do as :meth:`ask`, under the name that the other clients have for it, and with their error.

        If there is no answer in time, the Deferred fails with :exc:`alaska.errors.NoAnswer`.
        """
        asked = self.ask(
            service, subject, *content,
            timeout=timeout, headers=headers, tracker=tracker, expiry=expiry, needs_offer=needs_offer, trace=trace,
            progress=progress, **terms,
        )  # fmt: skip
        return asked.addErrback(_no_answer, timeout)

    def mail(
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
        """Do as :meth:`send_to`, under the name that the other clients have for it."""
        self.send_to(
            mailbox, subject, *content, tracker=tracker, timeout=timeout, headers=headers, trace=trace, **terms
        )

    def _asked(
        self,
        command: mlm.ServiceSend,
        timeout: float,
        needs_offer: bool,
        trace: TraceContext | None,
        progress: Callable[[Progress], None] | None,
    ) -> Deferred[Delivery]:
        tracker = to_text(command.tracker)
        asked: Deferred[Delivery] = Deferred(lambda _: self._trackers.forget(tracker))
        span = None if self._spans is None else self._spans.send(command, trace)
        try:
            self._ask_with(command, needs_offer, trace if span is None else span.context, progress, asked)
        except Exception as error:
            if span is not None:
                span.end(error)
            raise
        asked.addTimeout(timeout, self._reactor).addBoth(self._reply_credit.ended_request)
        if span is not None and needs_offer:
            return asked.addBoth(_ended, span)
        if span is not None:
            span.end()  # it may wait for days
        return asked

    def letters(self, what: str, **options: int) -> Deferred[dict[str, Any]]:
        """Query dead letters: ``list`` (after, limit), ``read``, ``replay`` or ``drop`` (position).

        The Deferred fires with the reply that docs/protocol.md, section 6, describes, or fails as that of :meth:`ask`.
        """
        to_octets(what, "what")
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
        check_flag(force, "force")
        content = operations.cancel(
            to_octets(tracker, "tracker"), to_octets(id, "id"), to_octets(service, "service"), force
        )
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
        content = operations.which(to_octets(tracker, "tracker"), to_octets(id, "id"), to_octets(service, "service"))
        return self.ask(ADMIN_SERVICE, "hurry", content, timeout=timeout).addCallback(operations.count_of)


def _ended(result: Delivery | Failure, span: SendRecord) -> Delivery | Failure:
    """End the span of a request with its result."""
    span.end(result.value if isinstance(result, Failure) else None)
    return result


def _no_answer(failure: Failure, seconds: float) -> Delivery:
    """Raise NoAnswer for a wait that has ended, or a request that has expired; raise other errors as they are."""
    error = failure.value
    if isinstance(error, DeferredTimeout):
        raise errors.NoAnswer(f"no answer within {seconds:g} s") from None
    if isinstance(error, errors.Refused) and error.status == errors.TIMEOUT_EXPIRED:
        raise errors.NoAnswer("no answer: the request has expired before a worker has got it") from None
    failure.raiseException()
    raise AssertionError  # it has raised
