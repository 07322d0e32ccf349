"""Checks everything that a broker sends against the expected state of its clients and messages."""

from __future__ import annotations

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.interfaces import IStore
from alaska.message import DELAYED, PRIORITIES, Message, QueueKind, QueueName, part_of
from alaska.mlm import commands as mlm
from tests.broker.fake_router import FakeRouter
from tests.broker.model_state import Peer, SentMessage
from tests.broker.stream_model import StreamsModel
from tests.store.kinds import StoreKind

OK = mlm.Ok(200, b"")
EVERYTHING = 10_000


class DeliveryModel:
    """A broker, the expected state of its clients and messages, and the checks of what it sends."""

    def __init__(self, kind: StoreKind, limits: Limits) -> None:
        self.limits = limits
        self._kind = kind
        self.store = store = kind.make()
        self._content = kind.content(store)
        self.now = 1000.0
        self.peers: dict[bytes, Peer] = {}
        self.owners: dict[bytes, Peer] = {}
        self.messages: dict[int, SentMessage] = {}
        self.dead_letters: set[int] = set()
        self.streams = StreamsModel(self._content, store.is_durable, limits.retention_of)
        self._replies: list[tuple[Peer, mlm.Command]] = []
        self._last_replay_reply = b""
        self._may_leave: set[Peer] = set()
        self._ended: list[SentMessage] = []
        self.count = 0
        self.start(store)

    def start(self, store: IStore) -> None:
        """Start a broker with a store."""
        self.store = store
        self._content = self.streams.content = self._kind.content(store)
        self.router = FakeRouter(self._transmit)
        self.broker = Broker(self.router, self.limits, store)
        self._last_tick = self.now
        self._kind.answer()
        self.broker.tick(self.now)
        self._kind.answer()

    @property
    def connected(self) -> list[Peer]:
        """The clients that can send commands."""
        return [peer for peer in self.peers.values() if peer.is_open and not peer.is_disconnected]

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
                self._last_replay_reply = reason
                self._replies.append((peer, OK))
            case _ if not peer.is_disconnected:
                self._replies.append((peer, command))
        if peer.credit is None:
            peer.is_known_disconnected = peer.is_disconnected
        return not peer.is_disconnected

    def _spend(self, peer: Peer) -> None:
        assert peer.is_open, f"a delivery to {peer.name!r}, whose session has ended"
        assert not peer.is_known_disconnected, f"a delivery to {peer.name!r}, which is known to be disconnected"
        if peer.credit is not None:
            assert peer.credit > 0, f"a delivery to {peer.name!r}, which has no credit left"
            peer.credit -= 1

    def _delivered(self, peer: Peer, command: mlm.MailboxDeliver | mlm.ServiceDeliver) -> None:
        message = self.messages[int(command.content[0])]
        self._assume_left(message)
        self._spend(peer)
        assert message.waits, f"{message} is delivered to {peer.name!r}, but it does not wait"
        assert message.is_restored or not message.is_expired(self.now), f"{message} is delivered, but it has expired"
        assert self._may_take(peer, message), f"{message} is delivered to {peer.name!r}, but is not for it"
        assert not message.is_delayed(self.now), f"{message} is delivered early"
        older = [other for other in self.waiting(message.queue) if other.precedes(message)]
        if message.queue.kind is QueueKind.SERVICE:
            # A restored message may be assigned to a client already, while its attempt is being stored.
            older = [other for other in older if other.subject == message.subject and not other.is_restored]
        else:
            older = [other for other in older if other.tracker not in peer.leases]
        assert all(other.is_expired(self.now) for other in older), f"{message} is delivered before {older}"
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

    def _check_tracker(self, peer: Peer, message: SentMessage, tracker: bytes) -> None:
        """Check that trackers in flight are unique per client, and an alias is used only if there is no other way."""
        assert tracker and tracker not in peer.leases, f"{tracker!r} of {message} is in flight to {peer.name!r} already"
        if not message.tracker or tracker == message.tracker:
            return
        assert message.queue.kind is QueueKind.SERVICE, f"{message} as {tracker!r}"
        same = [each for each in self.messages.values() if each.waits and each.tracker == message.tracker]
        if any(each.is_restored for each in same if each is not message):
            # It may be assigned to a client already, while its attempt is being stored.
            return
        assert message.tracker in peer.leases, f"{message} as {tracker!r}"
        consumers = [
            each for each in self.peers.values() if each.is_ready and each.takes(message.queue, message.subject)
        ]
        others = [each for each in consumers if message.tracker not in each.leases]
        assert not others or self._may_leave, f"{message} has an alias, but {others} could take it"

    def _assume_left(self, message: SentMessage) -> None:
        """If the client that has a message in flight may have expired in this tick, assume that it has."""
        if message.holder is not None and message.holder in self._may_leave:
            self.leave(message.holder)

    def _may_take(self, peer: Peer, message: SentMessage) -> bool:
        if message.queue.kind is QueueKind.SERVICE:
            return peer.takes(message.queue, message.subject)
        is_held = peer.held_until is not None and peer.held_until > self.now
        return self.owners.get(message.queue.address) is peer and not is_held

    def _confirmed(self, peer: Peer, command: mlm.Confirm) -> None:
        assert peer.is_open and peer.credit is not None, f"{peer.name!r} is sent {command}"
        if not command.tracker:
            may_hold = peer.leases or any(
                each.is_restored and each.final_status is None for each in self.messages.values()
            )
            assert may_hold, f"{peer.name!r} is probed without unconfirmed deliveries"
            return
        status = command.status_code
        candidates = [each for each in self.messages.values() if each.sent_as == command.tracker and each.is_tracked]
        for message in [each for each in candidates if self._listener(each) is peer]:
            self._assume_left(message)
        mine = [each for each in candidates if self._listener(each) is peer and self._is_expected(each, status)]
        assert mine, f"{peer.name!r} is sent {status} for {candidates}"
        if mine[0].waits and status == 302:
            self._end(mine[0], status)
        elif mine[0].waits and status == 502:
            self._dead_letter(mine[0], status)
        mine[0].statuses.append(status)
        if status == 201:
            consumers = [each for each in self.peers.values() if each.takes(mine[0].queue, mine[0].subject)]
            count = len(consumers) or int(
                mine[0].queue.kind is QueueKind.MAILBOX and mine[0].queue.address in self.owners
            )
            assert self._may_leave or command.status_reason == b"offers=%d" % count

    def _is_expected(self, message: SentMessage, status: int) -> bool:
        if status == 201:
            return not message.statuses
        ends_now = message.waits and (
            (status == 302 and message.is_expired(self.now)) or (status == 502 and message.is_restored)
        )
        return message.statuses in ([201], []) and (message.final_status == status or ends_now)

    def _listener(self, message: SentMessage) -> Peer | None:
        """Return the client that gets the CONFIRMs for a message, if there is one."""
        if message.origin is not None and message.origin.is_open:
            return message.origin
        return self.owners.get(message.sender)

    def _end(self, message: SentMessage, status: int) -> None:
        message.final_status = status
        message.holder = None
        self._ended.append(message)

    def _dead_letter(self, message: SentMessage, status: int) -> None:
        self.dead_letters.add(message.number)
        self._end(message, status)

    def _end_session(self, peer: Peer) -> None:
        peer.offers.clear()
        self.streams.leave(peer)
        leased = sorted(peer.leases.values(), key=lambda each: each.order)
        peer.leases.clear()
        for message in leased:
            message.holder = None
            most = self.limits.attempts
            if message.queue.kind is QueueKind.SERVICE and most is not None and message.attempts >= most:
                self._dead_letter(message, 502)

    def leave(self, peer: Peer) -> None:
        """Record that the session of a client has ended."""
        peer.is_open = False
        self._may_leave.discard(peer)
        if self.owners.get(peer.address) is peer:
            del self.owners[peer.address]
        self._end_session(peer)

    def waiting(self, queue: QueueName | None = None) -> list[SentMessage]:
        """Return the messages that wait, in one queue or in all."""
        return [each for each in self.messages.values() if each.waits and queue in (None, each.queue)]

    def check_stored(self) -> None:
        """Check that exactly the unfinished messages and the dead letters are stored; expired ones may be missing."""
        stored = self.stored()
        letters = {int(letter.message.content[0]) for letter in self._content.dead_letters(0, EVERYTHING)}
        for message in self.messages.values():
            if message.waits and message.is_restored and message.number in letters:
                # It is not known when that happened, and so which client should have been notified.
                self.dead_letters.add(message.number)
                message.final_status = 502
            if message.final_status is None and message.number not in stored:
                assert message.waits and message.is_expired(self.now), f"{message} is lost"
                listener = self._listener(message)
                is_heard = listener is not None and listener.credit is not None and not listener.is_disconnected
                assert not (message.is_tracked and is_heard), f"the sender of {message} was not notified of its expiry"
                message.final_status = 302
        ended = [self.messages[number] for number in stored if self.messages[number].final_status is not None]
        assert not ended, f"{ended} are finished, but still stored"
        assert letters == self.dead_letters, f"dead letters {letters} instead of {self.dead_letters}"

    def stored(self) -> dict[int, Message]:
        """Return the stored messages by number, in order.

        If the store is not durable, those in the broker's memory are included, since they need not be in the store.
        """
        queues = {message.queue for message in self.messages.values()}
        parts = [part_of(queue, rank) for queue in queues for rank in (*PRIORITIES, DELAYED)]
        stored = [message for part in parts for message in self._content.waiting(part, 0, EVERYTHING)]
        if not self.store.is_durable:
            for client in self.broker.clients:
                stored += client.leases.values()
            for queue in self.broker.queues._queues.values():
                lanes = [lane for part in queue.parts for lane in part._lanes.values()]
                stored += [message for lane in lanes for message in lane.messages]
        stored.sort(key=lambda message: message.position)
        return {int(message.content[0]): message for message in stored}
