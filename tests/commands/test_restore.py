"""The command ``alas restore``."""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.commands.restore import restore_backup
from alaska.interfaces import Reactor
from alaska.store.backup import copy
from alaska.store.database import File
from alaska.store.sqlite import SqliteStore
from alaska.testing import HandWriting
from tests.store.sqlite_case import message
from tests.store.test_backup import save


class RestoreTests(SynchronousTestCase):
    """What the command prints, and its exit status."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.store, self.backup = self.folder / "broker.db", self.folder / "monday.backup"
        store = SqliteStore(cast("Reactor", Clock()), File(self.store, "FULL"), HandWriting)
        store.keep(message(1), None)
        store.queues()
        save(copy(store.file, lambda: False), self.backup)
        store.close()
        self.output, self.errors = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        self.patch(sys, "stdout", self.output)
        self.patch(sys, "stderr", self.errors)

    def restore(self, *arguments: str) -> None:
        """Run the command."""
        restore_backup.main(list(arguments), standalone_mode=False)

    def text(self, stream: io.TextIOWrapper) -> str:
        """Return what was written to a stream."""
        return cast("io.BytesIO", stream.buffer).getvalue().decode()

    def test_restored(self) -> None:
        """The command says what the store has now, and where the previous one is."""
        self.restore(str(self.backup), "--store", str(self.store))
        first, second = self.text(self.output).splitlines()
        self.assertEqual(first, f"{self.store} has 1 message, 0 dead letters and 0 stream records now")
        self.assertIn(f"{self.store}-before-restore-", second)

        self.assertEqual(self.text(self.errors), "")

    def test_checked(self) -> None:
        """With --check, the backup is checked, and the store is left alone."""
        before = self.store.read_bytes()
        self.restore(str(self.backup), "--store", str(self.store), "--check")
        self.assertEqual(
            self.text(self.output),
            f"{self.backup} has 1 message, 0 dead letters and 0 stream records, and can be restored\n",
        )
        self.assertEqual(self.store.read_bytes(), before)

    def test_without_checksum(self) -> None:
        """A store that was copied is restored with a warning."""
        self.restore(str(shutil.copy(self.store, self.backup)), "--store", str(self.folder / "new.db"))
        self.assertIn("has no checksum", self.text(self.errors))

    def test_store_of_the_settings(self) -> None:
        """Without --store, the store is that of the settings."""
        self.patch(os, "environ", {"MALAMUTE_MLM_SERVER_STORE_PATH": str(self.store)})
        self.restore(str(self.backup))
        self.assertIn(str(self.store), self.text(self.output))

    def test_configuration(self) -> None:
        """The file of --config names the store; a broker in the background has its own folder."""
        config = self.folder / "malamute.cfg"
        config.write_text(
            f'server\n    background = 1\n    workdir = "{self.folder}"\n'
            'mlm_server\n    store\n        path = "broker.db"\n'
        )
        self.restore(str(self.backup), "--config", str(config))
        self.assertIn(f"{self.store} has 1 message", self.text(self.output))
        config.write_text("mlm_server\n")
        ended = self.assertRaises(SystemExit, self.restore, str(self.backup), "--config", str(config))
        self.assertEqual(ended.code, 1)
        self.assertIn("malamute.cfg names no store", self.text(self.errors))

    def test_refused(self) -> None:
        """A backup that cannot be used has status 1, and a sentence on the standard error."""
        self.backup.write_text("hello")
        ended = self.assertRaises(SystemExit, self.restore, str(self.backup), "--store", str(self.store))
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.text(self.errors), f"alas: {self.backup} is not a backup: it is not a database\n")
