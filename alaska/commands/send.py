"""``alas`` and ``alas send``: send a service request, and print the result.

With a broker that confirms, the command waits until the broker has the request, then up to ``--wait`` ms for its end.
It prints only after sending, since its output may be blocked or closed. The client has no address, so that no replies
are left in a mailbox.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import NamedTuple

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import react

from alaska import __version__, errors
from alaska.client import Client, to_text
from alaska.client.client import MOST_OCTETS
from alaska.client.delivery import MOST_MILLISECONDS, Confirmation, Progress, to_octets
from alaska.client.terms import SendTerms
from alaska.commands import streams
from alaska.commands.credentials import Credentials, add_options
from alaska.commands.parsing import Parser
from alaska.commands.times import attempts, backoff, duration, point_in_time, priority
from alaska.interfaces import INetwork, Reactor
from alaska.messaging.trackers import NOBODY_OFFERS, new_tracker
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.names import printable
from alaska.system.clock import run_on_monotonic_time
from alaska.traces.context import TraceContext, read

ENDPOINT = "tcp://127.0.0.1:9999"
ENDPOINT_VARIABLE = "ALASKA_ENDPOINT"
LOGIN_SECONDS = 5.0
"""How long a broker that is reached may take for the login: it delays those of some addresses for up to 3 s."""
TRACE_VARIABLES = "TRACEPARENT", "TRACESTATE"

_DESCRIPTION = """\
Send a service request; its content is the standard input. With a broker that
confirms, wait until the broker has the request, then up to --wait MS for its
end."""
_EPILOG = """\
exit status:
  0   the broker has the request
  1   the request has failed, or the standard input cannot be read
  2   the command line is wrong
  69  the broker does not answer, or does not confirm that it has the request
  75  the broker has no room for the request
  77  the broker does not accept the user name and password, or does not allow
      the request

example: echo '{"n":1}' | alas -s dump

