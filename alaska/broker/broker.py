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
from alaska.broker.broker_state import BrokerState, Outside
from alaska.broker.clients import Client, Clients
from alaska.broker.counters import Counters
from alaska.broker.dead_letter_service import ADDRESS, DeadLetterService, level_of
from alaska.broker.flow_control import Flows
from alaska.broker.limits import Gauge, Limits, QueueLimits
from alaska.broker.liveness import Liveness
from alaska.broker.pattern_admission import PatternAdmission
from alaska.broker.pattern_limits import PatternKey, PatternLimits
from alaska.broker.queues import Queues
from alaska.broker.recheck import end_what_is_refused
from alaska.broker.streams import Streams
from alaska.interfaces import IRouter, IStore
from alaska.message import QueueName
from alaska.mlm import commands as mlm
from alaska.mlm import properties
from alaska.mlm.codec import decode
from alaska.mlm.session import TABLE, Action, State
from alaska.system.events import should_log

CAPABILITIES = b"alaska/1 credit confirm replay"
SECOND_EDITION = b" batch properties admin"
"""Further capabilities, for clients that announce any of them."""
MAX_CREDIT = 2**31
INVALID_LOGIN = b"the password or key of this connection is not valid any more"
STORE_ERROR_SECONDS = 60.0


class Broker:
    """Connects clients, streams, queues and the store.

    The ``router`` sends commands to connections. Without ``rules``, all clients may do everything. Times are seconds
    of one clock and passed with each call.
    """

    _log = Logger()

    def __init__(self, router: IRouter, limits: Limits, store: IStore, rules: AccessRules | None = None) -> None:
        self._router = router
        self._has_users = bool(router.has_users)
        self._most_clients = limits.clients
        self._most_unconfirmed = limits.unconfirmed_octets
        self._dead_letters_are_open = limits.dead_letters.is_open
        self._gauge = Gauge()
        self.counters = Counters()
        self._pattern_limits = PatternLimits(limits.patterns_of_one, limits.patterns, limits.patterns_of_name)
        self._patterns = PatternAdmission(self._pattern_limits, self.counters)
        self.flows = Flows(limits.flow)
        self.clients = Clients()
        self.access = AccessControl(rules, self.counters, {ADDRESS, admin_service.ADDRESS})
        self._liveness = Liveness(self.clients, self.counters, limits.client_timeout)
        self.streams = Streams(store, limits, self._report_store_error)
        self.queues = Queues(self.clients, self.counters, store, limits, self._report_store_error)
        self._dead_letter_service = DeadLetterService(self.queues, self.counters)
        self.outside = Outside()
        self._state = BrokerState(
            self.clients,
            self.queues,
            self.streams,
            self.counters,
            self.flows,
            store,
            limits,
            self._close_for_administrator,
            outside=self.outside,
        )
        self.administration = Administration(self._state)
        self._admin_service = AdminService(self.administration, self.queues, self.counters, self._may_administer)
        store.on_ready(self._continue_reading)
        store.on_added(self._message_added)
        self._now = 0.0
        self._initial_wall_offset: float | None = None
        self._store_error_logged_at = float("-inf")
        self._clients_with_held_mail: dict[Client, None] = {}
        self.is_valid: Callable[[str], bool] = lambda _login: True
        """Says whether a client with the ``login`` of its connection may have a session."""
        self.batches = Batches(self._execute, self._end_for_error, router)
        methods: dict[Action, Callable[[Client, Any], None]] = {
            Action.PONG: self._pong,
            Action.CLOSE: self._close,
            Action.WRITE: self._write,
            Action.READ: self._read,
            Action.SEND_STREAM: self._send_stream,
            Action.SEND_MAILBOX: self._send_mailbox,
            Action.SEND_SERVICE: self._send_service,
            Action.OFFER: self._offer,
            Action.CREDIT: self._credit,
            Action.CONFIRM: self._confirm,
            Action.CANCEL: self._cancel,
            Action.REPLAY: self._replay,
        }
        self._methods = {command: methods[action] for command, action in TABLE[State.OPEN].items()}
        self._handlers = self.access.checked(self._methods)

    def configure(self, limits: Limits) -> None:
        """Change the limits for what happens from now on; the retention of streams stays as it is."""
        self._most_clients, self._most_unconfirmed = limits.clients, limits.unconfirmed_octets
        self._dead_letters_are_open = limits.dead_letters.is_open
        self._pattern_limits.configure(limits.patterns_of_one, limits.patterns, limits.patterns_of_name)
        self.flows.limits = limits.flow
        self._liveness.timeout = limits.client_timeout
        self._state.limits = limits
        self.streams.configure(limits)
        self.queues.configure(limits)

    # Events

    def received(self, peer: bytes, frames: list[bytes], now: float, clock: Clock = lambda: 0.0) -> int:
        """Execute the commands in a message of a peer, and return how many these are.

        If a BATCH takes too long by the ``clock``, :meth:`continue_batches` continues with it. Nothing that a peer can
        send makes this raise.
        """
        self._now = now
        client = self.clients.by_peer(peer)
        if client is not None and self._has_users and self._router.user_of(peer) != client.user:
            self._end_for_other_user(client)
            client = None
        if client is None:
            if not self.flows.is_stalled(peer):
                self._received_before_open(peer, frames)
            return 1
        client.last_heard = now
        return self.batches.received(client, frames, clock)

    def continue_batches(self, now: float, clock: Clock) -> None:
        """Continue with the batches that are not executed yet (``batches``)."""
        self._now = now
        self.batches.resume(clock)

    def _execute(self, client: Client, command: mlm.Command) -> None:
        self.counters.received += 1
        method = self._handlers.get(type(command))
        if method is None:
            self._invalid(client, command)
            return
        try:
            if client.held_until is not None and not isinstance(command, mlm.Credit | mlm.ConnectionClose):
                # The C broker delivers it at OPEN, so it must come before the effects of this command.
                self._release_mail(client)
            method(client, command)
            if client.held_until is not None:
                self._release_mail(client)
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
        self.access.tick(now)
        if wall is not None:
            self.queues.wall_offset = wall - now
            self._initial_wall_offset = wall - now if self._initial_wall_offset is None else self._initial_wall_offset
        self._liveness.ticked(now)
        for client in list(self._clients_with_held_mail):
            if client.held_until is not None and client.held_until <= now:
                self._release_mail(client)
        try:
            self.queues.tick(now)
            # If the wall clock was set forward, that does not count as age until the broker is restarted.
            wall_now = now + min(self.queues.wall_offset, self._initial_wall_offset or 0.0)
            self.queues.dead_letters.tick(wall_now)
            self.streams.tick(wall_now)
        except errors.StoreError as error:
            self._report_store_error(error)
        self._resume_clients(now)
        for client, cause in self._liveness.lost(now):
            self._remove(client, cause)

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

    def _report_store_error(self, error: errors.StoreError) -> None:
        self.counters.store_errors += 1
        # Reading is retried at every tick, but the error is logged once a minute.
        if self._now - self._store_error_logged_at >= STORE_ERROR_SECONDS:
            self._store_error_logged_at = self._now
            self._log.error("{error}", error=error)

    # Opening and closing

    def _received_before_open(self, peer: bytes, frames: list[bytes]) -> None:
        self.counters.received += 1
        try:
            command = decode(frames)
        except errors.ProtocolError as error:
            self.counters.malformed += 1
            self._send_to(peer, mlm.Error(error.status, b""))
            return
        action = TABLE[State.UNKNOWN].get(type(command), Action.INVALID)
        if isinstance(command, mlm.ConnectionOpen):
            self._open(peer, command)
        elif action is Action.CLOSE_UNKNOWN:
            self._send_to(peer, mlm.Ok(errors.SUCCESS, b""))
        else:
            self.counters.invalid += 1
            self._send_to(peer, mlm.Error(errors.COMMAND_INVALID, b""))

    def _send_to(self, peer: bytes, command: mlm.Command) -> None:
        """Send a reply to a connection without a client; it counts like any other reply."""
        flow = self.flows.of(peer)
        Client(peer, b"", self._now, self._router, flow).send(command)
        self.flows.end(flow)

    def _open(self, peer: bytes, command: mlm.ConnectionOpen) -> None:
        if not self.is_valid(self._router.login):
            self.counters.refused += 1
            self._send_to(peer, mlm.Error(errors.ACCESS_REFUSED, INVALID_LOGIN))
            return
        if self._most_clients is not None and len(self.clients) >= self._most_clients:
            self.counters.refused += 1
            self._gauge.admits("the table of clients", len(self.clients) + 1, QueueLimits(self._most_clients))
            # The only status that makes a C client's connect fail within its timeout.
            self._send_to(peer, mlm.Error(errors.FAILED, b"too many clients"))
            return
        can = properties.to_octets(command.properties.get("can", b"")).split()
        user = self._router.user_of(peer)
        if not self.access.may_open(user, command.address):
            # A C client waits for ever after another status than 300.
            status = errors.ACCESS_REFUSED if can else errors.FAILED
            self._send_to(peer, mlm.Error(status, refusal(user, Verb.OPEN, command.address)))
            return
        client = Client(
            peer, command.address, self._now, self._router, self.flows.of(peer), self._most_unconfirmed, user,
            self._has_users,
        )  # fmt: skip
        client.login = self._router.login
        client.negotiate(can)
        self.access.enter(client)
        self.counters.opened += 1
        older = self.clients.add(client)
        if older is not None:
            self._take_over_address(older)
        self._clients_with_held_mail[client] = None
        is_second = client.reads_batches or client.has_properties
        client.send(mlm.Ok(errors.SUCCESS, CAPABILITIES + SECOND_EDITION if is_second else CAPABILITIES))

    def _take_over_address(self, older: Client) -> None:
        """End the session of a client whose address a newer one has taken; a plain client continues without one."""
        self._log.info("another client has opened with the address {client.name}, and takes it over", client=older)
        error = mlm.Error(errors.RESOURCE_LOCKED, b"another client has opened with this address")
        self._lose_address(older, error, "replaced")

    def _lose_address(self, client: Client, error: mlm.Error, cause: str) -> None:
        """End the session of a client that has lost its address; a plain client continues without one."""
        if client.is_plain:
            client.is_replaced = True
            self.clients.withdraw_address(client)
            self._withdraw_client(client)
        else:
            client.send(error)
            self._remove(client, cause)

    def _release_mail(self, client: Client) -> None:
        """Deliver the mail that was held back until the client had sent a command, or had the time to."""
        client.held_until = None
        self._clients_with_held_mail.pop(client, None)
        self.queues.dispatch_mail(client, self._now)

    def _remove(self, client: Client, cause: str = "error") -> None:
        self.counters.note_ended(cause)
        self.clients.remove(client)
        self.batches.remove(client)
        self.flows.end(client.flow)
        self._withdraw_client(client)

    def _withdraw_client(self, client: Client) -> None:
        """End a client's readers and offers, and requeue its unconfirmed deliveries."""
        client.held_until = None
        self._clients_with_held_mail.pop(client, None)
        self.streams.remove_client(client)
        self._pattern_limits.remove_client(client)
        self.queues.remove_client(client, self._now)

    def _close(self, client: Client, _command: mlm.ConnectionClose) -> None:
        client.send(mlm.Ok(errors.SUCCESS, b""))
        self._remove(client, "closed")

    def end_invalid_sessions(self) -> None:
        """End the sessions of clients that would not be accepted any more (``is_valid``).

        ZeroMQ cannot close their connections. So such a connection stays, but a session cannot be opened on it.
        """
        for client in [client for client in self.clients if not self.is_valid(client.login)]:
            self.counters.refused += 1
            self._log.warn("{client.name}: its password or key is not valid any more", client=client)
            self._remove(client, "revoked")
            self._send_to(client.peer, mlm.Error(errors.ACCESS_REFUSED, INVALID_LOGIN))

    def _invalid(self, client: Client, command: mlm.Command) -> None:
        self.counters.invalid += 1
        name = mlm.NAMES[type(command)]
        self._log.warn("{client.name} sent {command}, which is invalid here", client=client, command=name)
        client.send(mlm.Error(errors.COMMAND_INVALID, b""))
        self._remove(client)

    def _end_for_error(self, client: Client, error: errors.ProtocolError | errors.Refused) -> None:
        """End the session of a client that sent something malformed, or too much."""
        self.counters.malformed += 1
        self._log.warn("{client.name} sent {error}", client=client, error=error)
        self._end_with_error(client, error.status)

    def _end_with_error(self, client: Client, status: int) -> None:
        self._remove(client)
        self._send_to(client.peer, mlm.Error(status, b""))

    def _end_for_other_user(self, client: Client) -> None:
        """End the session of a client whose routing id another user has: its own connection has ended."""
        self.counters.wrong_user += 1
        if should_log(self.counters.wrong_user):
            self._log.warn(
                "another user has connected with the routing id of {client.name} ({count} times so far)",
                client=client, count=self.counters.wrong_user,
            )  # fmt: skip
        self._remove(client)

    # Access rules

    def replace_rules(self, rules: AccessRules | None) -> None:
        """Replace the access rules; end addresses, offers and readers that the new rules do not allow.

        The session of a client that may now have an offer or a reader that it did not get ends, so that it opens again.
        """
        self.access.replace(rules)
        self._handlers = self.access.checked(self._methods)
        for client in self.clients:
            self.access.enter(client)
            if self.access.has_gained(client):
                self._end_with_error(client, errors.COMMAND_INVALID)
                continue
            end_what_is_refused(client, self.access, self.streams, self.queues, self._pattern_limits)
            address = b"" if client.is_replaced else client.address
            if address and not self.access.may_keep(client, Verb.OPEN, address):
                refused = mlm.Error(errors.ACCESS_REFUSED, refusal(client.user, Verb.OPEN, address))
                self._lose_address(client, refused, "access")
                client.address = b""

    def _pong(self, client: Client, _command: mlm.ConnectionPing) -> None:
        client.send(mlm.ConnectionPong())

    # Streams

    def _write(self, client: Client, command: mlm.StreamWrite) -> None:
        client.stream = command.stream
        client.send(mlm.Ok(errors.SUCCESS, b""))

    def _read(self, client: Client, command: mlm.StreamRead) -> None:
        pattern = self._patterns.admit(client, PatternKey(True, command.stream, command.pattern))
        if pattern is not None:
            self.streams.read(command.stream, client, pattern)
            client.send(mlm.Ok(errors.SUCCESS, b""))

    def _replay(self, client: Client, command: mlm.StreamReplay) -> None:
        pattern = self._patterns.admit(client, PatternKey(True, command.stream, command.pattern))
        if pattern is not None:
            last = self.streams.replay(command.stream, client, pattern, command.position)
            client.send(mlm.Ok(errors.SUCCESS, b"last=%d" % last))
            self.streams.feed(client)

    def _cancel(self, client: Client, command: mlm.StreamCancel) -> None:
        self.streams.cancel(command.stream, client)
        self._pattern_limits.cancel(client, command.stream)
        client.send(mlm.Ok(errors.SUCCESS, b""))

    def _send_stream(self, client: Client, command: mlm.StreamSend) -> None:
        if client.stream is None:
            self.counters.invalid += 1
            client.send(mlm.Error(errors.FAILED, b""))
            self._remove(client)
            return
        time = self._now + self.queues.wall_offset
        self.counters.delivered += self.streams.publish(client.stream, client, command, time)

    # Mailboxes and services

    def _send_mailbox(self, client: Client, command: mlm.MailboxSend) -> None:
        self.queues.send_mailbox(client, command, self._now)

    def _send_service(self, client: Client, command: mlm.ServiceSend) -> None:
        if command.address == ADDRESS:
            is_allowed = self._may_administer(client, level_of(command.subject), True)
            self._dead_letter_service.received(client, command, is_allowed, self._now)
        elif command.address == admin_service.ADDRESS:
            self._admin_service.received(client, command, self._now)
        else:
            self.queues.send_service(client, command, self._now)

    def _may_administer(self, client: Client, level: Level, is_about_letters: bool) -> bool:
        """Return whether the client of the command that is being executed may administer the broker.

        This is where that is decided for all requests in-band; HTTP decides about its users itself.
        """
        if self.access.is_active:
            return self.access.may_administer(client, level)
        return self.batches.is_local or (is_about_letters and self._dead_letters_are_open)

    def _close_for_administrator(self, client: Client) -> None:
        """End the session of a client, which may open another one."""
        self._remove(client, "admin")
        self._send_to(client.peer, mlm.Error(errors.COMMAND_INVALID, b"an administrator has closed the session"))

    def _offer(self, client: Client, command: mlm.ServiceOffer) -> None:
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
            self.counters.invalid += 1
        elif client.is_full:
            client.recheck_is_full()
            self._dispatch_to(client)
