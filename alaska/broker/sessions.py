"""Sessions: how a client opens one, takes over an address, and how its session ends (docs/protocol.md, section 3)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from alaska import errors
from alaska.access import Verb
from alaska.broker.access_control import AccessControl, refusal
from alaska.broker.clients import Client, Clients
from alaska.broker.counters import Counters
from alaska.broker.flow_control import Flows
from alaska.broker.limits import Gauge, Limits, QueueLimits
from alaska.broker.pattern_limits import PatternLimits
from alaska.broker.queues import Queues
from alaska.broker.streams import Streams
from alaska.interfaces import IRouter
from alaska.mlm import commands as mlm
from alaska.mlm import properties
from alaska.mlm.codec import decode
from alaska.mlm.session import TABLE, Action, State
from alaska.system.events import should_log

CAPABILITIES = b"alaska/1 credit confirm replay"
SECOND_EDITION = b" batch properties admin readers bindings progress"
"""Further capabilities, for clients that announce any of them."""
MOST_ROUTING_ID_OCTETS = 255
"""ZeroMQ sets no longer ones. Another program may, and each message that is stored has that of its sender."""
MOST_PID = 2**31 - 1
INVALID_LOGIN = b"the password or key of this connection is not valid any more"


class Sessions:
    """Opens and ends the sessions of clients. Times are seconds of the broker's clock."""

    _log = Logger()

    def __init__(
        self,
        router: IRouter,
        limits: Limits,
        counters: Counters,
        clients: Clients,
        flows: Flows,
        access: AccessControl,
        streams: Streams,
        queues: Queues,
        patterns: PatternLimits,
    ) -> None:
        self._router = router
        self._has_users = bool(router.has_users)
        self._counters = counters
        self._clients = clients
        self._flows = flows
        self._access = access
        self._streams = streams
        self._queues = queues
        self._patterns = patterns
        self._gauge = Gauge()
        self._with_held_mail: dict[Client, None] = {}
        self.is_valid: Callable[[str], bool] = lambda _login: True
        """Says whether a client with the ``login`` of its connection may have a session."""
        self.ended: Callable[[Client], None] = lambda _client: None
        """Called with each client whose session ends."""
        self.configure(limits)

    def configure(self, limits: Limits) -> None:
        """Change the limits for sessions that are opened from now on."""
        self._most_clients, self._most_unconfirmed = limits.clients, limits.unconfirmed_octets

    # Opening

    def received_before_open(self, peer: bytes, frames: list[bytes], now: float) -> None:
        """Execute a command of a peer without a session."""
        self._counters.received += 1
        try:
            command = decode(frames)
        except errors.ProtocolError as error:
            self._counters.malformed += 1
            self._send_to(peer, mlm.Error(error.status, b""), now)
            return
        action = TABLE[State.UNKNOWN].get(type(command), Action.INVALID)
        if isinstance(command, mlm.ConnectionOpen):
            self._open(peer, command, now)
        elif action is Action.CLOSE_UNKNOWN:
            self._send_to(peer, mlm.Ok(errors.SUCCESS, b""), now)
        else:
            self._counters.invalid += 1
            self._send_to(peer, mlm.Error(errors.COMMAND_INVALID, b""), now)

    def _send_to(self, peer: bytes, command: mlm.Command, now: float) -> None:
        """Send a reply to a connection without a client; it counts like any other reply."""
        flow = self._flows.of(peer)
        Client(peer, b"", now, self._router, flow).send(command)
        self._flows.end(flow)

    def _open(self, peer: bytes, command: mlm.ConnectionOpen, now: float) -> None:
        can = properties.to_octets(command.properties.get("can", b"")).split()
        user = self._router.user_of(peer)
        refused = self._refused(peer, command.address, user, is_c=not can)
        if refused is not None:
            self._send_to(peer, refused, now)
            return
        client = Client(
            peer, command.address, now, self._router, self._flows.of(peer), self._most_unconfirmed, user,
            self._has_users,
        )  # fmt: skip
        client.login = self._router.login
        client.acts_for = properties.to_octets(command.properties.get("for", b""))[: mlm.MAX_STRING_OCTETS]
        client.host = properties.to_octets(command.properties.get("host", b""))[: mlm.MAX_STRING_OCTETS]
        client.pid = min(properties.to_number(command.properties.get("pid")) or 0, MOST_PID)
        client.negotiate(can)
        self._access.enter(client)
        self._counters.opened += 1
        older = self._clients.add(client)
        if older is not None:
            self._take_over_address(older, now)
        self._with_held_mail[client] = None
        is_second = client.reads_batches or client.has_properties
        client.send(mlm.Ok(errors.SUCCESS, CAPABILITIES + SECOND_EDITION if is_second else CAPABILITIES))

    def _refused(self, peer: bytes, address: bytes, user: bytes | None, is_c: bool) -> mlm.Error | None:
        """Return the error for a client that may not open a session, or None; ``is_c``: it may be a C client."""
        if not self.is_valid(self._router.login):
            self._counters.access_refused += 1
            return mlm.Error(errors.ACCESS_REFUSED, INVALID_LOGIN)
        if self._most_clients is not None and len(self._clients) >= self._most_clients:
            self._counters.refused += 1
            self._gauge.admits("the table of clients", len(self._clients) + 1, QueueLimits(self._most_clients))
            # The only status that makes a C client's connect fail within its timeout.
            return mlm.Error(errors.FAILED, b"too many clients")
        if len(peer) > MOST_ROUTING_ID_OCTETS:
            self._counters.refused += 1
            return mlm.Error(errors.FAILED, b"the routing id has more than %d octets" % MOST_ROUTING_ID_OCTETS)
        if not self._access.may_open(user, address):
            # A C client waits for ever after another status than 300.
            return mlm.Error(errors.FAILED if is_c else errors.ACCESS_REFUSED, refusal(user, Verb.OPEN, address))
        return None

    def _take_over_address(self, older: Client, now: float) -> None:
        """End the session of a client whose address a newer one has taken; a plain client continues without one."""
        self._log.info("another client has opened with the address {client.name}, and takes it over", client=older)
        error = mlm.Error(errors.RESOURCE_LOCKED, b"another client has opened with this address")
        self.lose_address(older, error, "replaced", now)

    def lose_address(self, client: Client, error: mlm.Error, cause: str, now: float) -> None:
        """End the session of a client that has lost its address; a plain client continues without one."""
        if client.is_plain:
            client.is_replaced = True
            self._clients.withdraw_address(client)
            self._withdraw_client(client, now, cause)
        else:
            client.send(error)
            self.end(client, cause, now)

    # Held mail

    def tick(self, now: float) -> None:
        """Deliver the mail that was held back, to clients that had the time to send CREDIT."""
        for client in list(self._with_held_mail):
            if client.held_until is not None and client.held_until <= now:
                self.release_mail(client, now)

    def release_mail(self, client: Client, now: float) -> None:
        """Deliver the mail that was held back until the client had sent a command, or had the time to."""
        client.held_until = None
        self._with_held_mail.pop(client, None)
        self._queues.dispatch_mail(client, now)

    # Ending

    def end(self, client: Client, cause: str, now: float) -> None:
        """End the session of a client without telling it; ``cause`` is one of those that are counted."""
        self._counters.note_ended(cause)
        self._clients.remove(client)
        self.ended(client)
        self._flows.end(client.flow)
        self._withdraw_client(client, now, cause)

    def _withdraw_client(self, client: Client, now: float, cause: str) -> None:
        """End a client's readers and offers, and requeue its unconfirmed deliveries."""
        client.held_until = None
        self._with_held_mail.pop(client, None)
        self._streams.remove_client(client)
        self._patterns.remove_client(client)
        self._queues.remove_client(client, now, cause)

    def end_with_error(
        self, client: Client, status: int, now: float, cause: str = "error", reason: bytes = b""
    ) -> None:
        """End the session of a client, and send it an error."""
        self.end(client, cause, now)
        self._send_to(client.peer, mlm.Error(status, reason), now)

    def end_for_error(self, client: Client, error: errors.ProtocolError | errors.Refused, now: float) -> None:
        """End the session of a client that sent something malformed, or too much."""
        self._counters.malformed += 1
        self._log.warn("{client.name} sent {error}", client=client, error=error)
        self.end_with_error(client, error.status, now)

    def end_for_invalid(self, client: Client, command: mlm.Command, now: float) -> None:
        """End the session of a client that sent a command which is invalid there."""
        self._counters.invalid += 1
        name = mlm.NAMES[type(command)]
        self._log.warn("{client.name} sent {command}, which is invalid here", client=client, command=name)
        client.send(mlm.Error(errors.COMMAND_INVALID, b""))
        self.end(client, "error", now)

    def end_for_other_user(self, client: Client, now: float) -> None:
        """End the session of a client whose routing id another user has: its own connection has ended."""
        self._counters.wrong_user += 1
        if should_log(self._counters.wrong_user):
            self._log.warn(
                "another user has connected with the routing id of {client.name} ({count} times so far)",
                client=client, count=self._counters.wrong_user,
            )  # fmt: skip
        self.end(client, "error", now)

    def end_invalid(self, now: float) -> None:
        """End the sessions of clients that would not be accepted any more (``is_valid``).

        ZeroMQ cannot close their connections. So such a connection stays, but a session cannot be opened on it.
        """
        for client in [client for client in self._clients if not self.is_valid(client.login)]:
            self._counters.access_refused += 1
            self._log.warn("{client.name}: its password or key is not valid any more", client=client)
            self.end_with_error(client, errors.ACCESS_REFUSED, now, "revoked", INVALID_LOGIN)
