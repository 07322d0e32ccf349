"""Schedules of real brokers: killed in the middle of requests, reloaded, and administered with ``alas``."""

from __future__ import annotations

import re
import signal
from datetime import datetime
from time import time

from twisted.internet.task import deferLater

from tests.programs.system_case import Program, SystemTestCase, reactor, until

RAN = re.compile(r"\[DONE\]\([^)]*request: (\w+@[-\d:TZ.]+)[^)]*outcome: ok")
MISSED = re.compile(r"tick has missed (\d+) requests, the last one \S+: (one|none)")


def _time_of(name: str) -> float:
    return datetime.fromisoformat(name.partition("@")[2].replace("Z", "+00:00")).timestamp()


class ScheduleTests(SystemTestCase):
    """A broker with a store, and a worker."""

    def entries(self, *lines: str) -> None:
        """Write the settings of the broker with these schedules."""
        schedule = "".join(f"        entry = {line}\n" for line in lines)
        self.config(
            "malamute.cfg",
            f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n    store\n        path = broker.store\n'
            f"    schedule\n        zone = UTC\n{schedule}",
        )

    async def begin(self) -> Program:
        """Start the broker, and wait until it is ready."""
        program = self.twistd("-n", "malamute", "--config", str(self.folder / "malamute.cfg"))
        await program.until("Broker ready")
        return program

    async def schedule(self, *arguments: str) -> str:
        """Run ``alas schedule``, and return what it prints."""
        command, *rest = arguments
        program = self.run_program("-m", "alaska.commands.alas", "schedule", command, "-e", self.endpoint, *rest)
        await program.ended
        self.assertEqual(program.status, 0, program.output)
        return program.output

    async def test_killed(self) -> None:
        """Over kills of the broker while it makes requests, each second comes to one, or is said to be missed."""
        self.script("job", "return 1")
        self.entries("tick '* * * * * *' missed=once default job")
        brokers = [await self.begin()]
        for after in (0.01, 0.03, 0.05, 0.07, 0.09):
            # A tick of the broker is at most 50 ms after the second.
            await deferLater(reactor, 2 - time() % 1 + after, lambda: None)
            brokers[-1].send_signal(signal.SIGKILL)
            await brokers[-1].ended
            brokers.append(await self.begin())
        worker = await self.start_worker(self.worker_config(embedded=False))
        await worker.until("outcome: ok", 2)
        found = [(int(count), what) for broker in brokers for count, what in MISSED.findall(broker.output)]
        unmade = sum(count - (what == "one") for count, what in found)

        def is_complete() -> bool:
            """Return whether the first and the last time that have come to requests have none between them."""
            times = [_time_of(each) for each in RAN.findall(worker.output)]
            return len(times) > 1 and len(times) + unmade == max(times) - min(times) + 1

        await until(is_complete)
        ids = RAN.findall(worker.output)
        self.assertEqual(len(ids), len(set(ids)), ids)

    async def test_killed_with_worker(self) -> None:
        """A worker runs each request once, also if the broker is killed as soon as the worker has the request."""
        self.script("job", "return 1")
        self.entries("tick '* * * * * *' missed=once default job")
        broker = await self.begin()
        worker = await self.start_worker(self.worker_config(embedded=False))
        for _ in range(4):
            await worker.until("[SREQ]", worker.output.count("[SREQ]") + 1)
            broker.send_signal(signal.SIGKILL)
            await broker.ended
            broker = await self.begin()
        await worker.until("outcome: ok", worker.output.count("outcome: ok") + 2)
        ids = RAN.findall(worker.output)
        self.assertEqual(len(ids), len(set(ids)), ids)

    async def test_operated(self) -> None:
        """What alas has added and paused is kept over a restart; SIGHUP applies a changed file."""
        self.script("job", "return 1")
        self.entries("yearly '@yearly' default job")
        broker = await self.begin()
        worker = await self.start_worker(self.worker_config(embedded=False))
        await self.schedule("add", "often", "* * * * * *", "default", "job", "{}")
        await worker.until("request: often@")
        self.assertIn("made a request", await self.schedule("run", "yearly"))
        await worker.until("request: yearly@")
        await self.schedule("pause", "often")
        self.assertEqual((await self.alas("-s", "job")).status, 0)
        broker.send_signal(signal.SIGKILL)
        await broker.ended
        broker = await self.begin()
        self.assertRegex(await self.schedule("list"), r"often +paused")
        self.entries("new '* * * * * *' overlap=skip default job")
        broker.send_signal(signal.SIGHUP)
        await worker.until("request: new@")
        self.assertNotIn("yearly", await self.schedule("list"))

    async def test_embedded(self) -> None:
        """An embedded broker makes the requests of its file."""
        self.script("job", "return 1")
        self.entries("tick '* * * * * *' default job")
        config = self.worker_config(more="").read_text(encoding="utf-8")
        config = config.replace(
            "        embedded", f'        config = "{self.folder / "malamute.cfg"}"\n        embedded'
        )
        worker = await self.start_worker(self.config("alaska1.cfg", config))
        await worker.until("request: tick@", 2)
