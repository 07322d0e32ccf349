"""Requests, mail and messages to streams, from programs that send them by HTTP.

They go through clients of the broker like any other's, so that all its rules and limits hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska import errors
from alaska.admin.http.answers import OCTETS, Answer, in_json, quoted
from alaska.admin.http.routes import Asked
from alaska.admin.http.users import User
from alaska.client import Client, Confirmation, Delivery, to_text
from alaska.client.trackers import new_tracker
from alaska.errors import AlaskaError, HTTPRefused
from alaska.interfaces import Reactor
from alaska.names import is_brokers_own, printable

STORED_SECONDS = 10.0
"""How long the broker may take to confirm that it has a message."""
START_SECONDS = 2.0
"""How long messages wait for the first connection to the broker."""
RETRY_SECONDS = 5.0
"""The interval of attempts to connect to a broker that refuses."""
LONGEST_WAIT = 600.0
LONGEST_TIMEOUT = 4_000_000.0
MOST_FRAMES = 1000
HEADER_PREFIX = "alaska-header-"
_LENGTHS = re.compile(rb"[0-9]{1,12}(?: ?, ?[0-9]{1,12})*")
_TIMEOUT = re.compile(rb"[0-9]{1,10}(\.[0-9]{1,9})?")
_OFFERS = re.compile(r"offers=([0-9]{1,9})")
_TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

STATUSES: Mapping[int, int] = {
    errors.FAILED: 503,
    errors.TOO_LARGE: 507,
    errors.TIMEOUT_EXPIRED: 504,
    errors.CONNECTION_REFUSED: 503,
    errors.RESOURCE_LOCKED: 409,
    errors.ACCESS_REFUSED: 403,
    errors.NOT_FOUND: 404,
    errors.COMMAND_INVALID: 400,
    errors.NOT_IMPLEMENTED: 501,
    errors.INTERNAL_ERROR: 502,
}
"""HTTP's status for each status of the protocol with which a message is refused."""


class May(Protocol):
    """The access rules: whether a user may do something with a name; the subject is that of a request."""

    def __call__(self, user: str, verb: str, name: bytes, subject: bytes, /) -> bool:
        """Return whether the user may ``ask`` a service, ``send`` to a mailbox, ``write`` or ``read`` a stream."""


class Accepted(msgspec.Struct, omit_defaults=True):
    """The broker has the message. ``offers`` is how many workers offer the service of a request at present.

    The log of the worker names the tracker, and a script sees it.
    """

    tracker: str = ""
    offers: int | None = None


