"""``alas`` and ``alas send``: send a service request, and print the result.

With a broker that confirms, the command waits until the broker has the request, then up to ``--wait`` ms for its end.
It prints only after sending, since its output may be blocked or closed. The client has no address, so that no replies
are left in a mailbox.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import react

from alaska import errors
from alaska.client import Client, to_text
from alaska.client.client import MOST_OCTETS
from alaska.client.delivery import Confirmation, Progress
from alaska.client.terms import SendTerms
from alaska.commands import completing, shown, streams
from alaska.commands.advice import advised
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.many_options import many_options, send_many, take_many
from alaska.commands.speaking import LOGIN_SECONDS, Content
from alaska.commands.term_options import term_options, terms_of
from alaska.commands.values import MILLISECONDS, POSITIVE_MILLISECONDS
from alaska.interfaces import INetwork, Reactor
from alaska.messaging.trackers import NOBODY_OFFERS, new_tracker
from alaska.names import printable
from alaska.system.clock import run_on_monotonic_time
from alaska.traces.context import TraceContext, read

TRACE_VARIABLES = "TRACEPARENT", "TRACESTATE"
_EPILOG = """\
exit status:
  0   the broker has the request
  1   the request has failed, or the standard input cannot be read
  2   the command line is wrong
  69  the broker does not answer, or does not confirm that it has the request
  75  the broker has no room for the request
  77  the broker does not accept the user name and password, or does not allow
      the request

examples: echo '{"n":1}' | alas -s dump
          alas send -a render -s page --lines pages.txt --rate 100/s"""


class Outcome(NamedTuple):
    """The result of sending: the exit status, and a text for the user."""

    status: int
    text: str = "Sent!"


def _seconds_until_due(terms: SendTerms) -> float:
    """Return for how long a request with these terms is not delivered; 0 or less: not at all."""
    at = terms.get("at")
    if at is None:
        return terms.get("delay", 0.0)
    now = datetime.now(timezone.utc).timestamp()
    return (at.timestamp() if isinstance(at, datetime) else at) - now


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What is sent, and how long to wait for what, in ms; ``progress`` is None for "on a terminal"."""

    address: str = "default"
    subject: str = "dump"
    terms: SendTerms = field(default_factory=SendTerms)
    timeout: int = 1000
    wait: int = 500
    progress: bool | None = None
    no_confirm: bool = False


