"""The client's state machine of the protocol, without a socket or a clock (docs/protocol.md, section 3).

The link reconnects automatically. Whenever it is up, the machine sends CONNECTION-OPEN. When the broker has answered,
the machine sends the program's setup commands (streams, offers) again, and then the messages that the broker may not
have. The broker answers PINGs in order, so a PONG proves that the broker has received everything that was sent before
its PING. Messages without such a proof stay in the outbox and are sent again after a fault, so they are not lost while
the program runs, but may arrive twice. A broker with the capability ``confirm`` sends CONFIRM 201 when it has stored a
message; a credit client also sends messages with a tracker again until it has received that.

:mod:`alaska.mlm.transitions` says which state follows, and what is done then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alaska import errors
from alaska.mlm import commands as mlm
from alaska.mlm.confirmations import Again, Unconfirmed, confirmation, credits_of
from alaska.mlm.listener import Delivered, Listener
from alaska.mlm.outbox import Outbox
from alaska.mlm.setups import Request, Setups, refusal
from alaska.mlm.states import ERROR_EVENTS, EVENTS, LINK_EVENTS, Event, LinkState, State
from alaska.mlm.transitions import TABLE, Action

HEARTBEAT_SECONDS = 1.0
SILENT_HEARTBEATS = 4
MAX_OPEN_RETRY_SECONDS = 4.0


class ClientMachine:
    """The state machine of one client.

    ``most_messages`` and ``most_octets`` limit the outbox, the buffer of messages that the broker may not have.
    """

    def __init__(self, opening: mlm.ConnectionOpen, listener: Listener, most_messages: int, most_octets: int) -> None:
        self.state = State.DOWN
        self.capabilities: frozenset[bytes] = frozenset()
        self.may_batch = False
        """Whether commands may be sent and received in a BATCH (docs/protocol.md, section 7)."""
        self.session = 0
        self._opening = opening
        self._listener = listener
        self._outbox = Outbox(most_messages, most_octets)
        self.setups = Setups()
        self._unconfirmed = Unconfirmed()
        self._stream: bytes | None = None
        self._credit: int | None = None
        self.last_received = 0.0
        """The time of the last command from the broker."""
        self._last_ping = self._last_open = self._now = 0.0
        self._open_attempts = 0
        self._link_fault = ""
        self._is_flush_pending = False
        self.rounds = 0
        """The number of PINGs that the broker has answered."""

    @property
    def credit(self) -> int:
        """The unused credit: how many more deliveries the client accepts."""
        return self._credit or 0

    @property
    def count_proven(self) -> int:
        """The number of sent messages that the broker has certainly received."""
        return self._outbox.proven

    @property
    def unproven(self) -> int:
        """The number of messages that the broker may not have received."""
        return len(self._outbox) - self._outbox.is_closed

    # Events from outside

    def link(self, state: LinkState, now: float, fault: str = "") -> None:
        """Process a change of the link's state; ``fault`` is a sentence that says why the broker refuses it."""
        self._now = now
        self._link_fault = fault
        self._handle(LINK_EVENTS[state], None)

    def received(self, command: mlm.Command, now: float) -> None:
        """Process a command from the broker; commands that only clients send are ignored."""
        self._now = self.last_received = now
        # As _handle, which is not called here, since this is done for each delivery.
        step = _STEPS[self.state].get(type(command))
        if step is not None:
            self.state, action = step
            if action is not None:
                action(self, command)
        elif isinstance(command, mlm.Error):
            self._handle(ERROR_EVENTS.get(command.status_code, Event.REFUSED), command)

    def tick(self, now: float) -> None:
        """Send due heartbeats and detect a silent broker; to be called several times a second."""
        self._now = now
        if now - self.last_received >= SILENT_HEARTBEATS * HEARTBEAT_SECONDS:
            self._handle(Event.SILENCE, None)
        if now - self._last_ping >= HEARTBEAT_SECONDS:
            self._handle(Event.HEARTBEAT, None)
        if self.state is State.OPEN and self._outbox.needs_proof and not self._outbox.pings_in_flight:
            self._ping(None)

    # Methods for the program

    def request(self, request: Request) -> None:
        """Send a setup or cancel command; setup commands are sent again after each reconnect."""
        self.setups.add(request)
        if self.state is State.OPEN:
            self._transmit_request(request)
        elif isinstance(request.command, mlm.StreamCancel):
            self._listener.answered(request, None)

    def send(self, command: mlm.StreamSend | mlm.MailboxSend | mlm.ServiceSend, stream: bytes | None = None) -> int:
        """Send a message, now or when the client is open; return its number, counted from 1.

        ``stream`` is the stream of a STREAM-SEND; the machine sends STREAM-WRITE first if necessary.

        :raises BacklogFull: the outbox is full; the message was not added.
        """
        self._outbox.add(command, stream)
        if not isinstance(command, mlm.StreamSend) and command.tracker and self.may_be_confirmed:
            self._unconfirmed.add(self._outbox.last, command)
        self._transmit_pending()
        return self._outbox.last

    def has_room(self, messages: int, octets: int) -> bool:
        """Return whether the outbox has room for so many more messages, of so many octets in all."""
        return self._outbox.has_room(messages, octets)

    @property
    def may_be_confirmed(self) -> bool:
        """Whether this client gets CONFIRMs for its messages, or may get them if it has not been open yet."""
        return self._credit is not None and self.may_confirm

    @property
    def may_confirm(self) -> bool:
        """Whether the broker supports CREDIT and CONFIRM, or may support them if the client has not been open yet."""
        return not self.session or b"confirm" in self.capabilities

    def fence(self) -> int:
        """Send a PING; return the value of :attr:`rounds` from which on its PONG has arrived."""
        if self.state is State.OPEN:
            self._ping(None)
        return self.rounds + max(1, self._outbox.pings_in_flight)

    def flush(self) -> int:
        """Send a PING if it is needed to prove that the broker has all messages; return the last message's number."""
        if self.state is not State.OPEN:
            self._is_flush_pending = True
        elif self._outbox.needs_proof:
            self._ping(None)
        return self._outbox.last

    def close(self) -> None:
        """Close the client once the broker has received all messages."""
        if self.state is State.CLOSED or self._outbox.is_closed:
            return
        if self.state is State.OPEN or self._outbox:
            self._outbox.add(mlm.ConnectionClose(), None)
            self._transmit_pending()
            return
        if self.state in (State.OPENING, State.REOPENING):
            self._listener.transmit(mlm.ConnectionClose())
        self._end(None)

    def abort(self, error: errors.ClientError | None) -> None:
        """Close the client at once."""
        if self.state is not State.CLOSED:
            self._end(error)

    def give_credit(self, amount: int) -> None:
        """Accept ``amount`` more deliveries; the first call, even with 0, makes this a credit client."""
        self._credit = (self._credit or 0) + amount
        if self.state is State.OPEN:
            self._transmit_credit(amount)

    def confirm(
        self, tracker: bytes, status: int, reason: bytes, session: int, lease: int | None = None,
        again: Again | None = None,
    ) -> None:  # fmt: skip
        """Send CONFIRM for a delivery, if the broker supports it and the session is still the same.

        A reason of more than 255 octets is also sent as a whole, if the broker reads properties.
        """
        if self.state is State.OPEN and session == self.session and b"confirm" in self.capabilities:
            self._listener.transmit(confirmation(tracker, status, reason, lease, again))

    def confirm_records(self) -> None:
        """Confirm what durable readers have processed; if the client is not open, that is done when it is."""
        if self.state is State.OPEN:
            for command in self.setups.confirmations():
                self._listener.transmit(command)

    def send_once(self, command: mlm.MailboxSend | mlm.ServiceSend) -> bool:
        """Send a message if the client is open, without keeping it; return whether it was sent.

        It is not sent again if the connection is lost, and no confirmation is awaited.
        """
        is_sent = self.state is State.OPEN
        if is_sent:
            self._listener.transmit(command)
        return is_sent

    # Actions of the table

    def _open(self, _command: mlm.Command | None) -> None:
        """Send CONNECTION-OPEN. PONGs for earlier PINGs prove nothing any more."""
        self._open_attempts = 0
        self.setups.restart()
        self._outbox.restart()
        self._transmit_open()

    def _transmit_open(self) -> None:
        self._open_attempts += 1
        self._last_open = self._last_ping = self._now
        self.last_received = self._now
        self.may_batch = False
        self._listener.transmit(self._opening)
        if self._credit is not None:
            # Right after OPEN, so that messages already queued for the client have to be confirmed (docs/protocol.md,
            # section 5).
            self._transmit_credit(self._credit)

    def _open_again(self, command: mlm.Command | None) -> None:
        self._listener.interrupted(self.state)
        self._open(command)

    def _retry_open(self, _command: mlm.Command | None) -> None:
        """Send CONNECTION-OPEN again, with exponential backoff: the broker may not have received the first one."""
        if self._now - self._last_open >= min(HEARTBEAT_SECONDS * 2**self._open_attempts, MAX_OPEN_RETRY_SECONDS):
            self._transmit_open()

    def _opened(self, command: mlm.Ok) -> None:
        self.session += 1
        self.capabilities = command.capabilities
        self.may_batch = b"batch" in self.capabilities
        self._stream = None
        for request in self.setups.reopened():
            self._transmit_request(request)
        self._listener.opened()
        self._transmit_unconfirmed()
        self._transmit_pending()
        if self._is_flush_pending and self.state is State.OPEN:
            self._is_flush_pending = False
            self.flush()

    def _transmit_unconfirmed(self) -> None:
        """Send messages again that a previous broker received but did not confirm; the outbox has all others."""
        if not self.may_be_confirmed:
            self._unconfirmed.clear()
        for command in self._unconfirmed.upto(self._outbox.proven):
            self._listener.transmit(command)

    def _refused_again(self, command: mlm.Error) -> None:
        # Other errors may be answers to commands before the OPEN.
        if command.status_code == errors.ACCESS_REFUSED:
            self._listener.refused_again(refusal(command))

    def _answer(self, command: mlm.Command | None) -> None:
        request = self.setups.answered()
        if request is None:
            return
        request.was_done = True
        if isinstance(command, mlm.Ok):
            if self.setups.must_repeat(request, command) and self.state is State.OPEN:
                self._transmit_request(request)
            start = self.setups.resumed(request, command, self.session)
            if start is not None:
                self._listener.reader_started(start)
        self._listener.answered(request, None)

    def _refuse(self, command: mlm.Error) -> None:
        is_awaited = self.setups.awaits_answer
        request = self.setups.refused()
        if request is not None:
            self._listener.answered(request, refusal(command))
        elif is_awaited:
            self._listener.write_refused(refusal(command))

    def _answer_close(self, command: mlm.Command | None) -> None:
        if self.setups.awaits_answer:
            self._answer(command)
        else:
            self._outbox.prove_all()
            self._listener.proven(self._outbox.proven)
            self._end(None)

    def _reopen_to_close(self, command: mlm.Command | None) -> None:
        """Open again if the outbox has messages; if it has only the CLOSE, the client is closed."""
        if len(self._outbox) > 1:
            self._open(command)
        else:
            self._end(None)

    def _down_to_close(self, _command: mlm.Command | None) -> None:
        if len(self._outbox) <= 1:
            self._end(None)

    def _interrupted(self, _command: mlm.Command | None) -> None:
        self._listener.interrupted(self.state)

    def _ponged(self, _command: mlm.Command | None) -> None:
        self.rounds += 1
        self._outbox.ponged()
        self._listener.proven(self._outbox.proven)

    def _deliver(self, command: Delivered) -> None:
        if self._credit:
            self._credit -= 1
        if isinstance(command, mlm.StreamRecord):
            self.setups.delivered(command)
        self._listener.delivered(command, self.session)

    def _confirmed(self, command: mlm.Confirm) -> None:
        if command.status_code != errors.PROGRESS:
            self._unconfirmed.confirmed(command.tracker)
        self._listener.confirmed(command)

    def _resume(self, command: mlm.Command | None) -> None:
        """Process the command that ended the silence, and send the messages that were not sent during it."""
        self._listener.opened()
        self._transmit_pending()
        if command is not None:
            self.received(command, self._now)

    def _ping(self, _command: mlm.Command | None) -> None:
        self._last_ping = self._now
        self._outbox.pinged()
        self._listener.transmit(mlm.ConnectionPing())

    def _fail(self, command: mlm.Command | None) -> None:
        fault = errors.Refused(self._link_fault or "the broker refuses the connection", errors.ACCESS_REFUSED)
        self._end(refusal(command) if isinstance(command, mlm.Error) else fault)

    def _handle(self, event: Event, command: mlm.Command | None) -> None:
        step = _TABLE[self.state].get(event)
        if step is not None:
            self.state, action = step
            if action is not None:
                action(self, command)

    def _transmit_request(self, request: Request) -> None:
        if isinstance(request.command, mlm.StreamWrite):
            self._stream = request.command.stream
        self._listener.transmit(self.setups.sent(request))

    def _transmit_pending(self) -> None:
        """Send the messages that were not sent since the client opened; a CLOSE is always the last."""
        while self.state is State.OPEN and (pending := self._outbox.next()) is not None:
            if pending.stream is not None and pending.stream != self._stream:
                self._stream = pending.stream
                self.setups.sent_internally()
                self._listener.transmit(mlm.StreamWrite(pending.stream))
            if isinstance(pending.command, mlm.ConnectionClose):
                self.state = State.CLOSING
            self._listener.transmit(pending.command)
            if self._outbox.wants_ping and self.state is State.OPEN:
                self._ping(None)

    def _transmit_credit(self, amount: int) -> None:
        for command in credits_of(amount):
            self._listener.transmit(command)

    def _end(self, error: errors.ClientError | None) -> None:
        self.state = State.CLOSED
        self._listener.closed(error)


