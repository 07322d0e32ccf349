"""A client's side of the protocol, without a socket or a clock (docs/protocol.md, section 3).

How it works. The link goes up and down by itself; whenever it comes up the machine opens, and when the broker answers
it replays what the program set up and then sends what the broker is not known to have. A broker answers every PING,
in order, so a PONG proves that it has all that was sent before its PING; what is not proven is kept. So nothing is
lost while the program lives, and after a fault the last messages may arrive twice. A broker that confirms says 201
when a message will survive it; a credit client sends what has a tracker again until it has heard that.

:data:`TABLE` is the whole machine: state, event, next state, action. An event that a state does not list is ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from alaska import errors
from alaska.mlm import commands as mlm
from alaska.mlm.outbox import Outbox
from alaska.mlm.resuming import Resuming
from alaska.mlm.states import Event, LinkState, State

BEAT_SECONDS = 1.0
SILENT_BEATS = 4
MOST_KNOCK_SECONDS = 4.0
MAX_CREDIT_STEP = 2**16 - 1

Delivered = mlm.StreamDeliver | mlm.MailboxDeliver | mlm.ServiceDeliver | mlm.StreamRecord
Setup = mlm.StreamWrite | mlm.StreamRead | mlm.StreamReplay | mlm.ServiceOffer


class Listener(Protocol):
    """What a machine tells the program above it."""

    def transmit(self, command: mlm.Command) -> None:
        """Send a command over the link."""

    def opened(self) -> None:
        """The client is open, for the first time or again."""

    def interrupted(self, state: State) -> None:
        """The client is not open any more, and will be again when the broker is back."""

    def closed(self, error: errors.ClientError | None) -> None:
        """The client is closed for good: as asked (None) or because the broker refused it."""

    def answered(self, request: Request, error: errors.ClientError | None) -> None:
        """The broker has done (None) or refused what was asked."""

    def delivered(self, command: Delivered, session: int) -> None:
        """A message has come; the session is to be given back with its confirmation."""

    def confirmed(self, command: mlm.Confirm) -> None:
        """The broker says what became of a message that was sent with a tracker."""

    def proven(self, count: int) -> None:
        """The broker has the first ``count`` messages of this client."""


@dataclass(eq=False, slots=True)
class Request:
    """A command that is answered by OK or ERROR. One that sets something up is replayed to a new broker.

    One that was done once is replayed even if a broker has refused it since: the next may do it.
    """

    command: Setup | mlm.StreamCancel
    was_done: bool = False


class ClientMachine:
    """One client: what it has set up, what it has sent, and where it stands.

    ``most_messages`` and ``most_octets`` bound what is kept for the broker.
    """

    def __init__(self, address: bytes, listener: Listener, most_messages: int, most_octets: int) -> None:
        self.state = State.DOWN
        self.capabilities: frozenset[bytes] = frozenset()
        self.session = 0
        self._address = address
        self._listener = listener
        self._outbox = Outbox(most_messages, most_octets)
        self._setups: list[Request] = []
        self._resuming: dict[Request, Resuming] = {}
        self._awaiting: deque[Request | None] = deque()
        self._promises: dict[bytes, deque[tuple[int, mlm.MailboxSend | mlm.ServiceSend]]] = {}
        self._stream: bytes | None = None
        self._ready: int | None = None
        self.heard = 0.0
        """When the broker sent something last."""
        self._beat = self._knock = 0.0
        self._knocks = 0
        self._now = 0.0
        self._is_proof_awaited = False
        self.rounds = 0
        """How many PINGs the broker has answered."""

    @property
    def credit(self) -> int:
        """How many deliveries the client is ready for and has not got."""
        return self._ready or 0

    @property
    def count_proven(self) -> int:
        """How many of the messages sent the broker is known to have."""
        return self._outbox.proven

    @property
    def unproven(self) -> int:
        """How many messages the broker is not known to have."""
        return len(self._outbox) - self._outbox.is_closed

    # What happens to a client

    def link(self, state: LinkState, now: float) -> None:
        """Take note that the link has come up, gone down or been refused."""
        self._now = now
        self._happen(_LINK_EVENTS[state], None)

    def received(self, command: mlm.Command, now: float) -> None:
        """Take note of a command of the broker; one that a broker does not send is ignored."""
        self._now = self.heard = now
        event = _EVENTS.get(type(command))
        if event is not None:
            self._happen(event, command)
        elif isinstance(command, mlm.Error):
            is_lost = command.status_code == errors.COMMAND_INVALID
            self._happen(Event.LOST if is_lost else Event.REFUSED, command)

    def tick(self, now: float) -> None:
        """Do what is due; to be called several times a second."""
        self._now = now
        if now - self.heard >= SILENT_BEATS * BEAT_SECONDS:
            self._happen(Event.SILENCE, None)
        if now - self._beat >= BEAT_SECONDS:
            self._happen(Event.BEAT, None)
        if self.state is State.OPEN and self._outbox.needs_proof and not self._outbox.is_probed:
            self._ping(None)

    # What the program asks for

    def request(self, request: Request) -> None:
        """Set something up or cancel it, now and after each restart of the broker."""
        command = request.command
        if isinstance(command, mlm.StreamCancel):
            self._setups = [known for known in self._setups if not _reads(known.command, command.stream)]
            self._resuming = {known: each for known, each in self._resuming.items() if known in self._setups}
        elif isinstance(command, mlm.StreamWrite):
            self._setups = [known for known in self._setups if not isinstance(known.command, mlm.StreamWrite)]
        if not isinstance(command, mlm.StreamCancel):
            self._setups.append(request)
        if isinstance(command, mlm.StreamReplay):
            self._resuming[request] = Resuming(command)
        if self.state is State.OPEN:
            self._ask(request)
        elif isinstance(command, mlm.StreamCancel):
            self._listener.answered(request, None)

    def send(self, command: mlm.StreamSend | mlm.MailboxSend | mlm.ServiceSend, stream: bytes | None = None) -> int:
        """Send a message, now or when the broker is there; return its number, counted from 1.

        A message for a stream names it; the machine asks to write to it where need be.

        :raises BacklogFull: too much is kept for the broker already; nothing was done.
        """
        self._outbox.keep(command, stream)
        if not isinstance(command, mlm.StreamSend) and command.tracker and self.may_be_confirmed:
            self._promises.setdefault(command.tracker, deque()).append((self._outbox.last, command))
        self._transmit_kept()
        return self._outbox.last

    @property
    def may_be_confirmed(self) -> bool:
        """Whether what this client sends is, or may be when the broker is known, confirmed to it."""
        return self._ready is not None and self.may_confirm

    @property
    def may_confirm(self) -> bool:
        """Whether the broker understands CREDIT and CONFIRM, or may do so when it is known."""
        return not self.session or b"confirm" in self.capabilities

    def fence(self) -> int:
        """Send a PING; return what :attr:`rounds` is when all has come that the broker sends before its answer."""
        if self.state is State.OPEN:
            self._ping(None)
        return self.rounds + max(1, self._outbox.probes)

    def flush(self) -> int:
        """Ask the broker for a proof that it has all that was sent; return the number of the last message."""
        if self.state is not State.OPEN:
            self._is_proof_awaited = True
        elif self._outbox.needs_proof:
            self._ping(None)
        return self._outbox.last

    def close(self) -> None:
        """Leave, once the broker has all that was sent."""
        if self.state is State.CLOSED or self._outbox.is_closed:
            return
        if self.state is State.OPEN or self._outbox:
            self._outbox.keep(mlm.ConnectionClose(), None)
            self._transmit_kept()
            return
        if self.state in (State.OPENING, State.REOPENING):
            self._listener.transmit(mlm.ConnectionClose())
        self._end(None)

    def abort(self, error: errors.ClientError | None) -> None:
        """Leave at once, whatever the broker has."""
        if self.state is not State.CLOSED:
            self._end(error)

    def give_credit(self, amount: int) -> None:
        """Be ready for so many more deliveries; the first call, be it with 0, makes this a credit client."""
        self._ready = (self._ready or 0) + amount
        if self.state is State.OPEN:
            self._transmit_credit(amount)

    def confirm(self, tracker: bytes, status: int, reason: bytes, session: int) -> None:
        """Say what became of a delivery, if the broker understands that and has not been replaced since."""
        if self.state is State.OPEN and session == self.session and b"confirm" in self.capabilities:
            self._listener.transmit(mlm.Confirm(tracker, status, reason))

    # Actions of the table

    def _open(self, _command: mlm.Command | None) -> None:
        """Introduce the client; from now on nothing that was sent is proven but by a new PING."""
        self._knocks = 0
        self._awaiting.clear()
        self._outbox.restart()
        self._transmit_open()

    def _transmit_open(self) -> None:
        self._knocks += 1
        self._knock = self._beat = self._now
        self.heard = self._now
        self._listener.transmit(mlm.ConnectionOpen(self._address))
        if self._ready is not None:
            # Behind OPEN, so that what waits for the client comes to be confirmed (docs/protocol.md, section 5).
            self._transmit_credit(self._ready)

    def _open_again(self, command: mlm.Command | None) -> None:
        self._listener.interrupted(self.state)
        self._open(command)

    def _knock_again(self, _command: mlm.Command | None) -> None:
        """Introduce the client again, less and less often, to a broker that may have lost the first."""
        if self._now - self._knock >= min(BEAT_SECONDS * 2**self._knocks, MOST_KNOCK_SECONDS):
            self._transmit_open()

    def _opened(self, command: mlm.Ok) -> None:
        self.session += 1
        words = command.status_reason.split()
        self.capabilities = frozenset(words[1:]) if words[:1] == [b"alaska/1"] else frozenset()
        self._stream = None
        for resuming in self._resuming.values():
            resuming.reopened()
        for request in self._setups:
            self._ask(request)
        self._listener.opened()
        self._transmit_unpromised()
        self._transmit_kept()
        if self._is_proof_awaited and self.state is State.OPEN:
            self._is_proof_awaited = False
            self.flush()

    def _transmit_unpromised(self) -> None:
        """Send again what an older broker had and has not promised to keep; the rest is still in the outbox."""
        if not self.may_be_confirmed:
            self._promises.clear()
        proven = [each for waiting in self._promises.values() for each in waiting if each[0] <= self._outbox.proven]
        for _, command in sorted(proven, key=lambda each: each[0]):
            self._listener.transmit(command)

    def _answer(self, command: mlm.Command | None) -> None:
        request = self._awaiting.popleft() if self._awaiting else None
        if request is None:
            return
        request.was_done = True
        self._listener.answered(request, None)
        resuming = self._resuming.get(request)
        if resuming is not None and isinstance(command, mlm.Ok):
            is_known = resuming.begun(command.status_reason)
            if not is_known and self.state is State.OPEN:
                self._ask(request)

    def _refuse(self, command: mlm.Error) -> None:
        request = self._awaiting.popleft() if self._awaiting else None
        if request is not None:
            if request in self._setups and not request.was_done:
                self._setups.remove(request)
                self._resuming.pop(request, None)
            self._listener.answered(request, _refusal(command))

    def _answer_close(self, command: mlm.Command | None) -> None:
        if self._awaiting:
            self._answer(command)
        else:
            self._outbox.prove_all()
            self._listener.proven(self._outbox.proven)
            self._end(None)

    def _reopen_to_close(self, command: mlm.Command | None) -> None:
        """Open again for the messages that the old broker may not have had; for the CLOSE alone there is no need."""
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
        self._outbox.prove()
        self._listener.proven(self._outbox.proven)

    def _deliver(self, command: Delivered) -> None:
        if self._ready:
            self._ready -= 1
        if self._resuming and isinstance(command, mlm.StreamRecord):
            for resuming in self._resuming.values():
                resuming.delivered(command)
        self._listener.delivered(command, self.session)

    def _confirmed(self, command: mlm.Confirm) -> None:
        waiting = self._promises.get(command.tracker)
        if waiting is not None:
            waiting.popleft()
            if not waiting:
                del self._promises[command.tracker]
        self._listener.confirmed(command)

    def _resume(self, command: mlm.Command | None) -> None:
        """Take up the word that ended the silence, and send what was not sent meanwhile."""
        self._listener.opened()
        self._transmit_kept()
        if command is not None:
            self.received(command, self._now)

    def _ping(self, _command: mlm.Command | None) -> None:
        self._beat = self._now
        self._outbox.probe()
        self._listener.transmit(mlm.ConnectionPing())

    def _fail(self, command: mlm.Command | None) -> None:
        if isinstance(command, mlm.Error):
            self._end(_refusal(command))
        else:
            self._end(errors.Refused("the broker does not accept this user name and password", errors.ACCESS_REFUSED))

    # The parts that they share

    def _happen(self, event: Event, command: mlm.Command | None) -> None:
        step = TABLE[self.state].get(event)
        if step is not None:
            self.state, action = step
            if action is not None:
                action(self, command)

    def _ask(self, request: Request) -> None:
        if isinstance(request.command, mlm.StreamWrite):
            self._stream = request.command.stream
        self._awaiting.append(request)
        resuming = self._resuming.get(request)
        self._listener.transmit(request.command if resuming is None else resuming.command)

    def _transmit_kept(self) -> None:
        """Send what was not sent since the client opened; a CLOSE among it is the last."""
        while self.state is State.OPEN and (kept := self._outbox.next()) is not None:
            if kept.stream is not None and kept.stream != self._stream:
                self._stream = kept.stream
                self._awaiting.append(None)
                self._listener.transmit(mlm.StreamWrite(kept.stream))
            if isinstance(kept.command, mlm.ConnectionClose):
                self.state = State.CLOSING
            self._listener.transmit(kept.command)

    def _transmit_credit(self, amount: int) -> None:
        while amount > MAX_CREDIT_STEP:
            self._listener.transmit(mlm.Credit(MAX_CREDIT_STEP))
            amount -= MAX_CREDIT_STEP
        self._listener.transmit(mlm.Credit(amount))

    def _end(self, error: errors.ClientError | None) -> None:
        self.state = State.CLOSED
        self._listener.closed(error)


def _reads(command: mlm.Command, stream: bytes) -> bool:
    return isinstance(command, mlm.StreamRead | mlm.StreamReplay) and command.stream == stream


def _refusal(error: mlm.Error) -> errors.Refused:
    reason = error.status_reason.decode("utf-8", "backslashreplace")
    return errors.Refused(f"the broker refuses: {reason or error.status_code}", error.status_code)


_LINK_EVENTS = {
    LinkState.UP: Event.LINK_UP,
    LinkState.DOWN: Event.LINK_DOWN,
    LinkState.REFUSED: Event.LINK_REFUSED,
}
_EVENTS: dict[type[mlm.Command], Event] = {
    mlm.Ok: Event.OK,
    mlm.ConnectionPong: Event.PONG,
    mlm.StreamDeliver: Event.DELIVERY,
    mlm.MailboxDeliver: Event.DELIVERY,
    mlm.ServiceDeliver: Event.DELIVERY,
    mlm.StreamRecord: Event.DELIVERY,
    mlm.Confirm: Event.CONFIRM,
}

# What an action is given is what its events come with: the command that _EVENTS names, or nothing.
Action = Callable[[ClientMachine, Any], None]
TABLE: dict[State, dict[Event, tuple[State, Action | None]]] = {
    State.DOWN: {
        Event.LINK_UP: (State.OPENING, ClientMachine._open),
        Event.LINK_REFUSED: (State.CLOSED, ClientMachine._fail),
    },
    State.OPENING: {
        Event.OK: (State.OPEN, ClientMachine._opened),
        Event.LOST: (State.OPENING, None),  # the answer to something sent before the OPEN
        Event.REFUSED: (State.CLOSED, ClientMachine._fail),
        Event.DELIVERY: (State.OPENING, ClientMachine._deliver),
        Event.BEAT: (State.OPENING, ClientMachine._knock_again),
        Event.LINK_DOWN: (State.DOWN, None),
        Event.LINK_REFUSED: (State.CLOSED, ClientMachine._fail),
    },
    State.OPEN: {
        Event.OK: (State.OPEN, ClientMachine._answer),
        Event.LOST: (State.REOPENING, ClientMachine._open_again),
        Event.REFUSED: (State.OPEN, ClientMachine._refuse),
        Event.PONG: (State.OPEN, ClientMachine._ponged),
        Event.DELIVERY: (State.OPEN, ClientMachine._deliver),
        Event.CONFIRM: (State.OPEN, ClientMachine._confirmed),
        Event.BEAT: (State.OPEN, ClientMachine._ping),
        Event.SILENCE: (State.SILENT, ClientMachine._interrupted),
        Event.LINK_DOWN: (State.AWAY, ClientMachine._interrupted),
    },
    State.SILENT: {
        Event.OK: (State.OPEN, ClientMachine._resume),
        Event.LOST: (State.REOPENING, ClientMachine._open),
        Event.REFUSED: (State.OPEN, ClientMachine._resume),
        Event.PONG: (State.OPEN, ClientMachine._resume),
        Event.DELIVERY: (State.OPEN, ClientMachine._resume),
        Event.CONFIRM: (State.OPEN, ClientMachine._resume),
        Event.BEAT: (State.SILENT, ClientMachine._ping),
        Event.LINK_DOWN: (State.AWAY, None),
    },
    # A client that was open once is not ended by a refusal: who refuses it now may accept it in a while.
    State.AWAY: {
        Event.LINK_UP: (State.REOPENING, ClientMachine._open),
    },
    State.REOPENING: {
        Event.OK: (State.OPEN, ClientMachine._opened),
        Event.DELIVERY: (State.REOPENING, ClientMachine._deliver),
        Event.BEAT: (State.REOPENING, ClientMachine._knock_again),
        Event.LINK_DOWN: (State.AWAY, None),
    },
    State.CLOSING: {
        Event.OK: (State.CLOSING, ClientMachine._answer_close),
        Event.LOST: (State.REOPENING, ClientMachine._reopen_to_close),
        Event.REFUSED: (State.CLOSING, ClientMachine._refuse),
        Event.PONG: (State.CLOSING, ClientMachine._ponged),
        Event.DELIVERY: (State.CLOSING, ClientMachine._deliver),
        Event.CONFIRM: (State.CLOSING, ClientMachine._confirmed),
        Event.LINK_DOWN: (State.AWAY, ClientMachine._down_to_close),
    },
    State.CLOSED: {},
}
