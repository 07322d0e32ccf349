"""A model of the broker that runs beside a real one and checks everything that the real one sends.

A :class:`BrokerModel` knows clients, messages and streams as the protocol describes them (docs/protocol.md, sections
3 to 6). It does not predict which client gets a message. It knows which clients may get it, which messages must not be
delivered any more, and which must not wait any longer. The number in a message's content identifies it.
"""

from __future__ import annotations

from collections.abc import Callable

from alaska.broker.clients import HOLD_SECONDS
from alaska.broker.liveness import GRACE_SECONDS
from alaska.broker.sessions import CAPABILITIES
from alaska.interfaces import IStore
from alaska.message import DELAYED, NORMAL, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from tests.broker.delivery_model import EVERYTHING, OK, DeliveryModel
from tests.broker.model_state import Peer, SentMessage

TURNS_TO_SETTLE = 120


class BrokerModel(DeliveryModel):
    """Sends commands to a broker, lets time pass and restarts it, and keeps the expected state up to date."""

    def call(self, peer: Peer, command: mlm.Command, *replies: mlm.Command) -> None:
        """Let a client send a command, and check that the replies are exactly these."""
        self.receive(peer, encode(command), *((peer, reply) for reply in replies))

    def receive(self, peer: Peer, frames: list[bytes], *replies: tuple[Peer, mlm.Command]) -> None:
        """Let a client send frames, and check that the replies are exactly these."""
        peer.last_heard = self.now
        peer.held_until = None
        self._run(lambda: self.broker.received(peer.name, frames, self.now))
        assert self._replies == list(replies), f"{self._replies} instead of {replies}"

    def _run(self, call: Callable[[], object]) -> None:
        self._replies = []
        call()
        self._kind.answer()
        for name in self.router.end_turn(self.broker):
            self.peers[name].is_known_disconnected = True
        for message in self._ended:
            listener = self._listener(message)
            if (
                message.is_tracked
                and listener is not None
                and listener.credit is not None
                and not listener.is_disconnected
            ):
                assert message.statuses[-1:] == [message.final_status], f"{message} is not confirmed"
        self._ended = []
        if any(message.waits and message.is_expired(self.now) for message in self.messages.values()):
            self.check_stored()

    def open(self, address: bytes, credit: int | None) -> Peer:
        """Let a client open on a new connection."""
        peer = Peer(b"p%d" % len(self.peers), address, self.now, None)
        self.peers[peer.name] = peer
        replies: list[tuple[Peer, mlm.Command]] = []
        older = self.owners.get(address)
        if older is not None and older.credit is None:
            older.is_replaced = True
            self._end_session(older)
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
        """Let a client give credit."""
        peer.credit = (peer.credit or 0) + amount
        self.call(peer, mlm.Credit(amount))

    def offer(self, peer: Peer, service: bytes, pattern: bytes) -> None:
        """Let a client offer a service; one that has lost its address is refused, but a plain one gets OK."""
        if not peer.is_replaced:
            peer.offers.setdefault(service, set()).add(pattern)
        self.call(peer, mlm.ServiceOffer(service, pattern), self.answer(peer))

    def answer(self, peer: Peer) -> mlm.Command:
        """Return the expected reply to a command that is refused if the client has lost its address."""
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
        original: bytes | None = None,
        terms: mlm.Properties | None = None,
    ) -> SentMessage:
        """Let a client send a request or mail; the timeout is in ms, ``original`` what an alias stands for."""
        self.count += 1
        is_tracked = bool(tracker) and peer.credit is not None
        expires = self.now + timeout / 1000 if timeout else None
        order = self.count
        stands_for = tracker if original is None else original
        sent = SentMessage(order, order, queue, peer, peer.address, subject, stands_for, tracker, is_tracked, expires)
        self.messages[sent.number] = sent
        content = (b"%d" % sent.number, padding or b"." * (sent.number % 4))
        make = mlm.MailboxSend if queue.kind is QueueKind.MAILBOX else mlm.ServiceSend
        if not terms:
            self.call(peer, make(queue.address, subject, tracker, timeout, content))
            return sent
        sent.priority = int(terms.get("priority", NORMAL))
        if delay := int(terms.get("delay", 0)):
            sent.due = self.now + delay / 1000
            sent.expires = None if expires is None else sent.due + (expires - self.now)
        self._execute(peer, make(queue.address, subject, tracker, timeout, content, terms))
        return sent

    def _execute(self, peer: Peer, command: mlm.Command) -> None:
        """Let the broker execute a command that the client, which is one of the first edition, could not encode."""
        client = self.broker.clients.by_peer(peer.name)
        assert client is not None
        peer.last_heard = client.last_heard = self.now
        peer.held_until = None

        def execute() -> None:
            self.broker._now = self.now
            self.broker._execute(client, command)

        self._run(execute)
        assert not self._replies, f"unexpected replies {self._replies}"

    def write(self, peer: Peer, stream: bytes, subjects: list[bytes]) -> None:
        """Let a client write to a stream."""
        self.call(peer, mlm.StreamWrite(stream), OK)
        for subject in subjects:
            number = self.streams.write(stream, peer, peer.address, subject)
            self.call(peer, mlm.StreamSend(subject, (b"%d" % number,)))

    def read(self, peer: Peer, stream: bytes, pattern: bytes) -> None:
        """Let a client read a stream from now on."""
        if not peer.is_replaced:
            self.streams.read(peer, stream, pattern)
        self.call(peer, mlm.StreamRead(stream, pattern), self.answer(peer))

    def replay(self, peer: Peer, stream: bytes, pattern: bytes, position: int) -> None:
        """Let a client read a stream from a position on."""
        if stream not in self.limits.retention_of:
            position = mlm.LIVE_ONLY if position == mlm.LIVE_ONLY else 0
        if not peer.is_replaced:
            self.streams.replay(peer, stream, pattern, position)
        last = b"last=%d" % self.streams.last(stream)
        self.call(peer, mlm.StreamReplay(stream, pattern, position), self.answer(peer))
        assert peer.is_replaced or stream not in self.limits.retention_of or self._last_replay_reply == last

    def cancel(self, peer: Peer, stream: bytes) -> None:
        """Let a client cancel a stream."""
        self.streams.cancel(peer, stream)
        self.call(peer, mlm.StreamCancel(stream), OK)

    def confirm(self, peer: Peer, tracker: bytes, status: int) -> None:
        """Let a client confirm a delivery."""
        message = peer.leases.pop(tracker)
        message.holder = None
        if status < 300:
            self._end(message, 200)
        elif status < 400:
            message.attempts -= 1
        else:
            self._dead_letter(message, status)
        self.call(peer, mlm.Confirm(tracker, status, b"why"))

    def close(self, peer: Peer) -> None:
        """Let a client close its session."""
        self.leave(peer)
        self.call(peer, mlm.ConnectionClose(), OK)

    def misbehave(self, peer: Peer, frames: list[bytes]) -> None:
        """Let a client send invalid frames, which end its session."""
        self.leave(peer)
        self.receive(peer, frames, (peer, mlm.Error(500, b"")))

    def settle(self) -> None:
        """Let the store write all pending changes."""
        self._run(self._kind.settle)

    def tick(self) -> None:
        """Let the broker do what is due, and check who has expired."""
        if abs(self.now - self._last_tick) > GRACE_SECONDS:
            for peer in self.peers.values():
                peer.last_heard = self.now
        self._last_tick = self.now
        still_open = [peer for peer in self.peers.values() if peer.is_open]
        silent = {peer for peer in still_open if peer.last_heard < self.now - self.limits.client_timeout}
        known_disconnected = {peer for peer in still_open if peer.is_known_disconnected}
        self._may_leave = silent | {peer for peer in still_open if peer.is_disconnected}
        late = [each for each in self.messages.values() if each.waits and each.is_expired(self.now)]

        def call() -> None:
            for _ in range(self._kind.ticks):
                self.broker.tick(self.now)
                self._kind.answer()
            for peer in list(self._may_leave):
                has_left = self.broker.clients.by_peer(peer.name) is None
                assert has_left or peer not in silent | known_disconnected, f"{peer.name!r} has not expired"
                if has_left:
                    self.leave(peer)

        for message in self.messages.values():
            message.has_been_due = message.has_been_due or (message.due is not None and message.due <= self.now)
        self._run(call)
        self._may_leave = set()
        assert not self._replies, f"unexpected replies {self._replies}"
        for peer in still_open:
            if peer.held_until is not None and peer.held_until <= self.now:
                peer.held_until = None
        self.check_stored()
        # One that was delayed may only begin to wait in this tick.
        late = [each for each in late if each.final_status != 302 and not each.is_restored and each.due is None]
        assert not late, f"{late} have expired and still wait"

    def check_settled(self) -> None:
        """Check that after some ticks no message waits for which a client is ready."""
        for _ in range(TURNS_TO_SETTLE):
            self.tick()
            self.settle()
        ready = [peer for peer in self.peers.values() if peer.is_ready]
        for message in self.waiting():
            consumers = [peer for peer in ready if self._may_take(peer, message)]
            if message.queue.kind is QueueKind.MAILBOX:
                consumers = [peer for peer in consumers if message.tracker not in peer.leases]
            may_wait = message.is_expired(self.now) or message.is_delayed(self.now)
            assert not consumers or may_wait, f"{message} waits, but {consumers} are ready"
        queues = self.broker.queues._queues.values()
        lanes = [lane for queue in queues for part in queue.parts for lane in part._lanes.values()]
        assert self.broker.queues.window_memory.octets == sum(lane.memory_octets for lane in lanes), (
            "the memory of the windows is counted wrong"
        )
        for peer in ready:
            self.streams.check_fed(peer)

    def check_room(self, octets: int) -> None:
        """Check that there is room for a message of this size; to be called when no message waits."""
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
        assert sent.statuses == [201], f"there is no room for {octets} octets"

    def settle_dead_letter(self, pick: int, is_dropped: bool) -> None:
        """Let a dead letter be dropped, or be sent again, which does not notify the sender."""
        self.check_stored()  # afterwards the dead letter cannot be checked
        letters = list(self._content.dead_letters(0, EVERYTHING))
        dead = letters[pick % len(letters)].message
        number = int(dead.content[0])
        self.dead_letters.discard(number)
        message = self.messages[number]
        if is_dropped:
            assert self.broker.queues.dead_letters.drop(dead.position)
            return
        self.count += 1
        message.order = self.count
        message.final_status, message.attempts, message.is_tracked, message.expires = None, 0, False, None
        message.due = None
        message.is_restored, message.was_sent_again = False, True
        self._run(lambda: self.broker.queues.replay_dead_letter(dead.position, self.now))

    def restart(self, store: IStore, is_clean: bool) -> None:
        """Stop or crash the broker, and start another with the store."""
        for peer in self.peers.values():
            peer.is_open = False
            peer.offers.clear()
            peer.leases.clear()
            self.streams.leave(peer)
        self.owners.clear()
        self.start(store)
        stored = self.stored()
        for order, number in enumerate(stored, -len(stored)):
            # A dead letter that was sent again may be back in its first state, if that was not stored.
            self.messages[number].order = order
        for message in self.messages.values():
            message.holder = None
            if message.number in stored:
                assert message.final_status is None or not is_clean, f"{message} is restored, but was finished"
                message.final_status = None
                message.is_restored = True
                # Its final status was sent but not stored: it is delivered again, and a final status may be sent again.
                message.statuses = [status for status in message.statuses if status == 201]
                there = stored[message.number]
                is_delayed = there.rank == DELAYED
                expires = message.due if is_delayed else message.expires
                is_as_sent = (there.is_tracked, there.expires) == (message.is_tracked, expires)
                assert is_as_sent or message.was_sent_again, f"{message} is not restored as it was sent"
                message.is_tracked, message.attempts = there.is_tracked, there.attempts
                message.due, message.has_been_due = (there.expires if is_delayed else None), False
                message.expires = message.expires if is_delayed else there.expires
            elif message.final_status is None:
                is_promised = store.is_durable and (is_clean or message.statuses == [201])
                assert not is_promised or message.is_expired(self.now), f"{message} is lost"
                message.final_status = 0
        letters = {int(letter.message.content[0]) for letter in self._content.dead_letters(0, EVERYTHING)}
        assert letters == self.dead_letters or not (store.is_durable and is_clean), "dead letters are lost"
        self.dead_letters = letters
        self.streams.restarted(is_clean)
