"""The broker as a Twisted service, with its sockets, clock and store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from alaska import errors
from alaska.access import AccessRules
from alaska.admin import requests
from alaska.admin.families import Filled, one
from alaska.admin.health import Check
from alaska.admin.snapshots import Configuration, Done
from alaska.admin.text import to_text
from alaska.authentication import Attempt, Bind, Entry, Mechanism, Verdict
from alaska.broker import readiness
from alaska.broker.administration import Administration
from alaska.broker.broker import Broker
from alaska.broker.exposure import exposed
from alaska.broker.figures import SERVING, figures
from alaska.broker.in_flight import is_in_flight
from alaska.broker.limits import Limits
from alaska.broker.security import Security
from alaska.daemon.operated import OperatedService
from alaska.errors import OperationFailed
from alaska.interfaces import INetwork, IRouter, IStore, Reactor
from alaska.schedules.schedule import Plan

TICK_SECONDS = 0.05
OPERATION_SECONDS = 0.01
"""The interval between turns of an operation that takes several."""


class BrokerService(OperatedService):
    """Serves endpoints while it runs.

    The given functions create the sockets and the store when the service starts, which is after a daemon's fork. An
    endpoint that is only a text has no security. ``security`` decides about connections to those that have; it is
    loaded when the service starts.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        make_network: Callable[[], INetwork],
        make_store: Callable[[], IStore],
        endpoints: Sequence[str | Bind],
        limits: Limits,
        security: Security | None = None,
        domain: str | None = None,
        wall: Callable[[], float] = time.time,
        rules: AccessRules | None = None,
    ) -> None:
        self._reactor = reactor
        self._make_network = make_network
        self._make_store = make_store
        self._binds = [bind if isinstance(bind, Bind) else Bind(bind) for bind in endpoints]
        self._limits = limits
        self._security = security
        if security is not None:
            security.replaced = self._end_invalid_sessions
        self._domain = domain
        self._wall = wall
        self._rules = rules
        self._clock_offset = 0.0
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = reactor
        self._network: INetwork | None = None
        self._router: IRouter | None = None
        self._store: IStore | None = None
        self.broker: Broker | None = None
        self._continuation: IDelayedCall | None = None
        self._operating: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None
        self.plan = Plan()
        """The schedules of the settings; set it before the service starts."""
        self.configuration: Callable[[], Configuration | None] = lambda: None
        """Returns the settings in force, for administrators."""

    def figures(self) -> Deferred[Iterable[Filled]]:
        """Return the metrics of the broker; while it does not serve, there is only one, which says so."""
        administration = self.administration()
        serving: Filled = SERVING, one(self.serves)
        if administration is None:
            return succeed([serving])
        return administration.measures().addCallback(lambda measures: [serving, *figures(measures)])

    def administration(self) -> Administration | None:
        """Return the operations on the broker, or None while it does not serve."""
        return self.broker.administration if self.broker is not None and self.serves else None

    def is_in_flight(self, service: bytes, tracker: bytes) -> Deferred[bool]:
        """Return whether a worker has a request with this tracker; False while this process serves no broker."""
        administration = self.administration()
        if administration is None or self.broker is None:
            return succeed(False)
        return administration.turns.do(is_in_flight(self.broker.clients, service, tracker))

    def cancel_own(self, address: bytes, service: bytes, tracker: bytes, force: bool) -> Deferred[Done]:
        """Cancel the requests with a tracker that the client with an address has sent to a service.

        The Deferred fails with OperationFailed if there is none, or the client is not connected to this broker.
        """
        administration = self.administration()
        client = None if self.broker is None else self.broker.clients.by_address(address)
        if administration is None or client is None:
            return fail(OperationFailed("there is no broker at present", errors.CONNECTION_REFUSED))
        which = requests.Cancel(tracker=to_text(tracker), service=to_text(service), force=force)
        return administration.cancel_own(which, client, client.name)

    @property
    def serves(self) -> bool:
        """Whether the endpoints are served."""
        return self._store is not None

    def replace_rules(self, rules: AccessRules | None) -> None:
        """Replace the access rules; sessions are checked against the new ones (:meth:`Broker.replace_rules`)."""
        if rules != self._rules and self.broker is not None:
            self.broker.replace_rules(rules)
        self._rules = rules

    def replace_plan(self, plan: Plan) -> None:
        """Replace the schedules of the settings; see :meth:`Schedules.configure`."""
        if plan != self.plan and self.broker is not None and self.serves:
            self.broker.schedules.configure(plan)
        self.plan = plan

    def readiness(self) -> list[Check]:
        """Return the conditions under which the broker is ready."""
        if self._store is None:
            return readiness.waiting("", False)
        return readiness.serving(self._store, self.is_draining)

    def warnings(self) -> list[str]:
        """Return what an operator should change although the broker works."""
        administration = self.administration()
        return [] if administration is None else [*exposed(self._binds), *administration.warnings()]

    def decide(self, username: bytes, password: bytes, address: str) -> Deferred[Verdict]:
        """Decide about a login from an address that is not by ZeroMQ; nobody is granted one if none is required."""
        if self._security is None:
            return succeed(Verdict(Entry.REFUSED))
        decided: Deferred[Verdict] = Deferred()
        self._decide(self._security, Attempt(Mechanism.PLAIN, address, username, password), decided.callback)
        return decided

    def is_valid(self, login: str) -> bool:
        """Return whether a login that :meth:`decide` has accepted would be accepted again."""
        return self._security is not None and self._security.is_valid(login)

    def startService(self) -> None:
        """Serve the endpoints.

        :raises CannotBind: one of them cannot be bound.
        :raises StoreError: the store cannot be used.
        :raises ConfigurationError: passwords or keys cannot be loaded.
        """
        super().startService()
        if self._security is not None:
            self._security.start()
        self._serve()

    def _serve(self) -> None:
        self._network = self._make_network()
        try:
            if self._security is not None:
                self._network.authenticate(partial(self._decide, self._security))
            keys = None if self._security is None else self._security.server_keys
            self._router = self._network.router(self._binds, self._domain, self._limits.flow.messages, keys)
            self._router.start(self._received, self._send_failed)
            # After binding the endpoints: if another broker serves them, it also uses the store.
            self._store = self._make_store()
            self._clock_offset = self._store.opened_at - self._reactor.seconds()
            self.broker = Broker(self._router, self._limits, self._store, self._rules)
            self.broker.queues.is_draining = self.is_draining
            self.broker.schedules.configure(self.plan)
            self._connect_administration(self.broker, self._router)
            if self._security is not None:
                self.broker.sessions.is_valid = self._security.is_valid
        except Exception:
            self._close()
            raise
        self._ticks.start(TICK_SECONDS)
        self._log.info("Broker ready ({endpoints})", endpoints=", ".join(self._router.bound))
        for sentence in exposed(self._binds):
            self._log.warn("{sentence}", sentence=sentence)

    def configure(self, limits: Limits) -> None:
        """Change the limits of the running broker; see :meth:`Broker.configure`."""
        self._limits = limits
        if self.broker is not None:
            self.broker.configure(limits)

    def _connect_administration(self, broker: Broker, router: IRouter) -> None:
        outside = broker.outside
        outside.endpoints = lambda: router.bound
        if self._security is not None:
            outside.logins_refused = self._security.counters.refused
        outside.configuration = self.configuration
        outside.drain, outside.resume = self.drain, self.resume
        broker.administration.turns.on_more = self._continue_soon

    def _continue_soon(self) -> None:
        """Continue with operations that are done in turns; others get turns between them."""
        if self._operating is None:
            self._operating = self._reactor.callLater(OPERATION_SECONDS, self._continue_operations)

    def _continue_operations(self) -> None:
        self._operating = None
        if self.broker is not None and self._store is not None:
            turns = self.broker.administration.turns
            turns.tick()
            if turns:
                self._continue_soon()

    def drain(self) -> None:
        """Refuse new requests, except those of scripts that run.

        What waits is delivered; mail and streams are accepted.
        """
        super().drain()
        if self.broker is not None:
            self.broker.queues.is_draining = True

    def prepare_to_stop(self) -> None:
        """Refuse new requests that would be lost when the broker stops: without a store, nobody would know."""
        if self.broker is not None and self._store is not None and not self._store.is_durable:
            self.broker.queues.is_draining = True

    def resume(self) -> None:
        """Accept requests again."""
        super().resume()
        if self.broker is not None:
            self.broker.queues.is_draining = False

    def status(self) -> str:
        """Return the numbers of clients, commands, deliveries and dead letters."""
        administration = self.administration()
        if administration is None:
            return "another broker serves the endpoint"
        overview = administration.overview()
        totals = overview.totals
        return (
            f"{overview.clients} clients, {totals.commands} commands received, "
            f"{totals.delivered} messages delivered, {totals.dead_lettered} dead letters"
        )

    def stopService(self) -> None:
        """Close the endpoints and the store; messages that were sent before still reach the clients."""
        if self._ticks.running:
            self._ticks.stop()
        self._close()
        super().stopService()

    def _close(self) -> None:
        """Close the store before the endpoints: the next broker that binds the endpoints can open the store."""
        try:
            if self.broker is not None:
                # While the answers can still be sent, and stored.
                self.broker.administration.end()
                self.broker.administration.backups.close()
                if self._store is not None:
                    self.broker.close()
            if self._store is not None:
                self._store.close()
        finally:
            if self._router is not None:
                self._router.close()
            if self._network is not None:
                self._network.close()
            self._store = self._router = self._network = None
            for call in (self._continuation, self._operating, self._turn):
                if call is not None:
                    call.cancel()
            self._continuation = self._operating = self._turn = None

    def _now(self) -> float:
        """Return the broker's time: that of the store when it was opened, continued by the reactor's clock."""
        return self._reactor.seconds() + self._clock_offset

    def _decide(self, security: Security, attempt: Attempt, answer: Callable[[Verdict], None]) -> None:
        security.decide(attempt, self._reactor.seconds(), answer)

    def _end_invalid_sessions(self) -> None:
        """End the sessions of connections whose passwords or keys have been removed or changed."""
        if self.broker is not None:
            self.broker.sessions.end_invalid(self._now())

    def _send_failed(self, peer: bytes, is_full: bool) -> None:
        if self.broker is not None:
            self.broker.send_failed(peer, is_full)

    def _received(self, peer: bytes, frames: list[bytes]) -> int:
        if self.broker is None:
            return 1
        # As self._now(), without the call.
        seconds = self._reactor.seconds
        count = self.broker.received(peer, frames, seconds() + self._clock_offset, seconds)
        if self.broker.batches and self._continuation is None:
            self._continuation = self._reactor.callLater(0, self._continue_batches)
        return count

    def _continue_batches(self) -> None:
        self._continuation = None
        if self.broker is not None and self._store is not None:
            self.broker.continue_batches(self._now(), self._reactor.seconds)
            if self.broker.batches:
                self._continuation = self._reactor.callLater(0, self._continue_batches)

    def _continue_turns_soon(self) -> None:
        if self.broker is not None and self._turn is None and (seconds := self.broker.queues.next_turn) is not None:
            self._turn = self._reactor.callLater(seconds, self._continue_turns)

    def _continue_turns(self) -> None:
        """Continue with what a tick has left, without waiting for the next one."""
        self._turn = None
        if self.broker is not None and self._store is not None:
            self.broker.continue_turns(self._now())
            self._continue_turns_soon()

    def _tick(self) -> None:
        if self.broker is not None:
            try:
                self.broker.tick(self._now(), self._wall())
                if self._security is not None:
                    self._security.tick(self._reactor.seconds())
                self._continue_turns_soon()
            except Exception:  # LoopingCall stops when a call raises, and then no client would expire.
                self._log.failure("a tick of the broker failed")
