"""The worker as a Twisted service: from a request to its script, and from the script to what it sends."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial
from time import monotonic

from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska import errors
from alaska.client import Client, Delivery, to_octets
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, ClientError, ScriptError, ScriptNotFound
from alaska.interfaces import INetwork, Reactor
from alaska.lua.files import Version
from alaska.lua.request import Broken, Call, Outcome, Request, Send, SendKind
from alaska.names import address_of, printable
from alaska.pool.pool import MakePool, Pool, Runner
from alaska.store.kv import KeyValues
from alaska.system.events import Repeated, Silent
from alaska.worker.asking import Asking
from alaska.worker.calls import Calls, check_service
from alaska.worker.intake import Intake
from alaska.worker.output import Output
from alaska.worker.reports import report, shown
from alaska.worker.senders import Senders, Sink
from alaska.worker.underway import UnderWay

DRAIN_SECONDS = 10.0
ERROR_SENDER = b"EP"
CARE_SECONDS = 0.04
FIRST_BACKOFF_SECONDS = 1.0
MOST_BACKOFF_SECONDS = 300.0
ASK_SECONDS = 2.0
MOST_LISTED = 10
"""So long scripts may wait for the answers of other services when the worker stops."""
NOT_TOLD = "the worker failed to tell what came of it, its log says why"
NO_HURRY_MS = 60_000
"""How long a broker that may take any time is waited for before the log says so."""


class WorkerService(Service):
    """Offers a service and runs a script for each request.

    ``make_network`` and ``make_runner`` are called when the service has started, behind the fork of a daemon; the
    latter is given what answers the questions of scripts.
    ``refused`` is called when the broker will not have this worker, or there can be none at its endpoint; the worker
    then has nothing left to do.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        settings: WorkerSettings,
        make_network: Callable[[], INetwork],
        make_runner: Callable[[Call], Runner],
        refused: Callable[[AlaskaError], None],
        make_pool: MakePool = Pool,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._make_network = make_network
        self._output = Output()
        self._refused = refused
        self._network: INetwork | None = None
        self._client: Client | None = None
        self._senders = Senders(self._make_sender)
        self._asking = Asking(reactor, self._make_asker, settings.pool_size)
        self._kv: KeyValues | None = None
        self._call: Call | None = None
        self._make_runner = make_runner
        self._pool = make_pool(reactor, settings.pool_size, self._new_runner, self._finished, settings.scripts_limit)
        self._under_way = UnderWay(reactor, self._pool.tell, self._let_out)
        self._reported: dict[bytes, Version] = {}
        self._intake: Intake | None = None
        self._address = b""
        self._is_exhausted = False
        self._retries: dict[IDelayedCall, tuple[Request, ScriptError]] = {}
        self._care = LoopingCall(self._look_after_pool)
        self._care.clock = reactor
        log = partial(Repeated, self._log) if settings.log_requests else lambda _words: Silent()
        self._requested: Repeated | Silent = log("[SREQ]( address: {address}, subject: {subject}, sender: {sender} )")
        self._mailed = log("[MBOX]( subject: '{subject}', mailbox: '{topic}' )")
        self._published = log("[STRM]( subject: '{subject}', topic: '{topic}' )")
        self._asked = log("[SERV]( subject: '{subject}', service: '{topic}' )")
        self._replied = log("[RPLY]( subject: '{subject}', mailbox: '{sender}' )")
        self.executed = 0
        self.failed = 0

    @property
    def intake(self) -> Intake:
        """What the worker asks of its broker, once it has started."""
        assert self._intake is not None
        return self._intake

    @property
    def is_ready(self) -> bool:
        """Whether the worker has started, and should be given requests."""
        return bool(self.running) and self._intake is not None and not self._is_exhausted

    def startService(self) -> None:
        """Start the pool, and offer the service as soon as the broker is there.

        :raises StoreError: the file of the key-value store cannot be used.
        """
        super().startService()
        self._kv = KeyValues(self._settings.kv_store, self._settings.kv_limit)
        told, arrive = self._under_way.told, self._under_way.arrive
        self._call = Calls(
            self._kv, self._asking, told=told, arrive=arrive, is_sandboxed=self._settings.scripts_sandbox
        )
        self._network = self._make_network()
        self._pool.start()
        self._client = self._make_client(address_of("AW"), self._take)
        self._address = to_octets(self._client.address)
        self._intake = Intake(self._reactor, self._client, self._settings.pool_size)
        self._intake.open()
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

    def _new_runner(self) -> Runner:
        assert self._call is not None, "the service is not started"
        return self._make_runner(self._call)

    def _make_sender(self, address: str) -> Client:
        return self._make_client(address, self._unread)

    def _make_asker(self, deliver: Callable[[Delivery], None]) -> Client:
        return self._make_client(address_of("AQ"), deliver, credit=0)

    def _unread(self, delivery: Delivery) -> None:
        """Drop mail for an address that scripts only send from."""
        names = {"address": printable(delivery.address), "sender": printable(delivery.sender)}
        self._log.debug("dropped mail from {sender}: nobody reads {address}", **names)

    def _make_client(
        self, address: str, deliver: Callable[[Delivery], None] | None = None, credit: int | None = None
    ) -> Client:
        settings = self._settings
        return Client(
            settings.broker_endpoint,
            address,
            username=settings.plain_username,
            password=settings.plain_password,
            deliver=deliver,
            credit=credit,
            network=self._network,
            reactor=self._reactor,
        )

    async def _stop(self) -> None:
        """Take no more requests, finish those taken, and leave when the broker has all that they sent."""
        self._end_retries()
        if self._client is not None and not self._can_hand_back:
            # What a broker does not take back has to be finished; a broker that says no goodbye must not cost it. Its
            # goodbye comes behind all that it has sent.
            await self._client.close(longest=DRAIN_SECONDS).addErrback(self._without_goodbye)
        elif self._intake is not None:
            self._intake.stop()
            self._intake.hand_back(self._pool.withdraw())
        self._say_what_runs()
        late = self._reactor.callLater(DRAIN_SECONDS, self._abandon)
        unanswered = self._reactor.callLater(ASK_SECONDS, self._asking.close)
        await self._pool.stop()
        for call in (late, unanswered):
            if call.active():
                call.cancel()
        if self._care.running:
            self._care.stop()
        await self._asking.close()
        settled = self._intake.settle() if self._intake is not None else succeed(None)
        # That ends, one way or the other, with those who send, and for them a broker that is away has its time.
        await self._senders.close()
        await settled
        if self._client is not None:
            await self._client.close().addErrback(self._without_goodbye)
        if self._network is not None:
            self._network.close()
        if self._kv is not None:
            self._kv.close()

    def _end_retries(self) -> None:
        """Run nothing again; a broker that takes a request back has others run it, else it has failed now."""
        retries, self._retries = self._retries, {}
        for retry, (request, error) in retries.items():
            retry.cancel()
            if not self._can_hand_back:
                self._fail(request, error)

    def _without_goodbye(self, failure: Failure) -> None:
        failure.trap(ClientError)
        self._log.warn("{error}", error=failure.value)

    def _say_what_runs(self) -> None:
        running = self._pool.unfinished()
        if running:
            self._log.info(
                "stopping; waits at most {seconds:g} s for {count} running scripts: {subjects}",
                seconds=DRAIN_SECONDS,
                count=len(running),
                subjects=_listed(running),
            )

    def _abandon(self) -> None:
        subjects = _listed(self._pool.unfinished())
        self._log.error("{count} requests are left undone: {subjects}", count=self._pool.abandon(), subjects=subjects)

    def stopService(self) -> Deferred[None]:
        """Finish what was taken, within ten seconds; the Deferred fires when the worker is gone."""
        super().stopService()
        return ensureDeferred(self._stop())

    # One request's way

    def _take(self, delivery: Delivery) -> None:
        command = delivery.command
        address, sender, subject = command.address, command.sender, command.subject
        tracker, session = delivery.tracker_octets, delivery.session
        request = Request(sender, address, subject, tracker, command.content, 1, session, self._address, monotonic())
        intake = self.intake
        if not intake.is_asking:
            # What is left of the credit is used up by this, and the request is with somebody else the sooner.
            intake.decline(request)
            return
        intake.taken()
        self._requested.log(address=printable(address), subject=printable(subject), sender=printable(sender))
        self._submit(request)

    def _submit(self, request: Request) -> None:
        if not self._care.running:
            # Before there is something to look after, so that the time until now does not count.
            self._pool.watch(self._reactor.seconds())
            self._care.start(CARE_SECONDS, now=False)
        self._pool.submit(request)

    def _let_out(self, request: Request, outcome: Outcome, uses: Callable[[Sink], None]) -> ScriptError | None:
        """Show, log and send what a script has left; return what kept something from being sent, if anything did."""
        self._output.write(request, outcome)
        error = None
        for send in outcome.sends:
            error = self._send(send, request, uses) or error
        return error

    def _finished(self, request: Request, outcome: Outcome | None) -> None:
        self.executed += 1
        if outcome is None:
            outcome = Outcome(error=ScriptError("the worker failed to run it, its log says why"))
        try:
            self._tell(request, outcome)
        except Exception:  # Whatever went wrong, a request that is not confirmed would stay with this worker for ever.
            self._log.failure("what came of {subject} could not be told", subject=printable(request.subject))
            self.failed += 1
            self.intake.ended(request, errors.INTERNAL_ERROR, NOT_TOLD)

    def _tell(self, request: Request, outcome: Outcome) -> None:
        """Show, log and send what a script has left, and confirm its request or run it again."""
        intake = self.intake
        intake.ran(outcome.seconds)
        error = self._let_out(request, outcome, intake.uses) or outcome.error
        self._output.ended(request)
        left = self._under_way.ended(request)
        if left is not None:
            for sender in left.senders:
                intake.uses(sender)
            error = left.error or error
        if outcome.broken is not None:
            self._report_broken(request, outcome.broken)
        if error is None:
            intake.ended(request, errors.SUCCESS, "")
        elif request.attempt <= self._settings.errors_retries and not isinstance(error, ScriptNotFound):
            self._run_again(request, error)
        else:
            self._fail(request, error)

    def _fail(self, request: Request, error: ScriptError) -> None:
        """Give a request up for good."""
        self.failed += 1
        try:
            self._report(request, error)
        except Exception:  # Its sender has to hear of it all the same.
            self._log.failure("that {subject} failed could not be reported", subject=printable(request.subject))
        self.intake.ended(request, error.status, error.message)

    def _run_again(self, request: Request, error: ScriptError) -> None:
        """Run a script that failed once more, later and later; the request stays with this worker meanwhile."""
        delay = backoff(request.attempt, random.random())  # noqa: S311  # the spread of retries is no secret
        self._log.warn(
            "{subject} failed, attempt {attempt}, and is run again in {delay:.1f} s: {text}",
            subject=printable(request.subject),
            attempt=request.attempt,
            delay=delay,
            text=printable(error.message),
        )
        again = request._replace(attempt=request.attempt + 1, arrived=math.inf)

        def run() -> None:
            del self._retries[retry]
            self.intake.wakes()
            self._submit(again)

        retry = self._reactor.callLater(delay, run)
        self._retries[retry] = request, error
        self.intake.rests()

    @property
    def _can_hand_back(self) -> bool:
        """Whether the broker lets others run what this worker does not: otherwise all that it gives must be run."""
        return self._client is not None and "confirm" in self._client.capabilities

    def _look_after_pool(self) -> None:
        """Replace stuck threads, and hand back what waits for threads that are all busy for long.

        That ends when there is nothing to look after; the next request begins it again.
        """
        self._pool.watch(self._reactor.seconds())
        if not self.running:
            return
        if self._pool.is_exhausted is not self._is_exhausted:
            self._is_exhausted = self._pool.is_exhausted
            self._pause() if self._is_exhausted else self._resume()
        is_stuck = self.intake.look()
        if self._can_hand_back and (is_stuck or self._is_exhausted):
            self.intake.hand_back(self._pool.withdraw())
        if not self._pool.pending and not self._is_exhausted:
            self._care.stop()

    def _pause(self) -> None:
        self._log.critical(
            "too many scripts hold threads that nothing can end: the worker takes no more requests until some have "
            'ended or it is started again; with worker/pool/isolation = "process" they would be killed'
        )
        if self._can_hand_back:
            self.intake.stop()

    def _resume(self) -> None:
        self._log.info("enough of the stuck threads have ended: the worker takes requests again")
        if self._can_hand_back:
            self.intake.resume()

    def _report(self, request: Request, error: ScriptError) -> None:
        """Log that a script failed, and mail it."""
        self._log.error("{subject} failed: {text}", subject=printable(request.subject), text=shown(error))
        if self._settings.errors_notify:
            mailbox = self._settings.errors_mailbox.encode()
            mail = Send(SendKind.MAILBOX, mailbox, request.subject, report(request, error), ERROR_SENDER)
            self._send(mail, request, self.intake.uses)

    def _report_broken(self, request: Request, broken: Broken) -> None:
        """Say that an older version of a script is run, once for each version that is broken."""
        if self._reported.get(request.subject) != broken.version:
            self._reported[request.subject] = broken.version
            error = broken.error
            text = f"{error.message}\n(the last good version of this script goes on)"
            self._report(request, ScriptError(text, file=error.file, line=error.line))

    def _send(self, send: Send, request: Request, uses: Callable[[Sink], None]) -> ScriptError | None:
        """Send what a script wants sent; return what kept it from being sent, if anything did."""
        if send.kind is SendKind.REPLY:
            return self._reply(send, request, uses)
        names = {"subject": printable(send.subject), "topic": printable(send.topic)}
        try:
            client = self._senders.named(send.sender)
            if send.kind is SendKind.MAILBOX:
                client.send_to(send.topic, send.subject, *send.content)
                self._mailed.log(**names)
            elif send.kind is SendKind.SERVICE:
                check_service(send.topic or request.address, self._settings.scripts_sandbox)
                client.send_for(send.topic or request.address, send.subject, *send.content)
                names["topic"] = printable(send.topic or request.address)
                self._asked.log(**names)
            else:
                client.publish(send.topic, send.subject, *send.content)
                self._published.log(**names)
        except AlaskaError as error:
            self._log.error("what a script sent to {topic} is lost: {error}", error=error, **names)
            return ScriptError(f"what it sent to {names['topic']} is lost: {error}")
        uses(client)
        return None

    def _reply(self, send: Send, request: Request, uses: Callable[[Sink], None]) -> ScriptError | None:
        """Mail an answer to who sent the request; one without an address has no mailbox, and gets none."""
        names = {"subject": printable(request.subject), "sender": printable(request.sender)}
        if not request.sender:
            self._log.debug("the answer of {subject} is dropped: its sender has no address", **names)
            return None
        try:
            client = self._senders.named(send.sender)
            client.send_to(request.sender, request.subject, *send.content, tracker=request.sender_tracker)
        except AlaskaError as error:
            self._log.error("the answer of {subject} to {sender} is lost: {error}", error=error, **names)
            return ScriptError(f"its answer to {names['sender']} is lost: {error}")
        self._replied.log(**names)
        uses(client)
        return None


def _listed(requests: list[Request]) -> str:
    """Return the subjects of requests, each once and not too many of them."""
    subjects = list(dict.fromkeys(printable(request.subject) for request in requests))
    return ", ".join(subjects[:MOST_LISTED]) + (", ..." if len(subjects) > MOST_LISTED else "")


def backoff(attempt: int, chance: float) -> float:
    """Return how many seconds to wait after a failed attempt, the first being 1; chance is from 0 to 1."""
    longest = min(MOST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(attempt - 1, 30))
    # Half of it is left to chance, so that what failed together is not run together again.
    return longest * (0.5 + chance / 2)
