"""The thread that writes the store's file, so that the reactor never waits for a disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple, Protocol

from twisted.logger import Logger

from alaska.errors import StoreError
from alaska.store.changes import Changes, Refusal
from alaska.store.database import File, explained
from alaska.store.writer import Writer


class Written(NamedTuple):
    """What came of a group: an error, and it is to be tried again; or it is written, but for what was refused."""

    error: StoreError | None = None
    refusals: Sequence[Refusal] = ()


class AnyWriting(Protocol):
    """Who writes for a store: the thread below, or a test's hand (:class:`alaska.testing.HandWriting`)."""

    def write(self, changes: Changes) -> None:
        """Begin to write a group of changes; the one before has been written, or has failed."""

    def result(self, is_waited_for: bool) -> Written | None:
        """Return what came of the group; None, unless it is waited for, as long as that is not known."""

    def close(self) -> None:
        """Close the file, when all that was begun has ended."""


class WritingThread:
    """Writes one group of changes after the other; calls ``wake``, in its own thread, when one is done."""

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
                with explained(f"the store {self._file.path} cannot be written"):
                    writer = writer or Writer(self._file)
                    outcome = Written(refusals=writer.write(changes))
                    self._file.check_place()
            except StoreError as error:
                outcome = Written(error)
            except Exception as fault:  # The thread must live on, and whoever waits has to be told.
                self._log.failure("a group of changes could not be written")
                outcome = Written(StoreError(f"the store {self._file.path} cannot be written: {fault}"))
            self._results.put(outcome)
            self._wake()
        if writer is not None:
            writer.close()
