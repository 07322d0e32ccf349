"""Mail and requests, from the sender to the final confirmation (docs/protocol.md, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred

from alaska import errors
from alaska.broker.absent_readers import AbsentReaders
from alaska.broker.arrivals import Arrivals
from alaska.broker.clients import Client, Clients, Lease
from alaska.broker.counters import Counters
from alaska.broker.dead_lettering import UNCHANGED, DeadLettering, Edit, cause_of
from alaska.broker.dead_letters import DeadLetters
from alaska.broker.limited_services import LimitedServices
from alaska.broker.limits import Limits
from alaska.broker.pauses import Pauses
from alaska.broker.queue import Queue
from alaska.broker.queued_messages import WORK_PER_CALL, WORK_PER_TICK
from alaska.broker.redelivery import Redelivery
from alaska.broker.round_robin import RoundRobin
from alaska.broker.unread_limits import UnreadLimitsByName
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import Message, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern
from alaska.mlm.properties import to_number

REFUSED_FROM = 400
"""A confirmation with this or a higher status refuses the message: it becomes a dead letter."""
HELD_SECONDS = 0.003
"""The interval at which the broker sees whether more messages that are due may begin to wait."""
RECOUNT_SECONDS = 5.0
"""The interval at which a shared store is asked for the numbers of messages."""


class Queues(Arrivals):
    """All mailboxes and service queues, the unconfirmed deliveries, and the dead letters."""

    # There are more attributes than CPython 3.11 reads fast without slots.
    __slots__ = (
        "_absent",
        "_dead_lettering",
        "_left",
        "_limited",
        "_recounted_at",
        "_redelivery",
        "_round_robin",
        "dead_letters",
        "pauses",
    )

    def __init__(
        self, clients: Clients, counters: Counters, store: IStore, limits: Limits, report: Callable[[StoreError], None]
    ) -> None:
        super().__init__(clients, counters, store, limits, report)
        self.dead_letters = DeadLetters(store, counters, limits.dead_letters)
        self._dead_lettering = DeadLettering(
            self.dead_letters, store, counters, self.measures, self.table, self._admission, self.confirmations,
            self.ids, limits, self._forget, self._new_position,
        )  # fmt: skip
        self._redelivery = Redelivery(
            store, self.table, self._room, counters, self._deliveries.attempts, self._delays, self.cancelled,
            self._dead_lettering, self.awaited.discard, self._forget, self._dispatch, self._unstorable,
            self.measures.past,
        )  # fmt: skip
        unread = UnreadLimitsByName(limits.unread, limits.unread_of)
        self._absent = AbsentReaders(store, self.table, counters, unread, self._end_unread)
        self.pauses = Pauses(store, self.table, self._dispatch)
        self._limited = LimitedServices(self.table, self._dispatch, clients, self._deliveries, self.awaited)
        self._limited.configure(limits.of_services, self._now)
        self._round_robin, self._recounted_at = RoundRobin(), 0.0
        # The queues with which the last turn could not finish.
        self._left: list[Queue] = []
        store.on_refused(self._store_refused)
        self.table.age(limits.ageing)
        self.table.restore()
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
        self.table.age(limits.ageing)

    @property
    def wall_offset(self) -> float:
        """The wall-clock time minus the broker's time, in seconds; for the times of dead letters."""
        return self._wall_offset

    @wall_offset.setter
    def wall_offset(self, seconds: float) -> None:
        self._wall_offset = self._dead_lettering.wall_offset = seconds

    def continue_reading(self, name: QueueName, now: float) -> None:
        """Deliver messages of a queue that the store has fetched."""
        self._dispatch(self.table.get(name), now)

    # Offers and receivers

    def offer(self, address: bytes, client: Client, pattern: Pattern) -> None:
        """Add an offer, without delivering anything yet."""
        self.table.offer(address, client, pattern)

    def withdraw_offer(self, address: bytes, client: Client) -> None:
        """Remove a client's offer of a service; it keeps the requests that it has not confirmed."""
        self.table.withdraw_offer(client, address)

    def offered_by(self, client: Client) -> list[bytes]:
        """Return the services that a client offers."""
        return list(self.table.offered_by.get(client, ()))

    def dispatch_to(self, client: Client, now: float) -> None:
        """Deliver what waits for a client, as far as it is ready; if that takes many reads, the next tick continues."""
        self.dispatch_mail(client, now)
        for address in self.table.offered_by.get(client, ()):
            self._dispatch(self.table.get((QueueKind.SERVICE, address)), now)

    def dispatch_mail(self, client: Client, now: float) -> None:
        """Deliver what waits in a client's mailbox, as far as it is ready."""
        if self._clients.by_address(client.address) is client:
            if self._is_shared:
                self.table.open(QueueKind.MAILBOX, client.address)
            self._dispatch(self.table.get((QueueKind.MAILBOX, client.address)), now)

    # Confirmation and redelivery

    def confirm(self, client: Client, command: mlm.Confirm, now: float) -> bool:
        """Carry out a client's confirmation; return False if there is no such unconfirmed delivery."""
        lease = to_number(command.properties.get("lease")) if client.has_properties else command.tracker
        status = command.status_code
        if status == errors.PROGRESS and client.takes_progress:
            return self.confirmations.take_progress(client, lease, command.status_reason, now)
        message = None if lease is None else client.settle(lease)
        if message is None:
            return False
        self._now = now
        if status < errors.FAILED:
            self.finish(message, errors.SUCCESS, command.status_reason, command.properties.get("error"), client.address)
        elif self.cancelled.positions and message in self.cancelled:
            self.cancelled.end(message, client.address)
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
        self.table.withdraw_offers(client)
        leases = client.release_all()
        self._deliveries.undo_pending(client, leases)
        # A plain client that has given credit later may have both unsent and unconfirmed deliveries.
        unfinished = [*leases.values(), *self._deliveries.remove_client(client)]
        unfinished.sort(key=lambda each: each.position)
        self._redelivery.requeue(self.awaited.hold(unfinished, client, cause, now), now, client)
        self._dispatch_set_aside(leases, now)
        if (mailbox := self.table.get((QueueKind.MAILBOX, client.address))) is not None:
            self.table.remove_if_unused(mailbox)

    def _requeue(self, messages: list[Message], now: float) -> None:
        """See :class:`QueuedMessages`."""
        self._redelivery.requeue(messages, now, None)

    def give_up(self, message: Message, client: Client | None = None) -> None:
        """Make a message a dead letter after the maximum number of deliveries without a confirmation."""
        self._dead_lettering.give_up(message, self._now, client)

    def return_unsent(self, message: Message) -> None:
        """Let a message wait again whose receiver has disconnected before it was sent."""
        part = self.table.open(*message.queue).part(message.rank)
        part.requeue(message)
        if part.limits is not None:
            part.limits.not_delivered(message.subject)

    def return_taken(self, message: Message) -> None:
        """Do as :meth:`return_unsent` after the dispatch of the message, and dispatch its queue again."""
        self._room.octets += message.size
        self.return_unsent(message)
        self._dispatch(self.table.get(message.queue), self._now)

    def dispatch_again(self, client: Client, lease: Lease) -> None:
        """Deliver something else to a client that does not get the message of this lease."""
        self._dispatch_set_aside([lease], self._now)
        self.dispatch_to(client, self._now)

    def leave_to_other(self, message: Message) -> None:
        """Forget a message that another broker had; if it has been returned since, the queue has to be read again."""
        self._forget(message)
        self.expect_more(message.queue)

    # Time

    def tick(self, now: float) -> None:
        """End messages that have expired, and continue with queues that could not read or deliver everything."""
        self._now = now
        self.measures.tick(now, self.wall_offset)
        self._deliveries.tick()
        if self._is_shared and abs(now - self._recounted_at) >= RECOUNT_SECONDS:
            self._recounted_at = now
            self.table.recount()
        self._timeouts.tick(now)
        self.awaited.tick(now)
        self.ids.tick(now)
        self._absent.tick(now, self._wall_offset)
        self._continue_with([*self._unfinished(self.table.values()), *self._limited.due(now)], now)

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
            self._continue_with([each for each in self._left if self.table.get(each.name) is each], now)

    # Dead letters

    def replay_dead_letter(self, position: int, now: float, edit: Edit = UNCHANGED) -> Deferred[bool]:
        """Send a dead letter again; see :meth:`DeadLettering.replay`."""
        self._now = now
        return self._dead_lettering.replay(position, now, edit)