@click.command("send", cls=Command, epilog=_EPILOG)
@click.option(
    "-a", "--address", default="default", metavar="SERVICE", help="The service (default).",
    shell_complete=completing.names_of("services"),
)  # fmt: skip
@click.option(
    "-s", "--subject", default="dump", help="The subject, which names the script (dump).",
    shell_complete=completing.names_of("scripts"),
)  # fmt: skip
@click.option(
    "-t", "--timeout", type=POSITIVE_MILLISECONDS, default=1000, metavar="MS",
    help="Timeout for the broker, in ms (1000).",
)  # fmt: skip
@click.option(
    "-w", "--wait", type=MILLISECONDS, default=500, metavar="MS",
    help="How long to wait for the end of the request, after the broker has it, in ms (500).",
)  # fmt: skip
@term_options
@click.option(
    "--progress/--no-progress", default=None,
    help="Print to the standard error how far the script is, while --wait lasts (default: on a terminal).",
)  # fmt: skip
@click.option("--no-confirm", is_flag=True, help="Do not wait for confirmations, as with a C broker.")
@many_options
@shown.json_option
@broker_options
def send(connection: Connection, as_json: bool, **options: Any) -> None:  # noqa: ANN401  # those of Sent, of the terms, and for many
    """Send a service request; its content is the standard input.

    With a broker that confirms, wait until the broker has the request, then up to --wait MS for its end.

    With --lines or --json-lines, send a request for each line of FILE, or of the standard input. A JSON line is an
    object with content, and possibly service, subject, headers, id, delay, at, priority, ttl or attempts; delay and ttl
    are seconds or texts such as "90s", at is seconds since 1970 or a text such as "2026-12-01T08:00Z". At the end, a
    summary is printed to the standard error, or in JSON to the standard output; the exit status is 1 if a line has
    failed.
    """
    terms = terms_of(options)
    many = take_many(options)
    if many is not None:
        send_many(
            connection,
            many._replace(as_json=as_json),
            options["address"],
            options["subject"],
            terms,
            options["progress"],
        )
        return
    sent = Sent(terms=terms, **options)
    (content,) = Content((), MOST_OCTETS).frames()

    def run(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        trace = read(*(os.environ.get(name, "") for name in TRACE_VARIABLES))
        sending = Sending(reactor, sent, connection, trace=trace)
        return ensureDeferred(sending.send(content)).addCallback(end, sent, connection, content, as_json)

    react(run)


def describe(sent: Sent, connection: Connection, content: bytes) -> str:
    """Return the request as text for the user."""
    return (
        f"Service RQ\n-Endpoint: {connection.endpoint}\n-Address: {sent.address}\n-Subject: {sent.subject}\n"
        f"-Content:\n{to_text(content)}"
    )


def end(outcome: Outcome, sent: Sent, connection: Connection, content: bytes, as_json: bool) -> None:
    """Print the request and its result, and exit; in JSON, the result alone."""
    if as_json:
        fields = {"service": sent.address, "subject": sent.subject, "status": outcome.status, "text": outcome.text}
        streams.write_line(shown.lines([fields]))
    else:
        streams.write_line(describe(sent, connection, content))
    if outcome.status:
        streams.write_line(f"alas: {advised(outcome.text, outcome.status)}", sys.stderr)
    elif not as_json:
        streams.write_line(f"\n--\n{outcome.text}")
    raise SystemExit(outcome.status)


class Sending:
    """Sends one request, with a trace context if there is one, and waits for its confirmations."""

    def __init__(
        self,
        reactor: Reactor,
        sent: Sent,
        connection: Connection,
        network: INetwork | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        self._reactor = reactor
        self._trace = trace
        self._sent = sent
        self._endpoint = connection.endpoint
        self._timeout = sent.timeout / 1000
        self._stored: Deferred[Confirmation] = Deferred()
        self._ended: Deferred[Confirmation] = Deferred()
        credentials = connection.credentials
        self._client = Client(
            connection.endpoint,
            username=credentials.username,
            password=credentials.password,
            curve=credentials.curve,
            confirmed=self._confirmed,
            progressed=self._progressed,
            network=network,
            reactor=reactor,
        )

    async def send(self, content: bytes) -> Outcome:
        """Send a request and return the result."""
        try:
            await self._client.connect(timeout=self._timeout, login=LOGIN_SECONDS)
        except errors.AlaskaError as error:
            return _unsent(error)
        if self._sent.no_confirm or "confirm" not in self._client.capabilities:
            return await self._send_plain(content)
        try:
            return await self._send_confirmed(content)
        finally:
            await self._client.close(timeout=self._timeout).addErrback(lambda failure: failure.trap(errors.ClientError))

    async def _send_plain(self, content: bytes) -> Outcome:
        try:
            self._client.send_for(
                self._sent.address, self._sent.subject, content, trace=self._trace, **self._sent.terms
            )
        except errors.AlaskaError as error:
            await self._client.close(timeout=self._timeout)
            return _unsent(error)
        try:
            await self._client.close(timeout=self._timeout)
        except errors.AlaskaError as error:
            return _unsent(error)
        return Outcome(0)

    async def _send_confirmed(self, content: bytes) -> Outcome:
        # The broker sends confirmations only to clients that use credit.
        self._client.give_credit(0)
        try:
            tracker = new_tracker()
            sent = self._sent
            self._client.send_for(sent.address, sent.subject, content, tracker=tracker, trace=self._trace, **sent.terms)
        except errors.AlaskaError as error:
            return _unsent(error)
        try:
            first = await self._stored.addTimeout(self._timeout, self._reactor)
        except DeferredTimeout:
            text = f"the broker at {self._endpoint} did not confirm the request within {self._timeout:g} s"
            return Outcome(os.EX_UNAVAILABLE, text)
        if first.is_final:
            return await self._second() if first.status == errors.KNOWN_ID else _outcome(first)
        is_later = _seconds_until_due(sent.terms) * 1000 > sent.wait
        if is_later or first.reason == NOBODY_OFFERS:
            what = "delivers it later" if is_later else "nobody offers the service yet"
            return Outcome(0, f"Sent! The broker has it, and {what}.")
        try:
            return _outcome(await self._ended.addTimeout(self._sent.wait / 1000, self._reactor))
        except DeferredTimeout:
            return Outcome(0, "Sent! The broker has it.")

    async def _second(self) -> Outcome:
        """Return the result for a request that is not kept: that of the first one with its id, if it ends in time."""
        known = "Known! The broker has had a request with this id"
        try:
            outcome = _outcome(await self._ended.addTimeout(self._sent.wait / 1000, self._reactor))
        except DeferredTimeout:
            return Outcome(0, f"{known}.")
        return Outcome(0, f"{known}, and it is done.") if not outcome.status else outcome

    def _progressed(self, progress: Progress) -> None:
        if sys.stderr.isatty() if self._sent.progress is None else self._sent.progress:
            streams.write_line(f"alas: {progress.fraction:.0%} {printable(progress.text)}".rstrip(), sys.stderr)

    def _confirmed(self, confirmation: Confirmation) -> None:
        if not self._stored.called:
            self._stored.callback(confirmation)
        if confirmation.is_final and confirmation.status != errors.KNOWN_ID and not self._ended.called:
            self._ended.callback(confirmation)


def _outcome(final: Confirmation) -> Outcome:
    """Return the result for a final confirmation."""
    if final.status < errors.FAILED:
        texts = {errors.DELIVERED: "Sent! A worker has it.", errors.REPLACED: "Sent! A later one has replaced it."}
        return Outcome(0, texts.get(final.status, "Sent! It is done."))
    why = f"{printable(final.reason) or 'no reason is given'} ({final.status})"
    if final.status == errors.ACCESS_REFUSED:
        return Outcome(os.EX_NOPERM, f"the request is refused: {why}")
    if final.status == errors.TOO_LARGE:
        return Outcome(os.EX_TEMPFAIL, f"the broker has no room for the request: {why}")
    return Outcome(1, f"the request has failed: {why}")


def _unsent(error: errors.AlaskaError) -> Outcome:
    """Return the result for a request that could not be sent."""
    status = 1
    if isinstance(error, errors.ConnectTimeout | errors.NotConnected):
        status = os.EX_UNAVAILABLE
    elif isinstance(error, errors.BadEndpoint | errors.ValueTooLong):
        status = 2
    elif error.status == errors.ACCESS_REFUSED:
        status = os.EX_NOPERM
    return Outcome(status, str(error))
