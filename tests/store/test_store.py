"""The contract of stores, tested with all kinds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.interfaces import IStore, Reactor
from alaska.message import QueueName
from alaska.store import write_batches
from alaska.store.database import File, TemporaryFile
from alaska.store.memory import MemoryStore
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting
from tests.store.contract import StoreContract
from tests.store.contract_case import JOBS, message
from tests.store.contract_ids import IdContract
from tests.store.later import LaterStore, Shared


class MemoryStoreTests(StoreContract, IdContract, SynchronousTestCase):
    """The store in memory."""

    def make_store(self) -> IStore:
        """Return an empty store."""
        return MemoryStore()

    def reopen(self, store: IStore) -> IStore:
        """Return the store after a restart, which is empty."""
        store.close()
        return MemoryStore()


class SqliteStoreTests(StoreContract, IdContract, SynchronousTestCase):
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
        self.patch(write_batches, "SPILL_OCTETS", 0)
        return self.open(TemporaryFile())

    def reopen(self, store: IStore) -> IStore:
        """Return the store after a restart, which is empty."""
        store.close()
        return self.make_store()

    def settle(self) -> None:
        """Write all pending changes."""
        while self.writings and self.writings[-1].begun is not None:
            self.writings[-1].run()


class LaterStoreTests(StoreContract, SynchronousTestCase):
    """A store that answers later, as one on another machine would: it shows that the contract allows one."""

    def make_store(self) -> LaterStore:
        """Return a store that is empty."""
        self.shared = Shared()
        return self.shared.open(Random(1))

    def reopen(self, store: IStore) -> IStore:
        """Return what another broker sees once this one has ended."""
        self.settle()
        store.close()
        return self.shared.open(Random(2))

    def fetch(self) -> None:
        """Let the store answer."""
        for store in list(self.shared.stores):
            store.turn()

    def settle(self) -> None:
        """Let the store answer until there is nothing left to answer."""
        while not all(store.is_settled for store in self.shared.stores):
            self.fetch()

    def test_taken_by_another(self) -> None:
        """What one broker has taken another neither sees nor gets, until it is released."""
        other = self.shared.open(Random(3))
        self.keep(message(1), message(2))
        heard: list[tuple[str, bool]] = []
        self.store.take(message(1), lambda is_ours: heard.append(("mine", is_ours)))
        other.take(message(1), lambda is_ours: heard.append(("other's", is_ours)))
        self.settle()
        self.assertEqual(sorted(heard), [("mine", True), ("other's", False)])
        self.assertEqual([each.position for each in self.page(lambda: other.waiting(JOBS, 0, 10))], [2])
        mine = message(1)
        mine.attempts = 1
        self.store.release(mine)
        (found, _) = self.page(lambda: other.waiting(JOBS, 0, 10))
        self.assertEqual((found.position, found.attempts), (1, 1))

    def test_added_by_another(self) -> None:
        """A broker is told of a queue that another one has added to."""
        told: list[QueueName] = []
        self.shared.open(Random(3)).on_added(told.append)
        self.keep(message(1))
        self.settle()
        self.assertEqual(told, [JOBS])
