"""The file of a store: migration, exclusive access, and files that are refused."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import cast

from msgspec.structs import astuple

from alaska.errors import StoreError
from alaska.interfaces import Reactor
from alaska.message import Cause, Message, QueueSize
from alaska.store import rows
from alaska.store.database import File, TemporaryFile
from alaska.store.sqlite import SqliteStore
from alaska.store.wal_mark import APPLICATION_ID
from tests.store.sqlite_case import JOBS, FileTestCase


class OlderTests(FileTestCase):
    """Migration of a file of schema version 1."""

    def setUp(self) -> None:
        super().setUp()
        script = resources.files("alaska.store").joinpath("schema/1.sql").read_text("utf-8")
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(f"{script}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1")

    def insert(self, position: int, content: bytes, expires: float | None) -> None:
        """Insert a request as version 1 would."""
        row = (1, b"jobs", position, b"joe", b"job", b"t", content, 3, 1, b"\0peer", expires, 2)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(f"INSERT INTO message VALUES ({', '.join('?' * len(row))})", row)

    def test_carried_over(self) -> None:
        """Messages of version 1 are migrated with all their values, also when the store is opened again."""
        self.insert(8, b"\0\0\0\1x\0\0\0\0\0\0\0\2yz", 17.5)
        self.insert(7, b"\0\0\0\3abc", None)
        first = Message(7, JOBS, b"joe", b"job", b"t", (b"abc",), True, b"\0peer", None, 2)
        second = Message(8, JOBS, b"joe", b"job", b"t", (b"x", b"", b"yz"), True, b"\0peer", 17.5, 2)
        for _ in range(2):
            store = self.open()
            found = store.waiting(JOBS, 0, 10)
            self.assertEqual([astuple(each) for each in found], [astuple(first), astuple(second)])
            self.assertEqual([each.position for each in store.overdue(18.0, (0.0, 0), 10)], [8])
            self.assertEqual((store.last_position, store.queues()), (8, [QueueSize(JOBS, 2, 6)]))
            store.close()

    def test_goes_on(self) -> None:
        """Migrated messages can be updated and deleted."""
        self.insert(7, b"\0\0\0\3abc", None)
        self.insert(8, b"\0\0\0\3abc", None)
        store = self.open()
        seven, eight = store.waiting(JOBS, 0, 10)
        store.forget(seven)
        eight.attempts = 3
        store.take(eight, None)
        self.keep(store, 9)
        store.close()
        again = self.open()
        found = [(each.position, each.attempts) for each in again.waiting(JOBS, 0, 10)]
        self.assertEqual((self.stored, found), ([9], [(8, 3), (9, 0)]))


class EntryTests(FileTestCase):
    """Entries: what is set up in the broker and not in its configuration."""

    def test_entries(self) -> None:
        """Entries are there again when the file is opened again, those of each kind; the last value counts."""
        store = self.open()
        for kind, name, value in (("a", b"1", b"x"), ("a", b"1", b"y"), ("a", b"2", b""), ("b", b"1", b"z")):
            store.set_entry(kind, name, value)
        store.set_entry("a", b"2", None)
        store.set_entry("a", b"\xff", b"")
        store.close()
        again = self.open()
        self.assertEqual(again.entries("a"), {b"1": b"y", b"\xff": b""})
        self.assertEqual((again.entries("b"), again.entries("c")), ({b"1": b"z"}, {}))

    def make_older(self, version: int, script: str) -> None:
        """Make a file of an older version of the schema, and execute a script in it."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.create_function("as_data", 6, rows.as_data)
            for number in range(1, version + 1):
                schema = resources.files("alaska.store").joinpath(f"schema/{number}.sql").read_text("utf-8")
                connection.executescript(schema)
            connection.executescript(
                f"{script}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}"
            )

    def test_paused_before(self) -> None:
        """What was paused in a file of version 7 is an entry now."""
        self.make_older(7, "INSERT INTO paused VALUES (x'61')")
        self.assertEqual(self.open().entries("paused"), {b"a": b""})

    def test_letters_before(self) -> None:
        """The dead letters of a file of version 8 have the cause that their status and reason show, and no worker."""
        values = "1, x'61', x'', x'', x'', x'', 0, NULL, 2"
        statuses = ("404, x'6e6f'", "502, CAST('delivered 5 times without confirmation' AS BLOB)", "502, x'6f68'")
        letters = (f"({number}, {values}, {each}, 1.5, 0, x'80')" for number, each in enumerate(statuses, 1))
        self.make_older(8, f"INSERT INTO letter VALUES {', '.join(letters)}")
        found = self.open().dead_letters(0, 10)
        self.assertEqual([each.cause for each in found], [Cause.NOT_FOUND, Cause.ATTEMPTS, Cause.FAILED])
        self.assertEqual({each.worker for each in found}, {None})