other commands, each with -h: alas run, check, access, keygen, password, token,
backup, restore, tail, bind, unbind, bindings, readers, schedule, pause,
resume, drain, purge, letters, messages, cancel, hurry"""


class Outcome(NamedTuple):
    """The result of sending: the exit status, and a text for the user."""

    status: int
    text: str = "Sent!"


def parser() -> Parser:
    """Return the parser of the command line."""
    result = Parser(
        prog="alas",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add = result.add_argument
    endpoint = os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT
    add(
        "-e",
        "--endpoint",
        default=endpoint,
        help=f"the broker's endpoint (or {ENDPOINT_VARIABLE}; default: %(default)s)",
    )
    add("-a", "--address", default="default", help="the service (default: %(default)s)")
    add("-s", "--subject", default="dump", help="the subject, which names the script (default: %(default)s)")
    add_options(result)
    add(
        "-t",
        "--timeout",
        type=positive_milliseconds,
        default=1000,
        metavar="MS",
        help="timeout for the broker, in ms (default: %(default)s)",
    )
    add(
        "-w",
        "--wait",
        type=milliseconds,
        default=500,
        metavar="MS",
        help="how long to wait for the end of the request, after the broker has it, in ms (default: %(default)s)",
    )
    when = result.add_mutually_exclusive_group()
    when.add_argument("--delay", type=duration, help="do not deliver it before so much time has passed: 90s, 10m, 1.5h")
    when.add_argument("--at", type=point_in_time, help="do not deliver it before a time: 2026-12-01T08:00Z")
    add("--id", type=request_id, help="do not send it if the service has had a request with this id lately")
    add(
        "--unique-for",
        type=duration,
        help="with --id: how long the id is known: 10m; 0: until the request ends",
    )
    add("--replace", action="store_true", help="with --id: replace a request with this id that has not begun")
    add("--priority", type=priority, help="0 to 9; requests with a higher one are delivered first (default: 4)")
    add("--attempts", type=attempts, metavar="N", help="try it at most so many times in all, whatever its script says")
    add("--backoff", type=backoff, metavar="FIRST..MOST", help="the waits between the attempts, such as 2s..10m")
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="print to the standard error how far the script is, while --wait lasts (default: on a terminal)",
    )
    add("--no-confirm", action="store_true", help="do not wait for confirmations, as with a C broker")
    add("--version", action="version", version=f"alas {__version__}")
    return result


def milliseconds(text: str) -> int:
    """Parse a number of milliseconds.

    :raises argparse.ArgumentTypeError: it is invalid.
    """
    if not text.isdecimal() or len(text) > len(str(MOST_MILLISECONDS)) or int(text) > MOST_MILLISECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds")
    return int(text)


def positive_milliseconds(text: str) -> int:
    """Parse a number of milliseconds from 1 on; see :func:`milliseconds`."""
    if not milliseconds(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds from 1 on")
    return int(text)


def request_id(text: str) -> str:
    """Parse the id of a request.

    :raises argparse.ArgumentTypeError: it is invalid.
    """
    if not 0 < len(to_octets(text)) <= MAX_STRING_OCTETS:
        raise argparse.ArgumentTypeError(f"it does not have 1 to {MAX_STRING_OCTETS} octets")
    return text


def terms_of(options: argparse.Namespace) -> SendTerms:
    """Return the terms of the request that the options give."""
    terms: SendTerms = {}
    if options.delay is not None:
        terms["delay"] = options.delay
    if options.at is not None:
        terms["at"] = options.at
    if options.priority is not None:
        terms["priority"] = options.priority
    if options.attempts is not None:
        terms["attempts"] = options.attempts
    if options.backoff is not None:
        terms["backoff"] = options.backoff
    if options.id is not None:
        terms["id"] = options.id
    if options.unique_for is not None:
        terms["unique_for"] = options.unique_for
    if options.replace:
        terms["unique_mode"] = "replace"
    return terms


def main(arguments: list[str]) -> None:
    """Send a request, print the result, and exit with its status."""
    reader = parser()
    options = reader.parse_args(arguments)
    if options.id is None and (options.unique_for is not None or options.replace):
        reader.error("--unique-for and --replace need --id")
    try:
        credentials = Credentials.of(options, os.environ)
    except ValueError as error:
        reader.error(str(error))
    try:
        content = streams.read(MOST_OCTETS + 1)
    except OSError as error:
        streams.write_line(f"alas: nothing is sent, the standard input cannot be read: {error.strerror}", sys.stderr)
        raise SystemExit(1) from None
    if len(content) > MOST_OCTETS:
        streams.write_line(f"alas: nothing is sent, the standard input has more than {MOST_OCTETS} octets", sys.stderr)
        raise SystemExit(1)

    def run(reactor: Reactor) -> Deferred[None]:
        run_on_monotonic_time(reactor)
        trace = read(*(os.environ.get(name, "") for name in TRACE_VARIABLES))
        sending = Sending(reactor, options, credentials, trace=trace)
        return ensureDeferred(sending.send(content)).addCallback(print_and_exit, options, content)

    react(run)


def describe(options: argparse.Namespace, content: bytes) -> str:
    """Return the request as text for the user."""
    return (
        f"Service RQ\n-Endpoint: {options.endpoint}\n-Address: {options.address}\n-Subject: {options.subject}\n"
        f"-Content:\n{to_text(content)}"
    )


def print_and_exit(outcome: Outcome, options: argparse.Namespace, content: bytes) -> None:
    """Print the request and its result, and exit."""
    streams.write_line(describe(options, content))
    if outcome.status:
        streams.write_line(f"alas: {outcome.text}", sys.stderr)
    else:
        streams.write_line(f"\n--\n{outcome.text}")
    raise SystemExit(outcome.status)


class Sending:
    """Sends one request, with a trace context if there is one, and waits for its confirmations."""

    def __init__(
        self,
        reactor: Reactor,
        options: argparse.Namespace,
        credentials: Credentials,
        network: INetwork | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        self._reactor = reactor
        self._trace = trace
        self._options = options
        self._timeout = options.timeout / 1000
        self._stored: Deferred[Confirmation] = Deferred()
        self._ended: Deferred[Confirmation] = Deferred()
        self._client = Client(
            options.endpoint,
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
        if self._options.no_confirm or "confirm" not in self._client.capabilities:
            return await self._send_plain(content)
        try:
            return await self._send_confirmed(content)
        finally:
            await self._client.close(timeout=self._timeout).addErrback(lambda failure: failure.trap(errors.ClientError))

    async def _send_plain(self, content: bytes) -> Outcome:
        try:
            self._client.send_for(
                self._options.address, self._options.subject, content, trace=self._trace, **terms_of(self._options)
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
            options = self._options
            self._client.send_for(
                options.address, options.subject, content, tracker=tracker, trace=self._trace, **terms_of(options)
            )
        except errors.AlaskaError as error:
            return _unsent(error)
        try:
            first = await self._stored.addTimeout(self._timeout, self._reactor)
        except DeferredTimeout:
            text = f"the broker at {self._options.endpoint} did not confirm the request within {self._timeout:g} s"
            return Outcome(os.EX_UNAVAILABLE, text)
        if first.is_final:
            return await self._second() if first.status == errors.KNOWN_ID else _outcome(first)
        is_later = bool(self._options.delay) or self._options.at is not None
        if is_later or first.reason == NOBODY_OFFERS:
            what = "delivers it later" if is_later else "nobody offers the service yet"
            return Outcome(0, f"Sent! The broker has it, and {what}.")
        try:
            return _outcome(await self._ended.addTimeout(self._options.wait / 1000, self._reactor))
        except DeferredTimeout:
            return Outcome(0, "Sent! The broker has it.")

    async def _second(self) -> Outcome:
        """Return the result for a request that is not kept: that of the first one with its id, if it ends in time."""
        known = "Known! The broker has had a request with this id"
        try:
            outcome = _outcome(await self._ended.addTimeout(self._options.wait / 1000, self._reactor))
        except DeferredTimeout:
            return Outcome(0, f"{known}.")
        return Outcome(0, f"{known}, and it is done.") if not outcome.status else outcome

    def _progressed(self, progress: Progress) -> None:
        if sys.stderr.isatty() if self._options.progress is None else self._options.progress:
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
