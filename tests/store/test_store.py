"""The contract of stores, tested with all kinds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.interfaces import IStore, Reactor
from alaska.store import sqlite
from alaska.store.database import File, TemporaryFile
from alaska.store.memory import MemoryStore
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting
from tests.store.contract import StoreContract


class MemoryStoreTests(StoreContract, SynchronousTestCase):
    """The store in memory."""

    def make_store(self) -> IStore:
        """Return an empty store."""
        return MemoryStore()

    def reopen(self, store: IStore) -> IStore:
        """Return the store after a restart, which is empty."""
        store.close()
        return MemoryStore()


class SqliteStoreTests(StoreContract, SynchronousTestCase):
    """The store in a file, which is written when the test calls ``settle``, or when the store waits for it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.writings: list[HandWriting] = []
        super().setUp()

    def make_store(self) -> SqliteStore:
        """Return a store in a new file."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return self.open(File(Path(folder.name, "store"), "OFF"))

    def open(self, file: File) -> SqliteStore:
        """Return a store in a file that the test writes."""

        def make_writing(file: File, wake: Callable[[], None]) -> HandWriting:
            self.writings.append(HandWriting(file, wake))
            return self.writings[-1]

        return SqliteStore(cast("Reactor", self.clock), file, make_writing)

    def reopen(self, store: IStore) -> IStore:
        """Close a store and open its file again."""
        store.close()
        assert isinstance(store, SqliteStore)
        return self.open(store.file)

    def settle(self) -> None:
        """Write all pending changes."""
        self.clock.advance(1.0)
        while self.writings[-1].begun is not None:
            self.writings[-1].run()
            self.clock.advance(1.0)


class SpillingStoreTests(SqliteStoreTests):
    """The store with a temporary file, to which every change is written here."""

    def make_store(self) -> SqliteStore:
        """Return an empty store."""
        self.patch(sqlite, "SPILL_OCTETS", 0)
        return self.open(TemporaryFile())

    def reopen(self, store: IStore) -> IStore:
        """Return the store after a restart, which is empty."""
        store.close()
        return self.make_store()

    def settle(self) -> None:
        """Write all pending changes."""
        while self.writings and self.writings[-1].begun is not None:
            self.writings[-1].run()
