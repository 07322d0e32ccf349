"""The command ``alas backup``, with a broker in memory; tests/programs/test_backup.py runs it with real ones."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.limits import Limits
from alaska.broker.service import BrokerService
from alaska.commands.admin_client import AdminClient
from alaska.commands.backup import print_error, save
from alaska.commands.credentials import Credentials
from alaska.commands.new_backup import NewBackup
from alaska.errors import AlaskaError, ConnectTimeout, OperationFailed, StoreError
from alaska.interfaces import Reactor
from alaska.mlm import commands as mlm
from alaska.store.checksum import trailer_of
from alaska.store.memory import MemoryStore
from alaska.testing import ScriptedBroker, run_for
from tests.broker.test_backups import CONTENT, DurableStore, FakeBackup
from tests.network_case import ENDPOINT, NetworkCase


def with_checksum(content: bytes) -> bytes:
    """Return the content of a backup."""
    pieces = [content, b""]
    return content + trailer_of(lambda _: pieces.pop(0))


class Backup(FakeBackup):
    """A backup with a checksum, which tells what was read."""

    content = with_checksum(CONTENT * 100)
    octets = len(content)

    def __init__(self) -> None:
        self.reads: list[int] = []

    def read(self, at: int, most: int) -> bytes:
        """See :class:`IBackup`."""
        self.reads.append(most)
        return self.content[at : at + most]


class NewBackupTests(SynchronousTestCase):
    """A file that is written."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "b"

    def names(self) -> list[str]:
        """Return the names in the folder."""
        return sorted(os.listdir(self.folder))

    def test_finished(self) -> None:
        """A backup gets its name when it is complete; only its owner can read it."""
        new = NewBackup(self.path)
        for at in range(0, len(Backup.content), 5000):
            new.write(Backup.content[at : at + 5000])
        self.assertFalse(self.path.exists())
        new.finish()
        new.discard()
        self.assertEqual(self.path.read_bytes(), Backup.content)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.names(), ["b"])

    def test_replaced(self) -> None:
        """An earlier backup is replaced, but only by a complete one."""
        earlier = with_checksum(b"earlier")
        self.path.write_bytes(earlier)
        new = NewBackup(self.path)
        new.write(Backup.content[:-1])
        self.assertRaises(StoreError, new.finish)
        new.discard()
        self.assertEqual(self.path.read_bytes(), earlier)
        new = NewBackup(self.path)
        new.write(Backup.content)
        new.finish()
        self.assertEqual(self.path.read_bytes(), Backup.content)
        self.assertEqual(self.names(), ["b"])

    def test_abandoned(self) -> None:
        """What a killed command has left is deleted, and what another one is writing is not."""
        (self.folder / "b.0123abcd.part").write_bytes(b"x")
        (self.folder / "c.0123abcd.part").write_bytes(b"x")
        first = NewBackup(self.path)
        self.assertEqual(len(self.names()), 2)
        second = NewBackup(self.path)
        self.assertEqual(len(self.names()), 3)
        for new in (first, second):
            new.discard()
        self.assertEqual(self.names(), ["c.0123abcd.part"])

    def test_something_else(self) -> None:
        """A file that is no backup, such as a store, is not replaced; nor is a folder."""
        self.path.write_bytes(b"SQLite format 3\0" * 100)
        error = self.assertRaises(StoreError, NewBackup, self.path)
        self.assertEqual(str(error), f"{self.path} exists, and is not a backup: it is not replaced")
        self.assertIn("is a directory", str(self.assertRaises(StoreError, NewBackup, self.folder)))
        missing = self.folder / "missing" / "b"
        self.assertIn("No such file", str(self.assertRaises(StoreError, NewBackup, missing)))
        self.assertEqual(self.names(), ["b"])

    def test_full_disk(self) -> None:
        """If the disk has too little space, or gets full, the error says so, and nothing is left."""
        new = NewBackup(self.path)
        self.patch(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=10, f_frsize=100))
        error = self.assertRaises(StoreError, new.reserve, 1001)
        self.assertEqual(str(error), f"{self.folder} has too little disk space: 1001 octets are needed, 1000 are free")
        new._file.close()
        new._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115  # discard closes it
        error = self.assertRaises(StoreError, new.write, b"x")
        self.assertEqual(str(error), f"{self.path} cannot be written: No space left on device")
        new.discard()
        self.assertEqual(self.names(), [])


