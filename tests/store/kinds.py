"""The kinds of stores, with a common interface for tests: create, write, close and crash."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Protocol, cast

from twisted.internet.task import Clock

from alaska.interfaces import IStore, Reactor
from alaska.store.database import File, TemporaryFile
from alaska.store.memory import MemoryStore
from alaska.store.sqlite import SqliteStore
from alaska.store.unwritten import Unwritten
from alaska.testing import HandWriting
from tests.store.later import LaterStore, Shared

TURNS = 10
"""The maximum number of answers that one step of a broker waits for, one after the other."""


class StoreKind(Protocol):
    """A kind of store; at most one store of it is open.

    ``ticks`` is the number of ticks in which a broker with this store does all that is due.
    """

    ticks: int

    def make(self) -> IStore:
        """Return an empty store."""

    def settle(self) -> None:
        """Write all pending changes."""

    def reopen(self, store: IStore, is_clean: bool) -> IStore:
        """Close a store, or let it crash, and return the store after a restart."""

    def answer(self) -> None:
        """Let the store fetch data and call its callbacks."""

    def content(self, store: IStore) -> IStore:
        """Return a store with the same content that answers at once."""

    def clean_up(self) -> None:
        """Delete all files."""


class LocalKind:
    """A store that answers at once."""

    ticks = 1

    def answer(self) -> None:
        """See :class:`StoreKind`."""

    def content(self, store: IStore) -> IStore:
        """See :class:`StoreKind`."""
        return store


class MemoryKind(LocalKind):
    """A store in memory."""

    def make(self) -> IStore:
        """See :class:`StoreKind`."""
        return MemoryStore()

    def settle(self) -> None:
        """See :class:`StoreKind`."""

    def reopen(self, store: IStore, is_clean: bool) -> IStore:
        """See :class:`StoreKind`."""
        del is_clean
        store.close()
        return MemoryStore()

    def clean_up(self) -> None:
        """See :class:`StoreKind`."""


class FileKind(LocalKind):
    """A store in a file, which is written when the test calls for it."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self._writing: HandWriting | None = None

    def make(self) -> IStore:
        """See :class:`StoreKind`."""
        self._folders.append(tempfile.TemporaryDirectory())
        return self.open(File(Path(self._folders[-1].name, "store"), "OFF"))

    def open(self, file: File) -> SqliteStore:
        """Return the store in a file."""
        return SqliteStore(cast("Reactor", self._clock), file, self._make_writing)

    def _make_writing(self, file: File, wake: Callable[[], None]) -> HandWriting:
        self._writing = HandWriting(file, wake)
        return self._writing

    def settle(self) -> None:
        """See :class:`StoreKind`."""
        self._clock.advance(1.0)
        while self._writing is not None and self._writing.begun is not None:
            self._writing.run()
            self._clock.advance(1.0)

    def fail(self, reason: str) -> None:
        """Let the next attempt to write fail."""
        self._clock.advance(1.0)
        assert self._writing is not None
        self._writing.run(reason)

    def reopen(self, store: IStore, is_clean: bool) -> IStore:
        """See :class:`StoreKind`; a crash loses the changes that are not written."""
        assert isinstance(store, SqliteStore)
        if not is_clean:
            store._batches._unwritten = Unwritten()
        store.close()
        self._writing = None
        return self.open(store.file) if store.is_durable else self.make()

    def clean_up(self) -> None:
        """See :class:`StoreKind`."""
        for folder in self._folders:
            folder.cleanup()


class SpillingKind(FileKind):
    """A store with a temporary file."""

    def make(self) -> IStore:
        """See :class:`StoreKind`."""
        return self.open(TemporaryFile())


class LaterKind:
    """A shared store that answers later; one broker uses it."""

    ticks = 30

    def __init__(self) -> None:
        self._random = Random(1)
        self._shared = Shared()
        self._store: LaterStore | None = None

    def make(self) -> IStore:
        """See :class:`StoreKind`."""
        self._store = self._shared.open(self._random, short=0.3)
        return self._store

    def answer(self) -> None:
        """See :class:`StoreKind`."""
        for _ in range(TURNS):
            if self._store is not None:
                self._store.turn()

    def settle(self) -> None:
        """See :class:`StoreKind`."""
        self.answer()

    def content(self, store: IStore) -> IStore:
        """See :class:`StoreKind`."""
        return self._shared.data

    def reopen(self, store: IStore, is_clean: bool) -> IStore:
        """See :class:`StoreKind`; a shared store survives its brokers."""
        del is_clean
        store.close()
        return self.make()

    def clean_up(self) -> None:
        """See :class:`StoreKind`."""
