"""Restoring a store from a backup."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import StoreError
from alaska.interfaces import Reactor
from alaska.store.backup import copy
from alaska.store.checksum import TRAILER_OCTETS
from alaska.store.database import File
from alaska.store.restore import Content, restore, verify
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting
from tests import PROJECT
from tests.store.sqlite_case import message
from tests.store.test_backup import positions, save

SUFFIX = "-old"
# Restores, and kills itself at the call with this number of the functions that change the disk.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
left = int(sys.argv[2])

def count(function):
    def counted(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return counted

for name in ("open", "link", "unlink", "replace", "rename", "fsync", "pwrite", "truncate"):
    setattr(os, name, count(getattr(os, name)))
from alaska.store.restore import restore
restore(Path(sys.argv[3]), Path(sys.argv[4]), f"-old-{sys.argv[2]}")
"""


class RestoreTests(SynchronousTestCase):
    """A backup with the messages 1 to 3, and a store with the message 9."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path, self.backup = folder / "broker.db", folder / "b"
        source = self.open(folder / "source.db")
        for position in (1, 2, 3):
            source.keep(message(position), None)
        source.queues()
        save(copy(source.file, lambda: False), self.backup)
        source.close()
        store = self.open(self.path)
        store.keep(message(9), None)
        store.close()

    def open(self, path: Path) -> SqliteStore:
        """Open a store."""
        return SqliteStore(cast("Reactor", Clock()), File(path, "FULL"), HandWriting)

    def content(self, path: Path) -> list[int]:
        """Return the positions of the messages in a store, as a broker finds them."""
        store = self.open(path)
        found = positions(store)
        store.close()
        return found

    def names(self) -> list[str]:
        """Return the names of the files beside the store that are not its own."""
        own = {"broker.db", "broker.db-lock", "b", "source.db", "source.db-lock"}
        return sorted({path.name for path in self.path.parent.iterdir()} - own)

    def refused(self, backup: Path | None = None) -> str:
        """Check that a backup is refused, and that the store is as before; return the sentence."""
        error = self.assertRaises(StoreError, restore, backup or self.backup, self.path, SUFFIX)
        self.assertEqual(self.names(), [] if backup is None else [backup.name])
        self.assertEqual(self.content(self.path), [9])
        return str(error)

    def execute(self, statement: str) -> None:
        """Change the backup, which has no checksum afterwards."""
        self.drop_checksum()
        with closing(sqlite3.connect(self.backup)) as connection:
            connection.execute(statement)
            connection.commit()

    def drop_checksum(self) -> None:
        """Remove the checksum of the backup, so that it is like a file of a store that was copied."""
        os.truncate(self.backup, self.backup.stat().st_size - TRAILER_OCTETS)

    def test_replaced(self) -> None:
        """The store has the content of the backup, and the previous store is kept."""
        restored = restore(self.backup, self.path, SUFFIX)
        self.assertEqual(restored.content, Content(3, 0, 0, has_checksum=True))
        self.assertEqual(self.names(), ["broker.db-old"])
        self.assertEqual(self.path.stat().st_size % 4096, 0)
        self.assertEqual(self.content(self.path), [1, 2, 3])
        self.assertEqual(restored.previous, Path(f"{self.path}-old").resolve())
        self.assertEqual(self.content(self.path.parent / "broker.db-old"), [9])
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_no_store_before(self) -> None:
        """A store that is missing is created."""
        path = self.path.parent / "new.db"
        self.assertIsNone(restore(self.backup, path, SUFFIX).previous)
        self.assertEqual(self.content(path), [1, 2, 3])

    def test_refused_without_a_store(self) -> None:
        """If the backup is refused, no store is created."""
        self.backup.write_bytes(b"x" * 1000)
        path = self.path.parent / "new.db"
        self.assertRaises(StoreError, restore, self.backup, path, SUFFIX)
        self.assertFalse(path.exists())

    def test_link(self) -> None:
        """If the path of the store is a link, the file that it leads to is replaced."""
        link = self.path.parent / "link.db"
        link.symlink_to(self.path.absolute())
        restore(self.backup, link, SUFFIX)
        self.assertTrue(link.is_symlink())
        self.assertEqual(self.content(self.path), [1, 2, 3])

    def test_killed_broker(self) -> None:
        """What a killed broker had only in its write-ahead log is in the previous store, and not in the new one."""
        store = self.open(self.path)
        store.keep(message(10), None)
        store.queues()
        killed = self.path.parent / "killed.db"
        for suffix in ("", "-wal", "-lock"):
            Path(f"{killed}{suffix}").write_bytes(Path(f"{self.path}{suffix}").read_bytes())
        store.close()
        restored = restore(self.backup, killed, SUFFIX)
        self.assertEqual(self.content(killed), [1, 2, 3])
        assert restored.previous is not None
        self.assertEqual(self.content(restored.previous), [9, 10])

    def test_lost_store(self) -> None:
        """If only the write-ahead log of a store is left, it is kept with another name: it belongs to no other file."""
        store = self.open(self.path)
        store.keep(message(10), None)
        store.queues()
        lost = self.path.parent / "lost.db"
        log = Path(f"{self.path}-wal").read_bytes()
        Path(f"{lost}-wal").write_bytes(log)
        Path(f"{lost}-shm").write_bytes(b"x")
        store.close()
        restored = restore(self.backup, lost, SUFFIX)
        self.assertIsNone(restored.previous)
        self.assertEqual(self.content(lost), [1, 2, 3])
        self.assertEqual(Path(f"{lost}-old-wal").read_bytes(), log)

    def test_damaged_store(self) -> None:
        """A store that is damaged, with a foreign log, is replaced and kept with its log."""
        self.path.write_bytes(b"no database" * 100)
        Path(f"{self.path}-wal").write_bytes(b"no log" * 100)
        restore(self.backup, self.path, SUFFIX)
        self.assertEqual(self.names(), ["broker.db-old", "broker.db-old-wal"])
        self.assertEqual(self.content(self.path), [1, 2, 3])

    def test_in_use(self) -> None:
        """The store of a broker that runs is not replaced."""
        store = self.open(self.path)
        error = self.assertRaises(StoreError, restore, self.backup, self.path, SUFFIX)
        self.assertIn("in use by another broker", str(error))
        self.assertEqual(positions(store), [9])
        store.close()

    def test_no_file(self) -> None:
        """A backup that is missing is refused."""
        self.backup.unlink()
        self.assertIn("is not a file", self.refused())

    def test_itself(self) -> None:
        """The store itself is no backup of it."""
        error = self.assertRaises(StoreError, restore, self.path, self.path, SUFFIX)
        self.assertIn("is the store itself", str(error))
        self.assertEqual(self.content(self.path), [9])

    def test_no_folder(self) -> None:
        """If the folder of the store is missing, the error says so."""
        path = self.path.parent / "missing" / "broker.db"
        error = self.assertRaises(StoreError, restore, self.backup, path, SUFFIX)
        self.assertEqual(str(error), f"there is no folder {path.parent.absolute()} for the store")

    def test_no_database(self) -> None:
        """A file that is no database is refused."""
        self.backup.write_text("hello")
        self.assertIn("it is not a database", self.refused())

    def test_other_program(self) -> None:
        """A database of another program is refused."""
        self.execute("PRAGMA application_id = 7")
        self.assertIn("a database of another program", self.refused())

    def test_newer(self) -> None:
        """A backup of a newer version is refused."""
        self.execute("PRAGMA user_version = 1000")
        self.assertIn("written by a newer Alaska: its version is 1000", self.refused())

    def test_truncated(self) -> None:
        """A backup that is cut off is refused."""
        os.truncate(self.backup, self.backup.stat().st_size - 1)
        self.assertIn("is truncated or damaged", self.refused())
        os.truncate(self.backup, self.backup.stat().st_size - TRAILER_OCTETS)
        self.assertIn("is truncated", self.refused())

    def test_wrong_checksum(self) -> None:
        """A backup in which one bit has changed is refused, wherever it is."""
        original = self.backup.read_bytes()
        for at in (200, len(original) // 2, len(original) - 1):
            octets = bytearray(original)
            octets[at] ^= 1
            self.backup.write_bytes(octets)
            self.assertIn("its checksum is wrong", self.refused())

    def test_without_checksum(self) -> None:
        """The file of a store that was copied while no broker ran is accepted; the result says so."""
        self.drop_checksum()
        self.assertEqual(restore(self.backup, self.path, SUFFIX).content, Content(3, 0, 0, has_checksum=False))

    def test_verified(self) -> None:
        """A backup can be checked without a store, and is not changed."""
        before = self.backup.read_bytes()
        self.assertEqual(verify(self.backup), Content(3, 0, 0, has_checksum=True))
        self.assertEqual(self.backup.read_bytes(), before)
        self.backup.write_bytes(before[:-1])
        self.assertRaises(StoreError, verify, self.backup)

    def test_no_space(self) -> None:
        """If the disk has too little space, the error says how much is needed."""
        self.patch(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=2, f_frsize=4096))
        self.assertIn(f"{self.backup.stat().st_size - TRAILER_OCTETS} octets are needed, 8192 are free", self.refused())

    def test_damaged_page(self) -> None:
        """A copied store with a damaged page is refused."""
        self.drop_checksum()
        octets = bytearray(self.backup.read_bytes())
        octets[4096:] = bytes(len(octets) - 4096)
        self.backup.write_bytes(octets)
        self.assertIn("is damaged", self.refused())

    def test_damaged_row(self) -> None:
        """A backup with a row that no broker has written is refused."""
        self.execute("UPDATE message SET data = x'00' WHERE position = 2")
        self.assertIn("row 2 of the table message cannot be read", self.refused())

    def test_foreign_tables(self) -> None:
        """A backup with a table or a trigger that no store has is refused."""
        self.execute("CREATE TRIGGER t AFTER DELETE ON message BEGIN DELETE FROM letter; END")
        self.assertIn("its tables are others", self.refused())

    def test_missing_log(self) -> None:
        """A copied store that was not closed is refused, since its log is missing: no broker would open it."""
        self.execute("UPDATE opening SET is_open = 1")
        self.assertIn("its store was not closed, and the log", self.refused())

    def test_open_store(self) -> None:
        """The file of a store that is open is refused, since a part of it is in its log."""
        Path(f"{self.backup}-wal").write_bytes(b"x")
        error = self.assertRaises(StoreError, restore, self.backup, self.path, SUFFIX)
        self.assertIn("is not a backup, but an open store", str(error))

    def test_killed_at_any_point(self) -> None:
        """Whenever the process is killed, a broker finds the old store or the new one, and restoring again works."""
        found = []
        for call in range(1, 100):
            command = [sys.executable, "-c", KILLED, str(PROJECT), str(call), str(self.backup), str(self.path)]
            done = subprocess.run(command, capture_output=True, timeout=120, check=False)
            found.append(self.content(self.path))
            if done.returncode != -signal.SIGKILL:
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                break
            self.assertIn(found[-1], ([9], [1, 2, 3]))
            if found[-1] != [9]:
                restore(self.backup, self.path, f"-{call}")
                self.assertEqual(self.content(self.path), [1, 2, 3])
        self.assertEqual(found[-1], [1, 2, 3])
        self.assertEqual(found[0], [9])
        self.assertGreater(len(found), 8)
