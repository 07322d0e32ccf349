"""The worker as a Twisted service: from a request to its script, and from the script to what it sends."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.client import Client, Delivery
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, ClientError, ScriptError
from alaska.interfaces import INetwork
from alaska.links import Reactor
from alaska.names import address_of, printable
from alaska.worker.pool import MakePool, Pool, Runner
from alaska.worker.request import Outcome, Request, Send, SendKind
from alaska.worker.senders import Senders

DRAIN_SECONDS = 10.0
ERROR_SENDER = b"EP"
NO_HURRY_MS = 60_000
"""How long a broker that may take any time is waited for before the log says so."""


class WorkerService(Service):
    """Offers a service and runs a script for each request.

    ``make_network`` and ``make_runner`` are called when the service has started, behind the fork of a daemon.
    ``show`` is given, whole, what each script printed. ``refused`` is called when the broker will not have this
    worker, or there can be none at its endpoint; the worker then has nothing left to do.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        settings: WorkerSettings,
        make_network: Callable[[], INetwork],
        make_runner: Callable[[], Runner],
        show: Callable[[bytes], None],
        refused: Callable[[AlaskaError], None],
        make_pool: MakePool = Pool,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._make_network = make_network
        self._show = show
        self._refused = refused
        self._network: INetwork | None = None
        self._client: Client | None = None
        self._senders = Senders(self._make_client)
        self._pool = make_pool(reactor, settings.pool_size, make_runner, self._finished)
        self.executed = 0
        self.failed = 0

    def startService(self) -> None:
        """Start the pool, and offer the service as soon as the broker is there."""
        super().startService()
        self._network = self._make_network()
        self._pool.start()
        self._client = self._make_client(address_of("AW"), self._take)
        ensureDeferred(self._connect(self._client)).addErrback(self._give_up)

    async def _connect(self, client: Client) -> None:
        settings = self._settings
        late = self._reactor.callLater((settings.broker_timeout or NO_HURRY_MS) / 1000, self._say_late)
        try:
            await client.connect(timeout=None)
        finally:
            if late.active():
                late.cancel()
        self._log.info("Connected ({address})", address=client.address)
        await client.offer(settings.service_address, settings.service_filter)
        self._log.info("Alaska worker ready (pool:{size})", size=settings.pool_size)

    def _say_late(self) -> None:
        self._log.warn(
            "no broker answers at {endpoint} yet; the worker waits for it", endpoint=self._settings.broker_endpoint
        )

    def _give_up(self, failure: Failure) -> None:
        failure.trap(AlaskaError)
        # A worker that is stopped before its broker is there has nothing to complain about.
        if self.running and isinstance(failure.value, AlaskaError):
            self._log.critical("the worker cannot work: {error}", error=failure.value)
            self._refused(failure.value)

    def _make_client(self, address: str, deliver: Callable[[Delivery], None] | None = None) -> Client:
        settings = self._settings
        return Client(
            settings.broker_endpoint,
            address,
            username=settings.plain_username,
            password=settings.plain_password,
            deliver=deliver,
            network=self._network,
            reactor=self._reactor,
        )

    async def _stop(self) -> None:
        """Take no more requests, finish those taken, and leave when the broker has all that they sent."""
        if self._client is not None:
            # A broker that says no goodbye must not cost what was taken.
            await self._client.close().addErrback(self._without_goodbye)
        late = self._reactor.callLater(DRAIN_SECONDS, self._abandon)
        await self._pool.stop()
        if late.active():
            late.cancel()
        await self._senders.close()
        if self._network is not None:
            self._network.close()

    def _without_goodbye(self, failure: Failure) -> None:
        failure.trap(ClientError)
        self._log.warn("{error}", error=failure.value)

    def _abandon(self) -> None:
        self._log.error("{count} requests are left undone", count=self._pool.abandon())

    def stopService(self) -> Deferred[None]:
        """Finish what was taken, within ten seconds; the Deferred fires when the worker is gone."""
        super().stopService()
        return ensureDeferred(self._stop())

    # One request's way

    def _take(self, delivery: Delivery) -> None:
        command = delivery.command
        self._log.info(
            "[SREQ]( address: {address}, subject: {subject}, sender: {sender} )",
            address=printable(command.address),
            subject=printable(command.subject),
            sender=printable(command.sender),
        )
        self._pool.submit(
            Request(command.sender, command.address, command.subject, delivery.tracker_octets, command.content)
        )

    def _finished(self, request: Request, outcome: Outcome | None) -> None:
        self.executed += 1
        if outcome is None:
            outcome = Outcome(error=ScriptError("the worker failed to run it, its log says why"))
        if outcome.output:
            self._show(outcome.output)
        for send in outcome.sends:
            self._send(send)
        if outcome.error is not None:
            self.failed += 1
            self._report(request, str(outcome.error))

    def _report(self, request: Request, text: str) -> None:
        """Log that a script failed, and mail it: the error's text, then the request's context."""
        self._log.error("{subject} failed: {text}", subject=printable(request.subject), text=text)
        if self._settings.errors_notify:
            mailbox = self._settings.errors_mailbox.encode()
            content = text.encode("utf-8", "surrogateescape"), request.context
            self._send(Send(SendKind.MAILBOX, mailbox, request.subject, content, ERROR_SENDER))

    def _send(self, send: Send) -> None:
        names = {"subject": printable(send.subject), "topic": printable(send.topic)}
        try:
            client = self._senders.named(send.sender)
            if send.kind is SendKind.MAILBOX:
                client.send_to(send.topic, send.subject, *send.content)
                self._log.info("[MBOX]( subject: '{subject}', mailbox: '{topic}' )", **names)
            else:
                client.publish(send.topic, send.subject, *send.content)
                self._log.info("[STRM]( subject: '{subject}', topic: '{topic}' )", **names)
        except AlaskaError as error:
            self._log.error("what a script sent to {topic} is lost: {error}", error=error, **names)
