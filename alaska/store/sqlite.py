"""The store in an SQLite file, written in batches by a separate thread.

Changes are visible at once and written soon. A message that is deleted before its batch is written is never written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from alaska.interfaces import IBackup, IStore, Reactor, Refused
from alaska.message import (
    DELAYED,
    DeadLetter,
    KnownId,
    Message,
    Page,
    PartName,
    QueueName,
    QueueSize,
    Record,
    RecordSize,
    StreamSize,
    rank_of,
)
from alaska.store.backup import Backups
from alaska.store.changes import Stored
from alaska.store.database import File, TemporaryFile
from alaska.store.known_ids import IdKey, KnownIds
from alaska.store.totals import Totals
from alaska.store.unwritten import Unwritten
from alaska.store.view import NEVER, View
from alaska.store.write_batches import MOST_UNWRITTEN_OCTETS, MakeWriting, WriteBatches

MOST_ROW_OCTETS = 990_000_000
"""SQLite's limit is 1 000 000 000 octets per row, which includes the other columns."""
BEFORE_ALL = float("-inf")
FIRST = (0.0, 0)
"""The key after which :meth:`IStore.overdue` begins."""


@implementer(IStore)
class SqliteStore:
    """A store in a file: a durable one, or a temporary one, which is used only for data that does not fit into memory.

    :raises StoreError: the file cannot be used.
    """

    is_shared = False
    has_ids = True
    most_octets = MOST_ROW_OCTETS

    def __init__(self, reactor: Reactor, file: File, make_writing: MakeWriting | None = None) -> None:
        self.file = file
        self.is_durable = not isinstance(file, TemporaryFile)
        self.last_position = 0
        self.opened_at = time.time()
        self._unwritten = Unwritten()
        self._lazy = self._unwritten.lazy_moves.moved
        self.view = View(self._unwritten)
        self._batches = WriteBatches(reactor, file, self._unwritten, self.view, make_writing)
        self.measures = self._batches.measures
        self._first_expiry = self._first_end = NEVER
        self._backups = Backups(reactor, file)
        if self.is_durable:
            self._batches.open()
            self.last_position = self._batches.highest_written
            self.opened_at = file.opened_at
            self._first_expiry = self.view.first_expiry(BEFORE_ALL)
            self._first_end = self.view.first_end()

    def on_refused(self, refused: Refused) -> None:
        """See :class:`IStore`."""
        self._batches.tell_refused = refused

    def on_ready(self, ready: Callable[[QueueName | bytes], None]) -> None:
        """See :class:`IStore`; large data is fetched before the broker reads again."""

    def on_added(self, added: Callable[[QueueName], None]) -> None:
        """See :class:`IStore`; there is one broker."""

    @property
    def damaged(self) -> int:
        """See :class:`IStore`."""
        return 0 if self.view.reader is None else self.view.reader.damage.count

    # Messages

    def keep(self, message: Message, stored: Callable[[Message], None] | None) -> None:
        """See :class:`IStore`."""
        current = self._unwritten.current
        if self._lazy and message.position in self._lazy:
            self._unwritten.move_now(message.position)
        current.keep(message)
        expires = message.expires
        if expires is not None:
            current.expiring += 1
            self._first_expiry = min(self._first_expiry, expires)
        if stored is not None:
            if self.is_durable:
                current.stored_callbacks[message.position] = message, stored
            else:
                stored(message)
        if self._unwritten.writing is None or current.weight > MOST_UNWRITTEN_OCTETS:
            # Otherwise it is in the next batch, whose writing begins when the current one is written.
            self._batches.schedule()

    def forget(self, message: Message) -> None:
        """See :class:`IStore`."""
        unwritten = self._unwritten
        current = unwritten.current
        current.drop(message)
        if message.position <= self._batches.highest_written:
            self._delete_row(message)
            if unwritten.writing is None or current.weight > MOST_UNWRITTEN_OCTETS:
                self._batches.schedule()
        # Otherwise there is less to write than before, so nothing has to be scheduled.
        if current.stored_callbacks or unwritten.writing is not None:
            unwritten.call_stored(message.position)

    def _delete_row(self, message: Message) -> None:
        self._unwritten.lazy_attempts.pop(message.position, None)
        lazy = self._lazy.pop(message.position, None) if self._lazy else None
        self._unwritten.current.delete(message, message.part if lazy is None else lazy.before)

    def take(self, message: Message, taken: Callable[[bool], None] | None) -> None:
        """See :class:`IStore`."""
        if taken is None:
            self.release(message)
            return
        if self._batches.has_row(message):
            lazy = self._lazy.get(message.position)
            part = message.part if lazy is None else lazy.before
            self._unwritten.current.attempts[message.position] = Stored(message, part)
        if self.is_durable:
            self._unwritten.current.taken_callbacks.append(partial(taken, True))
        else:
            taken(True)
        self._batches.schedule()

    def release(self, message: Message) -> None:
        """See :class:`IStore`."""
        if self._lazy and message.position in self._lazy:
            self._lazy[message.position] = Stored(message, self._lazy[message.position].before)
        elif self._batches.has_row(message):
            self._unwritten.lazy_attempts[message.position] = message
            self._batches.schedule_attempts()

    def move(self, message: Message, before: PartName) -> None:
        """See :class:`IStore`."""
        unwritten, position = self._unwritten, message.position
        unwritten.lazy_attempts.pop(position, None)
        if message.expires is not None and message.expires < self._first_expiry:
            self._first_expiry = message.expires
        is_written = position <= self._batches.highest_written
        is_kept = position in unwritten.current.kept.get(before, ())
        if self.is_durable and rank_of(before) == DELAYED and is_written and not is_kept:
            # After a crash it is due again.
            unwritten.current.attempts.pop(position, None)
            self._lazy[position] = Stored(message, before)
            unwritten.lazy_moves.expiring += message.expires is not None
            self._batches.schedule_moves()
            return
        lazy = self._lazy.pop(position, None)
        before = before if lazy is None else lazy.before
        unwritten.current.move(message, before, is_written)
        self._batches.schedule()

    def waiting(self, part: PartName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`IStore`."""
        return self.view.waiting(part, after, limit)

    def subjects(self, part: PartName, after: int, limit: int) -> Page[tuple[int, bytes], int]:
        """See :class:`IStore`."""
        return self.view.subjects(part, after, limit)

    def message_at(self, part: PartName, position: int) -> Message | None:
        """See :class:`IStore`."""
        return self.view.message_at(part, position)

    def overdue(self, now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """See :class:`IStore`."""
        if now < self._first_expiry:
            return Page()
        found = self.view.overdue(now, after, limit)
        if not found and found.upto is None and after == FIRST:
            # Expired messages in the file are either about to be deleted, or damaged.
            self._first_expiry = self.view.first_expiry(now)
        return found

    def queues(self) -> list[QueueSize]:
        """See :class:`IStore`."""
        self._batches.write_all()
        return [] if self.view.reader is None else Totals(self.view.reader).queues()

    def together(self) -> AbstractContextManager[None]:
        """See :class:`IStore`."""
        return self._batches.holding()

    def when_durable(self, done: Callable[[], None]) -> None:
        """See :class:`IStore`."""
        unwritten = self._unwritten
        # What is being written comes before what is not.
        current = unwritten.current
        last = current if current or current.is_awaited else unwritten.writing
        if last is None or not self.is_durable:
            done()
        else:
            last.taken_callbacks.append(done)
            self._batches.schedule(may_begin=False)

    # Dead letters

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """See :class:`IStore`."""
        self._unwritten.current.add_dead_letter(letter)
        self.forget(letter.message)
        self._batches.schedule()

    def dead_letters(self, after: int, limit: int) -> Page[DeadLetter, int]:
        """See :class:`IStore`."""
        return self.view.dead_letters(after, limit)

    def dead_letter(self, position: int) -> Deferred[DeadLetter | None]:
        """See :class:`IStore`."""
        return maybeDeferred(self.view.dead_letter, position)

    def delete_dead_letter(self, position: int) -> None:
        """See :class:`IStore`."""
        if self.view.has_dead_letter(position):
            self._unwritten.current.delete_dead_letter(position)
            self._batches.schedule()

    # Ids

    def set_id(self, known: KnownId, replaced: Message | None = None) -> None:
        """See :class:`IStore`."""
        self._set_id(known.queue, known.id, known)
        if known.ends is not None and known.ends < self._first_end:
            self._first_end = known.ends
        if replaced is not None:
            # Not by itself: its row is deleted with the batch that has the id, whose writing may not begin yet.
            self._unwritten.current.drop(replaced)
            if replaced.position <= self._batches.highest_written:
                self._delete_row(replaced)
            self._unwritten.call_stored(replaced.position)

    def delete_id(self, queue: QueueName, name: bytes) -> None:
        """See :class:`IStore`."""
        self._set_id(queue, name, None)

    def _set_id(self, queue: QueueName, name: bytes, known: KnownId | None) -> None:
        self._unwritten.current.set_id(queue, name, known)
        # The writing of a durable store must not begin before the message is in the batch.
        self._batches.schedule(may_begin=not self.is_durable)

    def known_id(self, queue: QueueName, name: bytes) -> KnownId | None:
        """See :class:`IStore`."""
        return self.view.known_id(queue, name)

    def ended_ids(self, now: float, limit: int) -> list[IdKey]:
        """See :class:`IStore`."""
        if now < self._first_end:
            return []
        found = self.view.ended_ids(now, limit)
        if not found:
            self._first_end = self.view.first_end()
        return found

    def counts_of_ids(self) -> dict[QueueName, int]:
        """See :class:`IStore`."""
        self._batches.write_all()
        return {} if self.view.reader is None else KnownIds(self.view.reader).counts()

    # Streams

    def record(self, record: Record) -> None:
        """See :class:`IStore`."""
        self._unwritten.current.record(record)
        self._batches.schedule()

    def records(self, stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """See :class:`IStore`."""
        return self.view.records(stream, after, limit)

    def sizes_of_records(self, stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """See :class:`IStore`."""
        return self.view.sizes_of_records(stream, after, limit)

    def trim(self, stream: bytes, upto: int) -> Deferred[int]:
        """See :class:`IStore`."""
        return maybeDeferred(self._trim, stream, upto)

    def _trim(self, stream: bytes, upto: int) -> int:
        octets = self.view.octets_of_records(stream, upto)
        self._unwritten.current.trim(stream, upto, octets)
        self._batches.schedule()
        return octets

    def streams(self) -> list[StreamSize]:
        """See :class:`IStore`."""
        self._batches.write_all()
        return [] if self.view.reader is None else Totals(self.view.reader).streams()

    def set_entry(self, kind: str, name: bytes, value: bytes | None) -> None:
        """See :class:`IStore`."""
        if self.is_durable:
            self._unwritten.current.set_entry(kind, name, value)
            self._batches.schedule()

    def entries(self, kind: str) -> dict[bytes, bytes]:
        """See :class:`IStore`."""
        self._batches.write_all()
        return {} if self.view.reader is None else Totals(self.view.reader).entries(kind)

    def backup(self) -> Deferred[IBackup]:
        """See :class:`IStore`."""
        return self._backups.make()

    @property
    def has_room(self) -> bool:
        """See :class:`IStore`."""
        return self._batches.has_room

    @property
    def is_behind(self) -> bool:
        """See :class:`IStore`."""
        return self._batches.is_behind

    @property
    def complaint(self) -> str | None:
        """See :class:`IStore`."""
        return self._batches.complaint

    @property
    def refused(self) -> int:
        """See :class:`IStore`."""
        return self._batches.refused

    def close(self) -> None:
        """See :class:`IStore`."""
        self._backups.stop()
        self._batches.close()
        if self.view.reader is not None:
            self.view.reader.close()
        self.file.close()


def store_at(reactor: Reactor, path: Path | None, sync: str) -> SqliteStore:
    """Return the store in the file at a path; without one, a temporary store.

    ``sync`` is ``full`` or ``normal`` (docs/durability.md).

    :raises StoreError: the file cannot be used.
    """
    return SqliteStore(reactor, TemporaryFile() if path is None else File(path, sync))
