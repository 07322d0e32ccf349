"""The factory of runners."""

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
    """Answer a call with nothing."""
    return b""


class RunnerTests(SynchronousTestCase):
    """The choice of a runner by the settings."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_thread(self) -> None:
        """By default, scripts run in the pool's threads."""
        self.assertIsInstance(runner_maker(WorkerSettings())(nobody), ScriptRunner)

    def test_process(self) -> None:
        """With isolation by process, scripts run in child processes, within the limits of the settings."""
        (self.folder / "hello.lua").write_text("print('hello')", encoding="utf-8")
        (self.folder / "stuck.lua").write_text("string.find(('a'):rep(200), ('a-'):rep(60) .. 'b')", encoding="utf-8")
        settings = WorkerSettings(
            scripts_dir=self.folder,
            pool_isolation="process",
            scripts_timeout=200,
            scripts_memory=64,
            scripts_sandbox=False,  # the sandbox limits pattern matches
        )
        runner = runner_maker(settings, partial_results=False)(nobody)
        self.addCleanup(runner.close)
        self.assertEqual(runner.run(Request(b"", b"", b"hello", b"", ())).output, b"hello\n")
        self.assertEqual(len(children_of(os.getpid())), 1)
        self.assertIn("within 0.2 s", str(runner.run(Request(b"", b"", b"stuck", b"", ())).error))

    def test_address_space(self) -> None:
        """The address space limit is larger than the memory limit of scripts; without that, there is none."""
        self.assertEqual(address_space(0), 0)
        self.assertGreater(address_space(64), 64 * 1024 * 1024)
