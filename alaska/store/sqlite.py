"""The store in a file: written in groups by a thread of its own, read in between.

What changes is seen at once and written soon: the changes of a moment are one transaction, so one ``fsync`` serves all
that arrived while the one before went on. A message that is done with before its turn to be written never costs a disk
access.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from alaska.errors import StoreError
from alaska.interfaces import IStore, Reactor, Refused
from alaska.message import DeadLetter, Message, Page, QueueName, QueueSize, Record, RecordSize, StreamSize
from alaska.store.census import Census
from alaska.store.changes import Changes, Refusal, Unwritten
from alaska.store.database import File, TemporaryFile
from alaska.store.reader import Reader
from alaska.store.view import NEVER, View
from alaska.store.writing import AnyWriting, WritingThread, Written
from alaska.system.events import is_worth_a_line

LAZY_SECONDS = 0.02
"""How long changes that nobody waits for may stay unwritten."""
TRY_SECONDS = 0.1
"""The same for attempts: most requests are done with by then, and need none to be written."""
SPILL_OCTETS = 2**20
"""From how much on a temporary store uses its file."""
MOST_UNWRITTEN_OCTETS = 2 * 2**20
"""How much may wait while a group is written. It is the next group, so it is also how long one can take."""
MOST_UNSAFE_OCTETS = 16 * 2**20
"""How much is kept in memory while the file cannot be written; more is refused."""
MOST_ROW_OCTETS = 990_000_000
"""SQLite takes 1 000 000 000 octets a row, in which content is not alone."""
RETRY_SECONDS = 1.0
BEFORE_ALL = float("-inf")

MakeWriting = Callable[[File, Callable[[], None]], AnyWriting]


@implementer(IStore)
class SqliteStore:
    """Keeps everything in a file: a given one, or a temporary one that is used only for what is too much for memory.

    :raises StoreError: the file cannot be used.
    """

    _log = Logger()
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
        self._tell_refused: Refused = lambda _message, _reason: None
        self._unwritten = Unwritten()
        self._writing: AnyWriting | None = None
        self._view = View(self._unwritten)
        self._due: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._tries_due: IDelayedCall | None = None
        self._highest_written = 0
        self._first_expiry = NEVER
        if self.is_durable:
            self._open()
            self.last_position = self._highest_written
            self.opened_at = file.opened_at
            self._first_expiry = self._view.first_expiry(BEFORE_ALL)

    def _open(self) -> None:
        self.file.open()
        try:
            self._view.reader = reader = Reader(self.file)
            self._highest_written = Census(reader).last_position()
        except BaseException:
            self.file.close()
            raise
        self._writing = self._make_writing(self.file, self._collect)

    def _make_thread(self, file: File, wake: Callable[[], None]) -> AnyWriting:
        return WritingThread(file, lambda: self._reactor.callFromThread(wake))

    def tell_refused(self, refused: Refused) -> None:
        """See :class:`IStore`."""
        self._tell_refused = refused

    @property
    def damaged(self) -> int:
        """See :class:`IStore`."""
        return 0 if self._view.reader is None else self._view.reader.damage.count

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
                current.waiting[message.position] = message, stored
            else:
                stored(message)
        if self._unwritten.writing is None or current.weight > MOST_UNWRITTEN_OCTETS:
            # Else it goes with the next group, which is begun when this one is written.
            self._changed()

    def forget(self, message: Message) -> None:
        """See :class:`IStore`."""
        unwritten = self._unwritten
        current = unwritten.current
        current.drop(message)
        if message.position > self._highest_written:
            # There is less to write than before, and what was seen to is enough.
            unwritten.settle(message.position)
            return
        unwritten.tried.pop(message.position, None)
        current.delete(message)
        unwritten.settle(message.position)
        if unwritten.writing is None or current.weight > MOST_UNWRITTEN_OCTETS:
            self._changed()

    def note_attempts(self, message: Message, noted: Callable[[], None] | None) -> None:
        """See :class:`IStore`."""
        current = self._unwritten.current
        # Else the row that is still to be written has the number.
        is_written = message.position <= self._highest_written and not current.has(message)
        if noted is not None:
            if is_written:
                current.attempts[message.position] = message
            if self.is_durable:
                current.told.append(noted)
            else:
                noted()
            self._changed()
        elif is_written:
            self._unwritten.tried[message.position] = message
            if self._tries_due is None:
                self._tries_due = self._reactor.callLater(TRY_SECONDS, self._write_tries)

    def _write_tries(self) -> None:
        """Let the attempts that nobody waits for be written, of what is still kept by now: most of it is not."""
        self._tries_due = None
        self._unwritten.take_tries()
        if self.is_durable:
            self._write()

    def waiting(self, queue: QueueName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`IStore`."""
        return self._view.waiting(queue, after, limit)

    def overdue(self, now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """See :class:`IStore`."""
        if now < self._first_expiry:
            return Page()
        found = self._view.overdue(now, after, limit)
        if not found and found.upto is None:
            # What the file has from before now is to be deleted, or damaged.
            self._first_expiry = self._view.first_expiry(now)
        return found

    def queues(self) -> list[QueueSize]:
        """See :class:`IStore`."""
        self._write_all()
        return [] if self._view.reader is None else Census(self._view.reader).queues()

    # Dead letters

    def bury(self, letter: DeadLetter) -> None:
        """See :class:`IStore`."""
        self._unwritten.current.bury(letter)
        self.forget(letter.message)
        self._changed()

    def letters(self, after: int, limit: int) -> Page[DeadLetter, int]:
        """See :class:`IStore`."""
        return self._view.letters(after, limit)

    def letter(self, position: int) -> DeadLetter | None:
        """See :class:`IStore`."""
        return self._view.letter(position)

    def drop_letter(self, position: int) -> bool:
        """See :class:`IStore`."""
        is_there = self._view.has_letter(position)
        if is_there:
            self._unwritten.current.drop_letter(position)
            self._changed()
        return is_there

    # Streams

    def record(self, record: Record) -> None:
        """See :class:`IStore`."""
        self._unwritten.current.record(record)
        self._changed()

    def records(self, stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """See :class:`IStore`."""
        return self._view.records(stream, after, limit)

    def sizes_of_records(self, stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """See :class:`IStore`."""
        return self._view.sizes_of_records(stream, after, limit)

    def trim(self, stream: bytes, upto: int) -> int:
        """See :class:`IStore`."""
        octets = self._view.octets_of_records(stream, upto)
        self._unwritten.current.trim(stream, upto)
        self._changed()
        return octets

    def streams(self) -> list[StreamSize]:
        """See :class:`IStore`."""
        self._write_all()
        return [] if self._view.reader is None else Census(self._view.reader).streams()

    # Writing

    @property
    def has_room(self) -> bool:
        """See :class:`IStore`."""
        return self.complaint is None or not self.is_durable or self.unwritten_octets < MOST_UNSAFE_OCTETS

    @property
    def unwritten_octets(self) -> int:
        """How much waits for its turn to be written, roughly."""
        return self._unwritten.current.weight

    def _changed(self) -> None:
        """See to it that what has changed is written in time."""
        current = self._unwritten.current
        if self._unwritten.writing is not None:
            if current.weight > MOST_UNWRITTEN_OCTETS and self.complaint is None:
                # More arrives than the disk takes: whoever sends it has to wait, and so do all.
                self._wait()
        elif not self.is_durable:
            if current.weight > SPILL_OCTETS:
                self._write()
        elif self._due is None:
            self._due = self._reactor.callLater(0 if current.is_awaited else LAZY_SECONDS, self._write)
        elif current.is_awaited and self._due.getTime() > self._reactor.seconds():
            self._due.reset(0)

    def _write(self) -> None:
        """Begin to write the current changes, unless others are being written."""
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        if self._unwritten.writing is not None or not self._unwritten.current:
            return
        if self._writing is None:
            self._open()
        changes = self._unwritten.hand_over()
        self._highest_written = max([self._highest_written, *(max(kept) for kept in changes.kept.values())])
        self._begin(changes)

    def _begin(self, changes: Changes) -> None:
        assert self._writing is not None
        self._retry = None
        self._writing.write(changes)

    def _collect(self) -> None:
        """Take note of what was written."""
        result = None if self._writing is None else self._writing.result(is_waited_for=False)
        if result is not None:
            self._written(result)

    def _wait(self) -> None:
        """Take note of what is being written when that is done."""
        assert self._writing is not None
        result = self._writing.result(is_waited_for=True)
        assert result is not None
        self._written(result)

    def _written(self, outcome: Written) -> None:
        changes = self._unwritten.writing
        assert changes is not None
        if outcome.error is not None:
            self._complain(str(outcome.error))
            self._retry = self._reactor.callLater(RETRY_SECONDS, self._begin, changes)
            return
        if self.complaint is not None:
            self._log.info("the store {path} is written again", path=self.file.path)
            self.complaint = None
        self._unwritten.writing = None
        if isinstance(self.file, TemporaryFile):
            self.file.hide()
        for refusal in outcome.refusals:
            self._give_up(refusal, changes)
        for message, stored in changes.waiting.values():
            stored(message)
        for noted in changes.told:
            noted()
        if self._unwritten.current.is_awaited:
            self._write()
        elif self._unwritten.current:
            self._changed()

    def _give_up(self, refusal: Refusal, changes: Changes) -> None:
        """Keep no longer what cannot be written, and let its sender know."""
        self.refused += 1
        if is_worth_a_line(self.refused):
            self._log.error(
                "{part} cannot be written to the store {path} and is given up: {reason} (the {count}. of the kind)",
                part=str(refusal.part), path=self.file.path, reason=refusal.reason, count=self.refused,
            )  # fmt: skip
        for message in refusal.part.messages():
            changes.waiting.pop(message.position, None)
            if self._unwritten.current.says_nothing_of(message):
                self._tell_refused(message, refusal.reason)

    def _complain(self, complaint: str) -> None:
        if complaint != self.complaint:
            self.complaint = complaint
            self._log.critical(
                "{complaint}; until it can be, what arrives is kept in memory alone and not confirmed as stored",
                complaint=complaint,
            )

    def _write_all(self) -> None:
        """Write all there is, and wait for it.

        :raises StoreError: it cannot be written.
        """
        self._unwritten.take_tries()
        while self._unwritten:
            if self._retry is not None and self._unwritten.writing is not None:
                self._retry.cancel()
                self._begin(self._unwritten.writing)
            self._write()
            self._wait()
            if self.complaint is not None:
                raise StoreError(self.complaint)

    def close(self) -> None:
        """See :class:`IStore`."""
        if self.is_durable:
            try:
                self._write_all()
            except StoreError as error:
                self._log.critical("{error}; what was not written yet is lost", error=error)
        for call in (self._due, self._retry, self._tries_due):
            if call is not None and call.active():
                call.cancel()
        if self._writing is not None:
            self._writing.close()
        if self._view.reader is not None:
            self._view.reader.close()
        self.file.close()


def store_at(reactor: Reactor, path: Path | None, sync: str) -> SqliteStore:
    """Return the store in the file at a path; without one, a store that lives as long as its broker.

    ``sync`` is ``full`` or ``normal`` (docs/operation.md).

    :raises StoreError: the file cannot be used.
    """
    return SqliteStore(reactor, TemporaryFile() if path is None else File(path, sync))
