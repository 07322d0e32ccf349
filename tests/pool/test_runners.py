"""What makes the runners of a pool."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import WorkerSettings
from alaska.lua.request import Request
from alaska.lua.runner import ScriptRunner
from alaska.pool.runners import address_space, runner_maker
from tests.processes import children_of


def nobody(_request: Request, _octets: bytes) -> bytes:
    """Answer nothing that a script asks."""
    return b""


class RunnerTests(SynchronousTestCase):
    """What runs scripts, by the settings."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_thread(self) -> None:
        """By default, threads of the worker do."""
        self.assertIsInstance(runner_maker(WorkerSettings())(nobody), ScriptRunner)

    def test_process(self) -> None:
        """With isolation by process, children of the worker do, within the limits of the settings."""
        (self.folder / "hello.lua").write_text("print('hello')", encoding="utf-8")
        (self.folder / "stuck.lua").write_text("string.find(('a'):rep(200), ('a-'):rep(60) .. 'b')", encoding="utf-8")
        settings = WorkerSettings(
            scripts_dir=self.folder,
            pool_isolation="process",
            scripts_timeout=200,
            scripts_memory=64,
            scripts_sandbox=False,  # in it, patterns end
        )
        runner = runner_maker(settings, tells=False)(nobody)
        self.addCleanup(runner.close)
        self.assertEqual(runner.run(Request(b"", b"", b"hello", b"", ())).output, b"hello\n")
        self.assertEqual(len(children_of(os.getpid())), 1)
        self.assertIn("within 0.2 s", str(runner.run(Request(b"", b"", b"stuck", b"", ())).error))

    def test_address_space(self) -> None:
        """A process may map more than a script may use, or any number of octets if that may use any."""
        self.assertEqual(address_space(0), 0)
        self.assertGreater(address_space(64), 64 * 1024 * 1024)
