"""Checks everything that a broker sends against the expected state of its clients and messages."""

from __future__ import annotations

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.interfaces import IStore
from alaska.message import QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.properties import to_number
from tests.broker.binding_model import BindingsModel
from tests.broker.fake_router import FakeRouter
from tests.broker.id_model import IdsModel
from tests.broker.limit_model import LimitsModel
from tests.broker.model_state import Lease, Peer, SentMessage
from tests.broker.reader_model import ReadersModel
from tests.broker.stream_model import StreamsModel, number_in
from tests.store.kinds import StoreKind

OK = mlm.Ok(200, b"")


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
        self.readers = ReadersModel(self.streams)
        self.bindings = BindingsModel(self.streams, limits.retention_of)
        self.ids = IdsModel(limits.ids.seconds)
        self.service_limits = LimitsModel()
        self.paused: set[bytes] = set()
        self._before_pause: set[bytes] = set()
        self._replies: list[tuple[Peer, mlm.Command]] = []
        self._last_replay_reply = b""
        self._begin: tuple[Peer, bytes, bytes, bytes, int] | None = None
        self._may_leave: set[Peer] = set()
        self._ended: list[SentMessage] = []
        self._is_restarting = False
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
                if self._begin is not None:
                    self._began(reason, *self._begin)
                self._replies.append((peer, OK))
            case _ if not peer.is_disconnected:
                self._replies.append((peer, command))
        if peer.credit is None:
            peer.is_known_disconnected = peer.is_disconnected
        return not peer.is_disconnected

    def _began(self, reason: bytes, peer: Peer, stream: bytes, name: bytes, pattern: bytes, position: int) -> None:
        """Record from where on a durable reader gets records."""
        begin = int(reason.split(b" next=")[1].split()[0])
        self.readers.begin(peer, stream, name, pattern, position, begin)
        self.streams.replay(peer, stream, pattern, begin)

    def _spend(self, peer: Peer) -> None:
        assert peer.is_open, f"a delivery to {peer.name!r}, whose session has ended"
        assert not peer.is_known_disconnected, f"a delivery to {peer.name!r}, which is known to be disconnected"
        if peer.credit is not None:
            assert peer.credit > 0, f"a delivery to {peer.name!r}, which has no credit left"
            peer.credit -= 1

    def _delivered(self, peer: Peer, command: mlm.MailboxDeliver | mlm.ServiceDeliver) -> None:
        message = self._meant(command)
        self._assume_left(message)
        self._spend(peer)
        # One that is held back until it is stored, or its attempt is, was assigned to its client before.
        may_be_late = message.is_restored or self.ids.are_used
        assert message.waits, f"{message} is delivered to {peer.name!r}, but it does not wait"
        assert may_be_late or not message.is_expired(self.now), f"{message} is delivered, but it has expired"
        assert self._may_take(peer, message), f"{message} is delivered to {peer.name!r}, but is not for it"
        assert not message.is_delayed(self.now), f"{message} is delivered early"
        assert not message.is_cancelled, f"{message} is delivered, but was cancelled before"
        self._check_order(peer, message)
        assert (command.sender, command.address) == (message.sender, message.queue.address)
        assert command.subject == message.subject
        if message.queue.kind is QueueKind.SERVICE:
            is_paused = message.queue.address in self.paused and message.content not in self._before_pause
            assert not is_paused, f"{message} is delivered, but its service is paused"
            if not peer.is_disconnected:
                self.service_limits.delivered(message, self.now, self.running)
        if peer.credit is not None:
            lease = self._lease_of(peer, message, command)
            message.holder = peer
            peer.leases[lease] = message
        else:
            assert command.tracker == message.tracker
            if not peer.is_disconnected:
                self._end(message, 202)

    def _meant(self, command: mlm.MailboxDeliver | mlm.ServiceDeliver) -> SentMessage:
        """Return the message that is delivered; requests for the same record have the same content."""
        content = command.content[0]
        if not content.startswith(b"r"):
            return self.messages[int(content)]
        same = [each for each in self._unfinished(content) if each.queue.address == command.address]
        waiting = [each for each in same if each.waits and not each.is_delayed(self.now)]
        if "attempt" in command.properties:
            seen = command.properties["attempt"], command.properties.get("snoozes", 0)
            waiting = [each for each in waiting if (each.attempts + 1, each.snoozes) == seen] or waiting[:1]
        if waiting:
            return waiting[0]
        held = [each for each in same if each.holder in self._may_leave]
        return held[0] if held else self._request_of_record(command.address, content)

    def _unfinished(self, content: bytes) -> list[SentMessage]:
        return [each for each in self.messages.values() if each.content == content and each.final_status is None]

    def _request_of_record(self, service: bytes, content: bytes) -> SentMessage:
        """Record that a record has become a request."""
        written = self.bindings.requested(service, number_in((content,)))
        self.count += 1
        queue = QueueName(QueueKind.SERVICE, service)
        request = SentMessage(
            self.count, self.count, queue, None, written.sender, written.subject, b"", b"", False, None,
            content=content, is_of_record=True,
        )  # fmt: skip
        self.messages[request.number] = request
        return request

    @property
    def running(self) -> list[SentMessage]:
        """The requests that credit clients have."""
        return [each for each in self.messages.values() if each.holder is not None]

    def _assigned(self) -> set[bytes]:
        """Return the contents of the messages that are assigned to clients, sent or not, or whose workers are awaited.

        A request with an id waits some seconds for the worker that had it (docs/protocol.md, section 7).
        """
        awaited = {message.content[0] for message in self.broker.queues.awaited.requests()}
        return awaited | {lease.content[0] for client in self.broker.clients for lease in client.leases.values()}

    def _check_order(self, peer: Peer, message: SentMessage) -> None:
        if message.has_id and message.attempts:
            return  # it was awaited, maybe
        # One that an operation may end has perhaps ended, and its sender is not told yet.
        older = [each for each in self.waiting(message.queue) if each.precedes(message) and not each.may_end]
        if message.queue.kind is QueueKind.SERVICE:
            assigned = self._assigned()
            older = [each for each in older if each.subject == message.subject and each.content not in assigned]
        else:
            older = [other for other in older if other.tracker not in peer.leases]
        assert all(other.is_expired(self.now) for other in older), f"{message} is delivered before {older}"

    def _lease_of(self, peer: Peer, message: SentMessage, command: mlm.MailboxDeliver | mlm.ServiceDeliver) -> Lease:
        """Check what the client is told besides the message; return with what it has to confirm it."""
        message.attempts += 1
        if not peer.is_second:
            self._check_tracker(peer, message, command.tracker)
            return command.tracker
        properties = command.properties
        lease, attempt = to_number(properties["lease"]), to_number(properties["attempt"])
        assert lease is not None and lease not in peer.leases, f"{message} has the lease {lease}"
        assert command.tracker == message.tracker
        if message.is_restored and attempt is not None:
            message.attempts = attempt  # it may have been assigned to a client that has left since
        seen = attempt, to_number(properties.get("snoozes", 0))
        assert seen == (message.attempts, message.snoozes), f"{message} is delivered as {seen}"
        if message.is_of_record:
            assert {"stream", "position"} <= properties.keys(), f"{message} has {properties}"
        return lease

    def _check_tracker(self, peer: Peer, message: SentMessage, tracker: bytes) -> None:
        """Check that trackers in flight are unique per client, and an alias is used only if there is no other way."""
        assert tracker and tracker not in peer.leases, f"{tracker!r} of {message} is in flight to {peer.name!r} already"
        if not message.tracker or tracker == message.tracker:
            return
        assert message.queue.kind is QueueKind.SERVICE, f"{message} as {tracker!r}"
        same = [each for each in self.messages.values() if each.waits and each.tracker == message.tracker]
        if self.ids.are_used or any(each.is_restored for each in same if each is not message):
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
        if not command.tracker and command.properties:
            self._told(peer, command)
            return
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
        message = mine[0]
        if message.first is not None:
            self._check_second(message, command)
        elif message.waits and status == 502:
            self._dead_letter(message, status)
        elif message.waits and status > 201:
            self._end(message, status)
        message.statuses.append(status)
        if status == 201:
            consumers = [each for each in self.peers.values() if each.takes(mine[0].queue, mine[0].subject)]
            count = len(consumers) or int(
                mine[0].queue.kind is QueueKind.MAILBOX and mine[0].queue.address in self.owners
            )
            assert self._may_leave or command.status_reason == b"offers=%d" % count

    def _is_expected(self, message: SentMessage, status: int) -> bool:
        if message.first is not None:
            # If the first one ends before it is stored, that is all that the sender is told.
            return message.statuses == [] or (message.statuses == [203] and status != 203)
        if status == 201:
            return not message.statuses
        return message.statuses in ([201], []) and (message.final_status == status or self._may_end(message, status))

    def _may_end(self, message: SentMessage, status: int) -> bool:
        """Return whether a message may end now with a status of which the model has not heard."""
        return message.waits and (
            (status == 302 and message.is_expired(self.now))
            or (status == 502 and message.is_restored)
            or status in message.may_end
        )

    def _check_second(self, message: SentMessage, command: mlm.Confirm) -> None:
        """Check what the sender of a message is told that is not kept since its id is known."""
        known, status = message.first, command.status_code
        assert known is not None
        if status == 203:
            known.is_told = True
            assert command.status_reason == b"position=%d" % known.position, f"{command} for {known}"
        elif status != known.outcome:
            assert self._may_end(known.message, status), f"{command} for {known}"
            self._end(known.message, status)

    def _told(self, peer: Peer, command: mlm.Confirm) -> None:
        """Check what a client is told of its deliveries and readers."""
        properties = command.properties
        if command.status_code == 410:
            lease = to_number(properties["lease"])
            assert lease is not None
            message = peer.leases[lease]
            assert message.is_cancelled, f"{peer.name!r} is told that {message} is cancelled"
        else:
            assert command.status_code == 400 and {"stream", "name"} == properties.keys(), f"{command}"

    def _listener(self, message: SentMessage) -> Peer | None:
        """Return the client that gets the CONFIRMs for a message, if there is one."""
        if message.origin is not None and message.origin.is_open:
            return message.origin
        return self.owners.get(message.sender)

    def _end(self, message: SentMessage, status: int) -> None:
        self._finish(message, status)
        self._ended.append(message)

    def _finish(self, message: SentMessage, status: int) -> None:
        message.final_status = status
        message.holder = None
        self.ids.ended(message, status)

    def _dead_letter(self, message: SentMessage, status: int) -> None:
        self.dead_letters.add(message.number)
        self._end(message, status)

    def _end_session(self, peer: Peer) -> None:
        peer.offers.clear()
        self.streams.leave(peer)
        self.readers.cancel(peer)
        leased = sorted(peer.leases.values(), key=lambda each: each.order)
        peer.leases.clear()
        for message in leased:
            message.holder = None
            if message.is_cancelled:
                self._end(message, 410)
            elif message.is_spent(self.limits.attempts):
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
