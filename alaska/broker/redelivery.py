"""Messages that wait again: their receiver was lost, or has returned them (docs/protocol.md, sections 5 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import filterfalse

from alaska import errors
from alaska.broker.attempts import Attempts, note_returned, return_of
from alaska.broker.cancelled import Cancelled
from alaska.broker.clients import Client
from alaska.broker.counters import Counters
from alaska.broker.dead_lettering import DeadLettering
from alaska.broker.delays import Delays
from alaska.broker.limits import Room
from alaska.broker.past import Past
from alaska.broker.queue import Queue
from alaska.broker.queue_table import QueueTable
from alaska.interfaces import IStore
from alaska.message import Cause, Message
from alaska.mlm import commands as mlm


class Redelivery:
    """Lets messages wait again that were in flight: in their old places, or delayed.

    ``discard_note`` forgets which worker has a message, and ``forget`` removes a message in flight from its queue.
    ``dispatch`` delivers what waits in a queue, at a time. ``unstorable`` are the positions of messages in flight that
    the store could not write. The ``past`` is told what happens.
    """

    def __init__(
        self,
        store: IStore,
        table: QueueTable,
        room: Room,
        counters: Counters,
        attempts: Attempts,
        delays: Delays,
        cancelled: Cancelled,
        dead_lettering: DeadLettering,
        discard_note: Callable[[Message], None],
        forget: Callable[[Message], object],
        dispatch: Callable[[Queue | None, float], object],
        unstorable: set[int],
        past: Past,
    ) -> None:
        self._store = store
        self._table = table
        self._room = room
        self._counters = counters
        self._attempts = attempts
        self._delays = delays
        self._cancelled = cancelled
        self._dead_lettering = dead_lettering
        self._discard_note = discard_note
        self._forget = forget
        self._dispatch = dispatch
        self.unstorable = unstorable
        self._past = past

    def returned(self, message: Message, command: mlm.Confirm, now: float, client: Client) -> None:
        """Let a message wait again that a client has not processed, or delay it, as its confirmation says."""
        returned = return_of(command.properties)
        note_returned(message, returned)
        if returned.is_spent and self._attempts.are_all_made(message):
            reason, error = command.status_reason, command.properties.get("error")
            self._dead_lettering.end(message, Cause.ATTEMPTS, errors.INTERNAL_ERROR, reason, now, client, error)
        elif returned.delay is None:
            what = "retried" if returned.is_spent else "returned"
            self._past.step(message, what, client.address, command.status_reason)
            self._wait_again([message], now, client)
        else:
            what = "retried" if returned.is_spent else "snoozed"
            self._past.step(message, what, client.address, command.status_reason)
            self._table.open(*message.queue).measures.note_returned(returned.is_spent)
            is_stored = message.position not in self.unstorable
            self._forget(message)
            delayed = self._delays.delay_again(message, now + returned.delay)
            if not is_stored:
                self._store.keep(delayed, None)

    def requeue(self, messages: list[Message], now: float, client: Client | None) -> None:
        """Let messages that were in flight to a client that was lost, ordered by position, wait again."""
        self._past.lost(messages, b"" if client is None else client.address)
        self._wait_again(messages, now, client)

    def _wait_again(self, messages: list[Message], now: float, client: Client | None) -> None:
        if self._cancelled:
            messages = self._cancelled.end_some(messages)
        for message in messages:
            if message.properties:
                self._discard_note(message)
        are_spent = self._attempts.are_spent
        for message in filter(are_spent, messages):
            self._dead_lettering.give_up(message, now, client)
        names = {message.queue for message in messages}
        for name in names:
            if (queue := self._table.get(name)) is not None:
                for part in queue.parts:
                    part.begin_matching()
        # The last one first, so that each is inserted at the head of its lane, which is fast.
        for message in reversed(list(filterfalse(are_spent, messages))):
            self._counters.redelivered += 1
            self._room.octets += message.size
            self._store_again(message)
            part = self._table.open(*message.queue).part(message.rank)
            part.measures.redelivered += 1
            message.moved_at = now
            part.requeue(message)
            if part.has_matched_enough:
                part.leave_in_store()
        for name in names:
            self._dispatch(self._table.get(name), now)

    def _store_again(self, message: Message) -> None:
        """Store a message that was in flight, with its number of attempts."""
        if self._store.is_durable and message.position not in self.unstorable:
            self._store.release(message)
        else:
            self.unstorable.discard(message.position)
            self._store.keep(message, None)
