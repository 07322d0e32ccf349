"""Large rows are read in a separate thread, so that the reactor does not wait for the disk."""

from __future__ import annotations

from threading import Thread
from typing import Any, TypeVar, cast

from alaska.errors import StoreError
from alaska.message import Message, Record
from alaska.mlm.commands import Content
from alaska.store.chunks import from_chunks
from alaska.store.database import File, converting_errors
from alaska.store.rows import RECORD_KIND
from alaska.store.scan import Scan

MAX_OTHER_REQUESTS = 100
"""After this many requests for other rows, a row that was read and not taken is dropped."""
_T = TypeVar("_T")


class _Reading:
    """A row that is being read, and then the result or the error."""

    def __init__(self, key: tuple[object, ...]) -> None:
        self.key = key
        self.is_done = False
        self.found: object = None
        self.error: StoreError | None = None
        self.other_requests = 0


class LargeRows:
    """Reads one row at a time, and caches it until it is requested again."""

    def __init__(self, file: File) -> None:
        self._what = f"the store {file.path} cannot be read"
        self._connection = file.connect(is_for_one_thread=False)
        self._connection.text_factory = bytes
        # A connection can only read a file that has been unlinked if it has read the file before.
        self._connection.execute("SELECT count(*) FROM clock").fetchone()
        self._reading: _Reading | None = None
        self._thread: Thread | None = None

    def take(self, scan: Scan[_T], values: tuple[Any, ...]) -> _T | None:
        """Return the row with these key values if it has been read; otherwise start to read it and return None.

        :raises StoreError: the row cannot be read.
        """
        key = (scan.table, *values)
        reading = self._reading
        if reading is None or (reading.is_done and reading.other_requests >= MAX_OTHER_REQUESTS and reading.key != key):
            self._reading = _Reading(key)
            self._thread = Thread(target=self._read, args=(self._reading, scan, values), daemon=True)
            self._thread.start()
        elif reading.key != key:
            reading.other_requests += 1
        elif reading.is_done:
            self._reading = None
            if reading.error is not None:
                raise reading.error
            return cast("_T | None", reading.found)
        return None

    def wait(self) -> None:
        """Wait until the requested row has been read."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Close the connection, after the requested row has been read."""
        self.wait()
        self._connection.close()

    def _whole(self, found: object, values: tuple[Any, ...]) -> object:
        """Return a message or record with its content, which is in chunks unless an older version wrote the row."""
        if isinstance(found, Message) and not found.content:
            found.content = self._chunks(values)
        elif isinstance(found, Record) and not found.content:
            return found._replace(content=self._chunks((RECORD_KIND, *values)))
        return found

    def _chunks(self, key: tuple[Any, ...]) -> Content:
        query = "SELECT data FROM large WHERE kind = ? AND address = ? AND position = ? ORDER BY number"
        return from_chunks(chunk for (chunk,) in self._connection.execute(query, key))

    def _read(self, reading: _Reading, scan: Scan[_T], values: tuple[Any, ...]) -> None:
        try:
            with converting_errors(self._what):
                found = self._connection.execute(scan.one, values).fetchall()
                reading.found = self._whole(scan.decode(found[0]), values) if found else None
        except StoreError as error:
            reading.error = error
        except MemoryError:
            reading.error = StoreError(f"{self._what}: there is no memory for a row")
        finally:
            reading.is_done = True
