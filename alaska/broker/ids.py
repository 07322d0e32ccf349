"""Messages that are sent once: a queue keeps no second one with the same id (docs/protocol.md, section 7).

An id is known from the acceptance of its message until its window has ended, whatever becomes of the message. With a
durable store, a message with an id is delivered, and its sender and those of later ones with its id are told anything,
only when message and id are stored: what was delivered and is not known after a crash would be sent, and run, again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.logger import Logger

from alaska import errors
from alaska.broker.confirmations import Confirmations
from alaska.broker.finding import Finding
from alaska.broker.limits import IdLimits
from alaska.broker.measures import Measures
from alaska.broker.queue import Queue
from alaska.broker.refusals import Refusals
from alaska.broker.terms import Terms, id_of
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import KnownId, Message, QueueName

ENDED_PER_TICK = 500
"""The number of ids whose windows have ended that are deleted per tick; the next tick continues."""
MOST_LISTENERS = 8
"""The number of later senders of an id that are told the outcome of its message."""
MOST_UNTOLD = 10_000
"""The number of later senders of all ids that wait until a message is stored, or for its outcome."""
REPORT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A new message with an id, until it is accepted or refused; ``is_counted``: the store has a row of the id."""

    message: Message
    known: KnownId
    is_counted: bool
    replaced: Message | None


