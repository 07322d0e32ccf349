"""Messages that the broker does not accept: their senders are told, and they are counted by cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from twisted.logger import Logger

from alaska import errors
from alaska.broker.confirmations import Confirmations
from alaska.broker.counters import Counters
from alaska.broker.queue import Queue
from alaska.interfaces import IStore
from alaska.message import Message
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.names import printable


class Refusals:
    """Refuses messages, and returns False. ``remove_if_unused`` is called with the queue of each."""

    _log = Logger()

    def __init__(
        self, store: IStore, counters: Counters, confirmations: Confirmations, remove_if_unused: Callable[[Queue], None]
    ) -> None:
        self._store = store
        self._counters = counters
        self._confirmations = confirmations
        self._remove_if_unused = remove_if_unused

    def no_address(self, queue: Queue, message: Message) -> Literal[False]:
        """Refuse mail to the empty address."""
        return self._refuse(queue, message, "no_address", errors.FAILED, "the empty address has no mailbox")

    def properties(self, queue: Queue, message: Message) -> Literal[False]:
        """Refuse a message whose properties leave no room for the broker's own."""
        return self._refuse(queue, message, "properties", errors.TOO_LARGE, "too many properties, or too large ones")

    def bad_term(self, queue: Queue, message: Message, reason: str) -> Literal[False]:
        """Refuse a message with a property that is not valid, and would change what happens to it."""
        return self._refuse(queue, message, "properties", errors.FAILED, reason)

    def no_ids(self, queue: Queue, message: Message) -> Literal[False]:
        """Refuse a message with an id, since the store knows none."""
        return self._refuse(queue, message, "properties", errors.NOT_IMPLEMENTED, "the store of this broker has no ids")

    def ids_unreadable(self, queue: Queue, message: Message, reason: str) -> Literal[False]:
        """Refuse a message of whose id nothing can be read."""
        return self._refuse(queue, message, "store_failed", errors.INTERNAL_ERROR, reason)

    def no_room_for_id(self, queue: Queue, message: Message) -> Literal[False]:
        """Refuse a message with an id while as many ids are known as may be."""
        return self._refuse(queue, message, "no_room", errors.TOO_LARGE, "there is no room for its id")

    def second(self, queue: Queue) -> Literal[False]:
        """Count a message that is not accepted since its id is known."""
        queue.measures.count_ended("second")
        self._remove_if_unused(queue)
        return False

    def too_large(self, queue: Queue, message: Message, most: int) -> Literal[False]:
        """Refuse a message with more than ``most`` octets."""
        return self._refuse(queue, message, "too_large", errors.TOO_LARGE, f"its content has more than {most} octets")

    def no_room(self, queue: Queue, message: Message) -> Literal[False]:
        """Refuse a message for which a queue, or the table of queues, has no room."""
        return self._refuse(queue, message, "no_room", errors.TOO_LARGE, "there is no room for it")

    def draining(self, queue: Queue, message: Message) -> Literal[False]:
        """Refuse a request while the broker takes none."""
        return self._refuse(queue, message, "draining", errors.TOO_LARGE, errors.DRAINING)

    def store_failed(self, queue: Queue, message: Message) -> Literal[False]:
        """Refuse a message while the store cannot be written."""
        return self._refuse(queue, message, "store_failed", errors.INTERNAL_ERROR, self._store.complaint or "")

    def unstorable(self, queue: Queue, message: Message, reason: str) -> Literal[False]:
        """Refuse a message that the store has given up."""
        text = f"the store cannot write it: {reason}"
        return self._refuse(queue, message, "unstorable", errors.INTERNAL_ERROR, text)

    def _refuse(self, queue: Queue, message: Message, cause: str, status: int, reason: str) -> Literal[False]:
        self._counters.note_dropped(cause)
        queue.measures.count_ended("refused")
        self._log.debug("message from {sender} refused: {reason}", sender=printable(message.sender), reason=reason)
        self._confirmations.send(message, status, reason.encode()[:MAX_STRING_OCTETS])
        self._remove_if_unused(queue)
        return False