class Messages:
    """Sends the messages; ``make_client`` gets the address, and what is called with deliveries and confirmations.

    There are two clients. The one for requests without a wait has no address, so that nobody mails it replies.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, make_client: Callable[..., Client], address: str, may: May) -> None:
        self._reactor = reactor
        self._may = may
        self._pending: set[str] = set()
        self._first: dict[str, Deferred[Confirmation]] = {}
        self._make_client = make_client
        self._address = address
        self._retry: IDelayedCall | None = None
        self._is_stopped = False
        self._started = 0.0
        self._sender = self._make_sender()
        self._asker = self._make_asker()

    def _make_sender(self) -> Client:
        return self._make_client("", deliver=self._drop, confirmed=self._confirmed)

    def _make_asker(self) -> Client:
        return self._make_client(self._address, deliver=self._drop_late)

    def start(self) -> None:
        """Connect to the broker, as soon as it answers."""
        self._started = self._reactor.seconds()
        for client in (self._sender, self._asker):
            client.connect(timeout=None).addErrback(self._connect_failed)

    def _connect_failed(self, failure: Failure) -> None:
        """Try again later: another broker may serve the endpoint then."""
        failure.trap(AlaskaError)
        if self._retry is None and not self._is_stopped:
            self._log.error("messages by HTTP cannot be sent: {error}", error=failure.value)
            self._retry = self._reactor.callLater(RETRY_SECONDS, self._connect_again)

    def _connect_again(self) -> None:
        self._retry = None
        for client in (self._sender, self._asker):
            client.close()
        self._sender, self._asker = self._make_sender(), self._make_asker()
        self.start()

    async def stop(self) -> None:
        """Send what is accepted, and disconnect."""
        self._is_stopped = True
        if self._retry is not None:
            self._retry.cancel()
        for client in (self._sender, self._asker):
            await client.close().addErrback(lambda failure: failure.trap(errors.ClientError) and None)

    def _drop(self, delivery: Delivery) -> None:
        self._sender.confirm(delivery)

    def _drop_late(self, delivery: Delivery) -> None:
        """Drop a reply that nobody waits for any more."""
        self._asker.confirm(delivery)

    # Calls

    def request(self, asked: Asked) -> Deferred[Answer]:
        """Send a request, and answer with the reply, or at once."""
        return ensureDeferred(self._request(asked))

    def mail(self, asked: Asked) -> Deferred[Answer]:
        """Send mail."""
        return ensureDeferred(self._mail(asked))

    def publish(self, asked: Asked) -> Deferred[Answer]:
        """Send a message to a stream."""
        return ensureDeferred(self._publish(asked))

    async def _request(self, asked: Asked) -> Answer:
        service, subject = asked.names["service"], asked.names["subject"]
        if is_brokers_own(service):
            raise HTTPRefused(403, "the broker's own services have their own paths below /api/v1")
        self._check(asked.user, "ask", service, subject)
        wait = asked.arguments.get("wait")
        tracker = self._begin(self._asker if wait else self._sender, asked)
        try:
            content, options = frames(asked), {"headers": headers_of(asked)}
            if wait:
                return await self._ask(service, subject, content, tracker, float(wait), timeout(asked), options)
            self._sender.send_for(service, subject, *content, tracker=tracker, timeout=timeout(asked), **options)
            return await self._stored(tracker)
        except AlaskaError as error:
            raise refused(error) from None
        finally:
            self._pending.discard(tracker)

    async def _ask(
        self,
        service: bytes,
        subject: bytes,
        content: list[bytes],
        tracker: str,
        wait: float,
        expiry: float,
        options: dict[str, Any],
    ) -> Answer:
        asking = self._asker.ask(service, subject, *content, timeout=wait, tracker=tracker, expiry=expiry, **options)
        try:
            return reply(await asking)
        except DeferredTimeout:
            # It still waits or runs.
            return in_json(Accepted(tracker), 202)

    async def _mail(self, asked: Asked) -> Answer:
        box, subject = asked.names["box"], subject_of(asked)
        self._check(asked.user, "send", box, b"")
        tracker = self._begin(self._sender, asked)
        try:
            headers, expiry = headers_of(asked), timeout(asked)
            self._sender.send_to(box, subject, *frames(asked), tracker=tracker, timeout=expiry, headers=headers)
            return await self._stored(tracker)
        except AlaskaError as error:
            raise refused(error) from None
        finally:
            self._pending.discard(tracker)

    async def _publish(self, asked: Asked) -> Answer:
        stream = asked.names["stream"]
        self._check(asked.user, "write", stream, b"")
        self._check_connected(self._sender)
        try:
            self._sender.publish(stream, subject_of(asked), *frames(asked), headers=headers_of(asked))
            await self._sender.flush().addTimeout(STORED_SECONDS, self._reactor)
        except DeferredTimeout:
            raise _silent() from None
        except AlaskaError as error:
            raise refused(error) from None
        return in_json(Accepted(), 202)

    def _check(self, user: User, verb: str, name: bytes, subject: bytes) -> None:
        if not self._may(user.name, verb, name, subject):
            raise HTTPRefused(403, f"{user.name} may not {verb} {printable(name)}", mlm_status=errors.ACCESS_REFUSED)

    def _check_connected(self, client: Client) -> None:
        # At the start, messages may wait for the connection; later, nobody knows when there will be one.
        if not client.is_connected and self._reactor.seconds() >= self._started + START_SECONDS:
            raise HTTPRefused(503, "there is no broker at present", headers={b"Retry-After": b"1"})

    def _begin(self, client: Client, asked: Asked) -> str:
        """Return the tracker of a message, which is pending from now on."""
        self._check_connected(client)
        tracker = to_text(asked.headers.get("alaska-tracker", b"")) or new_tracker()
        if tracker in self._pending:
            raise HTTPRefused(409, "a message with this tracker is pending")
        self._pending.add(tracker)
        return tracker

    async def _stored(self, tracker: str) -> Answer:
        """Answer when the broker has the message."""
        first = self._first[tracker] = Deferred()
        try:
            confirmation = await first.addTimeout(STORED_SECONDS, self._reactor)
        except DeferredTimeout:
            raise _silent() from None
        finally:
            self._first.pop(tracker, None)
        if confirmation.status >= errors.FAILED:
            raise refused(errors.Refused(printable(confirmation.reason), confirmation.status))
        offers = _OFFERS.fullmatch(confirmation.reason)
        return in_json(Accepted(tracker, int(offers[1]) if offers else None), 202)

    def _confirmed(self, confirmation: Confirmation) -> None:
        first = self._first.pop(confirmation.tracker, None)
        if first is not None:
            first.callback(confirmation)


def _silent() -> HTTPRefused:
    return HTTPRefused(
        503, f"the broker did not confirm within {STORED_SECONDS:g} s that it has the message; it may have it"
    )


def refused(error: AlaskaError) -> HTTPRefused:
    """Return the refusal of a request by HTTP for the error of its message."""
    if isinstance(error, HTTPRefused):
        return error
    if isinstance(error, errors.BacklogFull | errors.NotConnected):
        return HTTPRefused(503, str(error), headers={b"Retry-After": b"1"})
    status = 400 if isinstance(error, errors.ValueTooLong) else STATUSES.get(error.status, 502)
    return HTTPRefused(status, str(error), mlm_status=error.status)


def reply(delivery: Delivery) -> Answer:
    """Return the answer for the reply to a request; without a reply it has no content."""
    headers = {b"Alaska-Tracker": quoted(delivery.tracker_octets)}
    for name, value in delivery.headers.items():
        octets = name.encode("utf-8", "surrogateescape")
        if _TOKEN.fullmatch(octets):
            headers[b"Alaska-Header-" + octets] = quoted(value.encode("utf-8", "surrogateescape"))
    if not delivery.content:
        return Answer(204, headers=headers)
    if len(delivery.content) > 1:
        headers[b"Alaska-Frame-Lengths"] = b",".join(b"%d" % len(frame) for frame in delivery.content)
    return Answer(200, b"".join(delivery.content), OCTETS, headers)


def frames(asked: Asked) -> list[bytes]:
    """Return the frames of a message: the body, divided where the header ``Alaska-Frame-Lengths`` says.

    :raises HTTPRefused: the lengths are not those of the body.
    """
    given = asked.headers.get("alaska-frame-lengths")
    if given is None:
        return [asked.body]
    lengths = [int(length) for length in given.split(b",")] if _LENGTHS.fullmatch(given) else []
    if not lengths or len(lengths) > MOST_FRAMES or sum(lengths) != len(asked.body):
        raise HTTPRefused(400, f"Alaska-Frame-Lengths must be at most {MOST_FRAMES} numbers whose sum is the length")
    divided, start = [], 0
    for length in lengths:
        divided.append(asked.body[start : start + length])
        start += length
    return divided


def headers_of(asked: Asked) -> dict[str, bytes]:
    """Return the headers of a message: those whose names begin with ``Alaska-Header-``, in lower case without that."""
    return {
        name.removeprefix(HEADER_PREFIX): value
        for name, value in asked.headers.items()
        if name.startswith(HEADER_PREFIX) and name != HEADER_PREFIX
    }


def subject_of(asked: Asked) -> bytes:
    """Return the subject of a message: an argument of the query, which may have octets that are not UTF-8."""
    return str(asked.arguments.get("subject") or "").encode("utf-8", "surrogateescape")


def timeout(asked: Asked) -> float:
    """Return the timeout of a message in seconds; 0: none.

    :raises HTTPRefused: it is not a number of seconds.
    """
    given = asked.headers.get("alaska-timeout", b"0")
    seconds = float(given) if _TIMEOUT.fullmatch(given) else LONGEST_TIMEOUT + 1
    if seconds > LONGEST_TIMEOUT:
        raise HTTPRefused(400, f"Alaska-Timeout must be a number of seconds from 0 to {LONGEST_TIMEOUT:g}")
    return seconds
