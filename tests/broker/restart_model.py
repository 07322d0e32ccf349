"""What a broker has to know after a restart or a crash."""

from __future__ import annotations

from dataclasses import replace

from alaska.interfaces import IStore
from alaska.message import DELAYED, Message
from tests.broker.model_state import SentMessage
from tests.broker.stored_model import StoredModel


class RestartModel(StoredModel):
    """Restarts the broker, and takes over what is left from the store, as far as that is allowed."""

    def restart(self, is_clean: bool) -> None:
        """Stop or crash the broker, and start another with the store."""
        self.check_stored()
        if is_clean:
            self.broker.close()
        else:
            self.bindings.crashed()
        store = self._kind.reopen(self.store, is_clean)
        for peer in self.peers.values():
            peer.is_open = False
            peer.offers.clear()
            peer.leases.clear()
            self.streams.leave(peer)
        self.owners.clear()
        self.start(store)
        self._is_restarting = True
        stored = self.stored()
        self._is_restarting = False
        for order, number in enumerate(stored, -len(stored)):
            # A dead letter that was sent again may be back in its first state, if that was not stored.
            self.messages[number].order = order
        for message in self.messages.values():
            message.holder = None
            is_cancelled, message.is_cancelled = message.is_cancelled, False
            message.may_end.discard(410)
            if is_cancelled and message.final_status is None and store.is_durable and not store.is_shared:
                assert message.number not in stored, f"{message} is there again, but was cancelled"
                message.final_status = 410
            elif message.number in stored:
                assert message.final_status is None or not is_clean, f"{message} is restored, but was finished"
                self._restore(message, stored[message.number])
            elif message.final_status is None:
                is_promised = store.is_durable and (is_clean or message.statuses == [201])
                assert not is_promised or message.is_expired(self.now) or 204 in message.may_end, f"{message} is lost"
                message.final_status = 0
        letters = self.stored_letters().keys()
        assert letters == self.dead_letters or not (store.is_durable and is_clean), "dead letters are lost"
        self.dead_letters = set(letters)
        self._restart_others(store, is_clean)

    def _restore(self, message: SentMessage, there: Message) -> None:
        message.final_status = None
        message.is_restored = True
        # Its final status was sent but not stored: it is delivered again, and a final status may be sent again.
        message.statuses = [status for status in message.statuses if status == 201]
        is_delayed = there.rank == DELAYED
        expires = message.due if is_delayed else message.expires
        is_as_sent = (there.is_tracked, there.expires) == (message.is_tracked, expires)
        is_as_sent = is_as_sent or message.was_sent_again or message.was_put_off
        assert is_as_sent, f"{message} is not restored as it was sent"
        message.is_tracked, message.attempts = there.is_tracked, there.attempts
        message.answered, message.snoozes = there.answered, there.snoozes
        message.due, message.has_been_due = (there.expires if is_delayed else None), False
        if not is_delayed:
            message.expires = there.expires
        elif message.was_put_off:
            message.expires = None if there.patience is None else (there.expires or 0.0) + there.patience

    def _restart_others(self, store: IStore, is_clean: bool) -> None:
        """Take over everything but messages."""
        self.streams.restarted(is_clean)
        self.ids.restarted(store, self.now)
        lost = {
            (each.queue.address, int(each.content[1:]))
            for each in self.messages.values()
            if each.is_of_record and each.final_status == 0
        }
        there = {each.key for each in self.broker.bindings}
        self.bindings.restarted(there, is_clean, store.is_durable, lost)
        readers = {(each.stream_name, each.name) for each in self.broker.streams.durable}
        self.readers.restarted(readers, is_clean, store.is_durable)
        paused = set(self.broker.queues.table.paused)
        assert paused == self.paused or not (store.is_durable and is_clean), f"{paused} are paused"
        self.paused, self._before_pause = paused, set()
        self.broker.configure(replace(self.limits, of_services=self.service_limits.given))
        self.service_limits.configure(self.service_limits.given, self.now, ())
