"""Stuck scripts in the whole system."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from alaska.client import Delivery
from tests.processes import children_of, is_alive
from tests.programs.system_case import SystemTestCase, reactor, until


class IsolationTests(SystemTestCase):
    """Stuck scripts in threads and in processes."""

    PATTERN = "string.find(('a'):rep(200), ('a-'):rep(60) .. 'b')"

    def isolated_config(self, isolation: str, timeout: int) -> Path:
        """Write the configuration of a worker with this isolation and without sandbox, where patterns may not end."""
        settings = (("SCRIPTS_TIMEOUT", str(timeout)), ("POOL_ISOLATION", isolation), ("SCRIPTS_SANDBOX", "0"))
        for name, value in settings:
            os.environ[f"ALASKA_WORKER_{name}"] = value
            self.addCleanup(os.environ.pop, f"ALASKA_WORKER_{name}", None)
        return self.worker_config()

    async def test_no_orphans(self) -> None:
        """A killed worker leaves no child process after a second, idle or busy."""
        self.script("endless", self.PATTERN)
        self.script("hello", "print('hello')")
        worker = await self.start_worker(self.isolated_config("process", 60_000))
        await self.alas("-s", "endless")
        await worker.until("[SREQ]")
        await self.alas("-s", "hello")
        await worker.until("hello\n")
        children = children_of(worker.pid)
        self.assertGreater(len(children), 1)
        worker.send_signal(signal.SIGKILL)
        await worker.ended
        await until(lambda: not any(map(is_alive, children)), seconds=1)

    async def test_stuck(self) -> None:
        """In threads and processes, stuck scripts are reported, other requests are served, and the worker can stop."""
        self.script("endless", self.PATTERN)
        self.script("hello", "print('hello')")
        for isolation in ("thread", "process"):
            worker = await self.start_worker(self.isolated_config(isolation, 300))
            errors = await self.client("awerr")
            for _ in range(4):
                await self.alas("-s", "endless")
            await self.alas("-s", "hello")
            await worker.until("hello\n")
            for _ in range(4):
                delivery = await errors.__anext__().addTimeout(10, reactor)
                self.assertIn(b"(worker/scripts/timeout)", delivery.content[0])
            await errors.close()
            worker.send_signal(signal.SIGTERM)
            await worker.ended.addTimeout(8, reactor)

    async def test_stop_while_one_runs(self) -> None:
        """A stopping worker waits for the script in a child process, and leaves no child."""
        self.script("slow", "local t = os.clock() while os.clock() - t < 1 do end sendTo('r', 'done', 'box')")
        await self.start_broker()
        self.isolated_config("process", 5000)
        worker = await self.start_worker(self.worker_config(embedded=False))
        got: list[Delivery] = []
        await self.client("box", got.append)
        await self.alas("-s", "slow")
        await worker.until("[SREQ]")
        await until(lambda: bool(children_of(worker.pid)))
        children = children_of(worker.pid)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0)
        self.assertFalse(any(map(is_alive, children)))
        await until(lambda: len(got) == 1)
