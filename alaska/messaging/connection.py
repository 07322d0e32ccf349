"""A client's connection to its broker: connect, reconnect, flush and close, without a socket and an event loop.

It connects the protocol's state machine (:mod:`alaska.mlm.client`) to a link, a clock, and what the program waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from alaska import errors
from alaska.authentication import CurveKeys
from alaska.messaging.deadline import Deadline
from alaska.messaging.delivery import Text, check_text, to_octets, to_seconds, to_text
from alaska.messaging.opening import check_credentials, check_limits, opening_of
from alaska.messaging.waiting import Clock, Link, Log, Network, Timer, Waiting
from alaska.mlm import commands as mlm
from alaska.mlm.batch import Outgoing, decode_batch, is_batch
from alaska.mlm.client import ClientMachine
from alaska.mlm.codec import decode, decode_with_properties, encode, without_properties
from alaska.mlm.listener import Delivered
from alaska.mlm.replay import ReaderStart
from alaska.mlm.setups import Request
from alaska.mlm.states import LinkState, State
from alaska.mlm.terms import has_terms
from alaska.names import printable
from alaska.system.events import should_log

SetupCommand: TypeAlias = "mlm.StreamWrite | mlm.StreamRead | mlm.StreamReplay | mlm.StreamCancel | mlm.ServiceOffer"

TICK_SECONDS = 0.25


class Connection:
    """The base class of :class:`alaska.messaging.exchange.Exchange`, which handles deliveries and confirmations.

    Messages that the broker may not have received are buffered, up to ``most_messages`` messages and ``most_octets``
    octets.
    """

    _log: Log

    def __init__(
        self,
        endpoint: str,
        address: Text,
        credentials: tuple[str | None, str | None, CurveKeys | None],
        network: Network | None,
        clock: Clock,
        most_messages: int,
        most_octets: int,
        acts_for: Text = "",
        takes_again: bool = False,
    ) -> None:
        check_text(endpoint, "endpoint")
        check_credentials(*credentials)
        opening = opening_of(to_octets(address, "address"), to_octets(acts_for, "acts_for"), takes_again)
        check_limits(most_messages=most_messages, most_octets=most_octets)
        self.endpoint = endpoint
        self.address = to_text(opening.address)
        self._credentials = credentials
        self._clock = clock
        self._network = network
        self._own_network: Network | None = None
        self._link: Link | None = None
        self._machine = ClientMachine(opening, self, most_messages, most_octets)
        self._outgoing = Outgoing()
        self._next_tick: Timer | None = None
        self._life = _Life()
        self._requests: dict[Request, Waiting[None]] = {}
        self._flushes: deque[tuple[int, Waiting[None]]] = deque()
        self.refused_since: float | None = None
        """When the broker began to refuse the connection; None: it has accepted it since."""
        self.refused: Callable[[errors.ClientError], None] = lambda _error: None
        """Called whenever the broker refuses the connection, or a subscription or offer, that it accepted before. The
        client stays open, and tries to connect again."""
        self._refusal = ""
        self._refused_writes = 0
        self.malformed = 0
        """The number of messages from the broker that could not be decoded."""

    @property
    def fault(self) -> str:
        """Why there is no connection, as far as the broker or the handshake has said; otherwise empty."""
        if self.is_connected:
            return ""
        return self._refusal or ("" if self._link is None else self._link.fault)

    @property
    def is_connected(self) -> bool:
        """Whether the client is open and the broker has sent something within the last four heartbeats."""
        return self._machine.state is State.OPEN

    @property
    def session(self) -> int:
        """The number of times that the broker has accepted the connection."""
        return self._machine.session

    @property
    def is_open(self) -> bool:
        """Whether the client accepts messages to send: it is connecting or connected, and not closed."""
        return not self._is_over

    @property
    def unproven(self) -> int:
        """The number of messages that the broker may not have received; when the client is closed, they are lost."""
        return self._machine.unproven

    @property
    def capabilities(self) -> frozenset[str]:
        """The protocol extensions that the broker has announced; none for the C broker."""
        return frozenset(map(to_text, self._machine.capabilities))

    def _check_connect(self, timeout: float | None) -> None:
        if timeout is not None:
            to_seconds(timeout)
        if self._life.was_started or self._machine.state is State.CLOSED:
            raise errors.NotConnected("a client connects only once")

    def _make_network(self) -> Network:
        """Return a network of this client's own."""
        raise NotImplementedError

    def _connect(self, timeout: float | None, connecting: Waiting[None], login: float = 0.0) -> None:
        """Connect within ``timeout`` seconds, or ``login`` seconds if the broker has not answered the login by then.

        ``connecting`` is called when the broker has answered.
        """
        if self._network is None:
            self._network = self._own_network = self._make_network()
        self._link = self._network.dealer(self.endpoint, *self._credentials)
        self._life.connecting, self._life.was_started = connecting, True
        if timeout is not None:
            self._life.deadline = self._connect_deadline(timeout, self._clock.seconds(), login)
        try:
            self._link.start(self._received, self._link_changed)
        except errors.AlaskaError:
            # The caller gets the error, and waits for nothing.
            self._life.connecting = None
            self._machine.abort(None)
            raise
        self._next_tick = self._clock.later(TICK_SECONDS, self._tick)

    @property
    def _is_over(self) -> bool:
        return self._machine.state is State.CLOSED or not self._life.was_started

    @staticmethod
    def _longest(timeout: float, longest: float | None) -> float:
        to_seconds(timeout)
        return timeout if longest is None else to_seconds(longest, "longest")

    def _close(self, timeout: float, longest: float, closing: Waiting[None]) -> None:
        """Close the connection once the broker has received all messages; see :meth:`alaska.client.Client.close`."""
        complaint = f"the broker at {self.endpoint} did not take everything"
        deadline = self._abort_after(timeout, complaint, self._clock.seconds() + longest)
        self._life.closing.append((closing, deadline))
        self._machine.close()

    def _connect_deadline(self, seconds: float, began: float, login: float) -> Deadline:
        def late() -> None:
            passed = self._clock.seconds() - began
            is_logging_in = self._link is not None and self._link.is_logging_in
            if is_logging_in and passed < login:
                self._life.deadline = self._connect_deadline(login - passed, began, login)
                return
            complaint = f"no broker answers at {self.endpoint} within {passed:.3g} s"
            if is_logging_in:
                complaint = (
                    f"the broker at {self.endpoint} has not answered the login within {passed:.3g} s: it delays logins "
                    "from addresses that have sent wrong passwords; try again"
                )
            fault = self._link.fault if self._link is not None else ""
            self._machine.abort(errors.ConnectTimeout(fault or complaint))

        return Deadline(self._clock, seconds, 0.0, lambda: 0.0, late)

    def _abort_after(self, seconds: float, complaint: str, latest: float) -> Deadline:
        def abort() -> None:
            fault = self._link.fault if self._link is not None else ""
            self._machine.abort(errors.ConnectTimeout(fault or f"{complaint} within {seconds:g} s"))

        return Deadline(self._clock, seconds, latest, lambda: self._machine.last_received, abort)

    def _set_up(self, command: SetupCommand, asked: Waiting[None]) -> None:
        """Send a request; ``asked`` is called when the broker has executed it, or with :exc:`Refused`."""
        request = Request(command)
        self._requests[request] = asked
        self._machine.request(request)

    def _flush(self, flushed: Waiting[None]) -> None:
        """Call ``flushed`` when the broker has received all messages sent so far."""
        self._flushes.append((self._machine.flush(), flushed))
        self.proven(self._machine.count_proven)

    def _check_open(self) -> None:
        if not self._is_over:
            if self._life.closing:
                raise errors.NotConnected("the client is being closed")
            return
        if self._life.error is not None:
            # It may be raised any number of times, and would keep the frames of all of them.
            raise self._life.error.with_traceback(None)
        raise errors.NotConnected("the client is not connected")

    # Callbacks of the link and the timer

    def _received(self, frames: list[bytes]) -> None:
        machine = self._machine
        try:
            if not machine.may_batch:
                commands = [decode(frames)]
            elif is_batch(frames):
                commands = decode_batch(frames, mlm.Peer.BROKER)
            else:
                commands = [decode_with_properties(frames)]
        except errors.ProtocolError as error:
            self.malformed += 1
            self._log.warn("{address}: the broker sent {error}", address=self.address, error=error)
            return
        now = self._clock.seconds()
        for command in commands:
            try:
                machine.received(command, now)
            except Exception:  # A bug in the program's callback must not affect the other commands of a batch.
                self._log.failure("a command could not be processed")

    def _link_changed(self, state: LinkState) -> None:
        fault = "" if self._link is None else self._link.fault
        if state is LinkState.REFUSED and self._life.was_opened:
            self.refused_again(errors.Refused(f"{fault or 'the broker refuses the connection'} any more"))
        self._machine.link(state, self._clock.seconds(), fault)

    def _tick(self) -> None:
        self._next_tick = self._clock.later(TICK_SECONDS, self._tick)
        self._machine.tick(self._clock.seconds())

    # Callbacks of the state machine

    def transmit(self, command: mlm.Command) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        if self._link is None:
            return
        if self._machine.may_batch:
            if not self._outgoing:
                self._link.send_from(self._outgoing.take)
            self._outgoing.append(command)
        else:
            # What was to be sent before this CONNECTION-OPEN belongs to a session that has ended.
            self._outgoing.clear()
            if isinstance(command, mlm.ConnectionOpen):
                self._link.send(encode(command))
            elif not (isinstance(command, mlm.MailboxSend | mlm.ServiceSend) and self._refuse_terms(command)):
                self._link.send(encode(without_properties(command)))

    def _refuse_terms(self, command: mlm.MailboxSend | mlm.ServiceSend) -> bool:
        """Return whether a message has terms, which this broker would ignore, so that it must not be sent.

        That happens only if the client has been connected to another broker before.
        """
        if not has_terms(command.properties):
            return False
        self._log.error(
            "{address}: a message to {to} is not sent, since this broker ignores its terms",
            address=printable(self.address), to=printable(command.address),
        )  # fmt: skip
        if command.tracker:
            reason = b"the broker does not support the terms of the message"
            self.confirmed(mlm.Confirm(command.tracker, errors.NOT_IMPLEMENTED, reason))
        return True

    def opened(self) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        self.refused_since, self._refusal = None, ""
        if self._life.connecting is not None:
            if self._life.deadline is not None:
                self._life.deadline.cancel()
            connecting, self._life.connecting = self._life.connecting, None
            self._life.was_opened = True
            connecting.callback(None)
        else:
            self._log.info("{address}: connected again", address=self.address)

    def refused_again(self, error: errors.ClientError) -> None:
        """See :class:`alaska.mlm.listener.Listener`; also called if the link is refused again."""
        self._refusal = str(error)
        if self.refused_since is None:
            self.refused_since = self._clock.seconds()
            words = "{address}: {error}; trying again"
            self._log.error(words, address=printable(self.address), error=printable(str(error)))
        self.refused(error)

    def refused_unasked(self, error: errors.ClientError) -> None:
        """The broker has ended an offer that it had accepted."""
        self._log.error("{address}: {error}", address=printable(self.address), error=printable(str(error)))
        self.refused(error)

    def interrupted(self, state: State) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        self._log.warn("{address}: lost the broker ({state})", address=self.address, state=state.value)

    def answered(self, request: Request, error: errors.ClientError | None) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        asked = self._requests.pop(request, None)
        if asked is None:
            if error is not None:
                self._log.error("{address}: {error}", address=self.address, error=error)
                self.refused(error)
        elif error is None:
            asked.callback(None)
        else:
            asked.errback(error)

    def reader_started(self, start: ReaderStart) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        raise NotImplementedError

    def write_refused(self, error: errors.ClientError) -> None:
        """See :class:`alaska.mlm.listener.Listener`; the 1st, 10th and 100th time are logged."""
        self._refused_writes += 1
        if should_log(self._refused_writes):
            words = "{address}: messages of a stream are lost ({count} times so far): {error}"
            self._log.error(words, address=printable(self.address), count=self._refused_writes, error=error)

    def delivered(self, command: Delivered, session: int) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        raise NotImplementedError

    def confirmed(self, command: mlm.Confirm) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        raise NotImplementedError

    def proven(self, count: int) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        while self._flushes and self._flushes[0][0] <= count:
            self._flushes.popleft()[1].callback(None)

    def closed(self, error: errors.ClientError | None) -> None:
        """See :class:`alaska.mlm.listener.Listener`."""
        self._life.error = error
        if self._next_tick is not None:
            self._next_tick.cancel()
        if self._link is not None:
            self._link.close()
        if self._own_network is None:
            self._notify_closed(error)
        else:
            # Closing a network waits until sent messages are transmitted; this must not happen in a socket's callback.
            self._clock.later(0, lambda: self._close_network(error))

    def _close_network(self, error: errors.ClientError | None) -> None:
        if self._own_network is not None:
            self._own_network.close()
        self._notify_closed(error)

    def _notify_closed(self, error: errors.ClientError | None) -> None:
        """End all waits: those of :meth:`close` with its result, all others with an error."""
        reason = error or errors.NotConnected("the client was closed")
        if self._life.deadline is not None:
            self._life.deadline.cancel()
        closing, self._life.closing = self._life.closing, []
        for closed, deadline in closing:
            deadline.cancel()
            closed.errback(error) if error is not None else closed.callback(None)
        requests, self._requests = self._requests, {}
        flushes, self._flushes = self._flushes, deque()
        awaited: list[Waiting[Any]] = [*requests.values(), *(flushed for _, flushed in flushes)]
        awaited += self._pending()
        if self._life.connecting is not None:
            awaited.append(self._life.connecting)
            self._life.connecting = None
        for failed in awaited:
            failed.errback(reason)

    def _pending(self) -> list[Waiting[Any]]:
        """Return further waits that end when the client is closed."""
        return []


class _Life:
    """How far a connection is: apart from it, which has many attributes that are needed more often."""

    __slots__ = ("closing", "connecting", "deadline", "error", "was_opened", "was_started")

    def __init__(self) -> None:
        self.was_started = self.was_opened = False
        self.connecting: Waiting[None] | None = None
        self.deadline: Deadline | None = None
        self.closing: list[tuple[Waiting[None], Deadline]] = []
        self.error: errors.ClientError | None = None
