"""Requests, mail and messages to streams, from programs that send them by HTTP.

They go through clients of the broker like any other's, so that all its rules and limits hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska import errors
from alaska.admin.http.answers import Answer, in_json
from alaska.admin.http.message_fields import frames, options_of, refused, subject_of, timeout, tracker_of
from alaska.admin.http.message_terms import terms_of
from alaska.admin.http.requests import STORED_SECONDS, Accepted, Broker, Requests, silent
from alaska.admin.http.routes import Asked
from alaska.admin.http.users import User
from alaska.admin.text import to_text
from alaska.client import Client, Confirmation, Delivery, to_octets
from alaska.errors import AlaskaError, HTTPRefused
from alaska.interfaces import Reactor
from alaska.messaging.trackers import new_tracker
from alaska.names import is_brokers_own, printable

START_SECONDS = 2.0
"""How long messages wait for the first connection to the broker."""
RETRY_SECONDS = 5.0
"""The interval of attempts to connect to a broker that refuses."""


class May(Protocol):
    """The access rules: whether a user may do something with a name; the subject is that of a request."""

    def __call__(self, user: str, verb: str, name: bytes, subject: bytes, /) -> bool:
        """Return whether the user may ``ask`` a service, ``send`` to a mailbox, ``write`` or ``read`` a stream."""


class Messages:
    """Sends the messages; ``make_client`` gets the address, and what is called with deliveries and confirmations.

    There are two clients: one sends requests and gets the replies; the other, without an address, sends mail and
    messages to streams.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        make_client: Callable[..., Client],
        address: str,
        may: May,
        wall: Callable[[], float],
        broker: Broker | None = None,
    ) -> None:
        self._reactor = reactor
        self._may = may
        self._mails: dict[str, Deferred[Confirmation]] = {}
        self._make_client = make_client
        self._address = address
        self._retry: IDelayedCall | None = None
        self._is_stopped = False
        self._started = 0.0
        self.requests = Requests(reactor, self, wall, broker)
        self._sender = self._make_sender()
        self.asker = self._make_asker()

    def _make_sender(self) -> Client:
        return self._make_client("", deliver=self._drop, confirmed=self._confirmed)

    def _make_asker(self) -> Client:
        return self._make_client(self._address, deliver=self._drop_late, confirmed=self.requests.confirmed)

    def start(self) -> None:
        """Connect to the broker, as soon as it answers."""
        self._started = self._reactor.seconds()
        for client in (self._sender, self.asker):
            client.connect(timeout=None).addErrback(self._connect_failed)

    def _connect_failed(self, failure: Failure) -> None:
        """Try again later: another broker may serve the endpoint then."""
        failure.trap(AlaskaError)
        if self._retry is None and not self._is_stopped:
            self._log.error("messages by HTTP cannot be sent: {error}", error=failure.value)
            self._retry = self._reactor.callLater(RETRY_SECONDS, self._connect_again)

    def _connect_again(self) -> None:
        self._retry = None
        for client in (self._sender, self.asker):
            client.close()
        self._sender, self.asker = self._make_sender(), self._make_asker()
        self.start()

    async def stop(self) -> None:
        """Send what is accepted, and disconnect."""
        self._is_stopped = True
        if self._retry is not None:
            self._retry.cancel()
        for client in (self._sender, self.asker):
            await client.close().addErrback(lambda failure: failure.trap(errors.ClientError) and None)

    def _drop(self, delivery: Delivery) -> None:
        self._sender.confirm(delivery)

    def _drop_late(self, delivery: Delivery) -> None:
        """Drop a reply that nobody waits for any more."""
        self.asker.confirm(delivery)

    # Calls

    def mail(self, asked: Asked) -> Deferred[Answer]:
        """Send mail."""
        return ensureDeferred(self._mail(asked))

    def publish(self, asked: Asked) -> Deferred[Answer]:
        """Send a message to a stream."""
        return ensureDeferred(self._publish(asked))

    async def _mail(self, asked: Asked) -> Answer:
        box, subject = asked.names["box"], subject_of(asked)
        tracker = self.begin(asked, "send", box, b"")
        content, expiry, options, terms = frames(asked), timeout(asked), options_of(asked), terms_of(asked)
        confirmed = self._mails[tracker] = Deferred()
        try:
            self._sender.send_to(box, subject, *content, tracker=tracker, timeout=expiry, **options, **terms)
            confirmation = await confirmed.addTimeout(STORED_SECONDS, self._reactor)
        except DeferredTimeout:
            raise silent() from None
        except AlaskaError as error:
            raise refused(error) from None
        finally:
            self._mails.pop(tracker, None)
        if confirmation.status >= errors.FAILED:
            raise refused(errors.Refused(confirmation.reason, confirmation.status))
        is_second = confirmation.status == errors.KNOWN_ID
        accepted = Accepted(to_text(to_octets(tracker)), duplicate=is_second, position=confirmation.position)
        return in_json(accepted, 202)

    async def _publish(self, asked: Asked) -> Answer:
        stream = asked.names["stream"]
        self._check(asked.user, "write", stream, b"")
        self._check_connected(self._sender)
        try:
            self._sender.publish(stream, subject_of(asked), *frames(asked), **options_of(asked))
            await self._sender.flush().addTimeout(STORED_SECONDS, self._reactor)
        except DeferredTimeout:
            raise silent() from None
        except AlaskaError as error:
            raise refused(error) from None
        return in_json(Accepted(), 202)

    def _check(self, user: User, verb: str, name: bytes, subject: bytes) -> None:
        if is_brokers_own(name):
            raise HTTPRefused(
                403, "names that begin with alaska. are the broker's own", mlm_status=errors.ACCESS_REFUSED
            )
        if not self._may(user.name, verb, name, subject):
            raise HTTPRefused(403, f"{user.name} may not {verb} {printable(name)}", mlm_status=errors.ACCESS_REFUSED)

    def _check_connected(self, client: Client) -> None:
        # At the start, messages may wait for the connection; later, nobody knows when there will be one.
        if not client.is_connected and self._reactor.seconds() >= self._started + START_SECONDS:
            raise HTTPRefused(503, "there is no broker at present", headers={b"Retry-After": b"1"})

    def begin(self, asked: Asked, verb: str, name: bytes, subject: bytes) -> str:
        """See :class:`alaska.admin.http.requests.Gateway`; mail that has no status yet, and requests, are pending."""
        self._check(asked.user, verb, name, subject)
        self._check_connected(self._sender if verb == "send" else self.asker)
        tracker = tracker_of(asked) or new_tracker()
        if tracker in self._mails or self.requests.outcomes.pending(tracker) is not None:
            raise HTTPRefused(409, "a message with this tracker is pending")
        return tracker

    def _confirmed(self, confirmation: Confirmation) -> None:
        confirmed = self._mails.pop(confirmation.tracker, None)
        if confirmed is not None:
            confirmed.callback(confirmation)
