"""The worker as a Twisted service: from a request to its script, and from the script to what it sends."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from alaska.client import Client, Delivery
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, Refused
from alaska.interfaces import INetwork
from alaska.links import Reactor
from alaska.names import address_of, printable
from alaska.worker.pool import Pool, Runner
from alaska.worker.request import Outcome, Request, Send, SendKind
from alaska.worker.senders import Senders

DRAIN_SECONDS = 10.0
ERROR_SENDER = b"EP"
CALM_SECONDS = 0.05
NO_HURRY_MS = 60_000
"""How long a broker that may take any time is waited for before the log says so."""


class WorkerService(Service):
    """Offers a service and runs a script for each request.

    ``make_network`` and ``make_runner`` are called when the service has started, behind the fork of a daemon.
    ``show`` is given, whole, what each script printed. ``refused`` is called when the broker will not have this
    worker, which then has nothing left to do.
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
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._make_network = make_network
        self._make_runner = make_runner
        self._show = show
        self._refused = refused
        self._network: INetwork | None = None
        self._client: Client | None = None
        self._senders = Senders(self._make_client)
        self._pool = Pool(reactor, settings.pool_size, self._run_in_thread, self._finished)
        self.executed = 0
        self.failed = 0

    def _run_in_thread(self) -> Runner:
        return self._make_runner()

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
        await client.connect(timeout=None)
        if late.active():
            late.cancel()
        self._log.info("Connected ({address})", address=client.address)
        await client.offer(settings.service_address, settings.service_filter)
        self._log.info("Alaska worker ready (pool:{size})", size=settings.pool_size)

    def _say_late(self) -> None:
        self._log.warn(
            "no broker answers at {endpoint} yet; the worker waits for it", endpoint=self._settings.broker_endpoint
        )

    def _give_up(self, failure: object) -> None:
        error = getattr(failure, "value", failure)
        if isinstance(error, Refused):
            self._log.critical("the worker cannot work: {error}", error=error)
            self._refused(error)

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
            await self._client.close()
        deadline = self._reactor.seconds() + DRAIN_SECONDS
        while self._pool.pending and self._reactor.seconds() < deadline:
            await deferLater(self._reactor, CALM_SECONDS, lambda: None)
        if self._pool.pending:
            abandoned = self._pool.abandon()
            self._log.error("{count} requests are left undone", count=abandoned)
        await self._senders.close()
        if self._network is not None:
            self._network.close()

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
            return
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
            context = request.frames[0] if request.frames else b""
            mailbox = self._settings.errors_mailbox.encode()
            self._send(
                Send(
                    SendKind.MAILBOX,
                    mailbox,
                    request.subject,
                    (text.encode("utf-8", "surrogateescape"), context),
                    ERROR_SENDER,
                )
            )

    def _send(self, send: Send) -> None:
        client = self._senders.named(send.sender)
        names = {"subject": printable(send.subject), "topic": printable(send.topic)}
        try:
            if send.kind is SendKind.MAILBOX:
                client.send_to(send.topic, send.subject, *send.content)
                self._log.info("[MBOX]( subject: '{subject}', mailbox: '{topic}' )", **names)
            else:
                client.publish(send.topic, send.subject, *send.content)
                self._log.info("[STRM]( subject: '{subject}', topic: '{topic}' )", **names)
        except AlaskaError as error:
            self._log.error("what a script sent to {topic} is lost: {error}", error=error, **names)