class _Clock(Clock):
    def addSystemEventTrigger(self, *arguments: object) -> None:  # noqa: N802  # Twisted's name
        """Do nothing: this reactor does not end."""


class SaveTests(NetworkCase):
    """Backups from a broker."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = _Clock()
        self.reactor = cast("Reactor", self.clock)
        self.store = DurableStore()
        self.backup = Backup()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "b"

    def start(self, store: MemoryStore) -> BrokerService:
        """Start a broker with a store."""
        service = BrokerService(self.reactor, self.process, lambda: store, [ENDPOINT], Limits())
        service.startService()
        return service

    def begin(self) -> Deferred[int]:
        """Begin to save."""
        broker = AdminClient(self.reactor, ENDPOINT, Credentials(), self.process())
        return ensureDeferred(save(self.reactor, broker, self.path, 60.0))

    def run_on(self) -> None:
        """Let time pass."""
        run_for(self.clock, self.network, 2.0)

    def fails(self, saving: Deferred[int], kind: type[AlaskaError]) -> str:
        """Check that saving has failed, and that nothing is left; return the sentence."""
        self.assertEqual(os.listdir(self.folder), [])
        return str(self.failureResultOf(saving, kind).value)

    def test_saved(self) -> None:
        """The backup arrives in parts, one at a time, and is deleted at the broker."""
        self.start(self.store)
        saving = self.begin()
        self.run_on()
        self.store.asked[0].callback(self.backup)
        self.run_on()
        self.assertEqual(self.successResultOf(saving), Backup.octets)
        self.assertEqual(self.path.read_bytes(), Backup.content)
        self.assertEqual(self.backup.reads, [256 * 1024] * 4)
        self.assertTrue(self.backup.is_closed)
        self.assertEqual(os.listdir(self.folder), ["b"])

    def test_refused(self) -> None:
        """A broker without a store refuses."""
        self.start(MemoryStore())
        saving = self.begin()
        self.run_on()
        self.assertIn("its messages are in memory", self.fails(saving, OperationFailed))

    def test_broker_ends(self) -> None:
        """If the broker ends meanwhile, this is said at once."""
        service = self.start(self.store)
        saving = self.begin()
        self.run_on()
        service.stopService()
        self.run_on()
        self.assertIn("the connection is lost", self.fails(saving, ConnectTimeout))

    def test_other_broker(self) -> None:
        """A broker without the service, such as the C broker, is told apart from one that refuses the user."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        saving = self.begin()
        self.network.run()
        broker.send(mlm.Ok(200, b""))
        run_for(self.clock, self.network, 1.0)
        broker.send(mlm.Ok(200, b""))
        self.run_on()
        failure = self.failureResultOf(saving, AlaskaError)
        self.assertEqual(str(failure.value), f"the broker at {ENDPOINT} cannot be administered")
        self.patch(sys, "stderr", io.TextIOWrapper(io.BytesIO()))
        self.assertEqual(print_error(failure), 1)

    def test_no_broker(self) -> None:
        """If there is no broker, this is said after some seconds."""
        saving = self.begin()
        run_for(self.clock, self.network, 6.0)
        self.assertIn("no broker answers", self.fails(saving, ConnectTimeout))

    def test_ends_too_early(self) -> None:
        """A backup that ends too early is not kept, and the broker deletes it."""
        self.start(self.store)
        saving = self.begin()
        self.run_on()
        self.backup.content = Backup.content[:-5]
        self.store.asked[0].callback(self.backup)
        self.run_on()
        self.assertIn("is not complete or damaged", self.fails(saving, StoreError))
        self.assertTrue(self.backup.is_closed)