class PlaceTests(FileTestCase):
    """Exclusive access to a file, and changes of its path."""

    def test_second_broker(self) -> None:
        """A second broker is refused, also over a symbolic or hard link, by another path, and without the lock file."""
        self.open()
        symbolic, hard = self.path.with_name("symbolic"), self.path.with_name("hard")
        symbolic.symlink_to(self.path.absolute())
        hard.hardlink_to(self.path)
        Path(f"{self.path}-lock").unlink()
        for path in (symbolic, hard, self.path.absolute()):
            error = self.assertRaises(StoreError, SqliteStore, cast("Reactor", self.clock), File(path, "FULL"))
            self.assertIn("is in use by another broker", str(error))

    def test_free_again(self) -> None:
        """A store can be opened again after it was closed."""
        self.open().close()
        self.open().close()

    def test_moved(self) -> None:
        """A file that is moved, deleted or replaced while it is open is detected."""
        for change in (
            lambda path: path.rename(path.with_name("moved")),
            Path.unlink,
            lambda path: path.with_name("other").replace(path),
        ):
            path = Path(self.mktemp())
            path.with_name("other").touch()
            file = File(path, "FULL")
            file.open()
            self.addCleanup(file.close)
            file.check_place()
            change(path)
            self.assertRaises(StoreError, file.check_place)


class PrivateTests(FileTestCase):
    """Permissions of the file."""

    def test_mode(self) -> None:
        """Only the owner can access the file and SQLite's files beside it, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        store = self.open()
        self.keep(store, 1)
        self.clock.advance(0)
        self.writing.run()
        files = list(self.path.parent.glob(f"{self.path.name}*"))
        self.assertGreater(len(files), 2)
        for each in files:
            self.assertEqual(each.stat().st_mode & 0o777, 0o600, each)


class ClockTests(FileTestCase):
    """The clock by which messages expire."""

    def test_goes_on(self) -> None:
        """The clock of a store continues when it is opened again, even if the wall clock was set back or forward."""
        first = self.open()
        first.close()
        for step in (-3600.0, 3600.0):
            self.patch(time, "time", lambda step=step, wall=time.time: wall() + step)
            again = self.open()
            self.assertLess(abs(again.opened_at - first.opened_at), 300)
            again.close()

    def test_begins(self) -> None:
        """The clock of a new store, and of a temporary one, starts with the wall clock."""
        self.assertLess(abs(self.open().opened_at - time.time()), 300)
        self.assertLess(abs(self.open(TemporaryFile()).opened_at - time.time()), 300)


class RefusalTests(FileTestCase):
    """Files that cannot be used as a store."""

    def assert_refused(self, pattern: str) -> None:
        """Check that the file is refused with an error that matches, and is not modified."""
        before = self.path.read_bytes()
        with self.assertRaisesRegex(StoreError, pattern):
            SqliteStore(cast("Reactor", self.clock), File(self.path, "FULL"))
        self.assertEqual(self.path.read_bytes(), before)

    def make(self, *statements: str) -> None:
        """Create a database."""
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def test_newer(self) -> None:
        """A store of a newer version is refused."""
        self.make("CREATE TABLE message (x)", f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 1000")
        self.assert_refused("newer Alaska: its version is 1000, this one knows up to 10")

    def test_stranger(self) -> None:
        """A database of another program is refused."""
        self.make("CREATE TABLE theirs (x)")
        self.assert_refused("database of another program")

    def test_no_database(self) -> None:
        """A file that is not a database is refused."""
        self.path.write_text("worker\n    background = 0\n" * 100)
        self.assert_refused("file is not a database")

    def test_damaged(self) -> None:
        """A file whose first pages are damaged is refused."""
        store = self.open()
        self.keep(store, *range(1, 2000))
        store.close()
        octets = bytearray(self.path.read_bytes())
        octets[8192:] = b"\xee" * (len(octets) - 8192)
        self.path.write_bytes(octets)
        self.assert_refused("cannot be (read|used): database disk image is malformed")

    def test_in_use(self) -> None:
        """A store that another broker has open is refused."""
        self.open()
        self.assert_refused("in use by another broker")

    def test_no_folder(self) -> None:
        """A path in a missing directory is refused."""
        self.path = self.path / "store"
        with self.assertRaisesRegex(StoreError, "cannot be used: No such file or directory"):
            SqliteStore(cast("Reactor", self.clock), File(self.path, "FULL"))
