"""The worker as a Twisted service: startup, the requests from the broker, and shutdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska.admin.families import Details, Filled
from alaska.admin.health import Check, check
from alaska.authentication import CurveKeys
from alaska.client import Client, Delivery, to_octets, to_text
from alaska.client.delivery import Cancellation
from alaska.client.keys import load
from alaska.config import WorkerSettings
from alaska.daemon.operated import OperatedService
from alaska.daemon.reload import Change
from alaska.errors import AlaskaError, ClientError
from alaska.interfaces import INetwork, Reactor
from alaska.lua.request import Call, Request
from alaska.names import address_of
from alaska.pool.pool import MakePool, Pool, Runner
from alaska.store.kv import KeyValues
from alaska.traces.service import Recording
from alaska.worker.administration import MailService, SummarySender, WorkerAdministration
from alaska.worker.arrivals import Arrivals, drop
from alaska.worker.calls import Calls
from alaska.worker.cancellations import Cancellations
from alaska.worker.descriptions import described
from alaska.worker.figures import figures, script_details
from alaska.worker.intake import Intake, Pause
from alaska.worker.measures import WorkerMeasures
from alaska.worker.membership import Membership
from alaska.worker.outbox import Outbox
from alaska.worker.outcomes import Outcomes
from alaska.worker.output import Output
from alaska.worker.partial_results import PartialResults
from alaska.worker.progress import ProgressReports
from alaska.worker.requester import Requester
from alaska.worker.script_files import ScriptFiles
from alaska.worker.senders import Senders
from alaska.worker.snapshots import WorkerState, connection_of
from alaska.worker.stopping import finish_scripts
from alaska.worker.tracing import RunTracing
from alaska.worker.watchdog import Watchdog

DRAINING = "the worker is draining: it takes no requests"
STUCK = "all slots have scripts that do not end; see the worker's log"
LIVE = (
    *("admin_open", "log_requests", "errors_notify", "errors_mailbox", "stop_timeout"),
    *("errors_retries", "answers_ttl", "errors_backoff", "service_retries", "service_backoff"),
)
"""The settings that :meth:`WorkerService.prepare` applies."""


class WorkerService(OperatedService):
    """Offers a service and runs a script for each request.

    ``make_network`` and ``make_runner`` are called after the service has started, and after the fork of a daemon; the
    latter gets the function that answers the calls of scripts. ``refused`` is called when the worker cannot work:
    the broker refuses it, or its endpoint cannot be used. ``recording`` records spans; it starts before.
    """

    _log = Logger()
    # What there is only after the service has started, or while it runs.
    _network: INetwork | None = None
    _client: Client | None = None
    _keys: CurveKeys | None = None
    _kv: KeyValues | None = None
    _call: Call | None = None
    _intake: Intake | None = None
    _membership: Membership | None = None
    _summary_sender: SummarySender | None = None

    def __init__(
        self,
        reactor: Reactor,
        settings: WorkerSettings,
        make_network: Callable[[], INetwork],
        make_runner: Callable[[Call], Runner],
        refused: Callable[[AlaskaError], None],
        make_pool: MakePool = Pool,
        recording: Recording | None = None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._make_network = make_network
        self._refused = refused
        self._senders = Senders(self._make_sender)
        self._requester = Requester(reactor, self._make_requester, settings.pool_size)
        self._make_runner = make_runner
        self._recording = recording
        self.measures = WorkerMeasures()
        self._outbox = Outbox(settings, self._senders, Output(), self.measures)
        self._cancellations = Cancellations(
            self.measures, lambda: self._pool, lambda: self.intake, self._take_back, self._requester.cancel
        )
        self._progress = ProgressReports(reactor, self._tell_progress)
        self._partial = PartialResults(reactor, self._call_in_reactor, self._outbox.process, self._progress.add)
        self._outcomes = Outcomes(
            reactor, settings, self._outbox, self._partial, self._submit, lambda: self.intake, self._progress,
            self._cancellations,
        )  # fmt: skip
        finished = self._outcomes.finished
        self._pool = make_pool(reactor, settings.pool_size, self._new_runner, finished, settings.scripts_limit)
        self._address = b""
        self._watchdog = Watchdog(reactor, self._pool, lambda: self.intake)
        self._arrivals = Arrivals(self._pool, self._watchdog, self._outcomes, self._outbox)
        self._ready: Deferred[None] = Deferred()
        self.administration = WorkerAdministration(reactor, self._state())

    def prepare(self, settings: WorkerSettings) -> Change:
        """Prepare new settings for a reload (:mod:`alaska.daemon.reload`)."""
        return Change(partial(self._apply, settings))

    def _apply(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._outcomes.configure(settings)

    @property
    def intake(self) -> Intake:
        """The worker's flow control, once it has started."""
        assert self._intake is not None
        return self._intake

    def figures(self) -> Iterator[Filled]:
        """Return the metrics of the worker."""
        return figures(self.administration.snapshots.measures())

    def details(self) -> dict[str, Details]:
        """Return the sources of details of the worker, by name."""
        return {"scripts": script_details(self.administration.snapshots.measures)}

    @property
    def is_ready(self) -> bool:
        """Whether the worker has started and takes requests."""
        return bool(self.running) and self._intake is not None and not self._watchdog.is_exhausted

    def readiness(self) -> list[Check]:
        """Return the conditions under which the worker is ready."""
        is_connected = self._client is not None and self._client.is_connected
        fault = self._client.fault if self._client is not None else ""
        alone = fault or f"no broker answers at {self._settings.broker_endpoint}"
        pause = "the worker is stopping" if not self.running else DRAINING if self.is_draining else None
        return [
            check("connection", None if is_connected else alone),
            check("pool", STUCK if self._watchdog.is_exhausted else None),
            check("intake", pause),
        ]

    def startService(self) -> None:
        """Start the pool, and offer the service as soon as the broker answers.

        :raises StoreError: the file of the key-value store cannot be used.
        :raises ConfigurationError: the keys for CURVE cannot be used.
        """
        super().startService()
        settings = self._settings
        if settings.curve_key is not None and settings.curve_server_key is not None:
            self._keys = load(settings.curve_key, settings.curve_server_key)
        self._kv = KeyValues(self._settings.kv_store, self._settings.kv_limit)
        self._call = Calls(
            self._kv,
            self._requester,
            process_partial=self._partial.add,
            flush_sends=self._partial.flush,
            is_sandboxed=self._settings.scripts_sandbox,
            limit=self._settings.scripts_limit,
            cancelled=self._cancellations.level,
        )
        self._network = self._make_network()
        self._pool.start()
        self._client = self._make_client(
            address_of("AW"),
            self._arrivals.take,
            cancelled=self._cancellations.cancel,
            takes_again=True,
        )
        self._address = to_octets(self._client.address)
        self._intake = Intake(self._reactor, self._client, self._settings.pool_size)
        mail = MailService(self._reactor, self._client, self.administration, lambda: self._settings.admin_open)
        self._arrivals.begin(self._intake, mail.received, self._address)
        self._intake.open()
        self._trace()
        self._summary_sender = SummarySender(self._reactor, self._client, self.administration.summary)
        self._summary_sender.start()
        self._membership = Membership(self._reactor, settings, self._client, self._joined, self._refused)
        self._membership.start()

    def _trace(self) -> None:
        """Record the runs of scripts, if spans are recorded."""
        if self._recording is not None and self._recording.provider is not None:
            service, endpoint = self._settings.service_address, self._settings.broker_endpoint
            tracing = RunTracing(self._recording.provider, service, endpoint, to_text(self._address))
            self._outcomes.tracing, self.intake.settled = tracing, tracing.settled

    def _joined(self) -> None:
        self._ready.callback(None)
        if self.is_draining:
            self.drain()
        if self._summary_sender is not None:
            self._summary_sender.tell()  # who asks the broker next is to find the worker
        self._log.info("Alaska worker ready (pool:{size})", size=self._settings.pool_size)

    # What an operator needs

    def when_ready(self) -> Deferred[None]:
        """Return a Deferred that fires when the broker has accepted the worker's offer."""
        return self._ready

    def drain(self) -> None:
        """Take no more requests; those that have not begun go back to the broker. The worker stays connected."""
        super().drain()
        if self._intake is None or not self._ready.called:
            return  # then _joined drains
        if not self._intake.can_return:
            self._log.warn("this broker takes no requests back: the worker runs all that it delivers, until it stops")
            return
        self._intake.pause(Pause.DRAINING)
        self._intake.return_to_broker(self._pool.withdraw())

    def resume(self) -> None:
        """Take requests again."""
        super().resume()
        if self._intake is not None:
            self._intake.resume(Pause.DRAINING)

    def status(self) -> str:
        """Return whether the worker is connected, and the numbers of its requests."""
        is_connected = self._client is not None and self._client.is_connected
        place = "connected" if is_connected else f"waiting for the broker at {self._settings.broker_endpoint}"
        measures = self.measures
        counts = f"{self._pool.pending} requests taken, {measures.executed} executed, {measures.failed} failed"
        return f"{place}, {counts}"

    def tasks(self) -> list[str]:
        """Return a line for each request that a thread has taken, with the time since it arrived."""
        now = monotonic()
        return [described(request, now) for request in self._pool.unfinished()]

    def _state(self) -> WorkerState:
        settings = self._settings
        return WorkerState(
            self._pool, self.measures, lambda: self._address, settings.service_address, settings.broker_endpoint,
            is_connected=lambda: self._client is not None and self._client.is_connected,
            is_draining=lambda: self.is_draining,
            drain=self.drain, resume=self.resume, size=settings.pool_size,
            connection=lambda: connection_of(self._client, self._intake),
            progress=self._progress, files=ScriptFiles(settings.scripts_dir), time_limit=settings.scripts_limit,
        )  # fmt: skip

    def _call_in_reactor(self, call: Callable[[], None]) -> None:
        """Make a call in the reactor, before the end of the request that the calling thread runs."""
        self._pool.tell(call)

    def _take_back(self, is_meant: Callable[[Request], bool]) -> list[Request]:
        return self._outcomes.take_retries(is_meant)

    def _tell_progress(self, request: Request, reason: bytes) -> None:
        if self._client is not None and request.lease is not None:
            self._client.send_progress(reason, request.session, request.lease)

    def _new_runner(self) -> Runner:
        assert self._call is not None, "the service is not started"
        return self._make_runner(self._call)

    def _make_sender(self, address: str) -> Client:
        client = self._make_client(address, drop, acts_for=self._address)
        client.knows_terms = True  # they are checked against the broker of the request
        return client

    def _make_requester(self, deliver: Callable[[Delivery], None]) -> Client:
        return self._make_client(address_of("AQ"), deliver, credit=0, acts_for=self._address)

    def _make_client(
        self,
        address: str,
        deliver: Callable[[Delivery], None],
        credit: int | None = None,
        acts_for: bytes = b"",
        cancelled: Callable[[Cancellation], None] | None = None,
        takes_again: bool = False,
    ) -> Client:
        settings = self._settings
        return Client(
            settings.broker_endpoint,
            address,
            username=settings.plain_username,
            password=settings.plain_password,
            curve=self._keys,
            deliver=deliver,
            credit=credit,
            network=self._network,
            reactor=self._reactor,
            acts_for=acts_for,
            takes_again=takes_again,
            cancelled=cancelled,
            spans=None if self._recording is None else self._recording.spans,
        )

    async def _stop(self) -> None:
        """Take no more requests, finish those received, and disconnect when the broker has all their messages."""
        self._watchdog.is_stopping = True
        if self._membership is not None:
            self._membership.stop()
        self._outcomes.cancel_retries()
        self.administration.stop()
        if self._summary_sender is not None:
            self._summary_sender.stop()
        if self._intake is not None and not self._intake.can_return:
            await self._disconnect_from_c_broker()
        elif self._intake is not None:
            self._intake.pause(Pause.STOPPING)
            self._intake.return_to_broker(self._pool.withdraw())
        service = self._settings.service_address.encode("utf-8", "surrogateescape")
        await finish_scripts(self._reactor, self._pool, self._requester, service, self._stop_seconds)
        self._watchdog.stop()
        self._progress.stop()
        await self._requester.close()
        settled = self._intake.settle() if self._intake is not None else succeed(None)
        # Settling needs the senders, and ends at the latest when they close, which has a timeout.
        await self._senders.close()
        await settled
        if self._client is not None:
            await self._client.close().addErrback(self._close_failed)
        if self._network is not None:
            self._network.close()
        if self._kv is not None:
            self._kv.close()

    async def _disconnect_from_c_broker(self) -> None:
        """Disconnect first: this broker does not redeliver, so the worker must run all requests that it still sends.

        They arrive before the broker's answer to the disconnect; if that does not come, shutdown continues.
        """
        assert self._client is not None
        await self._client.close(longest=self._stop_seconds).addErrback(self._close_failed)

    @property
    def _stop_seconds(self) -> float:
        return self._settings.stop_timeout / 1000

    def _close_failed(self, failure: Failure) -> None:
        failure.trap(ClientError)
        self._log.warn("{error}", error=failure.value)

    def stopService(self) -> Deferred[None]:
        """Finish running requests within ``worker/stop/timeout``; fires when the worker has disconnected."""
        super().stopService()
        return ensureDeferred(self._stop())

    def _submit(self, request: Request) -> None:
        if not self._watchdog.is_running:
            self._watchdog.start()
        self._pool.submit(request)
