"""The broker's rules: the effect of each command of each client, without sockets and clocks.

A :class:`Broker` is called with the received frames and the time, and sends through the router that it is given.
:data:`alaska.mlm.session.TABLE` maps commands to actions, each of which is a method here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from alaska import errors
from alaska.access import AccessRules, Level, Verb
from alaska.broker import admin_service
from alaska.broker.access_control import AccessControl, refusal
from alaska.broker.admin_service import AdminService
from alaska.broker.administration import Administration
from alaska.broker.batches import Batches, Clock
from alaska.broker.bindings import Bindings
from alaska.broker.broker_state import BrokerState, Outside
from alaska.broker.clients import Client, Clients
from alaska.broker.counters import Counters
from alaska.broker.dead_letter_service import ACCESS_REFUSED, ADDRESS, DeadLetterService, level_of
from alaska.broker.flow_control import Flows
from alaska.broker.limits import Limits
from alaska.broker.liveness import Liveness
from alaska.broker.offered_bindings import OfferedBindings
from alaska.broker.pattern_admission import PatternAdmission
from alaska.broker.pattern_limits import PatternKey, PatternLimits
from alaska.broker.queues import Queues
from alaska.broker.reading import Reading
from alaska.broker.recheck import end_what_is_refused
from alaska.broker.schedules import Schedules
from alaska.broker.sessions import Sessions
from alaska.broker.streams import Streams
from alaska.interfaces import IRouter, IStore
from alaska.message import QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.session import TABLE, Action, State

MAX_CREDIT = 2**31
STORE_ERROR_SECONDS = 60.0


class Broker:
    """Connects clients, streams, queues and the store.

    The ``router`` sends commands to connections. Without ``rules``, all clients may do everything. Times are seconds
    of one clock and passed with each call.
    """

    _log = Logger()

    def __init__(self, router: IRouter, limits: Limits, store: IStore, rules: AccessRules | None = None) -> None:
        self._now, self._store_error_logged_at = 0.0, float("-inf")
        self._router = router
        self._has_users = bool(router.has_users)
        self._dead_letters_are_open = limits.dead_letters.is_open
        self.counters = Counters()
        self._pattern_limits = PatternLimits(limits.patterns_of_one, limits.patterns, limits.patterns_of_name)
        self._patterns = PatternAdmission(self._pattern_limits, self.counters)
        self.flows = Flows(limits.flow)
        self.clients = Clients()
        self.access = AccessControl(rules, self.counters, {ADDRESS, admin_service.ADDRESS})
        self._liveness = Liveness(self.clients, limits.client_timeout)
        self.streams = Streams(store, limits, self._report_store_error)
        self.queues = Queues(self.clients, self.counters, store, limits, self._report_store_error)
        self._reading = Reading(self.streams, self._patterns, self._pattern_limits, self.access)
        self.sessions = Sessions(
            router, limits, self.counters, self.clients, self.flows, self.access, self.streams, self.queues,
            self._pattern_limits,
        )  # fmt: skip
        self.batches = Batches(self._execute, self._end_for_error, router)
        self.sessions.ended = self.batches.remove
        self._dead_letter_service = DeadLetterService(self.queues)
        self.bindings = Bindings(store, self.streams, self.queues, limits, lambda: self._now)
        self._binding = OfferedBindings(self.bindings, self.access, self._patterns)
        self.schedules = Schedules(store, self.queues, self.counters)
        self.outside = Outside()
        self._state = BrokerState(
            self.clients, self.queues, self.streams, self.counters, self.flows, store, limits, self.schedules,
            self.bindings, self._close_for_administrator, outside=self.outside,
        )  # fmt: skip
        self.administration = Administration(self._state)
        self._admin_service = AdminService(
            self.administration, self.queues, self.counters, self._refusal_to_administer, self._binding.may_perform
        )
        self._admin_service.may_administer = self._may_administer
        store.on_ready(self._continue_reading)
        store.on_added(self._message_added)
        self._initial_wall_offset: float | None = None
        self._methods = self._methods_of_commands()
        self._checked = self.access.checked(self._methods)

    def _methods_of_commands(self) -> dict[type[mlm.Command], Callable[[Client, Any], None]]:
        methods: dict[Action, Callable[[Client, Any], None]] = {
            Action.PONG: self._pong,
            Action.CLOSE: self._close,
            Action.WRITE: self._write,
            Action.READ: self._reading.read,
            Action.SEND_STREAM: self._send_stream,
            Action.SEND_MAILBOX: self._send_mailbox,
            Action.SEND_SERVICE: self._send_service,
            Action.OFFER: self._offer,
            Action.CREDIT: self._credit,
            Action.CONFIRM: self._confirm,
            Action.CANCEL: self._reading.cancel,
            Action.REPLAY: self._reading.replay,
        }
        return {command: methods[action] for command, action in TABLE[State.OPEN].items()}

    def configure(self, limits: Limits) -> None:
        """Change the limits for what happens from now on; the retention of streams stays as it is."""
        self.sessions.configure(limits)
        self._dead_letters_are_open = limits.dead_letters.is_open
        self._pattern_limits.configure(limits.patterns_of_one, limits.patterns, limits.patterns_of_name)
        self.flows.limits = limits.flow
        self._liveness.timeout = limits.client_timeout
        self._state.limits = limits
        self.streams.configure(limits)
        self.queues.configure(limits)
        self.bindings.configure(limits)

    def close(self) -> None:
        """Store what is otherwise stored now and then; the store may be closed afterwards."""
        self.streams.durable.save_all()
        self.bindings.save_all()
        self.administration.history.save(self._now)

    # Events

    def received(self, peer: bytes, frames: list[bytes], now: float, clock: Clock = lambda: 0.0) -> int:
        """Execute the commands in a message of a peer, and return how many these are.

        If a BATCH takes too long by the ``clock``, :meth:`continue_batches` continues with it. Nothing that a peer can
        send makes this raise.
        """
        self._now = now
        client = self.clients.by_peer(peer)
        if client is not None and self._has_users and self._router.user_of(peer) != client.user:
            self.sessions.end_for_other_user(client, now)
            client = None
        if client is None:
            if not self.flows.is_stalled(peer):
                self.sessions.received_before_open(peer, frames, now)
            return 1
        client.last_heard = now
        return self.batches.received(client, frames, clock)

    def continue_batches(self, now: float, clock: Clock) -> None:
        """Continue with the batches that are not executed yet (``batches``)."""
        self._now = now
        self.batches.resume(clock)

    def continue_turns(self, now: float) -> None:
        """Continue with what the last tick has left of the queues (``queues.next_turn``)."""
        self._now = now
        try:
            self.queues.continue_turns(now)
        except errors.StoreError as error:
            self._report_store_error(error)

    def _execute(self, client: Client, command: mlm.Command) -> None:
        self.counters.received += 1
        method = self._checked.get(type(command))
        if method is None:
            self.sessions.end_for_invalid(client, command, self._now)
            return
        try:
            if client.held_until is None:
                method(client, command)
                return
            if not isinstance(command, mlm.Credit | mlm.ConnectionClose):
                # The C broker delivers it at OPEN, so it must come before the effects of this command.
                self.sessions.release_mail(client, self._now)
            method(client, command)
            if client.held_until is not None:
                self.sessions.release_mail(client, self._now)
        except errors.StoreError as error:
            # The command has taken effect in memory; delivery continues when the store can be read again.
            self._report_store_error(error)

    def send_failed(self, peer: bytes, is_full: bool = False) -> None:
        """Record that a message to a peer could not be sent; the next tick removes the client.

        Either the connection does not exist any more, or (``is_full``) the client does not read and ZeroMQ's queue for
        it is full.
        """
        client = self.clients.by_peer(peer)
        if client is not None:
            client.is_disconnected = True
            client.ignores_replies = is_full

    def tick(self, now: float, wall: float | None = None) -> None:
        """Do what is due: release held mail, expire messages and clients, trim streams and dead letters.

        To be called several times a second with the broker's time, which is monotonic, and the wall-clock time, if
        known, which is used for the times of records and dead letters.
        """
        self._now = now
        if not self._state.started:
            self._state.started = now
        self.administration.tick(now)
        self._admin_service.tick()
        self.access.tick(now)
        if wall is not None:
            self.queues.wall_offset = wall - now
            self._initial_wall_offset = wall - now if self._initial_wall_offset is None else self._initial_wall_offset
        self._liveness.ticked(now)
        self.sessions.tick(now)
        try:
            self.queues.tick(now)
            if wall is not None:
                self.schedules.tick(now, wall)
            # If the wall clock was set forward, that does not count as age until the broker is restarted.
            wall_now = now + min(self.queues.wall_offset, self._initial_wall_offset or 0.0)
            self.queues.dead_letters.tick(wall_now)
            self.streams.durable.tick(now, now + self.queues.wall_offset)
            self.streams.tick(wall_now)
            self.bindings.tick(now)
        except errors.StoreError as error:
            self._report_store_error(error)
        self._resume_clients(now)
        for client in self.batches.clients():
            # It may send nothing more before the broker has executed what it has sent.
            client.last_heard = now
        for client, cause in self._liveness.lost(now):
            self.sessions.end(client, cause, now)

    def _resume_clients(self, now: float) -> None:
        """Resume deliveries to clients that were full and have read some of their messages."""
        for flow in self.flows.tick(now):
            client = self.clients.by_peer(flow.peer)
            if client is None:
                continue
            client.recheck_is_full()
            try:
                self._dispatch_to(client)
            except errors.StoreError as error:
                self._report_store_error(error)

    def _message_added(self, queue: QueueName) -> None:
        """Deliver a message that another broker has added to a shared store."""
        self.queues.expect_more(queue)
        self._continue_reading(queue)

    def _continue_reading(self, name: QueueName | bytes) -> None:
        """Continue with a queue or stream after the store has fetched its data."""
        try:
            if isinstance(name, QueueName):
                self.queues.continue_reading(name, self._now)
            else:
                self.streams.continue_reading(name)
        except errors.StoreError as error:
            self._report_store_error(error)

    def _dispatch_to(self, client: Client) -> None:
        self.streams.feed(client)
        if client.held_until is None:
            self.queues.dispatch_to(client, self._now)

    def _end_for_error(self, client: Client, error: errors.ProtocolError | errors.Refused) -> None:
        self.sessions.end_for_error(client, error, self._now)

    def _report_store_error(self, error: errors.StoreError) -> None:
        self.counters.store_errors += 1
        # Reading is retried at every tick, but the error is logged once a minute.
        if self._now - self._store_error_logged_at >= STORE_ERROR_SECONDS:
            self._store_error_logged_at = self._now
            self._log.error("{error}", error=error)

    # Access rules

    def replace_rules(self, rules: AccessRules | None) -> None:
        """Replace the access rules; end addresses, offers and readers that the new rules do not allow.

        The session of a client that may now have an offer or a reader that it did not get ends, so that it opens again.
        """
        self.access.replace(rules)
        self._checked = self.access.checked(self._methods)
        for client in self.clients:
            self.access.enter(client)
            if self.access.has_gained(client):
                self.sessions.end_with_error(client, errors.COMMAND_INVALID, self._now)
                continue
            end_what_is_refused(client, self.access, self.streams, self.queues, self._pattern_limits)
            address = b"" if client.is_replaced else client.address
            if address and not self.access.may_keep(client, Verb.OPEN, address):
                refused = mlm.Error(errors.ACCESS_REFUSED, refusal(client.user, Verb.OPEN, address))
                self.sessions.lose_address(client, refused, "access", self._now)
                client.address = b""

    # Sessions

    def _close(self, client: Client, _command: mlm.ConnectionClose) -> None:
        client.send(mlm.Ok(errors.SUCCESS, b""))
        self.sessions.end(client, "closed", self._now)

    def _pong(self, client: Client, _command: mlm.ConnectionPing) -> None:
        client.send(mlm.ConnectionPong())

    # Streams

    def _write(self, client: Client, command: mlm.StreamWrite) -> None:
        client.stream = command.stream
        client.send(mlm.Ok(errors.SUCCESS, b""))

    def _send_stream(self, client: Client, command: mlm.StreamSend) -> None:
        if client.stream is None:
            self.counters.invalid += 1
            client.send(mlm.Error(errors.FAILED, b""))
            self.sessions.end(client, "error", self._now)
            return
        time = self._now + self.queues.wall_offset
        self.counters.delivered += self.streams.publish(client.stream, client, command, time)

    # Mailboxes and services

    def _send_mailbox(self, client: Client, command: mlm.MailboxSend) -> None:
        self.queues.send_mailbox(client, command, self._now)

    def _send_service(self, client: Client, command: mlm.ServiceSend) -> None:
        if command.address == ADDRESS:
            refused = self._refusal_to_administer(client, level_of(command.subject), True)
            self._dead_letter_service.received(client, command, refused, self._now)
        elif command.address == admin_service.ADDRESS:
            self._admin_service.received(client, command, self._now)
        else:
            self.queues.send_service(client, command, self._now)

    def _refusal_to_administer(self, client: Client, level: Level, is_about_letters: bool) -> str:
        """Return why the client of the command that is being executed may not administer the broker, or nothing.

        This is where that is decided for all requests in-band; HTTP decides about its users itself.
        """
        if self.access.is_active:
            return self.access.refusal_to_administer(client, level)
        # Without rules, each program on this machine can connect, too, and do everything with addresses and services.
        origin = self.batches.origin
        is_allowed = origin.is_local or self._dead_letters_are_open if is_about_letters else origin.is_on_machine
        if is_allowed:
            return ""
        self.counters.access_refused += 1
        return ACCESS_REFUSED if is_about_letters else admin_service.REFUSED

    def _may_administer(self, client: Client, level: Level) -> bool:
        """Return the same for operations that are not about dead letters; nothing is counted."""
        if self.access.is_active:
            return self.access.may(client.user, Verb.ADMIN, level.name.lower().encode())
        return self.batches.origin.is_on_machine

    def _close_for_administrator(self, client: Client) -> None:
        """End the session of a client, which may open another one."""
        reason = b"an administrator has closed the session"
        self.sessions.end_with_error(client, errors.COMMAND_INVALID, self._now, "admin", reason)

    def _offer(self, client: Client, command: mlm.ServiceOffer) -> None:
        if command.properties and not self._binding.bind_offered(client, command):
            return
        pattern = self._patterns.admit(client, PatternKey(False, command.address, command.pattern))
        if pattern is not None:
            self.queues.offer(command.address, client, pattern)
            client.send(mlm.Ok(errors.SUCCESS, b""))
            self.queues.dispatch_to(client, self._now)

    # Credit and confirmation

    def _credit(self, client: Client, command: mlm.Credit) -> None:
        client.add_credit(command.amount, MAX_CREDIT)
        client.recheck_is_full()
        self._dispatch_to(client)

    def _confirm(self, client: Client, command: mlm.Confirm) -> None:
        if not self.queues.confirm(client, command, self._now):
            if not self._reading.confirm(client, command):
                self.counters.invalid += 1
            return
        if client.is_full:
            client.recheck_is_full()
            self._dispatch_to(client)
        if self.bindings.behind:
            self.bindings.refill()