class Ids:
    """Knows the ids of messages, within the limits, and tells the senders of later ones.

    ``remove_waiting`` takes a message out of its queue, and returns False if it is in flight.
    """

    _log = Logger()

    def __init__(
        self,
        store: IStore,
        limits: IdLimits,
        measures: Measures,
        confirmations: Confirmations,
        refusals: Refusals,
        finding: Finding,
        remove_waiting: Callable[[Message], bool],
        restored_upto: int,
        report: Callable[[StoreError], None],
    ) -> None:
        self._store = store
        self.limits = limits
        self._measures = measures
        self._confirmations = confirmations
        self._refusals = refusals
        self._finding = finding
        self._remove_waiting = remove_waiting
        self._restored_upto = restored_upto
        self._report = report
        self._counts = store.counts_of_ids() if store.has_ids else {}
        self.count = sum(self._counts.values())
        """The number of ids that are known."""
        self._admitted: _Admitted | None = None
        self.unstored: dict[int, list[Message]] = {}
        """The messages with an id that are not stored durably yet, by position, with the messages that they replace."""
        # The senders of later messages, without content, by the position of the first one.
        self._listeners: dict[int, list[Message]] = {}
        self._listening = 0
        self._unreported_refusals = 0
        self._reported_at = float("-inf")
        confirmations.ended = self.ended

    # New messages

    def admit(self, queue: Queue, message: Message, terms: Terms, now: float) -> bool:
        """Return whether a message with an id is to be accepted; if not, its sender is told why, or will be."""
        assert terms.id is not None
        if not self._store.has_ids:
            return self._refusals.no_ids(queue, message)
        if self._store.complaint is not None:
            # Until it can be written, it would be delivered to nobody.
            return self._refusals.store_failed(queue, message)
        try:
            known = self._store.known_id(queue.name, terms.id)
            is_open = known is not None and self._is_open(known, now)
            replaced = None
            if known is not None and is_open:
                if not terms.replaces:
                    return self._refuse_second(queue, message, known)
                replaced = None if known.status else self._finding.waiting(queue.name, known.position)
        except StoreError as error:
            return self._refusals.ids_unreadable(queue, message, str(error))
        if known is None and not self._has_room(queue.name):
            self._unreported_refusals += 1
            return self._refusals.no_room_for_id(queue, message)
        seconds = self.limits.seconds if terms.unique_for is None else terms.unique_for
        new = KnownId(queue.name, terms.id, message.position, now + seconds if seconds else None)
        self._admitted = _Admitted(message, new, known is not None, replaced)
        return True

    def _is_open(self, known: KnownId, now: float) -> bool:
        """Return whether the window of an id is open."""
        if known.ends is not None:
            return known.ends > now
        # If the broker crashed while it wrote the end of the message, that may be all that was written.
        return known.position > self._restored_upto or self._finding.exists(known.queue, known.position)

    def _has_room(self, queue: QueueName) -> bool:
        most, most_of_one = self.limits.most, self.limits.most_of_queue
        return (most is None or self.count < most) and (most_of_one is None or self._counts.get(queue, 0) < most_of_one)

    def is_admitted(self, message: Message) -> bool:
        """Return whether a message has an id, and was admitted because of it."""
        return self._admitted is not None and self._admitted.message is message

    def accept(self, message: Message) -> None:
        """Store the id of a message that was admitted, and replace an older one; the caller stores the message next.

        The caller calls :meth:`stored` when the message is stored.
        """
        assert self._admitted is not None
        admitted, self._admitted = self._admitted, None
        replaced = admitted.replaced
        if replaced is not None and not self._remove_waiting(replaced):
            replaced = None
        if not admitted.is_counted:
            self._count(message.queue, 1)
        older: list[Message] = []
        if replaced is not None:
            # If that is not stored either, nobody is told that it was before this one is.
            older = [*self.unstored.pop(replaced.position, ()), replaced]
        self.unstored[message.position] = older
        self._store.set_id(admitted.known, replaced)

    def stored(self, message: Message) -> None:
        """Tell the senders of replaced messages and of later ones that a message is stored."""
        for replaced in self.unstored.pop(message.position, ()):
            reason = b"position=%d" % message.position
            self._measures.of(replaced.queue).note_ended(replaced, "replaced", errors.REPLACED, reason)
            self._confirmations.send(replaced, errors.REPLACED, reason)
        listeners = self._listeners.get(message.position)
        if listeners is not None:
            for each in listeners:
                self._confirmations.send(each, errors.KNOWN_ID, b"position=%d" % message.position)
            self._listening -= len(listeners[MOST_LISTENERS:])
            del listeners[MOST_LISTENERS:]

    # Later messages with the same id

    def _refuse_second(self, queue: Queue, message: Message, known: KnownId) -> bool:
        """Do not accept a message with a known id; tell its sender, at the latest when the first one is stored."""
        is_stored = known.position not in self.unstored
        if message.is_tracked:
            second = _without_content(message)
            if is_stored:
                self._confirmations.send(second, errors.KNOWN_ID, b"position=%d" % known.position)
            if known.status:
                self._confirmations.send(second, known.status, known.reason)
            elif not self._listen(known, second, MOST_LISTENERS if is_stored else MOST_UNTOLD) and not is_stored:
                return self._refusals.no_room_for_id(queue, message)
        return self._refusals.second(queue)

    def _listen(self, known: KnownId, second: Message, most: int) -> bool:
        """Tell a sender the outcome of a message when it is known; return False if too many wait."""
        listeners = self._listeners.get(known.position, ())
        if self._listening >= MOST_UNTOLD or len(listeners) >= most:
            return False
        if known.position > self._restored_upto or self._finding.exists(known.queue, known.position):
            self._listeners.setdefault(known.position, []).append(second)
            self._listening += 1
        return True

    # The end of messages and ids

    def end(self, message: Message, status: int, reason: bytes) -> None:
        """Store the outcome of a message with an id, or delete its id if that is its window.

        To be called before the message is deleted, so that both are written together.
        """
        name = id_of(message.properties)
        if name is None or not self._store.has_ids:
            return
        try:
            known = self._store.known_id(message.queue, name)
        except StoreError as error:
            self._report(error)
            return
        if known is None:
            if message.position in self.unstored:
                # The store has refused both.
                self._count(message.queue, -1)
        elif known.position == message.position and not known.status:
            if known.ends is None:
                self._delete(message.queue, name)
            else:
                self._store.set_id(known._replace(status=status, reason=reason))

    def ended(self, message: Message, status: int, reason: bytes) -> None:
        """Store the outcome of a message whose sender was told, and tell the senders of later ones with its id."""
        self.end(message, status, reason)
        for replaced in self.unstored.pop(message.position, ()):
            # The store has refused it.
            self._confirmations.send(replaced, status, reason)
        listeners = self._listeners.pop(message.position, [])
        self._listening -= len(listeners)
        # The sender itself may be one: if it did not hear that its message was stored, it has sent it again.
        told = {self._confirmations.listener(message)}
        for each in listeners:
            listener = self._confirmations.listener(each)
            if listener not in told:
                told.add(listener)
                self._confirmations.send(each, status, reason)

    def tick(self, now: float) -> None:
        """Delete ids whose windows have ended, and log at intervals that messages were refused for lack of room."""
        if not self._store.has_ids:
            return
        for queue, name in self._store.ended_ids(now, ENDED_PER_TICK):
            self._delete(queue, name)
        if self._unreported_refusals and abs(now - self._reported_at) >= REPORT_SECONDS:
            self._reported_at = now
            self._log.warn(
                "{count} messages with new ids were refused, since the limits of mlm_server/queue/ids are reached: "
                "{ids} ids are known",
                count=self._unreported_refusals, ids=self.count,
            )  # fmt: skip
            self._unreported_refusals = 0

    def _delete(self, queue: QueueName, name: bytes) -> None:
        self._store.delete_id(queue, name)
        self._count(queue, -1)

    def _count(self, queue: QueueName, more: int) -> None:
        self.count += more
        count = self._counts.get(queue, 0) + more
        if count > 0:
            self._counts[queue] = count
        else:
            self._counts.pop(queue, None)


def _without_content(message: Message) -> Message:
    """Return what is needed of a message to tell its sender something."""
    return Message(
        message.position, message.queue, message.sender, b"", message.tracker, (), True, message.origin,
        sent_as=message.sent_as,
    )  # fmt: skip
