"""A file of a store that is written and then damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.interfaces import Reactor
from alaska.message import Message, PartName, QueueKind, QueueName
from alaska.store.database import File
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting
from tests.network_case import LogCase

MANY = 1000
MAIL = [QueueName(QueueKind.MAILBOX, b"box%d" % number) for number in range(3)]


def message(position: int, queue: QueueName = MAIL[0], content: bytes = b"x") -> Message:
    """Return a message."""
    return Message(position, queue, b"joe", b"s", b"t%d" % position, (content,))


class DamageCase(LogCase, SynchronousTestCase):
    """A file that is written and then damaged."""

    def setUp(self) -> None:
        LogCase.setUp(self)
        self.path = Path(self.mktemp())

    def open(self, path: Path | None = None) -> SqliteStore:
        """Return a store in the file that is closed at the end."""
        file = File(path or self.path, "OFF")
        store = SqliteStore(cast("Reactor", Clock()), file, HandWriting)
        self.addCleanup(store.close)
        return store

    def execute(self, *statements: str) -> None:
        """Execute statements on the file, ignoring its CHECK constraints."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                connection.execute(statement)

    def loosen(self, table: str) -> None:
        """Remove the NOT NULL constraints of a table."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(f"UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = '{table}'")

    def positions(self, store: SqliteStore, queue: PartName = MAIL[0], limit: int = MANY) -> list[int]:
        """Return the positions of all messages of a queue, read page by page."""
        found: list[int] = []
        upto: int | None = 0
        while upto is not None:
            page = store.waiting(queue, upto, limit)
            found += [each.position for each in page]
            assert page.upto is None or page.upto > upto
            upto = page.upto
        return found