_ACTIONS: dict[Action | None, Callable[[ClientMachine, Any], None] | None] = {
    None: None,
    Action.OPEN: ClientMachine._open,
    Action.FAIL: ClientMachine._fail,
    Action.OPENED: ClientMachine._opened,
    Action.DELIVER: ClientMachine._deliver,
    Action.RETRY_OPEN: ClientMachine._retry_open,
    Action.ANSWER: ClientMachine._answer,
    Action.OPEN_AGAIN: ClientMachine._open_again,
    Action.REFUSE: ClientMachine._refuse,
    Action.REFUSED_AGAIN: ClientMachine._refused_again,
    Action.PONGED: ClientMachine._ponged,
    Action.CONFIRMED: ClientMachine._confirmed,
    Action.PING: ClientMachine._ping,
    Action.INTERRUPTED: ClientMachine._interrupted,
    Action.RESUME: ClientMachine._resume,
    Action.ANSWER_CLOSE: ClientMachine._answer_close,
    Action.REOPEN_TO_CLOSE: ClientMachine._reopen_to_close,
    Action.DOWN_TO_CLOSE: ClientMachine._down_to_close,
}
"""The methods; the argument of each is the command that caused the event, or None."""
_TABLE = {
    state: {event: (after, _ACTIONS[action]) for event, (after, action) in row.items()} for state, row in TABLE.items()
}
_STEPS = {
    state: {type_: row[event] for type_, event in EVENTS.items() if event in row} for state, row in _TABLE.items()
}
"""The table by command."""
