"""The store in an SQLite file, written in batches by a separate thread.

Changes are visible at once and written soon. All changes that arrive while a batch is written form the next batch,
which is one transaction with one ``fsync``. A message that is deleted before its batch is written is never written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from alaska.errors import StoreError
from alaska.interfaces import IBackup, IStore, Reactor, Refused
from alaska.message import DeadLetter, Message, Page, QueueName, QueueSize, Record, RecordSize, StreamSize
from alaska.store.backup import Backups
from alaska.store.changes import Changes, Refusal, Unwritten
from alaska.store.database import File, TemporaryFile
from alaska.store.measures import WriteMeasures
from alaska.store.reader import Reader
from alaska.store.totals import Totals
from alaska.store.view import NEVER, View
from alaska.store.writer_thread import AnyWriting, WritingThread, Written
from alaska.system.events import should_log

LAZY_SECONDS = 0.02
"""The maximum delay of writing changes that no callback waits for."""
LAZY_ATTEMPTS_SECONDS = 0.1
"""The same for numbers of attempts: most requests are finished by then, so theirs need not be written."""
SPILL_OCTETS = 2**20
"""The size of changes from which on a temporary store writes them to its file."""
MOST_UNWRITTEN_OCTETS = 2 * 2**20
"""The maximum size of the changes that wait while a batch is written, and so of the next batch."""
MOST_UNSAFE_OCTETS = 16 * 2**20
"""The maximum size of the changes in memory while the file cannot be written; then new messages are refused."""
MOST_ROW_OCTETS = 990_000_000
"""SQLite's limit is 1 000 000 000 octets per row, which includes the other columns."""
RETRY_SECONDS = 1.0
BEFORE_ALL = float("-inf")

MakeWriting = Callable[[File, Callable[[], None]], AnyWriting]


