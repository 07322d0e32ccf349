"""Checks that exactly those messages are stored that have not ended."""

from __future__ import annotations

from collections.abc import Container

from alaska.message import DELAYED, PRIORITIES, Message, QueueKind, QueueName, part_of
from tests.broker.delivery_model import DeliveryModel
from tests.broker.model_state import SentMessage

EVERYTHING = 10_000


class StoredModel(DeliveryModel):
    """Compares what the store has with what is expected."""

    def check_stored(self) -> None:
        """Check that exactly the unfinished messages and the dead letters are stored; expired ones may be missing."""
        stored = self.stored()
        letters = self.stored_letters()
        for message in self.messages.values():
            if message.waits and message.is_restored and message.number in letters:
                # It is not known when that happened, and so which client should have been notified.
                self.dead_letters.add(message.number)
                self._finish(message, 502)
            if message.final_status is None and message.number not in stored:
                self._check_gone(message)
        ended = [self.messages[number] for number in stored if self.messages[number].final_status is not None]
        assert not ended, f"{ended} are finished, but still stored"
        assert letters.keys() == self.dead_letters, f"dead letters {letters} instead of {self.dead_letters}"

    def _check_gone(self, message: SentMessage) -> None:
        """Check that a message may have ended without a sign, and record with which status."""
        status = 302 if message.is_expired(self.now) else next(iter(message.may_end), None)
        assert message.waits and status is not None, f"{message} is lost"
        listener = self._listener(message)
        is_heard = listener is not None and listener.credit is not None and not listener.is_disconnected
        # That it was replaced or cancelled is told when that is written.
        is_told = message.is_tracked and is_heard and not message.may_end & {204, 410}
        assert not is_told, f"the sender of {message} was not notified of its end"
        self._finish(message, 204 if 204 in message.may_end else status)

    def stored(self) -> dict[int, Message]:
        """Return the stored messages by number, in order.

        If the store is not durable, those in the broker's memory are included, since they need not be in the store.
        """
        queues = {message.queue for message in self.messages.values()}
        queues |= {QueueName(QueueKind.SERVICE, bound.key.service) for bound in self.bindings}
        parts = [part_of(queue, rank) for queue in queues for rank in (*PRIORITIES, DELAYED)]
        stored = {each.position: each for part in parts for each in self._content.waiting(part, 0, EVERYTHING)}
        if not self.store.is_durable:
            for client in self.broker.clients:
                stored |= {each.position: each for each in client.leases.values()}
            stored |= {each.position: each for each in self.broker.queues.awaited.requests()}
            for queue in self.broker.queues.table.values():
                lanes = [lane for part in queue.parts for lane in part._lanes.values()]
                stored |= {each.position: each for lane in lanes for each in lane.messages}
        return self._by_number([stored[position] for position in sorted(stored)], is_dead=False)

    def stored_letters(self) -> dict[int, Message]:
        """Return the stored dead letters by number."""
        letters = self._content.dead_letters(0, EVERYTHING)
        return self._by_number([letter.message for letter in letters], is_dead=True)

    def _by_number(self, stored: list[Message], is_dead: bool) -> dict[int, Message]:
        """Return stored messages, or dead letters, by number."""
        found: dict[int, Message] = {}
        for each in stored:
            message = self._message_of(each, found, is_dead)
            message.position = each.position
            found[message.number] = each
        return found

    def _message_of(self, there: Message, others: Container[int], is_dead: bool) -> SentMessage:
        """Return the message of a stored one; requests for the same record have the same content."""
        content = there.content[0]
        if not content.startswith(b"r"):
            return self.messages[int(content)]
        same = [
            each
            for each in self.messages.values()
            if each.content == content and each.queue == there.queue and each.number not in others
        ]
        if is_dead:
            found = [each for each in same if each.number in self.dead_letters or each.waits]
        else:
            found = [each for each in same if each.final_status is None]
            if self._is_restarting and not found:
                found = [each for each in same if each.position == there.position]
        return found[0] if found else self._request_of_record(there.queue.address, content)
