"""Restarts of broker and worker in the whole system."""

from __future__ import annotations

import signal

from alaska.client import Delivery
from tests.programs.system_case import SystemTestCase, until


class RestartTests(SystemTestCase):
    """Restarts of broker and worker."""

    async def test_broker_restarts(self) -> None:
        """A worker serves again within two seconds after the restart of a killed broker, and no request is lost."""
        self.script("count", "print('done ' .. alaskaContext)")
        broker = await self.start_broker()
        worker = await self.start_worker(self.worker_config(embedded=False))
        sender = await self.client("sender")
        sender.send_for("default", "count", b"1")
        await worker.until("done 1")
        broker.send_signal(signal.SIGKILL)
        await broker.ended
        sender.send_for("default", "count", b"2")
        await self.start_broker()
        sender.send_for("default", "count", b"3")
        await worker.until("done 3", seconds=2)
        await worker.until("done 2", seconds=2)

    async def test_worker_waits_for_its_broker(self) -> None:
        """A worker that starts before its broker warns, and connects when the broker starts."""
        worker = self.twistd("-n", "alaska", "--config", str(self.worker_config(embedded=False)))
        await worker.until("no broker answers")
        await self.start_broker()
        await worker.until("Alaska worker ready")

    async def test_stopped_worker(self) -> None:
        """A stopped worker finishes its running requests and returns the others, which the next worker runs."""
        self.script("slow", "local t = os.clock() while os.clock() - t < 0.05 do end sendTo('r', alaskaContext, 'box')")
        await self.start_broker()
        config = self.worker_config(embedded=False)
        worker = await self.start_worker(config)
        got: list[Delivery] = []
        await self.client("box", got.append)
        sender = await self.client("sender")
        for number in range(20):
            sender.send_for("default", "slow", b"%d" % number)
        await worker.until("[SREQ]", 4)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0)
        await self.start_worker(config)
        await until(lambda: len(got) >= 20)
        self.assertEqual(sorted(int(delivery.content[0]) for delivery in got), list(range(20)))

    async def test_killed_worker(self) -> None:
        """Requests that were delivered to a killed worker are redelivered to another."""
        self.script("slow", "local t = os.clock() while os.clock() - t < 0.05 do end sendTo('r', alaskaContext, 'box')")
        await self.start_broker()
        config = self.worker_config(embedded=False)
        worker = await self.start_worker(config)
        await self.start_worker(config)
        got: list[Delivery] = []
        await self.client("box", got.append)
        sender = await self.client("sender")
        for number in range(40):
            sender.send_for("default", "slow", b"%d" % number)
        await worker.until("[SREQ]", 4)
        worker.send_signal(signal.SIGKILL)
        await until(lambda: len({delivery.content[0] for delivery in got}) == 40)
