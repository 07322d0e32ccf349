"""A client of the broker for any Twisted program.

::

    client = Client("tcp://127.0.0.1:9999", "my.mailbox")
    await client.connect(timeout=1.0)
    await client.offer("rules", "^temp")
    client.send_for("default", "dump", b'{"n": 1}')
    async for delivery in client:
        print(delivery.subject, delivery.content)

A program whose machine may have its wall clock set back calls :func:`alaska.clock.run_on_monotonic_time` for its
reactor when it starts: otherwise Twisted's timers, and with them the heartbeat, stop until the clock is where it was.

The connection looks after itself: a heartbeat a second; when the broker was away, the client opens again, sets up
again what was set up, and sends what the broker may not have. Names, subjects, trackers and content are text or octets;
text goes over the wire as UTF-8, and octets that are no UTF-8 come as surrogate escapes, which go back as they came.

What a method is given is looked at before it does anything: :exc:`TypeError` for a value of a wrong type,
:exc:`ValueError` for a number out of range, and :exc:`ValueTooLong`, a ValueError, for a name that does not fit the
wire.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from alaska import errors
from alaska.delivery import (
    MOST_POSITION,
    MOST_STATUS,
    Confirmation,
    Delivery,
    Text,
    to_frames,
    to_milliseconds,
    to_number,
    to_octets,
    to_seconds,
    to_text,
)
from alaska.interfaces import ILink, INetwork, LinkState, Reactor
from alaska.links import Network, default_reactor
from alaska.mlm import commands as mlm
from alaska.mlm.client import ClientMachine, Delivered, Request
from alaska.mlm.codec import decode, encode
from alaska.mlm.states import State
from alaska.trackers import Trackers, new_tracker

__all__ = ["Client", "Confirmation", "Delivery", "to_octets", "to_text"]

Asked: TypeAlias = "mlm.StreamWrite | mlm.StreamRead | mlm.StreamReplay | mlm.StreamCancel | mlm.ServiceOffer"

Answer = TypeVar("Answer")

LETTERS = "alaska.letters"
TICK_SECONDS = 0.25
MOST_MESSAGES = 100_000
MOST_OCTETS = 256 * 2**20
MOST_CREDIT = 2**24
"""So much credit can be given in one call."""
OWN_CREDIT = 1000
"""So many deliveries may be under way to a client that confirms them itself."""


class Client:
    """One connection to a broker, under one address.

    Give a ``network`` to share one between several clients, else the client makes its own when it connects. With
    ``deliver`` given, it is called with each delivery; else deliveries wait to be iterated over. A message that the
    broker does not have yet is kept, at most ``most_messages`` of together ``most_octets``.

    With ``credit`` given, be it 0, this is a credit client: it gets at most so many deliveries, and as many more as
    :meth:`give_credit` says, must confirm each by :meth:`confirm`, and hears by ``confirmed`` what becomes of what it
    sends with a tracker. At a C broker all that has no effect. A client without credit that calls :meth:`ask` takes
    everything as before, and confirms each delivery itself when it comes.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: str,
        address: Text = "",
        *,
        username: str | None = None,
        password: str | None = None,
        deliver: Callable[[Delivery], None] | None = None,
        credit: int | None = None,
        confirmed: Callable[[Confirmation], None] | None = None,
        network: INetwork | None = None,
        reactor: Reactor | None = None,
        most_messages: int = MOST_MESSAGES,
        most_octets: int = MOST_OCTETS,
    ) -> None:
        _check_made(endpoint, username, password, deliver, confirmed)
        octets = to_octets(address)
        encode(mlm.ConnectionOpen(octets))
        self.endpoint = endpoint
        self.address = to_text(octets)
        self._credentials = username, password
        self._reactor = reactor if reactor is not None else default_reactor()
        self._network = network
        self._own_network: INetwork | None = None
        self._link: ILink | None = None
        self._deliver = deliver if deliver is not None else self._queue
        to_number(most_messages, MOST_POSITION, "most_messages")
        to_number(most_octets, MOST_POSITION, "most_octets")
        self._machine = ClientMachine(octets, self, most_messages, most_octets)
        self._tell_confirmed = confirmed
        self._trackers = Trackers(octets, self._machine.fence)
        self._is_plain = True
        self._confirms_itself = False
        if credit is not None:
            self.give_credit(credit)
        # Credit that was given for answers which did not come.
        self._spare_credit = 0
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = self._reactor
        self._stream: bytes | None = None
        self._connecting: Deferred[None] | None = None
        self._closing: list[Deferred[None]] = []
        self._requests: dict[Request, Deferred[None]] = {}
        self._flushes: deque[tuple[int, Deferred[None]]] = deque()
        self._deliveries: deque[Delivery] = deque()
        self._waiting: deque[Deferred[Delivery]] = deque()
        self._error: errors.ClientError | None = None
        self.malformed = 0
        """How many messages of the broker could not be read."""

    # Connecting and closing

    @property
    def is_connected(self) -> bool:
        """Whether the broker has been heard within four heartbeats and knows this client."""
        return self._machine.state is State.OPEN

    @property
    def is_open(self) -> bool:
        """Whether the client takes what is to be sent: it has begun to connect and is not closed."""
        return self._connecting is not None and self._machine.state is not State.CLOSED

    @property
    def credit(self) -> int:
        """How many deliveries the client is ready for and has not got."""
        return self._machine.credit

    @property
    def unproven(self) -> int:
        """How many messages the broker is not known to have; of a closed client, how many are lost."""
        return self._machine.unproven

    @property
    def capabilities(self) -> frozenset[str]:
        """What the broker has announced beyond the C protocol; nothing by the C broker."""
        return frozenset(map(to_text, self._machine.capabilities))

    def connect(self, timeout: float | None = 1.0) -> Deferred[None]:
        """Connect, within so many seconds; with None, whenever the broker is there.

        The Deferred fails with :exc:`ConnectTimeout` when the broker does not answer in time, or :exc:`Refused`;
        the client is closed then, and another has to be made for another try.
        """
        if timeout is not None:
            to_seconds(timeout)
        if self._connecting is not None or self._machine.state is State.CLOSED:
            raise errors.NotConnected("a client connects only once")
        if self._network is None:
            self._network = self._own_network = Network(self._reactor)
        self._link = self._network.dealer(self.endpoint, *self._credentials)
        connecting: Deferred[None] = Deferred(lambda _: self._machine.abort(None))
        self._connecting = connecting
        if timeout is not None:
            self._within(timeout, connecting, f"no broker answers at {self.endpoint}")
        self._link.start(self._received, self._link_changed)
        self._ticks.start(TICK_SECONDS, now=False)
        return connecting

    def close(self, timeout: float = 1.0, longest: float | None = None) -> Deferred[None]:
        """Leave the broker once it has all that was sent, within so many seconds.

        With ``longest`` given, the time begins anew as long as the broker sends anything, and ends after that many
        seconds at the latest: what the broker has sent before its goodbye comes first.

        When the Deferred fires, the connection is gone. It fails with :exc:`ConnectTimeout` when the broker did not
        say in time that it has everything.
        """
        longest = to_seconds(timeout) if longest is None else to_seconds(longest)
        if self._machine.state is State.CLOSED or self._connecting is None:
            return succeed(None)
        closing: Deferred[None] = Deferred()
        self._closing.append(closing)
        latest = self._reactor.seconds() + longest
        self._within(timeout, closing, f"the broker at {self.endpoint} did not take everything", latest)
        self._machine.close()
        return closing

    def _within(self, seconds: float, awaited: Deferred[None], complaint: str, latest: float = 0.0) -> None:
        """Close the client with a complaint unless the Deferred fires in time.

        Until the latest time, that is within so many seconds of the broker's last word.
        """
        deadline: IDelayedCall

        def is_late() -> None:
            nonlocal deadline
            now = self._reactor.seconds()
            left = min(self._machine.heard + seconds, latest) - now
            if left > 0:
                deadline = self._reactor.callLater(left, is_late)
            else:
                self._machine.abort(errors.ConnectTimeout(f"{complaint} within {seconds:g} s"))

        deadline = self._reactor.callLater(seconds, is_late)

        def fired(result: None) -> None:
            if deadline.active():
                deadline.cancel()
            return result

        awaited.addBoth(fired)

    # Setting up

    def produce(self, stream: Text) -> Deferred[None]:
        """Let :meth:`send` write to this stream from now on."""
        command = mlm.StreamWrite(to_octets(stream))
        producing = self._ask(command)
        self._stream = command.stream
        return producing

    def replay(self, stream: Text, pattern: Text = "", position: int = 0) -> Deferred[None]:
        """Read a stream from a position on: 0 for the oldest record that is kept, then what is written from now on.

        Deliveries have positions then; to go on after a pause, ask for the one behind the last, as the client itself
        does when the broker was away.

        :raises Refused: the broker has no journals.
        """
        to_number(position, MOST_POSITION, "a position")
        command = mlm.StreamReplay(to_octets(stream), to_octets(pattern), position)
        if "replay" not in self.capabilities:
            raise errors.Refused("the broker keeps no streams", errors.NOT_IMPLEMENTED)
        return self._ask(command)

    def consume(self, stream: Text, pattern: Text = "") -> Deferred[None]:
        """Read what is written to a stream under subjects that match a pattern, from now on."""
        return self._ask(mlm.StreamRead(to_octets(stream), to_octets(pattern)))

    def cancel(self, stream: Text) -> Deferred[None]:
        """Read a stream no longer."""
        return self._ask(mlm.StreamCancel(to_octets(stream)))

    def offer(self, service: Text, pattern: Text = "") -> Deferred[None]:
        """Take requests for a service whose subjects match a pattern."""
        return self._ask(mlm.ServiceOffer(to_octets(service), to_octets(pattern)))

    def _ask(self, command: Asked) -> Deferred[None]:
        """Ask for something; the Deferred fires when the broker has done it, or fails with :exc:`Refused`."""
        encode(command)
        self._check_open()
        request = Request(command)
        asked = self._requests[request] = Deferred()
        self._machine.request(request)
        return asked

    # Sending

    def send(self, subject: Text, *content: Text) -> None:
        """Send a message to the stream of :meth:`produce`; raises as :meth:`publish`."""
        if self._stream is None:
            raise errors.NotConnected("produce() has to name a stream first")
        self.publish(self._stream, subject, *content)

    def publish(self, stream: Text, subject: Text, *content: Text) -> None:
        """Send a message to a stream.

        :raises BacklogFull: too much waits for the broker; nothing was sent.
        :raises ValueTooLong: a name or the subject has more than 255 octets.
        :raises NotConnected: the client is closed, or never was connected.
        :raises TypeError, ValueError: a value cannot be sent; nothing was.
        """
        octets = to_octets(stream)
        encode(mlm.StreamWrite(octets))
        self._send(mlm.StreamSend(to_octets(subject), to_frames(content)), octets)

    def send_to(self, mailbox: Text, subject: Text, *content: Text, tracker: Text = "", timeout: float = 0.0) -> None:
        """Send a message to a mailbox; with a timeout, in seconds, it is thrown away if it is not delivered by then.

        Raises as :meth:`publish`.
        """
        octets = to_octets(mailbox), to_octets(subject), to_octets(tracker)
        self._send(mlm.MailboxSend(*octets, to_milliseconds(timeout), to_frames(content)))

    def send_for(self, service: Text, subject: Text, *content: Text, tracker: Text = "", timeout: float = 0.0) -> None:
        """Send a request to a service; timeout and errors as of :meth:`send_to`."""
        octets = to_octets(service), to_octets(subject), to_octets(tracker)
        self._send(mlm.ServiceSend(*octets, to_milliseconds(timeout), to_frames(content)))

    def _send(self, command: mlm.StreamSend | mlm.MailboxSend | mlm.ServiceSend, stream: bytes | None = None) -> None:
        encode(command)
        self._check_open()
        self._machine.send(command, stream)

    def track_to(self, mailbox: Text, subject: Text, *content: Text, timeout: float = 0.0) -> Deferred[Confirmation]:
        """Send as :meth:`send_to`; the Deferred fires when the broker knows what became of the message.

        :raises Refused: the client gives no credit, or the broker confirms nothing.
        """
        tracker = self._new_tracker()
        self.send_to(mailbox, subject, *content, tracker=tracker, timeout=timeout)
        return self._trackers.track(tracker)

    def track_for(self, service: Text, subject: Text, *content: Text, timeout: float = 0.0) -> Deferred[Confirmation]:
        """Send as :meth:`send_for`; the Deferred and errors are those of :meth:`track_to`."""
        tracker = self._new_tracker()
        self.send_for(service, subject, *content, tracker=tracker, timeout=timeout)
        return self._trackers.track(tracker)

    def _new_tracker(self) -> str:
        self._check_open()
        if not self._machine.may_be_confirmed:
            raise errors.Refused("nobody would say what became of the message", errors.NOT_IMPLEMENTED)
        return new_tracker()

    def ask(self, service: Text, subject: Text, *content: Text, timeout: float = 5.0) -> Deferred[Delivery]:
        """Send a request, and wait so many seconds for the mail that answers it: the one with its tracker.

        The client needs an address. At a broker that confirms, the end of the request ends the wait: where the worker
        has done it without an answer, the Deferred fires with a delivery that has no sender and no content (``()``);
        where nobody offers the service, or the request is refused, it fails with :exc:`Refused`. When there is no
        answer in time, and at a C broker that is the only end without one, it fails with
        :exc:`twisted.internet.defer.TimeoutError`. An answer that comes later is a delivery like any other. Raises as
        :meth:`publish`.
        """
        tracker = new_tracker()
        octets = to_octets(service), to_octets(subject), tracker.encode()
        command = mlm.ServiceSend(*octets, to_milliseconds(timeout), to_frames(content))
        encode(command)
        self._check_open()
        if self._is_plain and not self._confirms_itself and self._machine.may_confirm:
            # Before the request: only a credit client is told what becomes of it.
            self._confirms_itself = True
            self._machine.give_credit(OWN_CREDIT)
        self._machine.send(command)
        if self._machine.may_be_confirmed and not self._is_plain:
            self._give_spare_credit()
        asked = self._trackers.ask(tracker, command.subject).addTimeout(timeout, self._reactor)
        return asked.addBoth(self._note_spare_credit)

    def _give_spare_credit(self) -> None:
        """Be ready for one answer more."""
        if self._spare_credit > 0:
            self._spare_credit -= 1
        else:
            self._machine.give_credit(1)

    def _note_spare_credit(self, result: Answer) -> Answer:
        """Keep the credit of a question that has ended; an answer has used it up before."""
        self._spare_credit += 1
        return result

    def letters(self, what: str, **options: int) -> Deferred[dict[str, Any]]:
        """Ask our broker about dead letters: ``list`` (after, limit), ``read``, ``replay`` or ``drop`` (position).

        The Deferred fires with the answer that docs/protocol.md, section 6, describes, or fails as that of :meth:`ask`.
        """
        for name, value in options.items():
            to_number(value, MOST_POSITION, name)
        return self.ask(LETTERS, what, json.dumps(options).encode()).addCallback(_read_letters)

    def flush(self) -> Deferred[None]:
        """Return a Deferred that fires when the broker has all that was sent so far."""
        self._check_open()
        flushed: Deferred[None] = Deferred()
        self._flushes.append((self._machine.flush(), flushed))
        self.proven(self._machine.count_proven)
        return flushed

    def _check_open(self) -> None:
        if self._connecting is None or self._machine.state is State.CLOSED:
            raise self._error or errors.NotConnected("the client is not connected")

    # Receiving

    def give_credit(self, amount: int) -> None:
        """Be ready for so many more deliveries, 0 to 2^24; from now on each is to be confirmed by :meth:`confirm`."""
        self._is_plain = self._confirms_itself = False
        self._machine.give_credit(to_number(amount, MOST_CREDIT, "credit"))

    def confirm(self, delivery: Delivery, status: int = errors.SUCCESS, reason: Text = "") -> None:
        """Say what became of a delivery.

        Below 300: done. 300 to 399: not done, the broker is to offer it again. 400 and above: refused for good, the
        broker keeps it as a dead letter. A delivery of a connection that has been lost since is not confirmed: the
        broker has taken it back.
        """
        if not isinstance(delivery, Delivery):
            raise TypeError(f"a Delivery is confirmed, not {type(delivery).__name__}")
        self.confirm_tracker(delivery.tracker_octets, status, reason, delivery.session)

    def confirm_tracker(self, tracker: Text, status: int, reason: Text, session: int) -> None:
        """Say what became of the delivery that came with a tracker over a connection; see :meth:`confirm`."""
        confirm = mlm.Confirm(to_octets(tracker), status, to_octets(reason)[: mlm.MAX_STRING_OCTETS])
        to_number(status, MOST_STATUS, "a status")
        if confirm.tracker:
            self._machine.confirm(*confirm, session)

    def __aiter__(self) -> Client:
        return self

    def __anext__(self) -> Deferred[Delivery]:
        """Return the next delivery; the iteration ends when the client is closed."""
        if self._deliveries:
            return succeed(self._deliveries.popleft())
        waiting: Deferred[Delivery] = Deferred(self._waiting.remove)
        if self._machine.state is State.CLOSED:
            waiting.errback(self._error or StopAsyncIteration())
        else:
            self._waiting.append(waiting)
        return waiting

    def _queue(self, delivery: Delivery) -> None:
        if self._waiting:
            self._waiting.popleft().callback(delivery)
        else:
            self._deliveries.append(delivery)

    # What the link says

    def _received(self, frames: list[bytes]) -> None:
        try:
            command = decode(frames)
        except errors.ProtocolError as error:
            self.malformed += 1
            self._log.warn("{address}: the broker sent {error}", address=self.address, error=error)
            return
        self._machine.received(command, self._reactor.seconds())

    def _link_changed(self, state: LinkState) -> None:
        self._machine.link(state, self._reactor.seconds())

    def _tick(self) -> None:
        self._machine.tick(self._reactor.seconds())

    # What the machine says

    def transmit(self, command: mlm.Command) -> None:
        """See :class:`alaska.mlm.client.Listener`."""
        if self._link is not None:
            self._link.send(encode(command))

    def opened(self) -> None:
        """See :class:`alaska.mlm.client.Listener`."""
        if self._connecting is not None and not self._connecting.called:
            self._connecting.callback(None)
        else:
            self._log.info("{address}: connected again", address=self.address)

    def interrupted(self, state: State) -> None:
        """See :class:`alaska.mlm.client.Listener`."""
        self._log.warn("{address}: lost the broker ({state})", address=self.address, state=state.value)

    def answered(self, request: Request, error: errors.ClientError | None) -> None:
        """See :class:`alaska.mlm.client.Listener`."""
        asked = self._requests.pop(request, None)
        if asked is None:
            if error is not None:
                self._log.error("{address}: {error}", address=self.address, error=error)
        elif error is None:
            asked.callback(None)
        else:
            asked.errback(error)

    def delivered(self, command: Delivered, session: int) -> None:
        """See :class:`alaska.mlm.client.Listener`."""
        delivery = Delivery(command, session)
        if self._confirms_itself:
            self.confirm(delivery)
            if self._machine.credit <= OWN_CREDIT // 2:
                self._machine.give_credit(OWN_CREDIT - self._machine.credit)
        if self._trackers.questions and self._is_answer(delivery):
            return
        self._deliver(delivery)

    def _is_answer(self, delivery: Delivery) -> bool:
        """Take a delivery if a question waits for it; what comes instead must not take its place."""
        if self._trackers.awaits(delivery):
            self._spare_credit -= 1
            if not self._confirms_itself:
                self.confirm(delivery)
        elif not self._is_plain and self._machine.credit < self._trackers.questions and self._machine.may_be_confirmed:
            self._machine.give_credit(1)
        return self._trackers.answered(delivery)

    def confirmed(self, command: mlm.Confirm) -> None:
        """See :class:`alaska.mlm.client.Listener`."""
        reason = to_text(command.status_reason)
        confirmation = Confirmation(to_text(command.tracker), command.status_code, reason)
        self._trackers.confirmed(confirmation)
        if self._tell_confirmed is not None:
            self._tell_confirmed(confirmation)

    def proven(self, count: int) -> None:
        """See :class:`alaska.mlm.client.Listener`."""
        while self._flushes and self._flushes[0][0] <= count:
            self._flushes.popleft()[1].callback(None)
        if self._trackers.questions:
            self._trackers.came_round(self._machine.rounds, self._machine.session)

    def closed(self, error: errors.ClientError | None) -> None:
        """See :class:`alaska.mlm.client.Listener`."""
        self._error = error
        if self._ticks.running:
            self._ticks.stop()
        if self._link is not None:
            self._link.close()
        if self._own_network is None:
            self._tell_closed(error)
        else:
            # Ending a network waits for what was sent, and must not happen within a call of one of its sockets.
            self._reactor.callLater(0, self._close_network, error)

    def _close_network(self, error: errors.ClientError | None) -> None:
        if self._own_network is not None:
            self._own_network.close()
        self._tell_closed(error)

    def _tell_closed(self, error: errors.ClientError | None) -> None:
        """Fire all that waits: with success only those who waited for the close that was asked for."""
        reason = error or errors.NotConnected("the client was closed")
        closing, self._closing = self._closing, []
        for closed in closing:
            closed.errback(error) if error is not None else closed.callback(None)
        requests, self._requests = self._requests, {}
        flushes, self._flushes = self._flushes, deque()
        awaited: list[Deferred[Any]] = [*requests.values(), *(flushed for _, flushed in flushes)]
        awaited += self._trackers.waiting()
        if self._connecting is not None and not self._connecting.called:
            awaited.append(self._connecting)
        for failed in awaited:
            failed.errback(reason)
        waiting, self._waiting = self._waiting, deque()
        for next_delivery in waiting:
            next_delivery.errback(error or StopAsyncIteration())


def _read_letters(answer: Delivery) -> dict[str, Any]:
    if not answer.content:
        raise errors.Refused("no answer about dead letters", errors.NOT_IMPLEMENTED)
    letters: dict[str, Any] = json.loads(answer.content[0])
    return letters


def _check_made(endpoint: object, username: object, password: object, *calls: object) -> None:
    """Raise a TypeError unless this is what a client can be made of."""
    if not isinstance(endpoint, str):
        raise TypeError(f"an endpoint is text, not {type(endpoint).__name__}")
    for value, what in ((username, "a user name"), (password, "a password")):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{what} is text, not {type(value).__name__}")
    for call in calls:
        if call is not None and not callable(call):
            raise TypeError(f"deliver and confirmed are called, and {type(call).__name__} cannot be")
