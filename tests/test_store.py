"""Both stores, held to one contract."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.interfaces import IStore
from alaska.store.memory import MemoryStore
from tests.store_contract import StoreContract


class MemoryStoreTests(StoreContract, SynchronousTestCase):
    """The store that lives as long as its broker."""

    def make_store(self) -> IStore:
        """Return a store that is empty."""
        return MemoryStore()

    def reopen(self, store: IStore) -> IStore:
        """Return what is there after a restart: an empty store."""
        store.close()
        return MemoryStore()
