"""A writer of a store's file that the test controls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from alaska.errors import StoreError
from alaska.store.changes import Changes
from alaska.store.database import File
from alaska.store.writer import Writer
from alaska.store.writer_thread import Written


class HandWriting:
    """Writes a store's file, or fails to, when the test calls :meth:`run`."""

    def __init__(self, file: File, wake: Callable[[], None]) -> None:
        self._file = file
        self._wake = wake
        self._results: deque[Written] = deque()
        self._writer: Writer | None = None
        self.begun: Changes | None = None
        """The batch that is being written."""
        self.groups = 0
        """The number of batches that were written."""

    def write(self, changes: Changes) -> None:
        """See :class:`alaska.store.writer_thread.AnyWriting`."""
        self.begun = changes

    def run(self, failure: str | None = None) -> None:
        """Write the current batch, or fail with an error, and notify the store."""
        self._end(failure)
        self._wake()

    def _end(self, failure: str | None) -> None:
        assert self.begun is not None, "nothing is being written"
        changes, self.begun = self.begun, None
        if failure is None:
            self._writer = self._writer or Writer(self._file)
            refusals = self._writer.write(changes)
            self._results.append(Written(refusals=refusals, times=self._writer.times))
            self.groups += 1
        else:
            self._results.append(Written(StoreError(failure)))

    def result(self, is_waited_for: bool) -> Written | None:
        """See :class:`alaska.store.writer_thread.AnyWriting`; waiting writes the batch."""
        if is_waited_for and not self._results:
            self._end(None)
        return self._results.popleft() if self._results else None

    def close(self) -> None:
        """See :class:`alaska.store.writer_thread.AnyWriting`."""
        if self._writer is not None:
            self._writer.close()
