"""When the changes of a store are written to its file, and what is done if that fails.

All changes that arrive while a batch is written form the next batch, which is one transaction with one ``fsync``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from alaska.errors import StoreError
from alaska.interfaces import Reactor, Refused
from alaska.message import Message
from alaska.store.changes import Changes, Refusal
from alaska.store.database import File, TemporaryFile
from alaska.store.measures import WriteMeasures
from alaska.store.reader import Reader
from alaska.store.totals import Totals
from alaska.store.unwritten import Unwritten
from alaska.store.view import View
from alaska.store.writer_thread import AnyWriting, WritingThread, Written
from alaska.system.events import should_log

LAZY_SECONDS = 0.02
"""The maximum delay of writing changes that no callback waits for."""
LAZY_ATTEMPTS_SECONDS = 0.1
"""The same for numbers of attempts: most requests are finished by then, so theirs need not be written."""
LAZY_MOVES_SECONDS = 0.5
"""The same for moves of delayed messages that are due, which wait for once or twice as long."""
MOST_LAZY_MOVES = 8000
"""If there are more, all of them are written."""
SPILL_OCTETS = 2**20
"""The size of changes from which on a temporary store writes them to its file."""
MOST_UNWRITTEN_OCTETS = 2 * 2**20
"""The maximum size of the changes that wait while a batch is written, and so of the next batch."""
BEHIND_OCTETS = MOST_UNWRITTEN_OCTETS // 2
"""If so much waits while a batch is written, the store is behind."""
MOST_UNSAFE_OCTETS = 16 * 2**20
"""The maximum size of the changes in memory while the file cannot be written; then new messages are refused."""
RETRY_SECONDS = 1.0

MakeWriting = Callable[[File, Callable[[], None]], AnyWriting]


class WriteBatches:
    """Writes the ``unwritten`` changes to a file, and opens the file for the ``view``.

    ``complaint`` says why the file cannot be written; None if it can. ``refused`` is the number of changes that were
    dropped because they cannot be written. ``highest_written`` is the position of the newest message that is written,
    or in the batch that is being written. ``tell_refused`` is called with the messages of dropped changes.
    """

    _log = Logger()

    def __init__(
        self, reactor: Reactor, file: File, unwritten: Unwritten, view: View, make_writing: MakeWriting | None
    ) -> None:
        self._reactor = reactor
        self._file = file
        self._is_durable = not isinstance(file, TemporaryFile)
        self._unwritten = unwritten
        self._view = view
        self._make_writing = make_writing or self._make_thread
        self._writing: AnyWriting | None = None
        self._due: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._attempts_due: IDelayedCall | None = None
        self._moves_due: IDelayedCall | None = None
        self._is_held = False
        # Callbacks that would have been called within a call of the store, in order.
        self._taken: list[Callable[[], None]] = []
        self._taken_due: IDelayedCall | None = None
        self.highest_written = 0
        self.complaint: str | None = None
        self.refused = 0
        self.measures = WriteMeasures(file.path if self._is_durable else None)
        self.tell_refused: Refused = lambda _message, _reason: None

    def open(self) -> None:
        """Open the file, and a reader of it.

        :raises StoreError: it cannot be used.
        """
        self._file.open()
        try:
            self._view.reader = reader = Reader(self._file)
            self.highest_written = Totals(reader).last_position()
        except BaseException:
            self._view.reader = None
            self._file.close()
            raise
        self._writing = self._make_writing(self._file, self._collect)

    def _make_thread(self, file: File, wake: Callable[[], None]) -> AnyWriting:
        return WritingThread(file, lambda: self._reactor.callFromThread(wake))

    def has_row(self, message: Message) -> bool:
        """Return whether the row of a message is written; otherwise it will be written with the new attempts."""
        return message.position <= self.highest_written and not self._unwritten.current.has(message)

    @property
    def has_room(self) -> bool:
        """Whether there is memory for more changes."""
        return self.complaint is None or self._unwritten.current.weight < MOST_UNSAFE_OCTETS

    @property
    def is_behind(self) -> bool:
        """Whether changes arrive faster than they are written."""
        return self._unwritten.writing is not None and self._unwritten.current.weight > BEHIND_OCTETS

    def schedule_attempts(self) -> None:
        """Schedule the writing of the numbers of attempts that no callback waits for."""
        if self._attempts_due is None:
            self._attempts_due = self._reactor.callLater(LAZY_ATTEMPTS_SECONDS, self._write_lazy_attempts)

    def _write_lazy_attempts(self) -> None:
        """Write the numbers of attempts that no callback waits for, for the messages that still exist."""
        self._attempts_due = None
        self._unwritten.add_lazy_attempts()
        if self._is_durable:
            self._write()

    def schedule_moves(self) -> None:
        """Schedule the writing of moves that nobody waits for."""
        if len(self._unwritten.lazy_moves.moved) > MOST_LAZY_MOVES:
            self._unwritten.add_all_lazy()
            self.schedule()
        elif self._moves_due is None:
            self._moves_due = self._reactor.callLater(LAZY_MOVES_SECONDS, self._write_lazy_moves)

    def _write_lazy_moves(self) -> None:
        self._moves_due = None
        self._unwritten.add_lazy_moves()
        if self._unwritten.lazy_moves.moved:
            self.schedule_moves()
        self._write()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Let all changes of the block go into the same batch."""
        self._is_held, was_held = True, self._is_held
        try:
            yield
        finally:
            self._is_held = was_held
            if self._unwritten.current:
                self.schedule()

    def schedule(self, may_begin: bool = True) -> None:
        """Schedule the writing of the current changes; without ``may_begin``, it never begins within this call."""
        current = self._unwritten.current
        if self._is_held:
            return
        if self._unwritten.writing is not None:
            if may_begin and current.weight > MOST_UNWRITTEN_OCTETS and self.complaint is None:
                # Changes arrive faster than the disk can write them. Block the reactor as back-pressure.
                self._wait_for_batch()
        elif not self._is_durable:
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
        current = self._unwritten.current
        if self._unwritten.writing is not None or not (current or current.is_awaited) or not self._is_open():
            return
        changes = self._unwritten.begin_writing()
        self.highest_written = max([self.highest_written, *(max(kept) for kept in changes.kept.values())])
        self._begin(changes)

    def _is_open(self) -> bool:
        """Open a temporary file if it is not open; if that fails, report it, try again later, and return False."""
        if self._writing is None and (self._retry is None or not self._retry.active()):
            try:
                self.open()
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
        self._written(result, is_within_call=True)

    def _call_taken(self) -> None:
        if self._taken_due is not None and self._taken_due.active():
            self._taken_due.cancel()
        self._taken_due = None
        callbacks, self._taken = self._taken, []
        for taken in callbacks:
            taken()

    def _written(self, outcome: Written, is_within_call: bool = False) -> None:
        changes = self._unwritten.writing
        assert changes is not None
        self.measures.note(outcome.times)
        if outcome.error is not None:
            self._report_failure(str(outcome.error))
            self._retry = self._reactor.callLater(RETRY_SECONDS, self._begin, changes)
            return
        if self.complaint is not None:
            self._log.info("the store {path} can be written again", path=self._file.path)
            self.complaint = None
        self._unwritten.writing = None
        if isinstance(self._file, TemporaryFile):
            self._file.hide()
        for refusal in outcome.refusals:
            self._drop_refused(refusal, changes)
        for message, stored in changes.stored_callbacks.values():
            stored(message)
        self._taken += changes.taken_callbacks
        if not is_within_call:
            self._call_taken()
        elif self._taken and self._taken_due is None:
            self._taken_due = self._reactor.callLater(0, self._call_taken)
        if self._unwritten.current.is_awaited:
            self._write()
        elif self._unwritten.current:
            self.schedule()

    def _drop_refused(self, refusal: Refusal, changes: Changes) -> None:
        """Drop a change that cannot be written, and report its messages."""
        self.refused += 1
        if should_log(self.refused):
            self._log.error(
                "{part} cannot be written to the store {path} and is dropped: {reason} ({count} dropped so far)",
                part=str(refusal.part), path=self._file.path, reason=refusal.reason, count=self.refused,
            )  # fmt: skip
        for message in refusal.part.messages():
            changes.stored_callbacks.pop(message.position, None)
            if self._unwritten.current.does_not_affect(message):
                self.tell_refused(message, refusal.reason)

    def _report_failure(self, complaint: str) -> None:
        if complaint != self.complaint:
            self.complaint = complaint
            self._log.critical(
                "{complaint}; until it can be written, new data is only in memory and not confirmed as stored",
                complaint=complaint,
            )

    def write_all(self) -> None:
        """Write all changes, and wait until they are written.

        :raises StoreError: they cannot be written.
        """
        self._unwritten.add_all_lazy()
        while self._unwritten:
            if self._retry is not None and self._unwritten.writing is not None:
                self._retry.cancel()
                self._begin(self._unwritten.writing)
            self._write()
            self._wait_for_batch()
            if self.complaint is not None:
                raise StoreError(self.complaint)

    def close(self) -> None:
        """Write all changes to a durable file, if possible, and end the thread."""
        if self._is_durable:
            try:
                self.write_all()
            except StoreError as error:
                self._log.critical("{error}; changes that were not written yet are lost", error=error)
        for call in (self._due, self._retry, self._attempts_due, self._moves_due, self._taken_due):
            if call is not None and call.active():
                call.cancel()
        if self._writing is not None:
            self._writing.close()
