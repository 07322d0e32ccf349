"""A model of the broker that runs beside a real one and checks everything that the real one sends.

A :class:`BrokerModel` knows clients, messages and streams as the protocol describes them (docs/protocol.md, sections
3 to 6). It does not predict which client gets a message. It knows which clients may get it, which messages must not be
delivered any more, and which must not wait any longer. The number in a message's content identifies it.
"""

from __future__ import annotations

from collections.abc import Callable

from alaska.broker.clients import HOLD_SECONDS
from alaska.broker.liveness import GRACE_SECONDS
from alaska.broker.sessions import CAPABILITIES, SECOND_EDITION
from alaska.message import NORMAL, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from tests.broker.delivery_model import OK
from tests.broker.model_state import Lease, Peer, SentMessage
from tests.broker.restart_model import RestartModel
from tests.broker.stream_model import content_of

TURNS_TO_SETTLE = 120
MOST_UNFINISHED = 7
"""The number of requests beyond which a binding waits; the broker's own is set to it."""


class BrokerModel(RestartModel):
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
                and message.final_status != 410  # that is told when it is written
                and listener is not None
                and listener.credit is not None
                and not listener.is_disconnected
            ):
                assert message.statuses[-1:] == [message.final_status], f"{message} is not confirmed"
        self._ended = []
        if any(message.waits and message.is_expired(self.now) for message in self.messages.values()):
            self.check_stored()

    def open(self, address: bytes, credit: int | None, is_second: bool = False) -> Peer:
        """Let a client open on a new connection; one that reads properties gives credit."""
        peer = Peer(b"p%d" % len(self.peers), address, self.now, None, is_second and credit is not None)
        self.peers[peer.name] = peer
        replies: list[tuple[Peer, mlm.Command]] = [(peer, mlm.Ok(200, CAPABILITIES))]
        properties: mlm.Properties = {}
        if peer.is_second:
            self.router.second_edition.add(peer.name)
            properties["can"] = b"batch properties cancel"
            replies = [(peer, mlm.Ok(200, CAPABILITIES + SECOND_EDITION))]
        older = self.owners.get(address)
        if older is not None and older.credit is None:
            older.is_replaced = True
            self._end_session(older)
        elif older is not None:
            self.leave(older)
            if not older.is_disconnected:
                reason = b"another client has opened with this address"
                # What is sent in a batch is sent at the end of the turn.
                replies.insert(1 if older.is_second else 0, (older, mlm.Error(400, reason)))
        if address:
            self.owners[address] = peer
        self.receive(peer, encode(mlm.ConnectionOpen(address, properties)), *replies)
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
        terms = terms or {}
        order = self.count
        stands_for = tracker if original is None else original
        sent = SentMessage(
            order, order, queue, peer, peer.address, subject, stands_for, tracker, is_tracked, None,
            content=b"%d" % order, position=self.broker.queues.last_position + 1,
        )  # fmt: skip
        self.messages[sent.number] = sent
        sent.priority = int(terms.get("priority", NORMAL))
        sent.most = int(terms["attempts"]) if "attempts" in terms else None
        sent.ttl = int(terms["ttl"]) if "ttl" in terms else None
        self._set_times(sent, timeout, terms)
        content = (sent.content, padding or b"." * (sent.number % 4))
        make = mlm.MailboxSend if queue.kind is QueueKind.MAILBOX else mlm.ServiceSend
        command = make(queue.address, subject, tracker, timeout, content, terms)
        replaced = self._admit(sent, terms) if "id" in terms else None
        if peer.is_second or not terms:
            self.call(peer, command)
        else:
            self._execute(peer, command)
        if replaced is not None:
            self.check_may_still_wait([replaced], 204)
        return sent

    def _set_times(self, sent: SentMessage, timeout: int, terms: mlm.Properties) -> None:
        """Set when a message expires, and when it is due."""
        patience = timeout / 1000 if timeout else None
        if patience is None and sent.queue.kind is QueueKind.MAILBOX and sent.ttl is None:
            patience = self.limits.mailbox_seconds
        if sent.ttl:
            patience = sent.ttl / 1000 if patience is None else min(patience, sent.ttl / 1000)
        begin = self.now
        if delay := int(terms.get("delay", 0)):
            begin = sent.due = self.now + delay / 1000
        sent.expires = None if patience is None else begin + patience

    def _admit(self, sent: SentMessage, terms: mlm.Properties) -> SentMessage | None:
        """Record whether a message with an id is kept; return the one that it replaces, if that still waits."""
        if not self.store.has_ids:
            self._end(sent, 501)
            return None
        known = self.ids.find(sent.queue, terms, self.now)
        is_to_replace = terms.get("unique-mode") == b"replace"
        if known is not None and not is_to_replace:
            sent.first = known
            sent.final_status = 203
            return None
        self.ids.accept(sent, terms, self.now)
        sent.has_id = True
        if known is None or not known.message.waits:
            return None
        known.message.may_end.add(204)
        return known.message

    def check_may_still_wait(self, messages: list[SentMessage], status: int) -> None:
        """Check that an operation has ended messages, but for those that were assigned to clients before."""
        self.check_stored()
        assigned = self._assigned()
        for message in messages:
            assert not message.waits or message.content in assigned, f"{message} has not ended with {status}"
            message.may_end.discard(status)

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
            written = self.streams.write(stream, peer, peer.address, subject)
            self.bindings.wrote(stream, written)
            self.call(peer, mlm.StreamSend(subject, (content_of(written.number),)))

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
        self.readers.cancel(peer, stream)
        self.call(peer, mlm.StreamCancel(stream), OK)

    def confirm(self, peer: Peer, lease: Lease, status: int, delay: int | None = None, is_spent: bool = False) -> None:
        """Let a client confirm a delivery, or return it, with a delay in ms if it can."""
        message = peer.leases.pop(lease)
        message.holder = None
        properties: mlm.Properties = {}
        if peer.is_second:
            properties["lease"] = lease
            if 300 <= status < 400:
                properties["spent"] = int(is_spent)
                properties |= {} if delay is None else {"delay": delay}
        if status < 300:
            self._end(message, 200)
        elif message.is_cancelled:
            self._end(message, 410)
        elif status < 400:
            self._return(message, delay if peer.is_second else None, is_spent and peer.is_second)
        else:
            self._dead_letter(message, status)
        self.call(peer, mlm.Confirm(b"" if isinstance(lease, int) else lease, status, b"why", properties))

    def _return(self, message: SentMessage, delay: int | None, is_spent: bool) -> None:
        """Record that a receiver has returned a message."""
        message.attempts -= not is_spent
        if delay is not None or is_spent:
            message.answered = message.attempts
        if delay is not None:
            message.snoozes += not is_spent
        if is_spent and message.is_tried_enough:
            self._dead_letter(message, 502)
        elif delay is not None:
            message.due, message.has_been_due = self.now + max(delay, 1) / 1000, False
            message.expires = None
            message.was_put_off = True

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
        self.bindings.settled()
        self.readers.settled()

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
        # One that is assigned to a client, and not sent yet, does not expire; it may come back in this tick.
        assigned = self._assigned()
        late = [each for each in self.messages.values() if each.waits and each.is_expired(self.now)]
        late = [each for each in late if each.content not in assigned]

        def call() -> None:
            for _ in range(self._kind.ticks):
                self.broker.tick(self.now)
                self._kind.answer()
                while self.broker.queues.next_turn == 0:
                    self.broker.continue_turns(self.now)
                    self._kind.answer()
            self.router.end_turn(self.broker)
            for peer in list(self._may_leave):
                has_left = self.broker.clients.by_peer(peer.name) is None
                assert has_left or peer not in silent | known_disconnected, f"{peer.name!r} has not expired"
                if has_left:
                    self.leave(peer)

        self.ids.tick(self.now)
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
        late = [each for each in late if each.final_status is None and not each.is_restored and each.due is None]
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
            may_wait = message.is_expired(self.now) or message.is_delayed(self.now) or self._is_held_back(message)
            assert not consumers or may_wait, f"{message} waits, but {consumers} are ready"
        queues = self.broker.queues.table.values()
        lanes = [lane for queue in queues for part in queue.parts for lane in part._lanes.values()]
        assert self.broker.queues.table.window_memory.octets == sum(lane.memory_octets for lane in lanes), (
            "the memory of the windows is counted wrong"
        )
        for peer in ready:
            self.streams.check_fed(peer)
        self.bindings.check_all_made(
            {each.key for each in self.broker.bindings if self.broker.bindings.unfinished(each) >= MOST_UNFINISHED}
        )
        self._check_told()

    def _is_held_back(self, message: SentMessage) -> bool:
        is_paused = message.queue.kind is QueueKind.SERVICE and message.queue.address in self.paused
        assigned = self._assigned()
        running = [each for each in self.messages.values() if each.content in assigned]
        return is_paused or message.content in assigned or self.service_limits.may_wait(message, running)

    def _check_told(self) -> None:
        """Check that all senders know what has become of their messages, if they are still connected."""
        for message in self.messages.values():
            origin = message.origin
            if not message.is_tracked or origin is None or not origin.is_open or origin.is_disconnected:
                continue
            if message.first is not None:
                is_told = bool(message.statuses)
            else:
                is_told = (message.final_status or 201) in message.statuses
            assert is_told or message.is_restored, f"the sender of {message} knows nothing of it"

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

    def check_ids_counted(self) -> None:
        """Check that the broker counts its ids right, when everything is written."""
        ids = self.broker.queues.ids
        if self.store.has_ids:
            assert ids.count == sum(self.store.counts_of_ids().values()), "ids are counted wrong"
        assert not ids.unstored, f"{ids.unstored} are not stored"
