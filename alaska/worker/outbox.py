"""The results of scripts: what they print and log goes to the log, and what they send goes to the broker."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from alaska.client.terms import SendTerms
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, ScriptError
from alaska.lua.request import Outcome, Request, Send, SendKind
from alaska.names import printable
from alaska.worker.calls import check_service
from alaska.worker.measures import WorkerMeasures
from alaska.worker.output import Output
from alaska.worker.request_log import RequestLog
from alaska.worker.senders import Senders, Sink
from alaska.worker.terms import NO_TERMS, terms_of


class Outbox:
    """Logs and sends what scripts have produced.

    ``record_sender`` in its methods is called with each connection that a message was sent over. ``request_log`` logs
    the messages, if it is set.
    """

    _log = Logger()

    def __init__(self, settings: WorkerSettings, senders: Senders, output: Output, measures: WorkerMeasures) -> None:
        self._is_sandboxed = settings.scripts_sandbox
        self._senders = senders
        self.output = output
        self.measures = measures
        self.request_log: RequestLog | None = None
        self.configure(settings)

    def configure(self, settings: WorkerSettings) -> None:
        """Change for how long mail may wait that is sent from now on."""
        self._ttl: SendTerms = NO_TERMS if settings.answers_ttl is None else {"ttl": settings.answers_ttl / 1000}

    def process(self, request: Request, outcome: Outcome, record_sender: Callable[[Sink], None]) -> ScriptError | None:
        """Log and send what a script has produced; return an error if a message could not be sent."""
        self.output.write(request, outcome)
        error = None
        for send in outcome.sends:
            error = self.send(send, request, record_sender) or error
        return error

    def send(self, send: Send, request: Request, record_sender: Callable[[Sink], None]) -> ScriptError | None:
        """Send one message of a script; return an error if it could not be sent."""
        if send.kind is SendKind.REPLY:
            return self._reply(send, request, record_sender)
        return self._send(send, request, record_sender, self._lives(request, send.kind is SendKind.MAILBOX))

    def send_report(self, mail: Send, request: Request, record_sender: Callable[[Sink], None]) -> None:
        """Send a report about an error, which waits for its reader however long that takes."""
        self._send(mail, request, record_sender, NO_TERMS)

    def _lives(self, request: Request, is_mail: bool) -> SendTerms:
        """Return for how long mail of a script may wait; a broker without terms would not know it."""
        return self._ttl if is_mail and request.lease is not None else NO_TERMS

    def _send(
        self, send: Send, request: Request, record_sender: Callable[[Sink], None], lives: SendTerms
    ) -> ScriptError | None:
        log = self.request_log
        topic = send.topic or request.address if send.kind is SendKind.SERVICE else send.topic
        headers = dict(send.headers) or None
        trace = None if request.trace is None else request.trace.context
        try:
            terms = terms_of(send, request) if send.terms else NO_TERMS
            if lives and "ttl" not in terms:
                terms = {**lives, **terms}
            client = self._senders.named(send.sender)
            if send.kind is SendKind.MAILBOX:
                client.send_to(topic, send.subject, *send.content, headers=headers, trace=trace, **terms)
                if log is not None:
                    log.mailed(request, send.subject, topic)
            elif send.kind is SendKind.SERVICE:
                check_service(topic, self._is_sandboxed)
                client.send_for(topic, send.subject, *send.content, headers=headers, trace=trace, **terms)
                if log is not None:
                    log.asked(request, send.subject, topic)
            else:
                client.publish(topic, send.subject, *send.content, headers=headers, trace=trace)
                if log is not None:
                    log.published(request, send.subject, topic)
        except AlaskaError as error:
            self.measures.unsent += 1
            names = {"subject": printable(send.subject), "topic": printable(topic)}
            self._log.error("a message of a script to {topic} is lost: {error}", error=error, **names)
            return ScriptError(f"its message to {names['topic']} is lost: {error}")
        self.measures.note_sent(send)
        record_sender(client)
        return None

    def _reply(self, send: Send, request: Request, record_sender: Callable[[Sink], None]) -> ScriptError | None:
        """Mail a reply to the requester; a requester without an address has no mailbox, so its reply is dropped."""
        if not request.sender:
            subject = printable(request.subject)
            self._log.debug("the reply of {subject} is dropped: the requester has no address", subject=subject)
            return None
        try:
            client = self._senders.named(send.sender)
            trace = None if request.trace is None else request.trace.context
            tracker = request.sender_tracker
            lives = self._lives(request, True)
            client.send_to(request.sender, request.subject, *send.content, tracker=tracker, trace=trace, **lives)
        except AlaskaError as error:
            self.measures.unsent += 1
            names = {"subject": printable(request.subject), "sender": printable(request.sender)}
            self._log.error("the reply of {subject} to {sender} is lost: {error}", error=error, **names)
            return ScriptError(f"its reply to {names['sender']} is lost: {error}")
        if self.request_log is not None:
            self.request_log.replied(request)
        self.measures.note_sent(send)
        record_sender(client)
        return None
