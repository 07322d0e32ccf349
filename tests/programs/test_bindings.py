"""Bindings in the whole system: a durable broker, and three workers that bind a stream."""

from __future__ import annotations

import signal

from twisted.internet.defer import ensureDeferred, gatherResults

from alaska.client import Delivery
from tests.programs.system_case import Program, SystemTestCase, until

RECORDS = 1000
SECONDS = 60
"""Four programs start at the same time, and all run."""
SCRIPT = """
local file = io.open('runs', 'a')
file:write(alaska.position .. ' ' .. alaskaContext .. '\\n')
file:close()
"""


class KillTests(SystemTestCase):
    """Programs that are killed while records come."""

    timeout = 300

    async def start(self, name: str, config: str, words: str) -> Program:
        """Start a program, and wait until it is ready."""
        program = self.twistd("-n", "--pidfile=", name, "--config", str(self.config(f"{name}.cfg", config)))
        await program.until(words, seconds=SECONDS)
        return program

    async def broker(self) -> Program:
        """Start the broker, which stores all records."""
        bound = f'    bind\n        endpoint = "{self.endpoint}"\n    store\n        path = "mlm.db"\n'
        retains = '    stream\n        retain\n            count = "max"\n'
        return await self.start("malamute", f"mlm_server\n{bound}{retains}", "Broker ready")

    async def worker(self) -> Program:
        """Start a worker, whose scripts may write files."""
        scripts = f'    scripts\n        dir = "{self.services}"\n        sandbox = "0"\n'
        broker = f'    broker\n        endpoint = "{self.endpoint}"\n        embedded = "0"\n'
        service = '    service\n        address = "svc"\n        stream = "s ^take"\n'
        return await self.start("alaska", f"worker\n{scripts}{broker}{service}", "Alaska worker ready")

    def runs(self) -> set[str]:
        """Return the position and the content of each record that a script has run for."""
        file = self.folder / "runs"
        return set(file.read_text(encoding="utf-8").splitlines()) if file.exists() else set()

    async def kill(self, program: Program) -> None:
        """Kill a program."""
        program.send_signal(signal.SIGKILL)
        await program.ended

    async def test_killed(self) -> None:
        """Each record of the stream that matches is run, although the broker and two of the workers are killed."""
        self.script("take", SCRIPT)
        broker = await self.broker()
        first, second, _ = await gatherResults([ensureDeferred(self.worker()) for _ in range(3)])
        writer = await self.client("writer")
        for number in range(2 * RECORDS):
            writer.publish("s", "take" if number % 2 else "skip", b"%d" % number)
        await until(lambda: len(self.runs()) > RECORDS // 10, SECONDS)
        await self.kill(first)
        await until(lambda: len(self.runs()) > RECORDS // 5, SECONDS)
        await self.kill(broker)
        await self.kill(second)
        await self.broker()
        writer.publish("s", "take", b"last")
        got: list[Delivery] = []
        reader = await self.client("reader", got.append)
        await reader.replay("s")
        await until(lambda: any(each.content == (b"last",) for each in got), SECONDS)
        expected = {f"{each.position} {each.content[0].decode()}" for each in got if each.subject == "take"}
        # What had just arrived when the broker was killed is neither in the stream nor due.
        self.assertGreater(len(expected), RECORDS // 2)
        await until(lambda: expected <= self.runs(), SECONDS)
