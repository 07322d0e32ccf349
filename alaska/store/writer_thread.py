"""The thread that writes the store's file, so that the reactor does not wait for the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple, Protocol

from twisted.logger import Logger

from alaska.errors import StoreError
from alaska.store.changes import Changes, Refusal
from alaska.store.database import File, converting_errors
from alaska.store.measures import Times
from alaska.store.writer import Writer


class Written(NamedTuple):
    """The result of writing a batch: an error, after which the batch is retried, or success with the refused parts."""

    error: StoreError | None = None
    refusals: Sequence[Refusal] = ()
    times: Times | None = None


class AnyWriting(Protocol):
    """Writes batches for a store: :class:`WritingThread`, or :class:`alaska.testing.HandWriting` in tests."""

    def write(self, changes: Changes) -> None:
        """Begin to write a batch; the previous one must have been written or have failed."""

    def result(self, is_waited_for: bool) -> Written | None:
        """Return the result of the batch; None if there is none yet, unless ``is_waited_for``."""

    def close(self) -> None:
        """Close the connection after the current batch."""


class WritingThread:
    """Writes one batch after the other; calls ``wake``, in its own thread, when one is done."""

    _log = Logger()

    def __init__(self, file: File, wake: Callable[[], None]) -> None:
        self._file = file
        self._wake = wake
        self._groups: SimpleQueue[Changes | None] = SimpleQueue()
        self._results: SimpleQueue[Written] = SimpleQueue()
        self._thread = Thread(target=self._work, name="alaska-store", daemon=True)
        self._thread.start()

    def write(self, changes: Changes) -> None:
        """See :class:`AnyWriting`."""
        self._groups.put(changes)

    def result(self, is_waited_for: bool) -> Written | None:
        """See :class:`AnyWriting`."""
        try:
            return self._results.get(block=is_waited_for)
        except Empty:
            return None

    def close(self) -> None:
        """See :class:`AnyWriting`."""
        self._groups.put(None)
        self._thread.join()

    def _work(self) -> None:
        writer: Writer | None = None
        while (changes := self._groups.get()) is not None:
            try:
                with converting_errors(f"the store {self._file.path} cannot be written"):
                    writer = writer or Writer(self._file)
                    refusals = writer.write(changes)
                    outcome = Written(refusals=refusals, times=writer.times)
                    self._file.check_place()
            except StoreError as error:
                outcome = Written(error)
            except Exception as fault:  # The thread must continue, and the store waits for a result.
                self._log.failure("a batch of changes could not be written")
                outcome = Written(StoreError(f"the store {self._file.path} cannot be written: {fault}"))
            self._results.put(outcome)
            self._wake()
        if writer is not None:
            writer.close()
