"""The kinds of stores, with a common interface for tests: create, write, close and crash."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from twisted.internet.task import Clock

from alaska.interfaces import IStore, Reactor
from alaska.store.changes import Unwritten
from alaska.store.database import File, TemporaryFile
from alaska.store.memory import MemoryStore
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting


class StoreKind(Protocol):
    """A kind of store; at most one store of it is open."""

    def make(self) -> IStore:
        """Return an empty store."""

    def settle(self) -> None:
        """Write all pending changes."""

    def reopen(self, store: IStore, is_clean: bool) -> IStore:
        """Close a store, or let it crash, and return the store after a restart."""

    def clean_up(self) -> None:
        """Delete all files."""


class MemoryKind:
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


class FileKind:
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

    def reopen(self, store: IStore, is_clean: bool) -> IStore:
        """See :class:`StoreKind`; a crash loses the changes that are not written."""
        assert isinstance(store, SqliteStore)
        if not is_clean:
            store._unwritten = Unwritten()
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
