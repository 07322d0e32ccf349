"""What administrators do to a broker, and what the model expects of that."""

from __future__ import annotations

from dataclasses import replace

from alaska.admin import requests
from alaska.admin.pages import Work
from alaska.broker import cancelling, purge
from alaska.broker.binding import BindingKey
from alaska.message import QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.service_limits import ServiceLimit
from tests.broker.broker_model import BrokerModel
from tests.broker.delivery_model import OK
from tests.broker.model_state import Peer, SentMessage


class OperationModel(BrokerModel):
    """Cancels, pauses, purges and limits; sends dead letters again; binds streams; reads as durable readers."""

    def _work(self, work: Work[object]) -> None:
        """Carry out an operation, in turns."""

        def run() -> None:
            for _ in work:
                self._kind.answer()
                self._kind.settle()

        self._run(run)

    def cancel_message(self, message: SentMessage) -> None:
        """Cancel a message that has not ended: one that waits does, and who has it is told."""
        self.check_stored()
        holder = message.holder
        if message.final_status is not None:
            return
        if holder is None:
            message.may_end.add(410)
        else:
            message.is_cancelled = True
        self._work(cancelling.cancel(self.broker._state, requests.Cancel(position=message.position)))
        self.check_may_still_wait([message], 410)
        if message.waits:
            # It was assigned to a client, but not sent to it yet.
            message.is_cancelled = True
            message.may_end.add(410)

    def purge(self, queue: QueueName) -> None:
        """End all messages that wait in a queue."""
        self.check_stored()
        waiting = self.waiting(queue)
        for message in waiting:
            message.may_end.add(300)
        self._work(purge.purge_queue(self.broker._state, queue, lambda: self.now))
        self.check_may_still_wait(waiting, 300)

    def pause(self, service: bytes) -> None:
        """Pause a service; what is on its way to a client arrives."""
        self.paused.add(service)
        self._before_pause |= self._assigned()
        self._run(lambda: self.broker.queues.pauses.pause(service))

    def resume(self, service: bytes) -> None:
        """End the pause of a service."""
        self.paused.discard(service)
        self._run(lambda: self.broker.queues.pauses.resume(service, self.now))

    def limit(self, limits: tuple[ServiceLimit, ...]) -> None:
        """Limit services."""
        if limits != self.service_limits.given:
            self.service_limits.configure(limits, self.now, self._assigned())
            self._run(lambda: self.broker.configure(replace(self.limits, of_services=limits)))

    # Dead letters

    def settle_dead_letter(self, pick: int, is_dropped: bool) -> None:
        """Let a dead letter be dropped, or be sent again, which does not notify the sender."""
        self.check_stored()  # afterwards the dead letter cannot be checked
        letters = self.stored_letters()
        number = list(letters)[pick % len(letters)]
        position = letters[number].position
        self.dead_letters.discard(number)
        if is_dropped:
            assert self.broker.queues.dead_letters.drop(position)
            return
        self._send_again(self.messages[number])
        self._run(lambda: self.broker.queues.replay_dead_letter(position, self.now))

    def settle_dead_letters(self, is_dropped: bool) -> None:
        """Let all dead letters be dropped, or be sent again."""
        self.check_stored()
        for number in self.stored_letters() if not is_dropped else ():
            self._send_again(self.messages[number])
        self.dead_letters.clear()
        state, letters = self.broker._state, requests.SomeLetters()
        if is_dropped:
            self._work(purge.drop_letters(state, letters, self.now))
        else:
            self._work(purge.replay_letters(state, letters, lambda: self.now))

    def _send_again(self, message: SentMessage) -> None:
        """Record that a dead letter is sent again, without an id, and is neither delayed nor expires."""
        self.count += 1
        message.order = self.count
        message.final_status, message.attempts, message.is_tracked, message.expires = None, 0, False, None
        message.due, message.answered, message.snoozes, message.has_id = None, 0, 0, False
        if message.queue.kind is QueueKind.MAILBOX:
            seconds = self.limits.mailbox_seconds if message.ttl is None else message.ttl / 1000
            message.expires = self.now + seconds if seconds else None
        message.is_restored, message.was_sent_again = False, True
        message.may_end.clear()

    # Bindings

    def bind(self, key: BindingKey, position: int) -> None:
        """Bind a stream to a service, or end that."""
        if key not in self.bindings:
            self.bindings.bind(key, position)
        self._run(lambda: self.broker.bindings.bind(key, position, "test"))

    def unbind(self, key: BindingKey) -> None:
        """End a binding; the requests that were made stay."""
        self.check_stored()
        self.bindings.unbind(key)
        self._run(lambda: self.broker.bindings.unbind(key))

    # Durable readers

    def read_as(self, peer: Peer, stream: bytes, name: bytes, pattern: bytes, position: int) -> None:
        """Let a client be a durable reader; it takes the name from another one."""
        self.cancel(peer, stream)
        if (older := self.readers.holder_of(stream, name)) is not None:
            self.streams.cancel(older, stream)
            self.readers.cancel(older, stream)
        command = mlm.StreamReplay(stream, pattern, position, {"name": name})
        self._begin = peer, stream, name, pattern, position
        self.call(peer, command, OK)
        self._begin = None

    def confirm_records(self, peer: Peer, stream: bytes, upto: int) -> None:
        """Let a durable reader confirm what it has got up to a position."""
        self.readers.confirmed(peer, stream, upto)
        self.call(peer, mlm.Confirm(b"", 200, b"", {"stream": stream, "position": upto}))
