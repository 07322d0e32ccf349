"""Which version of a script is in its file."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.worker import script_files
from alaska.worker.script_files import UNKNOWN, ScriptFiles


class ScriptFileTests(SynchronousTestCase):
    """The versions of scripts in a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.files = ScriptFiles(self.folder)

    def test_changed(self) -> None:
        """The version is another one when the content has changed, and the time is that of the change."""
        path = self.folder / "a.lua"
        path.write_text("return 1")
        os.utime(path, (100, 100))
        first = self.files.version_of(b"a")
        self.assertEqual((len(first[0]), first[1]), (script_files.DIGITS, 100.0))
        path.write_text("return 2")
        os.utime(path, (200, 200))
        second = self.files.version_of(b"a")
        self.assertEqual(second[1], 200.0)
        self.assertNotEqual(first[0], second[0])

    def test_read_once(self) -> None:
        """A file that has not changed is not read again."""
        path = self.folder / "a.lua"
        path.write_text("return 1")
        os.utime(path, (100, 100))
        first = self.files.version_of(b"a")
        path.write_text("return 2")
        os.utime(path, (100, 100))
        self.assertEqual(self.files.version_of(b"a"), first)

    def test_unknown(self) -> None:
        """What is no file of the folder, or is large, has no version."""
        (self.folder / "large.lua").write_bytes(b" " * (script_files.MOST_OCTETS + 1))
        (self.folder / "folder.lua").mkdir()
        (self.folder.parent / "outside.lua").write_text("")
        for name in (b"", b"none", b"large", b"folder", b"../outside", b"a\0b", b"x" * 300):
            self.assertEqual(self.files.version_of(name), UNKNOWN, name)
