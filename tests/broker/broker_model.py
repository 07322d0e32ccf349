"""What a broker must do, worked out beside a real one: each thing that it sends is checked at once.

A :class:`BrokerModel` knows clients, messages and streams as the protocol describes them (docs/protocol.md, sections
3 to 6). It does not foresee who gets what; it knows who may get it, what nobody may get any more, and what must not
wait any longer. A message is recognized by its content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from alaska.broker.broker import CAPABILITIES, GRACE_SECONDS, Broker
from alaska.broker.clients import HOLD_SECONDS
from alaska.broker.limits import Limits
from alaska.interfaces import IStore
from alaska.message import Message, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from alaska.mlm.patterns import compile_pattern
from tests.broker.fake_router import FakeRouter
from tests.broker.stream_model import StreamsModel

OK = mlm.Ok(200, b"")
TURNS_TO_SETTLE = 60
EVERYTHING = 10_000


def matches(pattern: bytes, subject: bytes) -> bool:
    """Return whether a pattern matches a subject."""
    return compile_pattern(pattern).matches(subject)


@dataclass(eq=False)
class Peer:
    """A client as it should be: what it may be sent, and what it holds."""

    name: bytes
    address: bytes
    heard: float
    held_until: float | None
    credit: int | None = None
    is_open: bool = True
    is_replaced: bool = False
    is_silent: bool = False
    is_disconnected: bool = False
    is_known_disconnected: bool = False
    stream: bytes | None = None
    offers: dict[bytes, set[bytes]] = field(default_factory=dict)
    leases: dict[bytes, Sent] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether it may be sent one more delivery."""
        return self.is_open and not self.is_known_disconnected and (self.credit is None or self.credit > 0)

    def takes(self, queue: QueueName, subject: bytes) -> bool:
        """Return whether it offers this; of mailboxes the model knows the owners."""
        patterns = self.offers.get(queue.address, ()) if queue.kind is QueueKind.SERVICE else ()
        return any(matches(pattern, subject) for pattern in patterns)


