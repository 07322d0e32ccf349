"""A broker that is killed while workers have requests: which of them run again."""

from __future__ import annotations

import signal
from functools import partial

from tests.programs.system_case import SystemTestCase, until

SLOW = """
print('began ' .. alaskaContext)
while not io.open('{go}') do os.execute('sleep 0.1') end
print('end ' .. alaskaContext)
"""


class KillTests(SystemTestCase):
    """A broker with a store, and two workers with two threads each; scripts end when a file is there."""

    async def start_all(self) -> None:
        """Start the programs."""
        self.go = self.folder / "go"
        self.script("slow", SLOW.format(go=self.go))
        bind = f'    bind\n        endpoint = "{self.endpoint}"\n'
        self.broker_file = self.config("malamute.cfg", f"mlm_server\n{bind}    store\n        path = b.db\n")
        await self.start_broker_with_store()
        text = self.worker_config(embedded=False, more="    pool\n        size = 2\n").read_text(encoding="utf-8")
        scripts = "    scripts\n        sandbox = 0\n        timeout = 0\n"
        config = self.config("alaska.cfg", text.replace("    scripts\n", scripts))
        self.workers = [await self.start_worker(config) for _ in range(2)]
        self.sender = await self.client("sender")

    async def start_broker_with_store(self) -> None:
        """Start the broker, or start it again."""
        self.broker = self.twistd("-n", "malamute", "--config", str(self.broker_file))
        await self.broker.until("Broker ready")

    async def kill_broker(self) -> None:
        """Kill the broker, start it again, and wait until the workers are connected again."""
        before = [worker.output.count("connected again") for worker in self.workers]
        self.broker.send_signal(signal.SIGKILL)
        await self.broker.ended
        await self.start_broker_with_store()
        for worker, count in zip(self.workers, before, strict=True):
            await worker.until("connected again", count + 1)

    def count(self, words: str) -> int:
        """Return how often the workers have printed something."""
        return sum(worker.output.count(words) for worker in self.workers)

    def has_run(self, name: str) -> bool:
        """Return whether a request has been run."""
        return self.count(f"began {name}") > 0

    async def test_id(self) -> None:
        """A request with an id runs once, however often the broker is killed, also if its worker has no free thread."""
        await self.start_all()
        for number in range(3):
            self.sender.send_for("default", "slow", f"{number}", id=f"i{number}")
        await until(lambda: self.count("began ") == 3)
        for _ in range(2):
            await self.kill_broker()
        self.sender.send_for("default", "slow", "other")
        await until(lambda: self.count("began ") == 4)
        self.go.touch()
        await until(lambda: self.count("end ") == 4)
        self.sender.send_for("default", "slow", "last", priority=0)
        await until(lambda: self.count("end last") == 1)
        self.assertEqual([self.count(f"began {number}") for number in range(3)], [1, 1, 1])

    async def test_worker_is_killed_too(self) -> None:
        """If its worker is killed as well, it runs on another one some seconds later."""
        await self.start_all()
        self.sender.send_for("default", "slow", "0", id="i")
        await until(lambda: self.count("began 0") == 1)
        (worker,) = (each for each in self.workers if "began 0" in each.output)
        self.workers.remove(worker)
        worker.send_signal(signal.SIGKILL)
        await self.kill_broker()
        self.go.touch()
        await self.workers[0].until("end 0")

    async def test_cancelled(self) -> None:
        """A request that was cancelled while it ran is not run again when the broker was killed."""
        await self.start_all()
        for name in ("0", "1"):
            self.sender.send_for("default", "slow", name, tracker=f"t{name}")
            await until(partial(self.has_run, name))
        self.assertEqual(await self.sender.cancel_message(tracker="t0"), 1)
        await self.kill_broker()
        # The other one is delivered again, since it has no id; its sender may have sent it again, too.
        await until(lambda: self.count("began 1") >= 2)
        self.go.touch()
        await until(lambda: self.count("end 1") >= 2)
        self.assertEqual(self.count("began 0"), 1)
