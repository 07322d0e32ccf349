"""Which scripts do not compile, also before a request needs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from alaska.errors import ScriptError
from alaska.interfaces import Reactor
from alaska.links import default_reactor
from alaska.worker import script_checks
from alaska.worker.script_checks import Compiler, ScriptChecks, compiler_of
from tests.config import texts


class AtOnce:
    """Makes the calls of the thread at once."""

    def callFromThread(self, call: object, *arguments: object, **named: object) -> None:  # noqa: N802
        """Make a call."""
        assert callable(call)
        call(*arguments, **named)


class Fake:
    """A compiler that knows a source that does not compile, and can fail itself; it records what it compiles."""

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self.made = self.closed = 0

    def make(self) -> Compiler:
        """Return the compiler."""
        self.made += 1
        return cast("Compiler", self)

    def failure(self, source: bytes, path: bytes) -> str:
        """Return the error of a source."""
        self.compiled.append(os.path.basename(path).decode())
        if source == b"short of memory":
            raise ScriptError("not enough memory")
        return "no Lua" if source == b"broken" else ""

    def close(self) -> None:
        """Count the calls."""
        self.closed += 1


class FolderCase(SynchronousTestCase):
    """A folder of scripts."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.compiler = Fake()
        # Whatever was written is old.
        self.checks = ScriptChecks(cast("Reactor", AtOnce()), self.folder, self.compiler.make, now=lambda: 0.0)

    def write(self, name: str, source: str) -> None:
        """Write a script."""
        (self.folder / f"{name}.lua").write_text(source, encoding="utf-8")


class LookTests(FolderCase):
    """What is compiled, and when."""

    def test_changed(self) -> None:
        """What has changed is compiled, once; a script that was mended or deleted is not broken any more."""
        for name in "abc":
            self.write(name, "broken" if name != "a" else "good")
        self.checks.look()
        self.checks.look()
        self.assertEqual((self.compiler.compiled, self.compiler.made, self.compiler.closed),
                         (["a.lua", "b.lua", "c.lua"], 1, 1))  # fmt: skip
        self.assertEqual(self.checks.broken(), {b"b": "no Lua", b"c": "no Lua"})
        self.write("b", "mended")
        (self.folder / "c.lua").unlink()
        self.checks.look()
        self.assertEqual((self.checks.broken(), self.compiler.compiled[3:]), ({}, ["b.lua"]))

    def test_others(self) -> None:
        """Hidden files, other files, folders, links out of the folder, pipes and large files are not compiled."""
        self.write(".hidden", "broken")
        (self.folder / "note.txt").write_text("broken")
        (self.folder / "folder.lua").mkdir()
        os.mkfifo(self.folder / "pipe.lua")
        outside = Path(self.mktemp())
        outside.write_text("broken")
        (self.folder / "link.lua").symlink_to(outside.absolute())
        self.write("large", "broken" + " " * script_checks.MOST_OCTETS)
        for _ in range(2):
            self.checks.look()
        self.assertEqual((self.checks.broken(), self.compiler.compiled), ({}, []))
        self.assertEqual(self.compiler.made, 1)

    def test_fresh(self) -> None:
        """A file that was changed just now is compiled when it has not changed for a while."""
        now = [0.0]
        checks = ScriptChecks(cast("Reactor", AtOnce()), self.folder, self.compiler.make, now=lambda: now[0])
        self.write("a", "broken")
        now[0] = (self.folder / "a.lua").stat().st_mtime + 0.5
        checks.look()
        self.assertEqual(checks.broken(), {})
        now[0] += 1.0
        checks.look()
        self.assertEqual(checks.broken(), {b"a": "no Lua"})

    def test_not_known(self) -> None:
        """A script of which it cannot be found out is not called broken, and not tried again until it changes."""
        self.write("a", "short of memory")
        for _ in range(2):
            self.checks.look()
        self.assertEqual((self.checks.broken(), self.compiler.compiled), ({}, ["a.lua"]))

    def test_bounded(self) -> None:
        """The files, the time of a look, and what is kept are limited; the next look continues."""
        for number in range(6):
            self.write(str(number), "broken")
        self.patch(script_checks, "MOST_FILES", 5)
        self.patch(script_checks, "MOST_SECONDS", -1.0)
        self.checks.look()
        self.assertEqual(self.compiler.compiled, [])
        self.patch(script_checks, "MOST_SECONDS", 10.0)
        self.patch(script_checks, "MOST_BROKEN", 2)
        self.checks.look()
        self.assertEqual((len(self.compiler.compiled), len(self.checks.broken())), (5, 2))

    def test_no_folder(self) -> None:
        """A folder that does not exist has no scripts."""
        checks = ScriptChecks(cast("Reactor", AtOnce()), self.folder / "none", self.compiler.make)
        checks.look()
        self.assertEqual(checks.broken(), {})


class CompilerTests(SynchronousTestCase):
    """The compiler of a worker."""

    isolation = "thread"

    def setUp(self) -> None:
        settings = texts.worker(f'worker\n    pool\n        isolation = "{self.isolation}"\n')
        self.compiler = compiler_of(settings)()
        self.addCleanup(self.compiler.close)

    def test_failure(self) -> None:
        """The error has file and line; a first line for the shell counts; nothing is run."""
        failures = [self.compiler.failure(source, b"/s/a.lua") for source in (
            b"#!/usr/bin/lua\nreturn +", b"return 1", b"while true do end", b"\xef\xbb\xbfreturn 1", b"\x1bLua",
        )]  # fmt: skip
        self.assertRegex(failures[0], "^/s/a.lua:2: unexpected symbol near ")
        self.assertEqual(failures[1:4], ["", "", ""])
        self.assertNotEqual(failures[4], "")


class IsolatedCompilerTests(CompilerTests):
    """The same in a child process."""

    isolation = "process"


class ServiceTests(TestCase):
    """The thread."""

    async def test_started(self) -> None:
        """It looks at the start, and ends when the service stops."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "a.lua").write_text("broken")
        os.utime(folder / "a.lua", (100, 100))
        compiler = Fake()
        checks = ScriptChecks(default_reactor(), folder, compiler.make, now=lambda: 0.0)
        checks.startService()
        while not checks.broken():
            await deferLater(default_reactor(), 0.01)
        await checks.stopService()
        self.assertEqual((checks.broken(), compiler.closed), ({b"a": "no Lua"}, 1))
        await checks.stopService()