@dataclass(eq=False)
class Sent:
    """A message: where it is, and what its sender has been told.

    ``said`` is what its sender calls it; that may stand for the tracker.
    ``holder`` is the credit client that has it; ``final`` the status that ended it. What was restored may be with a
    client, and be counted as delivered, before it is sent: the broker has that noted first.
    """

    number: int
    place: int
    queue: QueueName
    origin: Peer | None
    sender: bytes
    subject: bytes
    tracker: bytes
    said: bytes
    is_tracked: bool
    expires: float | None
    holder: Peer | None = None
    final: int | None = None
    attempts: int = 0
    is_restored: bool = False
    was_sent_again: bool = False
    told: list[int] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether it may be delivered."""
        return self.final is None and self.holder is None

    def is_late(self, now: float) -> bool:
        """Return whether its time has passed."""
        return self.expires is not None and self.expires <= now


class BrokerModel:
    """A broker, and what it should be."""

    def __init__(self, store: IStore, limits: Limits, settle: Callable[[], None]) -> None:
        self.limits = limits
        self._settle_store = settle
        self.store = store
        self.now = 1000.0
        self.peers: dict[bytes, Peer] = {}
        self.owners: dict[bytes, Peer] = {}
        self.messages: dict[int, Sent] = {}
        self.letters: set[int] = set()
        self.streams = StreamsModel(store, limits.retention_of)
        self._replies: list[tuple[Peer, mlm.Command]] = []
        self._said_last = b""
        self._may_leave: set[Peer] = set()
        self._ended: list[Sent] = []
        self.count = 0
        self.start(store)

    def start(self, store: IStore) -> None:
        """Start a broker with a store."""
        self.store = self.streams.store = store
        self.router = FakeRouter(self._transmit)
        self.broker = Broker(self.router, self.limits, store)
        self._last_tick = self.now
        self.broker.tick(self.now)

    @property
    def connected(self) -> list[Peer]:
        """The clients that can say something."""
        return [peer for peer in self.peers.values() if peer.is_open and not peer.is_disconnected]

    # What the broker sends

    def _transmit(self, name: bytes, command: mlm.Command) -> bool:
        peer = self.peers[name]
        match command:
            case mlm.MailboxDeliver() | mlm.ServiceDeliver():
                self._delivered(peer, command)
            case mlm.StreamDeliver() | mlm.StreamRecord():
                self._spend(peer)
                self.streams.delivered(peer, command)
            case mlm.Confirm():
                self._confirmed(peer, command)
            case mlm.Ok(_, reason) if reason.startswith(b"last="):
                self._said_last = reason
                self._replies.append((peer, OK))
            case _ if not peer.is_disconnected:
                self._replies.append((peer, command))
        if peer.credit is None:
            peer.is_known_disconnected = peer.is_disconnected
        return not peer.is_disconnected

    def _spend(self, peer: Peer) -> None:
        assert peer.is_open, f"a delivery to {peer.name!r}, which has left"
        assert not peer.is_known_disconnected, f"a delivery to {peer.name!r}, whose connection is known to be gone"
        if peer.credit is not None:
            assert peer.credit > 0, f"a delivery to {peer.name!r}, which has no credit left"
            peer.credit -= 1

    def _delivered(self, peer: Peer, command: mlm.MailboxDeliver | mlm.ServiceDeliver) -> None:
        message = self.messages[int(command.content[0])]
        self._let_go(message)
        self._spend(peer)
        assert message.waits, f"{message} is delivered to {peer.name!r}"
        assert message.is_restored or not message.is_late(self.now), f"{message} is delivered late"
        assert self._may_take(peer, message), f"{peer.name!r} gets {message}, which is not for it"
        older = [other for other in self.waiting(message.queue) if other.place < message.place]
        if message.queue.kind is QueueKind.SERVICE:
            # What was restored is with a client already while its attempt is being noted.
            older = [other for other in older if other.subject == message.subject and not other.is_restored]
        else:
            older = [other for other in older if other.tracker not in peer.leases]
        assert all(other.is_late(self.now) for other in older), f"{message} comes before {older}"
        assert (command.sender, command.address) == (message.sender, message.queue.address)
        assert command.subject == message.subject
        if peer.credit is not None:
            self._check_tracker(peer, message, command.tracker)
            message.attempts += 1
            message.holder = peer
            peer.leases[command.tracker] = message
        else:
            assert command.tracker == message.tracker
            if not peer.is_disconnected:
                self._end(message, 202)

    def _check_tracker(self, peer: Peer, message: Sent, tracker: bytes) -> None:
        """No two deliveries that are with a client have the same tracker; a request prefers who has not got its own."""
        assert tracker and tracker not in peer.leases, f"{peer.name!r} has another {tracker!r} than {message}"
        if not message.tracker or tracker == message.tracker:
            return
        assert message.queue.kind is QueueKind.SERVICE, f"{message} as {tracker!r}"
        same = [each for each in self.messages.values() if each.waits and each.tracker == message.tracker]
        if any(each.is_restored for each in same if each is not message):
            # It may be with a client already, while its attempt is being noted.
            return
        assert message.tracker in peer.leases, f"{message} as {tracker!r}"
        consumers = [
            each for each in self.peers.values() if each.is_ready and each.takes(message.queue, message.subject)
        ]
        others = [each for each in consumers if message.tracker not in each.leases]
        assert not others or self._may_leave, f"{message} is for {others}"

    def _let_go(self, message: Sent) -> None:
        """Let whoever holds a message have left, if that may be."""
        if message.holder is not None and message.holder in self._may_leave:
            self.leave(message.holder)

    def _may_take(self, peer: Peer, message: Sent) -> bool:
        if message.queue.kind is QueueKind.SERVICE:
            return peer.takes(message.queue, message.subject)
        is_held = peer.held_until is not None and peer.held_until > self.now
        return self.owners.get(message.queue.address) is peer and not is_held

    def _confirmed(self, peer: Peer, command: mlm.Confirm) -> None:
        assert peer.is_open and peer.credit is not None, f"{peer.name!r} is sent {command}"
        if not command.tracker:
            may_hold = peer.leases or any(each.is_restored and each.final is None for each in self.messages.values())
            assert may_hold, "only who has something to confirm is looked for"
            return
        status = command.status_code
        told = [each for each in self.messages.values() if each.said == command.tracker and each.is_tracked]
        for message in [each for each in told if self._hears(each) is peer]:
            self._let_go(message)
        mine = [each for each in told if self._hears(each) is peer and self._is_due(each, status)]
        assert mine, f"{peer.name!r} is told {status} of {told}"
        if mine[0].waits and status == 302:
            self._end(mine[0], status)
        elif mine[0].waits and status == 502:
            self._bury(mine[0], status)
        mine[0].told.append(status)
        if status == 201:
            consumers = [each for each in self.peers.values() if each.takes(mine[0].queue, mine[0].subject)]
            count = len(consumers) or int(
                mine[0].queue.kind is QueueKind.MAILBOX and mine[0].queue.address in self.owners
            )
            assert self._may_leave or command.status_reason == b"offers=%d" % count

    def _is_due(self, message: Sent, status: int) -> bool:
        if status == 201:
            return not message.told
        ends_now = message.waits and (
            (status == 302 and message.is_late(self.now)) or (status == 502 and message.is_restored)
        )
        return message.told in ([201], []) and (message.final == status or ends_now)

    def _hears(self, message: Sent) -> Peer | None:
        """Return who is to be told what becomes of a message."""
        if message.origin is not None and message.origin.is_open:
            return message.origin
        return self.owners.get(message.sender)

    # What the peers say

    def call(self, peer: Peer, command: mlm.Command, *replies: mlm.Command) -> None:
        """Let a peer send a command, which is to be answered by these and nothing else."""
        self.receive(peer, encode(command), *((peer, reply) for reply in replies))

    def receive(self, peer: Peer, frames: list[bytes], *replies: tuple[Peer, mlm.Command]) -> None:
        """Let a peer send frames, which are to be answered by these and nothing else."""
        peer.heard = self.now
        peer.held_until = None
        self._during(lambda: self.broker.received(peer.name, frames, self.now))
        assert self._replies == list(replies), f"{self._replies} instead of {replies}"

    def _during(self, call: Callable[[], object]) -> None:
        self._replies = []
        call()
        for name in self.router.end_turn(self.broker):
            self.peers[name].is_known_disconnected = True
        for message in self._ended:
            listener = self._hears(message)
            if (
                message.is_tracked
                and listener is not None
                and listener.credit is not None
                and not listener.is_disconnected
            ):
                assert message.told[-1:] == [message.final], f"the sender of {message} was not told its end"
        self._ended = []
        if any(message.waits and message.is_late(self.now) for message in self.messages.values()):
            self.check_kept()

    def open(self, address: bytes, credit: int | None) -> Peer:
        """Open a client on a new connection."""
        peer = Peer(b"p%d" % len(self.peers), address, self.now, None)
        self.peers[peer.name] = peer
        replies: list[tuple[Peer, mlm.Command]] = []
        older = self.owners.get(address)
        if older is not None and older.credit is None:
            older.is_replaced = True
            self._strip(older)
        elif older is not None:
            self.leave(older)
            if not older.is_disconnected:
                reason = b"another client has opened with this address"
                replies.append((older, mlm.Error(400, reason)))
        if address:
            self.owners[address] = peer
        replies.append((peer, mlm.Ok(200, CAPABILITIES)))
        self.receive(peer, encode(mlm.ConnectionOpen(address)), *replies)
        peer.held_until = self.now + HOLD_SECONDS
        if credit is not None:
            self.credit(peer, credit)
        return peer

    def credit(self, peer: Peer, amount: int) -> None:
        """Let a peer give credit."""
        peer.credit = (peer.credit or 0) + amount
        self.call(peer, mlm.Credit(amount))

    def offer(self, peer: Peer, service: bytes, pattern: bytes) -> None:
        """Let a peer offer a service; one that lost its address is refused, in the way that it can bear."""
        if not peer.is_replaced:
            peer.offers.setdefault(service, set()).add(pattern)
        self.call(peer, mlm.ServiceOffer(service, pattern), self.answer(peer))

    def answer(self, peer: Peer) -> mlm.Command:
        """Return the answer to what only a client may ask that has not lost its address."""
        is_refused = peer.is_replaced and peer.credit is not None
        return mlm.Error(400, b"a newer client has its address") if is_refused else OK

    def send(
        self,
        peer: Peer,
        queue: QueueName,
        subject: bytes,
        tracker: bytes,
        timeout: int,
        padding: bytes = b"",
        meant: bytes | None = None,
    ) -> Sent:
        """Let a peer send a request or mail; the timeout is in ms, and ``meant`` what the tracker stands for."""
        self.count += 1
        is_tracked = bool(tracker) and peer.credit is not None
        expires = self.now + timeout / 1000 if timeout else None
        place = self.count
        stands_for = tracker if meant is None else meant
        sent = Sent(place, place, queue, peer, peer.address, subject, stands_for, tracker, is_tracked, expires)
        self.messages[sent.number] = sent
        content = (b"%d" % sent.number, padding or b"." * (sent.number % 4))
        make = mlm.MailboxSend if queue.kind is QueueKind.MAILBOX else mlm.ServiceSend
        self.call(peer, make(queue.address, subject, tracker, timeout, content))
        return sent

    def write(self, peer: Peer, stream: bytes, subjects: list[bytes]) -> None:
        """Let a peer write to a stream."""
        self.call(peer, mlm.StreamWrite(stream), OK)
        for subject in subjects:
            number = self.streams.write(stream, peer, peer.address, subject)
            self.call(peer, mlm.StreamSend(subject, (b"%d" % number,)))

    def read(self, peer: Peer, stream: bytes, pattern: bytes) -> None:
        """Let a peer read a stream from now on."""
        if not peer.is_replaced:
            self.streams.read(peer, stream, pattern)
        self.call(peer, mlm.StreamRead(stream, pattern), self.answer(peer))

    def replay(self, peer: Peer, stream: bytes, pattern: bytes, position: int) -> None:
        """Let a peer read a stream from a position on."""
        if stream not in self.limits.retention_of:
            position = mlm.LIVE_ONLY if position == mlm.LIVE_ONLY else 0
        if not peer.is_replaced:
            self.streams.replay(peer, stream, pattern, position)
        last = b"last=%d" % self.streams.last(stream)
        self.call(peer, mlm.StreamReplay(stream, pattern, position), self.answer(peer))
        assert peer.is_replaced or stream not in self.limits.retention_of or self._said_last == last

    def cancel(self, peer: Peer, stream: bytes) -> None:
        """Let a peer read a stream no longer."""
        self.streams.cancel(peer, stream)
        self.call(peer, mlm.StreamCancel(stream), OK)

    def confirm(self, peer: Peer, tracker: bytes, status: int) -> None:
        """Let a peer confirm a delivery."""
        message = peer.leases.pop(tracker)
        message.holder = None
        if status < 300:
            self._end(message, 200)
        elif status < 400:
            message.attempts -= 1
        else:
            self._bury(message, status)
        self.call(peer, mlm.Confirm(tracker, status, b"why"))

    def close(self, peer: Peer) -> None:
        """Let a peer leave."""
        self.leave(peer)
        self.call(peer, mlm.ConnectionClose(), OK)

    def misbehave(self, peer: Peer, frames: list[bytes]) -> None:
        """Let a peer send what ends its session."""
        self.leave(peer)
        self.receive(peer, frames, (peer, mlm.Error(500, b"")))

    # What follows

    def _end(self, message: Sent, status: int) -> None:
        message.final = status
        message.holder = None
        self._ended.append(message)

    def _bury(self, message: Sent, status: int) -> None:
        self.letters.add(message.number)
        self._end(message, status)

    def _strip(self, peer: Peer) -> None:
        peer.offers.clear()
        self.streams.leave(peer)
        leased = sorted(peer.leases.values(), key=lambda each: each.place)
        peer.leases.clear()
        for message in leased:
            message.holder = None
            most = self.limits.attempts
            if message.queue.kind is QueueKind.SERVICE and most is not None and message.attempts >= most:
                self._bury(message, 502)

    def leave(self, peer: Peer) -> None:
        """Let a client be gone."""
        peer.is_open = False
        self._may_leave.discard(peer)
        if self.owners.get(peer.address) is peer:
            del self.owners[peer.address]
        self._strip(peer)

    def settle(self) -> None:
        """Let the store write all that it has to write."""
        self._during(self._settle_store)

    def tick(self) -> None:
        """Let the broker do what is due."""
        if abs(self.now - self._last_tick) > GRACE_SECONDS:
            for peer in self.peers.values():
                peer.heard = self.now
        self._last_tick = self.now
        still_open = [peer for peer in self.peers.values() if peer.is_open]
        silent = {peer for peer in still_open if peer.heard < self.now - self.limits.client_timeout}
        known_gone = {peer for peer in still_open if peer.is_known_disconnected}
        self._may_leave = silent | {peer for peer in still_open if peer.is_disconnected}
        late = [each for each in self.messages.values() if each.waits and each.is_late(self.now)]

        def call() -> None:
            self.broker.tick(self.now)
            for peer in list(self._may_leave):
                has_left = self.broker.clients.by_peer(peer.name) is None
                assert has_left or peer not in silent | known_gone, f"{peer.name!r} has not expired"
                if has_left:
                    self.leave(peer)

        self._during(call)
        self._may_leave = set()
        assert not self._replies, f"nobody asked for {self._replies}"
        for peer in still_open:
            if peer.held_until is not None and peer.held_until <= self.now:
                peer.held_until = None
        self.check_kept()
        late = [message for message in late if message.final != 302 and not message.is_restored]
        assert not late, f"{late} are late and still wait"

    # What must hold

    def waiting(self, queue: QueueName | None = None) -> list[Sent]:
        """Return the messages that wait, of one queue or of all."""
        return [each for each in self.messages.values() if each.waits and queue in (None, each.queue)]

    def check_kept(self) -> None:
        """The broker has what is not ended and nothing else, and the letters; what is late may be thrown away."""
        kept = self.kept()
        letters = {int(letter.message.content[0]) for letter in self.store.letters(0, EVERYTHING)}
        for message in self.messages.values():
            if message.waits and message.is_restored and message.number in letters:
                # Nobody knows when that was, and so who was to be told.
                self.letters.add(message.number)
                message.final = 502
            if message.final is None and message.number not in kept:
                assert message.waits and message.is_late(self.now), f"{message} is lost"
                listener = self._hears(message)
                is_heard = listener is not None and listener.credit is not None and not listener.is_disconnected
                assert not (message.is_tracked and is_heard), f"nobody was told that {message} was late"
                message.final = 302
        ended = [self.messages[number] for number in kept if self.messages[number].final is not None]
        assert not ended, f"{ended} are kept"
        assert letters == self.letters, f"letters {letters} instead of {self.letters}"

    def kept(self) -> dict[int, Message]:
        """Return the messages that are kept, in order, by their numbers.

        A store that does not survive a restart need not have what is in the broker's memory.
        """
        queues = {message.queue for message in self.messages.values()}
        kept = [message for queue in queues for message in self.store.waiting(queue, 0, EVERYTHING)]
        if not self.store.is_durable:
            for client in self.broker.clients:
                kept += client.leases.values()
            for queue in self.broker.queues._queues.values():
                kept += [message for lane in queue._lanes.values() for message in lane.messages]
        return {int(message.content[0]): message for message in kept}

    def check_settled(self) -> None:
        """When the broker has had its turns, nothing waits that somebody is ready for."""
        for _ in range(TURNS_TO_SETTLE):
            self.tick()
            self.settle()
        ready = [peer for peer in self.peers.values() if peer.is_ready]
        for message in self.waiting():
            consumers = [peer for peer in ready if self._may_take(peer, message)]
            if message.queue.kind is QueueKind.MAILBOX:
                consumers = [peer for peer in consumers if message.tracker not in peer.leases]
            assert not consumers or message.is_late(self.now), f"{message} waits, and {consumers} are ready"
        lanes = [lane for queue in self.broker.queues._queues.values() for lane in queue._lanes.values()]
        assert self.broker.queues.window_memory.octets == sum(lane.memory_octets for lane in lanes), (
            "something is counted wrong"
        )
        for peer in ready:
            self.streams.check_fed(peer)

    def check_room(self, octets: int) -> None:
        """When nothing waits there is room for so many octets."""
        sender = self.open(b"", 0)
        sent = self.send(
            sender,
            QueueName(QueueKind.SERVICE, b"nobody's"),
            b"",
            b"last",
            0,
            b"." * (octets - len(str(self.count + 1))),
        )
        self.settle()
        assert sent.told == [201], f"there is no room for {octets} octets"

    def settle_letter(self, pick: int, is_dropped: bool) -> None:
        """Let a dead letter be sent again, of which nobody is told, or thrown away."""
        self.check_kept()  # a letter that goes is not seen any more
        letters = list(self.store.letters(0, EVERYTHING))
        dead = letters[pick % len(letters)].message
        number = int(dead.content[0])
        self.letters.discard(number)
        message = self.messages[number]
        if is_dropped:
            assert self.broker.queues.dead_letters.drop(dead.position)
            return
        self.count += 1
        message.place = self.count
        message.final, message.attempts, message.is_tracked, message.expires = None, 0, False, None
        message.is_restored, message.was_sent_again = False, True
        self._during(lambda: self.broker.queues.replay_dead_letter(dead.position, self.now))

    def restart(self, store: IStore, is_clean: bool) -> None:
        """Let the broker end, and another begin with what the store has."""
        for peer in self.peers.values():
            peer.is_open = False
            peer.offers.clear()
            peer.leases.clear()
            self.streams.leave(peer)
        self.owners.clear()
        self.start(store)
        kept = self.kept()
        for place, number in enumerate(kept, -len(kept)):
            # A letter that was sent again may be back where it was at first, and as it was.
            self.messages[number].place = place
        for message in self.messages.values():
            message.holder = None
            if message.number in kept:
                assert message.final is None or not is_clean, f"{message} is there again"
                message.final = None
                message.is_restored = True
                # Its end was told and is not on the disk: it is done again, and its end may be told again.
                message.told = [status for status in message.told if status == 201]
                there = kept[message.number]
                is_as_sent = (there.is_tracked, there.expires) == (message.is_tracked, message.expires)
                assert is_as_sent or message.was_sent_again, f"{message} is not as it was sent"
                message.is_tracked, message.expires, message.attempts = there.is_tracked, there.expires, there.attempts
            elif message.final is None:
                is_promised = store.is_durable and (is_clean or message.told == [201])
                assert not is_promised or message.is_late(self.now), f"{message} is lost"
                message.final = 0
        letters = {int(letter.message.content[0]) for letter in store.letters(0, EVERYTHING)}
        assert letters == self.letters or not (store.is_durable and is_clean), "letters are lost"
        self.letters = letters
        self.streams.restarted(is_clean)
