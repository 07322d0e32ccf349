"""Failover of the embedded broker between workers, with real processes, real kills and one store."""

from __future__ import annotations

import signal
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from alaska.client import Client, Confirmation, Delivery
from alaska.errors import STORED, TOO_LARGE
from tests.programs.system_case import Program, SystemTestCase, reactor, until

EMBEDS = "this worker embeds the broker now"


class EmbeddedCase(SystemTestCase):
    """Workers with an embedded broker."""

    async def first_status(self, content: bytes) -> int:
        """Send mail that nobody fetches; return the status of its first confirmation."""
        confirmed: Deferred[Confirmation] = Deferred()
        sender = Client(self.endpoint, "sender", credit=0, confirmed=confirmed.callback)
        await sender.connect(timeout=10)
        sender.send_to("box", "hello", content, tracker="t")
        confirmation = await confirmed.addTimeout(10, reactor)
        await sender.close()
        return confirmation.status


class TakeOverTests(EmbeddedCase):
    """Several workers with one configuration."""

    def shared_config(self, more: str = "") -> Path:
        """Write a configuration with a store for the embedded broker."""
        return self.config(
            "shared.cfg",
            f"""worker
    scripts
        dir = "{self.services}"
    broker
        endpoint = "{self.endpoint}"
        embedded = "1"
        store = "{self.folder / "store.db"}"
{more}""",
        )

    async def store(self, number: int) -> None:
        """Send mail, and check that the broker has stored it."""
        self.assertEqual(await self.first_status(b"%d" % number), STORED)

    async def assert_stored(self, count: int) -> None:
        """Check that all stored mail is delivered."""
        box = await self.client("box")
        got = [await box.__anext__().addTimeout(10, reactor) for _ in range(count)]
        self.assertEqual([delivery.content for delivery in got], [(b"%d" % number,) for number in range(count)])

    async def assert_served(self, *workers: Program) -> None:
        """Check that requests are delivered to all of these workers."""
        before = [worker.output.count("done by me") for worker in workers]
        for _ in range(4):
            alas = await self.alas("-s", "who")
            self.assertEqual(alas.status, 0, alas.output)
        for worker, count in zip(workers, before, strict=True):
            await worker.until("done by me", count + 4 // len(workers))

    async def one_takes_over(self, *workers: Program) -> Program:
        """Wait until one of these workers logs that it embeds the broker now, and return it."""
        waiting: list[Deferred[None]] = [worker.until(EMBEDS) for worker in workers]
        _, at = await DeferredList(waiting, fireOnOneCallback=True, consumeErrors=True)
        # No other worker may log the same within a second.
        await deferLater(reactor, 1)
        self.assertEqual([EMBEDS in worker.output for worker in workers].count(True), 1)
        for each in waiting:
            each.cancel()
        return workers[at]

    async def test_killed(self) -> None:
        """When the first worker is killed, the second takes over the broker with all stored messages."""
        await self.assert_takeover(signal.SIGKILL)

    async def test_stopped(self) -> None:
        """When the first worker is stopped, the second takes over the broker with all stored messages."""
        await self.assert_takeover(signal.SIGTERM)

    async def assert_takeover(self, number: int) -> None:
        """Check the failover from worker to worker after a signal."""
        self.script("who", "print('done by me')")
        config = self.shared_config()
        first = await self.start_worker(config)
        second = await self.start_worker(config)
        await self.store(0)
        first.send_signal(number)
        await first.ended
        await second.until(EMBEDS, seconds=10)
        await self.assert_served(second)
        await self.store(1)
        again = await self.start_worker(config)
        self.assertIn("joining the broker", again.output)
        await self.assert_served(second, again)
        second.send_signal(number)
        await again.until(EMBEDS, seconds=10)
        await self.assert_stored(2)
        self.assertNotIn("Traceback", first.output + second.output + again.output)

    async def test_one_of_many(self) -> None:
        """Of several remaining workers exactly one takes over the broker, and all of them connect to it."""
        self.script("who", "print('done by me')")
        config = self.shared_config()
        first = await self.start_worker(config)
        others = [await self.start_worker(config) for _ in range(3)]
        first.send_signal(signal.SIGKILL)
        embeds = await self.one_takes_over(*others)
        joined = [worker for worker in others if worker is not embeds]
        await self.assert_served(*others)
        embeds.send_signal(signal.SIGTERM)
        await self.one_takes_over(*joined)
        await self.assert_served(*joined)

    async def test_started_at_once(self) -> None:
        """Of several workers that start at the same time exactly one embeds the broker."""
        config = self.shared_config()
        workers = [self.twistd("-n", "alaska", "--config", str(config)) for _ in range(3)]
        for worker in workers:
            await worker.until("Alaska worker ready")
        self.assertEqual(sum("Broker ready" in worker.output for worker in workers), 1)

    async def test_wildcard(self) -> None:
        """Connecting and taking over also work with a wildcard endpoint."""
        here, self.endpoint = self.endpoint, self.endpoint.replace("127.0.0.1", "*")
        self.script("who", "print('done by me')")
        config = self.shared_config()
        self.endpoint = here
        first = await self.start_worker(config)
        second = await self.start_worker(config)
        self.assertIn("joining the broker", second.output)
        await self.assert_served(first, second)
        first.send_signal(signal.SIGKILL)
        await second.until(EMBEDS, seconds=10)
        await self.assert_served(second)


class BrokerFileTests(EmbeddedCase):
    """A configuration file for the embedded broker."""

    async def test_limits(self) -> None:
        """Limits, retention and store of the file apply to the embedded broker."""
        self.config(
            "broker.cfg",
            f"""mlm_server
    echo = "from the broker's file"
    bind
        endpoint = "tcp://127.0.0.1:1"
    mailbox
        size-limit = "4"
    stream
        retain
            count = "1"
    store
        path = "{self.folder / "store.db"}"
""",
        )
        worker = await self.start_worker(self.worker_config_with(f'config = "{self.folder / "broker.cfg"}"'))
        self.assertIn(f"Broker ready ({self.endpoint})", worker.output)
        self.assertIn("from the broker's file", worker.output)
        self.assertEqual(await self.first_status(b"1234"), STORED)
        self.assertEqual(await self.first_status(b"5"), TOO_LARGE)
        sender = await self.client("sender")
        for number in range(2):
            sender.publish("news", "n", b"%d" % number)
        await sender.flush()
        got: list[Delivery] = []
        reader = await self.client("reader", got.append)
        await reader.replay("news", ".*", 0)
        await until(lambda: any(delivery.content == (b"1",) for delivery in got))
        self.assertEqual(got[-1].content, (b"1",))
        self.assertTrue((self.folder / "store.db").exists())

    async def test_missing(self) -> None:
        """A missing file ends the worker with an error."""
        config = self.worker_config_with('config = "nowhere.cfg"')
        program = self.twistd("-n", "alaska", "--config", str(config))
        self.assertEqual(await program.ended, 78)
        self.assertIn("nowhere.cfg", program.output)
        self.assertNotIn("Traceback", program.output)

    def worker_config_with(self, line: str) -> Path:
        """Write the configuration of a worker with an embedded broker and one more line in its section."""
        path = self.worker_config()
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('embedded = "1"', f'embedded = "1"\n        {line}'), encoding="utf-8")
        return path
