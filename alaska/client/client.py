"""A client of the broker for any Twisted program.

::

    client = Client("tcp://127.0.0.1:9999", "my.mailbox")
    await client.connect(timeout=1.0)
    await client.offer("rules", "^temp")
    client.send_for("default", "dump", b'{"n": 1}')
    async for delivery in client:
        print(delivery.subject, delivery.content)

A program whose machine may have its wall clock set back calls :func:`alaska.system.clock.run_on_monotonic_time` for its
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
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed

from alaska import errors
from alaska.client.connection import Connection
from alaska.client.delivery import (
    MOST_POSITION,
    MOST_STATUS,
    Confirmation,
    Delivery,
    Text,
    to_frames,
    to_milliseconds,
    to_number,
    to_octets,
    to_text,
)
from alaska.client.trackers import Trackers, new_tracker
from alaska.interfaces import INetwork, Reactor
from alaska.mlm import commands as mlm
from alaska.mlm.client import Delivered
from alaska.mlm.codec import encode
from alaska.mlm.states import State

__all__ = ["Client", "Confirmation", "Delivery", "to_octets", "to_text"]

Answer = TypeVar("Answer")

LETTERS = "alaska.letters"
MOST_MESSAGES = 100_000
MOST_OCTETS = 256 * 2**20
MOST_CREDIT = 2**24
"""So much credit can be given in one call."""
OWN_CREDIT = 1000
"""So many deliveries may be under way to a client that confirms them itself."""


class Client(Connection):
    """One connection to a broker, under one address.

    Give a ``network`` to share one between several clients, else the client makes its own when it connects. With
    ``deliver`` given, it is called with each delivery; else deliveries wait to be iterated over. A message that the
    broker does not have yet is kept, at most ``most_messages`` of together ``most_octets``.

    With ``credit`` given, be it 0, this is a credit client: it gets at most so many deliveries, and as many more as
    :meth:`give_credit` says, must confirm each by :meth:`confirm`, and hears by ``confirmed`` what becomes of what it
    sends with a tracker. At a C broker all that has no effect. A client without credit that calls :meth:`ask` takes
    everything as before, and confirms each delivery itself when it comes.
    """

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
        for call in (deliver, confirmed):
            if call is not None and not callable(call):
                raise TypeError(f"deliver and confirmed are called, and {type(call).__name__} cannot be")
        super().__init__(endpoint, address, (username, password), network, reactor, most_messages, most_octets)
        self._deliver = deliver if deliver is not None else self._queue
        self._tell_confirmed = confirmed
        self._trackers = Trackers(to_octets(address), self._machine.fence)
        self._stream: bytes | None = None
        self._deliveries: deque[Delivery] = deque()
        self._waiting: deque[Deferred[Delivery]] = deque()
        self._is_plain = True
        self._confirms_itself = False
        # Credit that was given for answers which did not come.
        self._spare_credit = 0
        if credit is not None:
            self.give_credit(credit)

    @property
    def credit(self) -> int:
        """How many deliveries the client is ready for and has not got."""
        return self._machine.credit

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
        octets, why = to_octets(tracker), to_octets(reason)
        to_number(status, MOST_STATUS, "a status")
        if octets:
            self._machine.confirm(octets, status, why[: mlm.MAX_STRING_OCTETS], session)

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

    # What the machine says

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
        super().proven(count)
        if self._trackers.questions:
            self._trackers.came_round(self._machine.rounds, self._machine.session)

    def _awaited(self) -> list[Deferred[Any]]:
        return self._trackers.waiting()

    def _tell_closed(self, error: errors.ClientError | None) -> None:
        super()._tell_closed(error)
        waiting, self._waiting = self._waiting, deque()
        for next_delivery in waiting:
            next_delivery.errback(error or StopAsyncIteration())


def _read_letters(answer: Delivery) -> dict[str, Any]:
    if not answer.content:
        raise errors.Refused("no answer about dead letters", errors.NOT_IMPLEMENTED)
    letters: dict[str, Any] = json.loads(answer.content[0])
    return letters
