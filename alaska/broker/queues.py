"""The life of a message that must arrive, from its sender to its confirmation (docs/protocol.md, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from alaska import errors
from alaska.broker.aliases import Aliases, own_tracker
from alaska.broker.clients import Client, Clients
from alaska.broker.counters import Counters
from alaska.broker.dead import DeadLetters
from alaska.broker.lanes import Windows
from alaska.broker.limits import Limits, Room
from alaska.broker.mailboxes import Owner
from alaska.broker.queue import READ_IN_A_TICK, Queue
from alaska.broker.services import Offers
from alaska.broker.turns import Turns
from alaska.interfaces import IStore
from alaska.message import DeadLetter, Message, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern
from alaska.names import printable

REFUSED_FROM = 400
"""The status from which on a confirmation says that the message is refused for good."""
OVERDUE_AT_ONCE = 1000
FIRST_EXPIRY = (0.0, 0)


class Queues:
    """All mailboxes and service queues, what is with clients and not confirmed, and the dead letters."""

    _log = Logger()

    def __init__(self, clients: Clients, counters: Counters, store: IStore, limits: Limits) -> None:
        self._clients = clients
        self._counters = counters
        self._store = store
        self._is_durable = store.is_durable
        known = [each for each in (limits.content_octets, store.most_octets) if each is not None]
        self._most_octets = min(known, default=None)
        self._limits = limits
        self._room = Room(limits)
        self.dead = DeadLetters(store, counters, limits.letters)
        self._queues: dict[tuple[QueueKind, bytes], Queue] = {}
        self._offers: dict[bytes, Offers] = {}
        self._offered_by: dict[Client, dict[bytes, None]] = {}
        self._positions = self._restored_upto = store.last_position
        self._expired_upto = FIRST_EXPIRY
        self._now = 0.0
        self.wall_ahead = 0.0
        """How many seconds the wall clock is ahead of the broker's time: it is what dead letters are dated by."""
        self.windows = Windows()
        self._aliases = Aliases()
        self._turns, self._to_read = Turns(), READ_IN_A_TICK
        # By each tracker that mail waits for, since its receiver has another message with it: the mailboxes.
        self._set_aside: dict[bytes, dict[QueueName, None]] = {}
        self._refused: set[int] = set()  # what is with clients, and could not be written
        store.tell_refused(self._not_kept)
        for size in store.queues():
            self._queue(*size.queue).restore(size.messages, size.octets)
            self._room.octets += size.octets

    def _queue(self, kind: QueueKind, address: bytes) -> Queue:
        queue = self._queues.get((kind, address))
        if queue is None:
            name = QueueName(kind, address)
            takers = self._offers_of(address) if kind is QueueKind.SERVICE else Owner(self._clients, address)
            told = self._deliver, self._expired, self._note_set_aside
            queue = self._queues[name] = Queue(name, takers, self._store, *told, self.windows)
        return queue

    def _offers_of(self, address: bytes) -> Offers:
        return self._offers.setdefault(address, Offers())

    # From the sender

    def send_mailbox(self, sender: Client, command: mlm.MailboxSend, now: float) -> None:
        """Deliver a message to the client with its address, or let it wait for one."""
        queue = self._queue(QueueKind.MAILBOX, command.address)
        message = self._message(queue, sender, command, now)
        if command.address:
            self._accept(queue, message)
        else:
            self._refuse(queue, message, errors.FAILED, "the empty address has no mailbox")

    def send_service(self, sender: Client, command: mlm.ServiceSend, now: float) -> None:
        """Deliver a request to the client whose turn it is, or let it wait for one."""
        queue = self._queue(QueueKind.SERVICE, command.address)
        self._accept(queue, self._message(queue, sender, command, now))

    def mail(self, command: mlm.MailboxSend, sender: bytes, now: float) -> None:
        """Send mail in the broker's own name."""
        self._positions += 1
        self._now = now
        queue = self._queue(QueueKind.MAILBOX, command.address)
        message = Message(self._positions, queue.name, sender, command.subject, command.tracker, command.content)
        self._accept(queue, message)

    def _message(self, queue: Queue, sender: Client, command: mlm.MailboxSend | mlm.ServiceSend, now: float) -> Message:
        self._positions += 1
        self._now = now
        _, subject, tracker, timeout, content = command
        is_tracked = bool(tracker) and not sender.is_plain
        expires = now + timeout / 1000 if timeout else None
        meant = self._aliases.meant(tracker)
        message = Message(
            self._positions, queue.name, sender.address, subject, meant, content, is_tracked, sender.peer, expires
        )
        if meant is not tracker:
            message.sent_as = tracker
        return message

    def _accept(self, queue: Queue, message: Message) -> bool:
        """Deliver a message or let it wait; return False if there is no room for it, which its sender is told."""
        most = self._most_octets
        if most is not None and message.size > most:
            self._counters.over_limit += 1
            self._refuse(queue, message, errors.TOO_LARGE, f"its content has more than {most} octets")
            return False
        if not self._store.has_room:
            self._refuse(queue, message, errors.INTERNAL_ERROR, self._store.complaint or "")
            return False
        taker = queue.next_for(message)
        if taker is None:
            return self._let_wait(queue, message)
        if taker.credit is None:
            # It is done with when it is sent, so there is nothing to keep, and in a durable store nothing to promise.
            if message.is_tracked and not self._is_durable:
                self._tell_stored(message)
            self._deliver(taker, message)
            if taker.is_gone:
                self._room.octets += message.size
                self._dispatch(queue, self._now)
        else:
            if self._is_durable:
                self._keep(message)
            elif message.is_tracked:
                # It ends with this process in any store.
                self._tell_stored(message)
            self._deliver(taker, message)
        return True

    def _let_wait(self, queue: Queue, message: Message) -> bool:
        """Let a new message wait; return False if there is no room for it, which its sender is told."""
        is_for_nobody = not queue.waiting and not queue.takers.count(message.subject)
        if not self._room.admits(queue.name, queue.octets, message.size, len(self._queues) if is_for_nobody else 0):
            self._counters.over_limit += 1
            self._refuse(queue, message, errors.TOO_LARGE, "there is no room for it")
            return False
        self._room.octets += message.size
        is_in_memory = queue.wait(message)
        if self._is_durable or not is_in_memory or message.expires is not None:
            self._keep(message)
        elif message.is_tracked:
            # It ends with this process in any store.
            self._tell_stored(message)
        return True

    def _keep(self, message: Message) -> None:
        self._store.keep(message, self._tell_stored if message.is_tracked else None)

    def _keep_again(self, message: Message) -> None:
        """Let the store have a message that was with a client, with the number of its attempts."""
        if self._is_durable and message.position not in self._refused:
            self._store.note_attempts(message, None)
        else:
            self._refused.discard(message.position)
            self._store.keep(message, None)

    def _not_kept(self, message: Message, reason: str) -> None:
        """Give up a message that the store cannot keep, and tell its sender; one that a client has goes on."""
        self._counters.store_refused += 1
        queue = self._queue(*message.queue)
        if queue.expire(message):
            self._room.sank(queue.name, queue.octets, message.size)
            self._refuse(queue, message, errors.INTERNAL_ERROR, f"the store cannot keep it: {reason}")
        else:
            self._refused.add(message.position)

    # To the receiver

    def _deliver(self, client: Client, message: Message) -> None:
        if message.position <= self._restored_upto and self._is_spent(message):
            self._bury(message, errors.INTERNAL_ERROR, _in_vain(message), self._now)
            return
        message.attempts += 1
        self._counters.delivered += 1
        if client.credit is None:
            self._deliver_unconfirmed(client, message)
        else:
            self._deliver_to_confirm(client, message)

    def _deliver_unconfirmed(self, client: Client, message: Message) -> None:
        if client.deliver(_delivery(message, message.tracker), message.size):
            self._end(message, errors.DELIVERED, b"")
        else:
            # Its connection is gone: the message waits as if it had never been delivered.
            message.attempts -= 1
            self._store.keep(message, None)
            self._queue(*message.queue).put_back(message)

    def _deliver_to_confirm(self, client: Client, message: Message) -> None:
        tracker = message.tracker
        if not tracker:
            tracker = own_tracker(client, message)
        elif tracker in client.leases:
            tracker = self._aliases.make(tracker)
        client.lease(tracker, message)
        if message.position > self._restored_upto or message.queue.kind is QueueKind.MAILBOX:
            # Mail ends no process, and comes in order.
            if self._is_durable:
                self._store.note_attempts(message, None)
            client.deliver(_delivery(message, tracker), message.size)
        else:
            self._deliver_restored(client, message, tracker)

    def _deliver_restored(self, client: Client, message: Message, tracker: bytes) -> None:
        def noted() -> None:
            if client.holds(tracker, message) and not client.is_gone:
                client.deliver(_delivery(message, tracker), message.size)

        # It may be what ended this process, if the worker shares it; so it is counted before it is tried again.
        self._store.note_attempts(message, noted)

    def _is_spent(self, message: Message) -> bool:
        """Return whether a request has been lost with as many workers as it may be."""
        most = self._limits.attempts
        return message.queue.kind is QueueKind.SERVICE and most is not None and message.attempts >= most

    def offer(self, address: bytes, client: Client, pattern: Pattern) -> None:
        """Add an offer; nothing is delivered yet."""
        self._offered_by.setdefault(client, {})[address] = None
        if self._offers_of(address).add(client, pattern):
            self._queue(QueueKind.SERVICE, address).takers_changed()

    def dispatch_to(self, client: Client, now: float) -> None:
        """Deliver what waits for a client, as far as it is ready; what takes many reads goes on at the next tick."""
        self.dispatch_mail(client, now)
        for address in self._offered_by.get(client, ()):
            self._dispatch(self._queues.get((QueueKind.SERVICE, address)), now)

    def dispatch_mail(self, client: Client, now: float) -> None:
        """Deliver what waits in a client's mailbox, as far as it is ready."""
        if self._clients.named(client.address) is client:
            self._dispatch(self._queues.get((QueueKind.MAILBOX, client.address)), now)

    def _dispatch(self, queue: Queue | None, now: float) -> int:
        if queue is None or not queue.waiting:
            return 0
        before = queue.octets
        self._to_read -= (read := queue.dispatch(now, self._to_read))
        self._room.sank(queue.name, queue.octets, before - queue.octets)
        return read

    # What becomes of it

    def confirm(self, client: Client, command: mlm.Confirm, now: float) -> bool:
        """Do what a client's confirmation says; return False if nothing with this tracker is with the client."""
        message = client.settle(command.tracker)
        if message is None:
            return False
        if command.status_code < errors.FAILED:
            self._end(message, errors.SUCCESS, command.status_reason)
        elif command.status_code < REFUSED_FROM:
            # It was handed back, not lost over: that is no attempt.
            message.attempts -= 1
            self._put_back([message], now)
        else:
            self._bury(message, command.status_code, command.status_reason, now)
        if self._set_aside:
            self._dispatch_set_aside([command.tracker], now)
        return True

    def take_back(self, client: Client, now: float) -> None:
        """Withdraw a client's offers, and let what is with it wait again, in order, for others."""
        for address in self._offered_by.pop(client, ()):
            queue = self._queue(QueueKind.SERVICE, address)
            if self._offers[address].withdraw(client):
                queue.takers_changed()
            self._tidy(queue)
        leases = client.surrender()
        self._put_back(list(leases.values()), now)
        self._dispatch_set_aside(leases, now)

    def _note_set_aside(self, queue: Queue, tracker: bytes) -> None:
        """Note that messages of a queue wait until a client no longer has another one with their tracker."""
        self._set_aside.setdefault(tracker, {})[queue.name] = None

    def _dispatch_set_aside(self, trackers: Iterable[bytes], now: float) -> None:
        """Deliver what waited for trackers that were with a client until now."""
        for tracker in trackers:
            for name in self._set_aside.pop(tracker, ()):
                self._dispatch(self._queues.get(name), now)

    def _put_back(self, messages: list[Message], now: float) -> None:
        for message in messages:
            if self._is_spent(message):
                self._bury(message, errors.INTERNAL_ERROR, _in_vain(message), now)
                continue
            self._counters.redelivered += 1
            self._room.octets += message.size
            self._keep_again(message)
            self._queue(*message.queue).put_back(message)
        for name in {message.queue for message in messages}:
            self._dispatch(self._queues.get(name), now)

    def expire(self, now: float) -> None:
        """Throw away what has waited longer than its timeout, and go on with queues that are deep."""
        late = self._store.overdue(now, self._expired_upto, OVERDUE_AT_ONCE)
        # Those that are with clients stay in the store, and must not hide what comes behind them.
        self._expired_upto = late.upto or FIRST_EXPIRY
        for message in late:
            queue = self._queue(*message.queue)
            if queue.expire(message):
                self._room.sank(queue.name, queue.octets, message.size)
                self._expired(message)
        deep = [queue for queue in self._queues.values() if queue.is_deep and queue.takers.has_ready()]
        self._to_read = READ_IN_A_TICK
        self._turns.share(deep, READ_IN_A_TICK, lambda queue, _most: self._dispatch(queue, now))

    def _expired(self, message: Message) -> None:
        self._counters.timed_out += 1
        self._end(message, errors.TIMEOUT_EXPIRED, b"")

    def _refuse(self, queue: Queue, message: Message, status: int, reason: str) -> None:
        self._counters.dropped += 1
        self._log.debug("not kept, from {sender}: {reason}", sender=printable(message.sender), reason=reason)
        self._tell_sender(message, status, reason.encode()[: mlm.MAX_STRING_OCTETS])
        self._tidy(queue)

    def _bury(self, message: Message, status: int, reason: bytes, now: float) -> None:
        """Let a message that nobody could deal with be a dead letter."""
        self._counters.buried += 1
        self.dead.bury(DeadLetter(message, status, reason, now + self.wall_ahead))
        self._leave(message)
        self._tell_sender(message, status, reason)

    def _end(self, message: Message, status: int, reason: bytes) -> None:
        self._store.forget(message)
        self._leave(message)
        self._tell_sender(message, status, reason)

    def _leave(self, message: Message) -> None:
        self._refused.discard(message.position)
        queue = self._queues.get(message.queue)
        if queue is not None:
            queue.end(message)
            if not queue.waiting:
                self._tidy(queue)

    def _tidy(self, queue: Queue) -> None:
        """Forget a mailbox that nothing waits in, and a service that nobody offers and nobody has asked for."""
        if not queue.is_needed:
            self._queues.pop(queue.name, None)
            if queue.name.kind is QueueKind.SERVICE:
                self._offers.pop(queue.name.address, None)

    def _tell_stored(self, message: Message) -> None:
        queue = self._queues.get(message.queue) or self._queue(*message.queue)
        self._tell_sender(message, errors.STORED, b"offers=%d" % queue.takers.count(message.subject))

    def _tell_sender(self, message: Message, status: int, reason: bytes) -> None:
        """Confirm a message to its sender, if that waits for it and is still there, be it over a new connection."""
        if message.is_tracked:
            # A connection of before a restart is nobody's now, or a stranger's.
            origin = message.origin if message.position > self._restored_upto else b""
            sender = self._clients.at(origin) or self._clients.named(message.sender)
            if sender is not None and sender.credit is not None:
                sender.send(mlm.Confirm(message.sent_as or message.tracker, status, reason))

    # Dead letters

    def replay_letter(self, position: int, now: float) -> bool:
        """Send a dead letter again, as a new message of the same sender; return False if there is none, or no room.

        Its sender is not told what becomes of it: it has heard how its message ended.
        """
        letter = self.dead.find(position)
        if letter is None:
            return False
        dead = letter.message
        self._now = now
        self._positions += 1
        again = Message(self._positions, dead.queue, dead.sender, dead.subject, dead.tracker, dead.content)
        if not self._accept(self._queue(*dead.queue), again):
            return False
        self.dead.drop(position)
        return True


def _delivery(message: Message, tracker: bytes) -> mlm.Command:
    deliver = mlm.MailboxDeliver if message.queue.kind is QueueKind.MAILBOX else mlm.ServiceDeliver
    return deliver(message.sender, message.queue.address, message.subject, tracker, message.content)


def _in_vain(message: Message) -> bytes:
    return b"delivered %d times in vain" % message.attempts
