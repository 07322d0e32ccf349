"""Examining a store's file, which stays as it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock

from alaska.errors import StoreError
from alaska.interfaces import Reactor
from alaska.store import examine
from alaska.store.database import File
from alaska.store.examine import Examined
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting
from tests.store.damage_case import DamageCase, message

LONG = 60.0


class ExamineTests(DamageCase):
    """What is found in a store, and that nothing is changed."""

    def fill(self, count: int) -> None:
        """Write a store with messages."""
        store = self.open()
        for position in range(1, count + 1):
            store.keep(message(position), None)
        store.close()

    def contents(self) -> dict[str, bytes]:
        """Return the files that belong to the store."""
        return {each.name: each.read_bytes() for each in self.path.parent.glob(f"{self.path.name}*")}

    def examined(self, path: Path | None = None) -> Examined:
        """Examine a store, and check that no file has changed."""
        before = self.contents()
        try:
            return examine.examine(path or self.path, LONG)
        finally:
            self.assertEqual(self.contents(), before)

    def test_intact(self) -> None:
        """All rows of an intact store are read; no store is an empty one."""
        self.assertEqual(self.examined(), Examined())
        self.fill(5)
        self.assertEqual(self.examined(), Examined(5))
        self.assertTrue(examine.sqlite_version() >= examine.LEAST_SQLITE)

    def test_log_of_killed_broker(self) -> None:
        """What is only in the write-ahead log of a broker that was killed is read, too."""
        clock, writings = Clock(), []

        def make_writing(file: File, wake: Callable[[], None]) -> HandWriting:
            writings.append(HandWriting(file, wake))
            return writings[-1]

        store = SqliteStore(cast("Reactor", clock), File(self.path, "OFF"), make_writing)
        self.addCleanup(store.close)
        for position in range(1, 4):
            store.keep(message(position), None)
        clock.advance(1.0)
        writings[0].run()
        killed = Path(f"{self.path}-killed")
        for suffix in ("", "-wal", "-lock"):
            shutil.copyfile(f"{self.path}{suffix}", f"{killed}{suffix}")
        self.assertEqual(self.examined(killed), Examined(3))

    def test_damaged_row(self) -> None:
        """Damaged rows are counted."""
        self.fill(4)
        self.loosen("message")
        self.execute("UPDATE message SET data = 7 WHERE position IN (2, 3)")
        self.assertEqual(self.examined(), Examined(4, 2))

    def test_damaged_page(self) -> None:
        """A damaged page counts, and says that there may be more."""
        self.fill(2000)
        octets = self.path.stat().st_size
        with self.path.open("r+b") as file:
            file.seek(octets // 2 // 4096 * 4096)
            file.write(os.urandom(4096))
        found = self.examined()
        self.assertEqual(found.damaged, 1)
        self.assertIn("has a damaged page", found.why_not_all)

    def test_time(self) -> None:
        """Reading ends after some seconds."""
        self.fill(3000)
        found = examine.examine(self.path, 5.0, iter((0.0, 4.9, 5.1)).__next__)
        self.assertEqual(found, Examined(2000, 0, "this would take longer"))

    def test_unusable(self) -> None:
        """What no broker could open is an error with the reason: another file, a folder, a log without its file."""
        self.path.write_bytes(b"x" * 5000)
        self.assertIn("not a database", str(self.assertRaises(StoreError, self.examined)))
        self.path.unlink()
        self.path.mkdir()
        self.assertIn("not a regular file", str(self.assertRaises(StoreError, examine.examine, self.path, LONG)))
        self.path.rmdir()
        Path(f"{self.path}-wal").write_bytes(b"x" * 5000)
        self.assertIn("is missing, but its", str(self.assertRaises(StoreError, self.examined)))

    def test_locked(self) -> None:
        """A store that a broker has open is locked, and afterwards it is not."""
        self.assertFalse(examine.is_locked(self.path))
        store = self.open()
        store.keep(message(1), None)
        self.assertTrue(examine.is_locked(self.path))
        store.close()
        self.assertFalse(examine.is_locked(self.path))
