"""Mail and requests, from the sender to the final confirmation (docs/protocol.md, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from alaska import errors
from alaska.broker.absent_readers import AbsentReaders
from alaska.broker.admission import Admission
from alaska.broker.awaited_workers import AwaitedWorkers
from alaska.broker.cancelled import Cancelled
from alaska.broker.clients import Client, Clients, Lease
from alaska.broker.confirmations import Confirmations
from alaska.broker.counters import Counters
from alaska.broker.dead_lettering import UNCHANGED, DeadLettering, Edit, cause_of
from alaska.broker.dead_letters import DeadLetters
from alaska.broker.delays import Delays
from alaska.broker.deliveries import Deliveries
from alaska.broker.due_pace import DuePace
from alaska.broker.finding import Finding
from alaska.broker.ids import Ids
from alaska.broker.limited_services import LimitedServices
from alaska.broker.limits import Limits, Room
from alaska.broker.measures import Measures
from alaska.broker.message_timeouts import MessageTimeouts
from alaska.broker.part import WORK_PER_TICK
from alaska.broker.pauses import Pauses
from alaska.broker.queue import Queue
from alaska.broker.queue_table import QueueTable
from alaska.broker.redelivery import Redelivery
from alaska.broker.refusals import Refusals
from alaska.broker.round_robin import RoundRobin
from alaska.broker.terms import terms_of
from alaska.broker.unread_limits import UnreadLimitsByName
from alaska.errors import BadTerm, StoreError
from alaska.interfaces import IStore
from alaska.message import DELAYED, NORMAL, Message, PartName, QueueKind, QueueName, name_of
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern
from alaska.mlm.properties import leaves_room, to_number
from alaska.mlm.terms import TTL

REFUSED_FROM = 400
"""A confirmation with this or a higher status refuses the message: it becomes a dead letter."""
WORK_PER_CALL = 1000
"""The number of messages that one call may read and deliver; those of a turn together hardly more."""
HELD_SECONDS = 0.003
"""The interval at which the broker sees whether more messages that are due may begin to wait."""
RECOUNT_SECONDS = 5.0
"""The interval at which a shared store is asked for the numbers of messages."""


class Queues:
    """All mailboxes and service queues, the unconfirmed deliveries, and the dead letters."""

    # There are more attributes than CPython 3.11 reads fast without slots.
    __slots__ = (  # noqa: SIM905  # a line for each would be as long as the constructor
        "_absent _admission _cancelled_positions _clients _confirmations _counters _dead_lettering "
        "_delays _deliveries _is_durable _is_shared _left _limited _mailbox_ttl _now _position _queues "
        "_recounted_at _redelivery _refusals _resolve _restored_upto _room _round_robin _set_aside _store "
        "_timeouts _unstorable _wall_offset _work_budget awaited cancelled confirmations dead_letters "
        "finding ids is_draining measures pauses table window_memory"
    ).split()

    _log = Logger()

    def __init__(
        self, clients: Clients, counters: Counters, store: IStore, limits: Limits, report: Callable[[StoreError], None]
    ) -> None:
        self._clients = clients
        self._counters = counters
        self._store = store
        self._is_durable = store.is_durable
        self._is_shared = store.is_shared
        self._room = Room(limits)
        self._mailbox_ttl = limits.mailbox_seconds
        self.dead_letters = DeadLetters(store, counters, limits.dead_letters)
        self._wall_offset = 0.0
        self._position: int = store.last_position
        self._restored_upto = self._position
        self._now = self._recounted_at = 0.0
        self.is_draining = False
        """Whether new requests are refused, except those of scripts that run."""
        self._deliveries = Deliveries(store, counters, limits, self._restored_upto, self, report)
        self._resolve = self._deliveries.aliases.resolve
        callbacks = self._deliveries.deliver, self._end_expired, self._note_set_aside
        self.measures = Measures()
        self.table = self._queues = QueueTable(clients, store, self._room, self.measures, *callbacks, lambda: self._now)
        self.window_memory = self._queues.window_memory
        self._round_robin, self._work_budget = RoundRobin(), WORK_PER_TICK
        is_own = (lambda position: position <= self._position) if self._is_shared else None
        self.confirmations = self._confirmations = Confirmations(clients, self._restored_upto, is_own)
        self._refusals = Refusals(store, counters, self._confirmations, self._queues.remove_if_unused)
        self._delays = Delays(store, self._queues, self._room, self._dispatch)
        self._timeouts = MessageTimeouts(
            store, self._remove_waiting, self.finish, self._delays.end, DuePace(store, self._queues)
        )
        self.finding = Finding(self._queues, store)
        self.ids = Ids(
            store, limits.ids, self.measures, self._confirmations, self._refusals, self.finding, self._remove_waiting,
            self._restored_upto, report,
        )  # fmt: skip
        self._deliveries.unstored = self.ids.unstored
        self._admission = Admission(
            store, limits, clients, self._queues, self._room, self._deliveries, self._confirmations, self._refusals,
            self._delays, self.ids, self._dispatch, self._remove_waiting,
        )  # fmt: skip
        self._dead_lettering = DeadLettering(
            self.dead_letters, store, counters, self.measures, self._queues, self._admission, self._confirmations,
            self.ids, limits, self._forget, self._new_position,
        )  # fmt: skip
        self.cancelled = Cancelled(
            store, self.measures, self._confirmations, self._remove_waiting, self._forget, self.ids.end,
            self._deliveries.is_unsent,
        )  # fmt: skip
        self._deliveries.cancelled = self.cancelled
        self.awaited = AwaitedWorkers(
            store, clients, self._queues, self._room, self._deliveries.deliver,
            lambda messages, now: self._redelivery.requeue(messages, now, None), self._may_come_again,
        )  # fmt: skip
        self._deliveries.note = self.awaited.note
        unread = UnreadLimitsByName(limits.unread, limits.unread_of)
        self._absent = AbsentReaders(store, self._queues, counters, unread, self._end_unread)
        self.pauses = Pauses(store, self._queues, self._dispatch)
        self._limited = LimitedServices(self._queues, self._dispatch, clients, self._deliveries, self.awaited)
        self._limited.configure(limits.of_services, self._now)
        # The mailboxes with mail that is set aside, by the tracker that is in flight.
        self._set_aside: dict[Lease | None, dict[QueueName, None]] = {}
        # The queues with which the last turn could not finish.
        self._left: list[Queue] = []
        self._redelivery = Redelivery(
            store, self._queues, self._room, counters, self._deliveries.attempts, self._delays, self.cancelled,
            self._dead_lettering, self.awaited.discard, self._forget, self._dispatch,
        )  # fmt: skip
        # Both are asked for each message that ends.
        self._unstorable, self._cancelled_positions = self._redelivery.unstorable, self.cancelled.positions
        store.on_refused(self._store_refused)
        self._queues.age(limits.ageing)
        self._queues.restore()
        self.cancelled.restore()
        self.awaited.restore()

    def configure(self, limits: Limits) -> None:
        """Change the limits for messages that arrive from now on."""
        self._admission.configure(limits)
        self._room.configure(limits)
        self._mailbox_ttl = limits.mailbox_seconds
        self.ids.limits = limits.ids
        self.dead_letters.limits = limits.dead_letters
        self._absent.limits.configure(limits.unread, limits.unread_of)
        self._deliveries.attempts.most_lost = limits.attempts
        self._dead_lettering.configure(limits)
        self._limited.configure(limits.of_services, self._now)
        self._queues.age(limits.ageing)

    @property
    def wall_offset(self) -> float:
        """The wall-clock time minus the broker's time, in seconds; for the times of dead letters."""
        return self._wall_offset

    @wall_offset.setter
    def wall_offset(self, seconds: float) -> None:
        self._wall_offset = self._dead_lettering.wall_offset = seconds

    @property
    def octets(self) -> int:
        """The octets that wait in all queues."""
        return self._room.octets

    def continue_reading(self, name: QueueName, now: float) -> None:
        """Deliver messages of a queue that the store has fetched."""
        self._dispatch(self._queues.get(name), now)

    def expect_more(self, name: QueueName) -> None:
        """Note that another broker has added a message to a queue; without consumers it is read later."""
        if (queue := self._queues.get(name)) is not None:
            queue.expect_more_of_all()

    # What administrators do

    @property
    def last_position(self) -> int:
        """The position of the newest message."""
        return self._position

    def _end_unread(self, message: Message) -> bool:
        """End mail that nobody reads; return False if it does not wait. Its sender is told that nobody has it."""
        if not self._remove_waiting(message):
            return False
        reason = b"nobody reads the mailbox, and it is full"
        self.ids.end(message, errors.NOT_FOUND, reason)
        self._store.forget(message)
        self.measures.of(message.queue).note_ended("unread")
        self._forget(message)
        self._confirmations.send(message, errors.NOT_FOUND, reason)
        return True

    def end_purged(self, message: Message, now: float) -> bool:
        """End a message that an administrator deletes, and tell its sender; return False if it is in flight."""
        self._now = now
        if not self._remove_waiting(message):
            return False
        reason = b"an administrator has purged the queue"
        self.ids.end(message, errors.FAILED, reason)
        self._store.forget(message)
        self.measures.of(message.queue).note_ended("purged")
        self._forget(message)
        self._confirmations.send(message, errors.FAILED, reason)
        return True

    def hurry(self, messages: list[Message], now: float) -> None:
        """Let delayed messages wait for a consumer at once."""
        self._now = now
        self._delays.end(messages, now)

    # From the sender

    def send_mailbox(self, sender: Client, command: mlm.MailboxSend, now: float) -> None:
        """Deliver mail to the client that has the address, or let it wait for one."""
        queue = self._queues.open(QueueKind.MAILBOX, command.address)
        message = self._message(queue, sender, command, now)
        if not command.address:
            self._refusals.no_address(queue, message)
            return
        if self._mailbox_ttl is not None and message.expires is None and TTL not in message.properties:
            message.expires = now + self._mailbox_ttl
        if not message.properties or self._admits_properties(queue, message):
            self._admission.accept(queue, message)

    def send_service(self, sender: Client, command: mlm.ServiceSend, now: float) -> None:
        """Deliver a request to the next ready worker, or let it wait for one."""
        queue = self._queues.open(QueueKind.SERVICE, command.address)
        message = self._message(queue, sender, command, now)
        if self.is_draining and not self._clients.runs_requests(sender):
            self._refusals.draining(queue, message)
        elif not message.properties or self._admits_properties(queue, message):
            self._admission.accept(queue, message)

    def send_mail(self, command: mlm.MailboxSend, sender: bytes, now: float) -> None:
        """Send mail from the broker itself."""
        self._position += 1
        self._now = now
        queue = self._queues.open(QueueKind.MAILBOX, command.address)
        message = Message(
            self._position, queue.name, sender, command.subject, command.tracker, command.content, moved_at=now,
            expires=None if self._mailbox_ttl is None else now + self._mailbox_ttl,
        )  # fmt: skip
        self._admission.accept(queue, message)

    def room_for(self, service: bytes, octets: int) -> bool | None:
        """See :meth:`Admission.room_for`."""
        return self._admission.room_for(QueueName(QueueKind.SERVICE, service), octets)

    def send_request(
        self, service: bytes, subject: bytes, content: mlm.Content, sender: bytes, properties: mlm.Properties,
        now: float, tracker: bytes = b"",
    ) -> int | None:  # fmt: skip
        """Send a request from the broker itself; return its position, or None if it is refused.

        If it has a tracker, the sender is told what becomes of it, or else ``confirmations.untold``.
        """
        self._position += 1
        self._now = now
        queue = self._queues.open(QueueKind.SERVICE, service)
        message = Message(
            self._position, queue.name, sender, subject, tracker, content, bool(tracker),
            since=int((now + self.wall_offset) * 1000), properties=properties, moved_at=now,
        )  # fmt: skip
        if properties and not self._admits_properties(queue, message):
            return None
        return message.position if self._admission.accept(queue, message) else None

    def _message(self, queue: Queue, sender: Client, command: mlm.MailboxSend | mlm.ServiceSend, now: float) -> Message:
        self._position += 1
        self._now = now
        tracker, timeout = command.tracker, command.timeout
        is_tracked = bool(tracker) and not sender.is_plain
        expires = now + timeout / 1000 if timeout else None
        resolved = self._resolve(tracker)
        message = Message(
            self._position, queue.name, sender.address, command.subject, resolved, command.content,
            is_tracked, sender.origin, expires, 0, b"", int((now + self._wall_offset) * 1000), command.properties,
            now,
        )  # fmt: skip
        if resolved is not tracker:
            message.sent_as = tracker
        return message

    def _admits_properties(self, queue: Queue, message: Message) -> bool:
        """Take over the terms of a message, or refuse it because of its properties and return False."""
        if not leaves_room(message.properties):
            return self._refusals.properties(queue, message)
        try:
            terms = terms_of(message.properties)
        except BadTerm as error:
            return self._refusals.bad_term(queue, message, str(error))
        message.rank = terms.priority
        if terms.ttl:
            latest = self._now + terms.ttl
            message.expires = latest if message.expires is None else min(message.expires, latest)
        if (due := terms.due(self._now, self.wall_offset)) is not None:
            self._delays.delay(message, due)
        return terms.id is None or self.ids.admit(queue, message, terms, self._now)

    def _store_refused(self, message: Message, reason: str) -> None:
        """Refuse a message that the store cannot write; one that is in flight stays so, without being stored."""
        if self._remove_waiting(message):
            self._refusals.unstorable(self._queues.open(*message.queue), message, reason)
        else:
            self._redelivery.unstorable.add(message.position)

    def _remove_waiting(self, message: Message) -> bool:
        """Remove a message that waits from its queue; return False if it is in flight."""
        if message.rank == DELAYED:
            return self._delays.remove(message)
        queue = self._queues.open(*message.queue)
        if not queue.part(message.rank).remove(message):
            return False
        self._room.shrank(queue.name, queue.octets, message.size)
        return True

    # From the queues to the receivers

    def offer(self, address: bytes, client: Client, pattern: Pattern) -> None:
        """Add an offer, without delivering anything yet."""
        self._queues.offer(address, client, pattern)

    def withdraw_offer(self, address: bytes, client: Client) -> None:
        """Remove a client's offer of a service; it keeps the requests that it has not confirmed."""
        self._queues.withdraw_offer(client, address)

    def offered_by(self, client: Client) -> list[bytes]:
        """Return the services that a client offers."""
        return list(self._queues.offered_by.get(client, ()))

    def dispatch_to(self, client: Client, now: float) -> None:
        """Deliver what waits for a client, as far as it is ready; if that takes many reads, the next tick continues."""
        self.dispatch_mail(client, now)
        for address in self._queues.offered_by.get(client, ()):
            self._dispatch(self._queues.get((QueueKind.SERVICE, address)), now)

    def dispatch_mail(self, client: Client, now: float) -> None:
        """Deliver what waits in a client's mailbox, as far as it is ready."""
        if self._clients.by_address(client.address) is client:
            if self._is_shared:
                self._queues.open(QueueKind.MAILBOX, client.address)
            self._dispatch(self._queues.get((QueueKind.MAILBOX, client.address)), now)

    def _dispatch(self, queue: Queue | None, now: float) -> int:
        self._now = now
        if queue is None or not queue.has_work:
            return 0
        before = queue.octets
        self._work_budget -= (work := queue.dispatch(now, min(self._work_budget, WORK_PER_CALL)))
        self._room.shrank(queue.name, queue.octets, before - queue.octets)
        return work

    # Confirmation and redelivery

    def confirm(self, client: Client, command: mlm.Confirm, now: float) -> bool:
        """Carry out a client's confirmation; return False if there is no such unconfirmed delivery."""
        lease = to_number(command.properties.get("lease")) if client.has_properties else command.tracker
        status = command.status_code
        if status == errors.PROGRESS and client.takes_progress:
            return self._confirmations.take_progress(client, lease, command.status_reason, now)
        message = None if lease is None else client.settle(lease)
        if message is None:
            return False
        self._now = now
        if status < errors.FAILED:
            self.finish(message, errors.SUCCESS, command.status_reason, command.properties.get("error"))
        elif self.cancelled.positions and message in self.cancelled:
            self.cancelled.end(message)
        elif status < REFUSED_FROM:
            self._redelivery.returned(message, command, now, client)
        else:
            error, cause = command.properties.get("error"), cause_of(status, command.properties)
            self._dead_lettering.end(message, cause, status, command.status_reason, now, client, error)
        if self._set_aside:
            self._dispatch_set_aside([lease], now)
        if self._limited.freed:
            self._limited.dispatch_freed(now)
        return True

    def remove_client(self, client: Client, now: float, cause: str) -> None:
        """Withdraw a client's offers, and requeue its unconfirmed deliveries in order, unless the client is awaited."""
        self._now = now
        self._queues.withdraw_offers(client)
        leases = client.release_all()
        self._deliveries.undo_pending(client, leases)
        # A plain client that has given credit later may have both unsent and unconfirmed deliveries.
        unfinished = [*leases.values(), *self._deliveries.remove_client(client)]
        unfinished.sort(key=lambda each: each.position)
        self._redelivery.requeue(self.awaited.hold(unfinished, client, cause, now), now, client)
        self._dispatch_set_aside(leases, now)
        if (mailbox := self._queues.get((QueueKind.MAILBOX, client.address))) is not None:
            self._queues.remove_if_unused(mailbox)

    def _may_come_again(self, message: Message) -> bool:
        """Return whether a request may be delivered again whose worker was lost."""
        return message not in self.cancelled and not self._deliveries.attempts.are_spent(message)

    def _note_set_aside(self, part: PartName, tracker: bytes) -> None:
        """Record that messages of a part of a queue are set aside until a tracker is no longer in flight."""
        self._set_aside.setdefault(tracker, {})[name_of(part)] = None

    def _dispatch_set_aside(self, leases: Iterable[Lease | None], now: float) -> None:
        """Deliver messages that were set aside for trackers that are no longer in flight."""
        for lease in leases:
            for name in self._set_aside.pop(lease, ()):
                self._dispatch(self._queues.get(name), now)

    def tick(self, now: float) -> None:
        """End messages that have expired, and continue with queues that could not read or deliver everything."""
        self._now = now
        self.measures.tick(now, self.wall_offset)
        self._deliveries.tick()
        if self._is_shared and abs(now - self._recounted_at) >= RECOUNT_SECONDS:
            self._recounted_at = now
            self._queues.recount()
        self._timeouts.tick(now)
        self.awaited.tick(now)
        self.ids.tick(now)
        self._absent.tick(now, self._wall_offset)
        self._continue_with([*self._unfinished(self._queues.values()), *self._limited.due(now)], now)

    @staticmethod
    def _unfinished(queues: Iterable[Queue]) -> list[Queue]:
        return [each for each in queues if each.is_unfinished and each.consumers.has_ready()]

    def _continue_with(self, queues: list[Queue], now: float) -> None:
        """Continue with queues that could not read or deliver everything, for one turn."""
        # Those that have had their turn, and whose messages are for others or held back, wait for the next tick.
        stuck: list[Queue] = []

        def dispatch(queue: Queue, _most: int) -> int:
            before = queue.progress
            work = self._dispatch(queue, now)
            if queue.progress == before:
                stuck.append(queue)
            return work

        self._work_budget = WORK_PER_TICK
        self._round_robin.run(queues, WORK_PER_CALL, dispatch)
        # A shared store says itself when it has fetched more.
        moving = [] if self._is_shared else [each for each in queues if each not in stuck]
        self._left = self._unfinished(moving)

    @property
    def next_turn(self) -> float | None:
        """In how many seconds :meth:`continue_turns` has more to do; None: not before the next tick."""
        if self._left or (self._timeouts.has_more and not self._timeouts.is_held):
            return 0.0
        return HELD_SECONDS if self._timeouts.has_more else None

    def continue_turns(self, now: float) -> None:
        """Continue with what a tick has left: messages that are due, or have expired, and messages that wait."""
        self._now = now
        if self._timeouts.has_more:
            self._timeouts.resume(now)
        if self._left:
            self._continue_with([each for each in self._left if self._queues.get(each.name) is each], now)

    def _end_expired(self, message: Message) -> None:
        self._timeouts.end(message)

    def give_up(self, message: Message, client: Client | None = None) -> None:
        """Make a message a dead letter after the maximum number of deliveries without a confirmation."""
        self._dead_lettering.give_up(message, self._now, client)

    def return_unsent(self, message: Message) -> None:
        """Let a message wait again whose receiver has disconnected before it was sent."""
        part = self._queues.open(*message.queue).part(message.rank)
        part.requeue(message)
        if part.limits is not None:
            part.limits.not_delivered(message.subject)

    def return_taken(self, message: Message) -> None:
        """Do as :meth:`return_unsent` after the dispatch of the message, and dispatch its queue again."""
        self._room.octets += message.size
        self.return_unsent(message)
        self._dispatch(self._queues.get(message.queue), self._now)

    def dispatch_again(self, client: Client, lease: Lease) -> None:
        """Deliver something else to a client that does not get the message of this lease."""
        self._dispatch_set_aside([lease], self._now)
        self.dispatch_to(client, self._now)

    def leave_to_other(self, message: Message) -> None:
        """Forget a message that another broker had; if it has been returned since, the queue has to be read again."""
        self._forget(message)
        self.expect_more(message.queue)

    def finish(self, message: Message, status: int, reason: bytes, error: object = None) -> None:
        """End a message, and notify its sender; ``error`` is that of :meth:`Confirmations.send`."""
        if message.properties:
            self.ids.end(message, status, reason)
        self._store.forget(message)
        queue = self._forget(message)
        if queue is not None:
            queue.measures.note_finished(message, status, self._now)
        self._confirmations.send(message, status, reason, error)

    def _forget(self, message: Message) -> Queue | None:
        """Forget a message that was in flight; return its queue, if that still exists."""
        if self._unstorable:
            self._unstorable.discard(message.position)
        if self._cancelled_positions:
            self.cancelled.discard(message)
        if message.properties:
            self.awaited.discard(message)
        if (queue := self._queues.get(message.queue)) is not None:
            if message.rank == NORMAL:
                queue.forget(message)
            elif message.rank != DELAYED:
                # What is delayed is in no part, and asking for one would add it.
                queue.part(message.rank).forget(message)
            if not queue.depth:
                self._queues.remove_if_unused(queue)
        return queue

    # Dead letters

    def replay_dead_letter(self, position: int, now: float, edit: Edit = UNCHANGED) -> Deferred[bool]:
        """Send a dead letter again; see :meth:`DeadLettering.replay`."""
        self._now = now
        return self._dead_lettering.replay(position, now, edit)

    def _new_position(self) -> int:
        self._position += 1
        return self._position
