"""A store in a file that the test writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from alaska.interfaces import Reactor
from alaska.message import Message, QueueKind, QueueName
from alaska.store.database import File
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting

JOBS = QueueName(QueueKind.SERVICE, b"jobs")


def message(position: int, content: bytes = b"x") -> Message:
    """Return a request."""
    return Message(position, JOBS, b"joe", b"job", b"t", (content,), is_tracked=True)


class FileTestCase(SynchronousTestCase):
    """A store in a file that the test writes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp())
        self.stored: list[int] = []
        self.said: list[LogEvent] = []
        observer = cast("ILogObserver", self.said.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def open(self, file: File | None = None) -> SqliteStore:
        """Return a store that is closed at the end."""

        def make_writing(file: File, wake: Callable[[], None]) -> HandWriting:
            self.writing = HandWriting(file, wake)
            return self.writing

        store = SqliteStore(cast("Reactor", self.clock), file or File(self.path, "FULL"), make_writing)
        self.addCleanup(store.close)
        return store

    def keep(self, store: SqliteStore, *positions: int) -> None:
        """Store messages, and record the calls of their ``stored`` callbacks."""
        for position in positions:
            store.keep(message(position), lambda kept: self.stored.append(kept.position))


def connect_small(file: File) -> sqlite3.Connection:
    """Return a connection whose file cannot grow, in place of :meth:`File.connect`."""
    connection = sqlite3.connect(file.path, isolation_level=None)
    connection.execute("PRAGMA max_page_count = 20")
    return connection
