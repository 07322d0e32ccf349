"""The base of the contract of stores: creating one, and helpers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from alaska.interfaces import IStore
from alaska.message import Cause, DeadLetter, LastWorker, Message, Page, QueueKind, QueueName, Record

if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    # A mixin: if it were a test case, trial would run it without a store.
    _Case = object

T = TypeVar("T")
K = TypeVar("K")
JOBS = QueueName(QueueKind.SERVICE, b"jobs")
MAIL = QueueName(QueueKind.MAILBOX, b"jobs")
OTHER = QueueName(QueueKind.SERVICE, b"\x00\xff other")
EVERYTHING = 1000
FIRST = (0.0, 0)


def message(position: int, queue: QueueName = JOBS, *content: bytes, expires: float | None = None) -> Message:
    """Return a message."""
    return Message(position, queue, b"joe", b"subject %d" % position, b"t%d" % position, content, expires=expires)


def letter(dead: Message) -> DeadLetter:
    """Return a dead letter."""
    worker = LastWorker(b"AW::host::7", b"host", 7)
    return DeadLetter(dead, 404, b"no such script", 17.25, Cause.NOT_FOUND, worker)


def record(position: int, *content: bytes, stream: bytes = b"s") -> Record:
    """Return a record."""
    return Record(stream, position, 1000 + position, b"joe", b"subject %d" % position, content)


class StoreCase(_Case):
    """A store under test; each test begins with an empty one."""

    def setUp(self) -> None:
        self.store = self.make_store()
        self.addCleanup(self.close)

    def make_store(self) -> IStore:
        """Return an empty store."""
        raise NotImplementedError

    def reopen(self, store: IStore) -> IStore:
        """Close a store and open it again, as after a restart."""
        raise NotImplementedError

    def fetch(self) -> None:
        """Wait until the store has fetched the data of all earlier reads."""

    def settle(self) -> None:
        """Wait until all changes are written and all callbacks were called."""

    def close(self) -> None:
        """Close the store at the end."""
        self.store.close()

    def restart(self) -> None:
        """Close the store and open it again."""
        self.store = self.reopen(self.store)

    def page(self, read: Callable[[], Page[T, K]]) -> Page[T, K]:
        """Return the result of a read after the store has fetched the data."""
        read()
        self.fetch()
        return read()

    def answer(self, later: Deferred[T]) -> T:
        """Return the result of a Deferred of the store."""
        self.fetch()
        return self.successResultOf(later)

    def waiting(self, queue: QueueName, after: int = 0, limit: int = EVERYTHING) -> Page[Message, int]:
        """Return a queue's messages."""
        return self.page(lambda: self.store.waiting(queue, after, limit))

    def dead_letters(self, after: int = 0, limit: int = EVERYTHING) -> Page[DeadLetter, int]:
        """Return the dead letters."""
        return self.page(lambda: self.store.dead_letters(after, limit))

    def whole_records(self, stream: bytes, after: int = 0, limit: int = EVERYTHING) -> Page[Record, int]:
        """Return a stream's records."""
        return self.page(lambda: self.store.records(stream, after, limit))

    def positions(self, queue: QueueName = JOBS, after: int = 0, limit: int = EVERYTHING) -> list[int]:
        """Return the positions of a queue's messages."""
        return [each.position for each in self.waiting(queue, after, limit)]

    def overdue(self, now: float) -> list[int]:
        """Return the positions of all expired messages."""
        return sorted(each.position for each in self.page(lambda: self.store.overdue(now, FIRST, EVERYTHING)))

    def records(self, stream: bytes = b"s", after: int = 0, limit: int = EVERYTHING) -> list[int]:
        """Return the positions of a stream's records."""
        return [each.position for each in self.whole_records(stream, after, limit)]

    def keep(self, *messages: Message, stored: Callable[[Message], None] | None = None) -> None:
        """Store messages."""
        for each in messages:
            self.store.keep(each, stored)