@implementer(IStore)
class SqliteStore:
    """A store in a file: a durable one, or a temporary one, which is used only for data that does not fit into memory.

    :raises StoreError: the file cannot be used.
    """

    _log = Logger()
    is_shared = False
    most_octets = MOST_ROW_OCTETS

    def __init__(self, reactor: Reactor, file: File, make_writing: MakeWriting | None = None) -> None:
        self._reactor = reactor
        self.file = file
        self._make_writing = make_writing or self._make_thread
        self.is_durable = not isinstance(file, TemporaryFile)
        self.last_position = 0
        self.opened_at = time.time()
        self.complaint: str | None = None
        self.refused = 0
        self.measures = WriteMeasures(file.path if self.is_durable else None)
        self._tell_refused: Refused = lambda _message, _reason: None
        self._unwritten = Unwritten()
        self._writing: AnyWriting | None = None
        self.view = View(self._unwritten)
        self._due: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._attempts_due: IDelayedCall | None = None
        self._highest_written = 0
        self._first_expiry = NEVER
        self._backups = Backups(reactor, file)
        if self.is_durable:
            self._open()
            self.last_position = self._highest_written
            self.opened_at = file.opened_at
            self._first_expiry = self.view.first_expiry(BEFORE_ALL)

    def _open(self) -> None:
        self.file.open()
        try:
            self.view.reader = reader = Reader(self.file)
            self._highest_written = Totals(reader).last_position()
        except BaseException:
            self.view.reader = None
            self.file.close()
            raise
        self._writing = self._make_writing(self.file, self._collect)

    def _make_thread(self, file: File, wake: Callable[[], None]) -> AnyWriting:
        return WritingThread(file, lambda: self._reactor.callFromThread(wake))

    def on_refused(self, refused: Refused) -> None:
        """See :class:`IStore`."""
        self._tell_refused = refused

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
        current.keep(message)
        expires = message.expires
        if expires is not None and expires < self._first_expiry:
            self._first_expiry = expires
        if stored is not None:
            if self.is_durable:
                current.stored_callbacks[message.position] = message, stored
            else:
                stored(message)
        if self._unwritten.writing is None or current.weight > MOST_UNWRITTEN_OCTETS:
            # Otherwise it is in the next batch, whose writing begins when the current one is written.
            self._schedule_write()

    def forget(self, message: Message) -> None:
        """See :class:`IStore`."""
        unwritten = self._unwritten
        current = unwritten.current
        current.drop(message)
        if message.position > self._highest_written:
            # There is less to write than before, so nothing has to be scheduled.
            unwritten.call_stored(message.position)
            return
        unwritten.lazy_attempts.pop(message.position, None)
        current.delete(message)
        unwritten.call_stored(message.position)
        if unwritten.writing is None or current.weight > MOST_UNWRITTEN_OCTETS:
            self._schedule_write()

    def take(self, message: Message, taken: Callable[[bool], None] | None) -> None:
        """See :class:`IStore`."""
        if taken is None:
            self.release(message)
            return
        if self._has_row(message):
            self._unwritten.current.attempts[message.position] = message
        if self.is_durable:
            self._unwritten.current.taken_callbacks.append(partial(taken, True))
        else:
            taken(True)
        self._schedule_write()

    def release(self, message: Message) -> None:
        """See :class:`IStore`."""
        if self._has_row(message):
            self._unwritten.lazy_attempts[message.position] = message
            if self._attempts_due is None:
                self._attempts_due = self._reactor.callLater(LAZY_ATTEMPTS_SECONDS, self._write_lazy_attempts)

    def _has_row(self, message: Message) -> bool:
        """Return whether the row of a message is written; otherwise it will be written with the new attempts."""
        return message.position <= self._highest_written and not self._unwritten.current.has(message)

    def _write_lazy_attempts(self) -> None:
        """Write the numbers of attempts that no callback waits for, for the messages that still exist."""
        self._attempts_due = None
        self._unwritten.add_lazy_attempts()
        if self.is_durable:
            self._write()

    def waiting(self, queue: QueueName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`IStore`."""
        return self.view.waiting(queue, after, limit)

    def overdue(self, now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """See :class:`IStore`."""
        if now < self._first_expiry:
            return Page()
        found = self.view.overdue(now, after, limit)
        if not found and found.upto is None:
            # Expired messages in the file are either about to be deleted, or damaged.
            self._first_expiry = self.view.first_expiry(now)
        return found

    def queues(self) -> list[QueueSize]:
        """See :class:`IStore`."""
        self._write_all()
        return [] if self.view.reader is None else Totals(self.view.reader).queues()

    # Dead letters

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """See :class:`IStore`."""
        self._unwritten.current.add_dead_letter(letter)
        self.forget(letter.message)
        self._schedule_write()

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
            self._schedule_write()

    # Streams

    def record(self, record: Record) -> None:
        """See :class:`IStore`."""
        self._unwritten.current.record(record)
        self._schedule_write()

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
        self._schedule_write()
        return octets

    def streams(self) -> list[StreamSize]:
        """See :class:`IStore`."""
        self._write_all()
        return [] if self.view.reader is None else Totals(self.view.reader).streams()

    def set_paused(self, service: bytes, is_paused: bool) -> None:
        """See :class:`IStore`."""
        if self.is_durable:
            self._unwritten.current.paused[service] = is_paused
            self._schedule_write()

    def paused(self) -> list[bytes]:
        """See :class:`IStore`."""
        self._write_all()
        return [] if self.view.reader is None else Totals(self.view.reader).paused()

    def backup(self) -> Deferred[IBackup]:
        """See :class:`IStore`."""
        return self._backups.make()

    # Writing

    @property
    def has_room(self) -> bool:
        """See :class:`IStore`."""
        return self.complaint is None or self.unwritten_octets < MOST_UNSAFE_OCTETS

    @property
    def unwritten_octets(self) -> int:
        """The estimated memory of the changes that wait to be written, in octets."""
        return self._unwritten.current.weight

    def _schedule_write(self) -> None:
        """Schedule the writing of the current changes."""
        current = self._unwritten.current
        if self._unwritten.writing is not None:
            if current.weight > MOST_UNWRITTEN_OCTETS and self.complaint is None:
                # Changes arrive faster than the disk can write them. Block the reactor as back-pressure.
                self._wait_for_batch()
        elif not self.is_durable:
            if current.weight > SPILL_OCTETS:
                self._write()
        elif self._due is None:
            self._due = self._reactor.callLater(0 if current.is_awaited else LAZY_SECONDS, self._write)
        elif current.is_awaited and self._due.getTime() > self._reactor.seconds():
            self._due.reset(0)

    def _write(self) -> None:
        """Begin to write the current batch, unless another one is being written."""
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        if self._unwritten.writing is not None or not self._unwritten.current or not self._is_open():
            return
        changes = self._unwritten.begin_writing()
        self._highest_written = max([self._highest_written, *(max(kept) for kept in changes.kept.values())])
        self._begin(changes)

    def _is_open(self) -> bool:
        """Open a temporary file if it is not open; if that fails, report it, try again later, and return False."""
        if self._writing is None and (self._retry is None or not self._retry.active()):
            try:
                self._open()
            except StoreError as error:
                self._report_failure(str(error))
                self._retry = self._reactor.callLater(RETRY_SECONDS, self._write)
        return self._writing is not None

    def _begin(self, changes: Changes) -> None:
        assert self._writing is not None
        self._retry = None
        self._writing.write(changes)

    def _collect(self) -> None:
        """Process the result of the batch that is being written, if there is one."""
        result = None if self._writing is None else self._writing.result(is_waited_for=False)
        if result is not None:
            self._written(result)

    def _wait_for_batch(self) -> None:
        """Wait until the batch is written, and process the result."""
        assert self._writing is not None
        result = self._writing.result(is_waited_for=True)
        assert result is not None
        self._written(result)

    def _written(self, outcome: Written) -> None:
        changes = self._unwritten.writing
        assert changes is not None
        self.measures.note(outcome.times)
        if outcome.error is not None:
            self._report_failure(str(outcome.error))
            self._retry = self._reactor.callLater(RETRY_SECONDS, self._begin, changes)
            return
        if self.complaint is not None:
            self._log.info("the store {path} can be written again", path=self.file.path)
            self.complaint = None
        self._unwritten.writing = None
        if isinstance(self.file, TemporaryFile):
            self.file.hide()
        for refusal in outcome.refusals:
            self._drop_refused(refusal, changes)
        for message, stored in changes.stored_callbacks.values():
            stored(message)
        for taken in changes.taken_callbacks:
            taken()
        if self._unwritten.current.is_awaited:
            self._write()
        elif self._unwritten.current:
            self._schedule_write()

    def _drop_refused(self, refusal: Refusal, changes: Changes) -> None:
        """Drop a change that cannot be written, and report its messages."""
        self.refused += 1
        if should_log(self.refused):
            self._log.error(
                "{part} cannot be written to the store {path} and is dropped: {reason} ({count} dropped so far)",
                part=str(refusal.part), path=self.file.path, reason=refusal.reason, count=self.refused,
            )  # fmt: skip
        for message in refusal.part.messages():
            changes.stored_callbacks.pop(message.position, None)
            if self._unwritten.current.does_not_affect(message):
                self._tell_refused(message, refusal.reason)

    def _report_failure(self, complaint: str) -> None:
        if complaint != self.complaint:
            self.complaint = complaint
            self._log.critical(
                "{complaint}; until it can be written, new data is only in memory and not confirmed as stored",
                complaint=complaint,
            )

    def _write_all(self) -> None:
        """Write all changes, and wait until they are written.

        :raises StoreError: they cannot be written.
        """
        self._unwritten.add_lazy_attempts()
        while self._unwritten:
            if self._retry is not None and self._unwritten.writing is not None:
                self._retry.cancel()
                self._begin(self._unwritten.writing)
            self._write()
            self._wait_for_batch()
            if self.complaint is not None:
                raise StoreError(self.complaint)

    def close(self) -> None:
        """See :class:`IStore`."""
        self._backups.stop()
        if self.is_durable:
            try:
                self._write_all()
            except StoreError as error:
                self._log.critical("{error}; changes that were not written yet are lost", error=error)
        for call in (self._due, self._retry, self._attempts_due):
            if call is not None and call.active():
                call.cancel()
        if self._writing is not None:
            self._writing.close()
        if self.view.reader is not None:
            self.view.reader.close()
        self.file.close()


def store_at(reactor: Reactor, path: Path | None, sync: str) -> SqliteStore:
    """Return the store in the file at a path; without one, a temporary store.

    ``sync`` is ``full`` or ``normal`` (docs/operation.md).

    :raises StoreError: the file cannot be used.
    """
    return SqliteStore(reactor, TemporaryFile() if path is None else File(path, sync))
